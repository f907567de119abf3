from __future__ import annotations

import json
from typing import Any

import pytest

from harness.cluster.watching.reduce import manifest, reduced
from harness.k8s.hooks import last_sleep_ns

POD = {
    "metadata": {
        "name": "web-1", "uid": "u", "managedFields": [{"x": 1}],
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "s3cret",
                        "deployment.kubernetes.io/revision": "3"},
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
    assert small["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"
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


SECRET = "s3cret"  # noqa: S105  what must not pass


def kept(kind: str, obj: dict[str, Any]) -> str:
    return json.dumps([reduced(kind, obj), manifest(obj)])


@pytest.mark.parametrize(
    "name",
    [
        "kubectl.kubernetes.io/last-applied-configuration",
        "kapp.k14s.io/original",
        "objectset.rio.cattle.io/applied",
        "kubernetes.io/change-cause",
        "nginx.ingress.kubernetes.io/configuration-snippet",
        "nginx.ingress.kubernetes.io/server-snippet",
        "nginx.ingress.kubernetes.io/auth-secret",
        "nginx.ingress.kubernetes.io/auth-url",
        "nginx.ingress.kubernetes.io/canary-by-header-value",
        "alb.ingress.kubernetes.io/actions.forward",
        "haproxy.org/backend-config-snippet",
        "haproxy-ingress.github.io/auth-secret",
        "traefik.ingress.kubernetes.io/router.middlewares",
        "nginx.org/server-snippets",
        "somebody/else",
    ],
)
def test_an_annotation_that_is_not_known_to_be_harmless_keeps_its_name_alone(name: str) -> None:
    notes = {"annotations": {name: f'{{"env": "{SECRET}"}}'}}
    template = {"metadata": notes, "spec": {}}
    claim = {"metadata": {"name": "data", **notes}, "spec": {}}
    workload = {"metadata": notes, "spec": {"template": template, "volumeClaimTemplates": [claim]}}
    for kind in ("Pod", "ReplicaSet", "EndpointSlice", "Endpoints", "Deployment", "HorizontalPodAutoscaler"):
        assert SECRET not in kept(kind, workload)
        assert name in kept(kind, workload)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("deployment.kubernetes.io/revision", "12"),
        ("kubectl.kubernetes.io/restartedAt", "2026-11-25T14:02:11Z"),
        ("zdtest.dev/run", "20261125T140211Z-web on host until 2026-11-25T14:03:41+00:00"),
        ("kubernetes.io/ingress.class", "alb"),
        ("alb.ingress.kubernetes.io/target-type", "ip"),
        ("alb.ingress.kubernetes.io/target-group-attributes",
         "deregistration_delay.timeout_seconds=5,slow_start.duration_seconds=30"),
        ("alb.ingress.kubernetes.io/healthcheck-path", "/up"),
        ("service.beta.kubernetes.io/aws-load-balancer-type", "external"),
        ("nginx.ingress.kubernetes.io/service-upstream", "true"),
        ("nginx.ingress.kubernetes.io/proxy-next-upstream", "error timeout non_idempotent"),
        ("haproxy.org/timeout-server", "30s"),
        ("traefik.ingress.kubernetes.io/service.nativelb", "true"),
    ],
)  # fmt: skip
def test_what_lint_and_the_advice_read_of_annotations_stays(name: str, value: str) -> None:
    assert manifest({"metadata": {"annotations": {name: value}}})["metadata"]["annotations"] == {name: value}


@pytest.mark.parametrize(
    "value", [f"/up?token={SECRET}", f"https://u:{SECRET}@h/", f'{{"a": "{SECRET}"}}', f"token={SECRET}"]
)
def test_a_known_annotation_with_a_secret_in_it_is_hidden_all_the_same(value: str) -> None:
    notes = {"annotations": {"alb.ingress.kubernetes.io/healthcheck-path": value}}
    assert SECRET not in kept("Deployment", {"metadata": notes})


def test_another_value_of_a_hidden_annotation_is_another_template_still() -> None:
    def template(checksum: str) -> Any:
        marks = {"metadata": {"annotations": {"checksum/config": checksum}}, "spec": {}}
        return reduced("Deployment", {"spec": {"template": marks}})["spec"]["template"]

    assert template("a") == template("a") != template("b")


def test_commands_probes_hooks_and_volumes_keep_what_they_do_and_no_value() -> None:
    pod = {
        "containers": [{
            "name": "c", "command": ["sh", "-c"], "args": [f"exec app --token {SECRET} -p{SECRET} A={SECRET}"],
            "livenessProbe": {"httpGet": {"path": f"/up?key={SECRET}", "port": 1}},
            "startupProbe": {"exec": {"command": ["probe", "--token", SECRET]}},
            "lifecycle": {
                "preStop": {"exec": {"command": ["sh", "-c", f"curl -u a:{SECRET} http://h; sleep 7"]}},
                "postStart": {"httpGet": {"path": f"/hook?key={SECRET}", "port": 1}},
            },
        }],
        "initContainers": [{"name": "i", "args": [SECRET, f"--x={SECRET}"]}],
        "volumes": [
            {"name": "a", "csi": {"driver": "d", "volumeAttributes": {"k": SECRET}}},
            {"name": "b", "flexVolume": {"driver": "d", "options": {"k": SECRET}}},
            {"name": "g", "gitRepo": {"repository": f"https://u:{SECRET}@h/r"}},
            {"name": "e",
             "ephemeral": {"volumeClaimTemplate": {"metadata": {"annotations": {"a/b": SECRET}}, "spec": {}}}},
        ],
    }  # fmt: skip
    text = json.dumps(
        [reduced("Pod", {"spec": pod}), kept("Deployment", {"spec": {"template": {"spec": pod}}})]
    )
    assert SECRET not in text
    container = reduced("Pod", {"spec": pod})["spec"]["containers"][0]
    assert last_sleep_ns(container["lifecycle"]["preStop"]) == 7_000_000_000
    assert container["args"] == ["exec app --token *** -p*** A=***"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/up?key=***"


def test_a_container_s_last_words_are_not_kept_and_a_registry_s_are() -> None:
    def container(state: dict[str, Any]) -> dict[str, Any]:
        status = {"containerStatuses": [{"name": "c", "state": state, "lastState": state}]}
        found: dict[str, Any] = reduced("Pod", {"status": status})["status"]["containerStatuses"][0]
        assert SECRET not in json.dumps(found)
        return found

    ended = container({"terminated": {"exitCode": 1, "reason": "Error", "message": f"panic: {SECRET}"}})
    assert ended["state"] == ended["lastState"] == {"terminated": {"exitCode": 1, "reason": "Error"}}
    pulling = {"reason": "ErrImagePull", "message": f'Get "https://r.example/v2?sig={SECRET}": 403 Forbidden'}
    assert "403 Forbidden" in container({"waiting": pulling})["state"]["waiting"]["message"]
    failed = {
        "reason": "RunContainerError",
        "message": f'failed to create task: exec: "app {SECRET}": executable file not found in $PATH',
    }
    assert (
        container({"waiting": failed})["state"]["waiting"]["message"] == "failed: executable file not found"
    )


@pytest.mark.parametrize(
    ("reason", "message", "kept"),
    [
        ("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503",
         "Readiness probe failed: HTTP probe failed with statuscode: 503"),
        ("Unhealthy", f'Liveness probe failed: Get "http://10.1.1.1:80/?key={SECRET}": EOF',
         'Liveness probe failed: Get "http://10.1.1.1:80/?key=***": EOF'),
        ("Unhealthy", f"Liveness probe failed: {SECRET} is no good", "Liveness probe failed: ***"),
        ("Unhealthy", f'Readiness probe errored: rpc error: code = Unknown desc = command "probe {SECRET}" timed out',
         "Readiness probe errored: rpc error: code = Unknown desc = command timed out"),
        ("Unhealthy", "Readiness probe failed: ", "Readiness probe failed: "),
        ("FailedPreStopHook",
         (f'Exec lifecycle hook ([curl {SECRET}]) for Container "c" in Pod "web_x" failed - error: command'
          f" 'curl {SECRET}' exited with 137: {SECRET}, message: \"{SECRET}\""),
         "Exec lifecycle hook: exit code 137"),
        ("FailedPreStopHook", "PreStopHook failed", "PreStopHook failed"),
        ("FailedPostStartHook",
         f'Exec lifecycle hook ([x {SECRET}]) failed - error: exec: "x": executable file not found in $PATH',
         "Exec lifecycle hook: executable file not found"),
        ("SuccessfulRescale", "New size: 5; reason: cpu above target", "New size: 5; reason: cpu above target"),
        ("Failed", f'Error: failed to start: exec: "app {SECRET}": not found',
         'Error: failed to start: exec: "***": not found'),
        ("FailedCreate", f"admission webhook denied the request: DB_PASSWORD={SECRET} is weak",
         "admission webhook denied the request: DB_PASSWORD=*** is weak"),
    ],
)  # fmt: skip
def test_an_event_says_what_went_wrong_and_not_what_a_command_printed(
    reason: str, message: str, kept: str
) -> None:
    assert reduced("Event", {"reason": reason, "message": message})["message"] == kept


def test_conditions_say_why_without_a_secret() -> None:
    condition = {"type": "ReplicaFailure", "message": f"webhook: token={SECRET} is bad"}
    for kind in ("Pod", "ReplicaSet", "Deployment"):
        assert SECRET not in json.dumps(reduced(kind, {"status": {"conditions": [condition], "replicas": 2}}))


def test_of_who_wrote_to_a_workload_the_names_and_times_are_kept_and_no_field() -> None:
    entry = {
        "manager": "helm", "operation": "Update", "apiVersion": "apps/v1", "time": "2026-11-25T14:00:00Z",
        "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:template": {}}},
    }  # fmt: skip
    whole = {"metadata": {"name": "web", "managedFields": [entry]}, "spec": {}}
    kept = {"manager": "helm", "operation": "Update", "time": "2026-11-25T14:00:00Z"}
    assert reduced("Deployment", whole)["metadata"]["managedFields"] == [kept]
    assert "managedFields" not in reduced("Pod", whole)["metadata"]
    assert "managedFields" not in manifest(whole)["metadata"]
