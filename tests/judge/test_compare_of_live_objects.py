"""Two live objects side by side: what the server wrote is no difference, what a person wrote is."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from harness.judge.verdict.fieldchanges import field_changes
from harness.lab.objects import defaults

WRITTEN: dict[str, dict[str, Any]] = {
    "Deployment": {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {
                    "containers": [
                        {
                            "name": "web",
                            "image": "web:1",
                            "ports": [{"containerPort": 8080}],
                            "readinessProbe": {"httpGet": {"port": 8080}},
                            "lifecycle": {"preStop": {"httpGet": {"port": 8080}}},
                        }
                    ]
                },
            },
        },
    },
    "Service": {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 8080}]},
    },
}
for kind in ("StatefulSet", "DaemonSet"):
    WRITTEN[kind] = {**WRITTEN["Deployment"], "kind": kind}


def live(kind: str, number: int) -> dict[str, Any]:
    """Return an object as the `number`th cluster has it, some time after it was applied there."""
    item = copy.deepcopy(WRITTEN[kind])
    defaults.fill(item)
    item["metadata"] |= {
        "namespace": f"shop-{number}",
        "uid": f"uid-{number}",
        "resourceVersion": f"{number}00",
        "generation": number,
        "creationTimestamp": f"2026-01-0{number}T00:00:00Z",
        "managedFields": [{"manager": "kubectl", "time": f"2026-01-0{number}T00:00:00Z"}],
        "annotations": {
            "deployment.kubernetes.io/revision": f"{number}",
            "kubectl.kubernetes.io/last-applied-configuration": f'{{"of": {number}}}',
        },
    }
    item["status"] = {"replicas": number, "conditions": [{"type": "Available", "status": "True"}]}
    if kind == "Service":
        item["spec"] |= {"clusterIP": f"10.96.0.{number}", "clusterIPs": [f"10.96.0.{number}"]}
        item["spec"]["ports"][0]["nodePort"] = 30000 + number
    else:
        template = item["spec"]["template"]
        template["metadata"]["annotations"] = {"kubectl.kubernetes.io/restartedAt": f"{number}"}
    return item


@pytest.mark.parametrize("kind", WRITTEN)
def test_what_the_server_wrote_on_two_clusters_is_no_manifest_change(kind: str) -> None:
    assert field_changes([live(kind, 1)], [live(kind, 2)]) == ()


@pytest.mark.parametrize("kind", WRITTEN)
def test_a_default_that_one_server_filled_in_is_no_manifest_change(kind: str) -> None:
    assert field_changes([copy.deepcopy(WRITTEN[kind])], [live(kind, 2)]) == ()
    assert field_changes([live(kind, 1)], [copy.deepcopy(WRITTEN[kind])]) == ()


def test_a_value_other_than_the_default_is_a_change_and_both_values_are_shown() -> None:
    changed = live("Deployment", 2)
    changed["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 45
    changed["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]["periodSeconds"] = 2
    found = field_changes([live("Deployment", 1)], [changed])
    assert [(change.path.rpartition(".")[2], change.before, change.after) for change in found] == [
        ("periodSeconds", "10", "2"),
        ("terminationGracePeriodSeconds", "30", "45"),
    ]


def test_a_service_made_headless_is_a_change_though_its_address_is_the_servers() -> None:
    headless = live("Service", 2)
    headless["spec"] |= {"clusterIP": "None", "clusterIPs": ["None"]}
    found = field_changes([live("Service", 1)], [headless])
    assert [(change.path, change.after) for change in found] == [
        ("Service spec.clusterIP", "None"),
        ("Service spec.clusterIPs", "None"),
    ]


def test_a_target_port_that_is_not_the_port_is_a_change() -> None:
    moved = live("Service", 2)
    moved["spec"]["ports"][0]["targetPort"] = "http"
    (change,) = field_changes([copy.deepcopy(WRITTEN["Service"])], [moved])
    assert (change.before, change.after) == ("(absent)", "http")


def test_a_persons_label_and_annotation_are_changes() -> None:
    changed = live("Deployment", 2)
    changed["metadata"]["labels"]["team"] = "a"
    changed["metadata"]["annotations"]["reloader.stakater.com/auto"] = "true"
    paths = [change.path for change in field_changes([live("Deployment", 1)], [changed])]
    assert paths == [
        "Deployment metadata.annotations.reloader.stakater.com/auto",
        "Deployment metadata.labels.team",
    ]
