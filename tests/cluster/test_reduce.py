from __future__ import annotations

import json

from harness.cluster.reduce import manifest, reduced

POD = {
    "metadata": {
        "name": "web-1", "uid": "u", "managedFields": [{"x": 1}],
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "s3cret", "kept": "yes"},
    },
    "spec": {
        "nodeName": "n",
        "terminationGracePeriodSeconds": 30,
        "containers": [{
            "name": "c", "image": "i", "env": [{"name": "PASSWORD", "value": "s3cret"}],
            "readinessProbe": {"httpGet": {"path": "/", "httpHeaders": [{"name": "Authorization", "value": "s3cret"}]}},
            "lifecycle": {"preStop": {"exec": {"command": ["sleep", "5"]}}},
        }],
    },
    "status": {"phase": "Running", "containerStatuses": [{"name": "c", "ready": True}]},
}  # fmt: skip


def test_a_pod_keeps_what_a_lifeline_needs_and_no_secret() -> None:
    small = reduced("Pod", POD)
    text = json.dumps(small)
    assert "s3cret" not in text
    assert "managedFields" not in text
    assert small["spec"]["containers"][0]["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", "5"]
    assert small["metadata"]["annotations"] == {"kept": "yes"}
    assert small["status"]["phase"] == "Running"


def test_a_manifest_shows_names_of_variables_and_not_their_values() -> None:
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {"template": POD},
        "status": {"a": 1},
    }
    small = manifest(deployment)
    assert "s3cret" not in json.dumps(small)
    assert small["spec"]["template"]["spec"]["containers"][0]["env"] == [{"name": "PASSWORD", "value": "***"}]
    assert "status" not in small


def test_reducing_leaves_the_object_itself_alone() -> None:
    before = json.dumps(POD)
    reduced("Pod", POD)
    manifest({"spec": {"template": POD}})
    assert json.dumps(POD) == before


def test_a_beta_slice_gets_the_shape_of_today() -> None:
    old = {
        "metadata": {"name": "web-x", "uid": "s", "labels": {"kubernetes.io/service-name": "web"}},
        "endpoints": [{
            "addresses": ["10.0.0.1"], "conditions": {"ready": True}, "topology": {"kubernetes.io/hostname": "node1"},
            "targetRef": {"kind": "Pod", "name": "web-1", "uid": "u", "resourceVersion": "7"},
        }],
    }  # fmt: skip
    endpoint = reduced("EndpointSlice", old)["endpoints"][0]
    assert endpoint["nodeName"] == "node1"
    assert endpoint["targetRef"] == {"kind": "Pod", "name": "web-1", "uid": "u"}


def test_a_slice_may_have_no_endpoints_at_all() -> None:
    assert (
        reduced("EndpointSlice", {"metadata": {"name": "x", "uid": "s"}, "endpoints": None})["endpoints"]
        == []
    )


def test_endpoints_of_an_old_server_become_a_slice() -> None:
    old = {
        "metadata": {"name": "web", "uid": "e"},
        "subsets": [{
            "addresses": [{"ip": "10.0.0.1", "targetRef": {"kind": "Pod", "name": "web-1", "uid": "u1"}}],
            "notReadyAddresses": [{"ip": "10.0.0.2", "targetRef": {"kind": "Pod", "name": "web-2", "uid": "u2"}}],
            "ports": [{"port": 8080}],
        }],
    }  # fmt: skip
    small = reduced("Endpoints", old)
    assert small["metadata"]["labels"]["kubernetes.io/service-name"] == "web"
    assert [e["conditions"]["ready"] for e in small["endpoints"]] == [True, False]


def test_an_event_without_times_or_object_survives() -> None:
    assert (
        reduced("Event", {"metadata": {"name": "e", "uid": "u"}, "reason": "Killing", "eventTime": None})[
            "reason"
        ]
        == "Killing"
    )
