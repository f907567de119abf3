"""Somebody's own manifests, made into what the lab can run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from harness.errors import UsageError
from harness.lab import manifests
from harness.lab.whatif import WhatIf, what_if

if TYPE_CHECKING:
    from collections.abc import Callable

ENV = {"STARTUP_DELAY": "3", "ON_TERM": "drain"}
TEXT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop, namespace: store, uid: u, resourceVersion: "7", annotations: {deployment.kubernetes.io/revision: "3"}}
spec:
  replicas: 12
  strategy: {rollingUpdate: {maxSurge: 2}}
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      terminationGracePeriodSeconds: 45
      initContainers: [{name: migrate, image: m}]
      containers:
      - name: shop
        image: example.com/shop:1
        command: [java]
        args: [-jar, shop.jar]
        env: [{name: WORKERS, value: "1"}, {name: PASSWORD, valueFrom: {secretKeyRef: {name: s, key: k}}}]
        envFrom: [{configMapRef: {name: nowhere}}]
        volumeMounts: [{name: data, mountPath: /data}]
        readinessProbe: {httpGet: {path: /health, port: 9000}}
        lifecycle: {preStop: {sleep: {seconds: 5}}}
      - {name: proxy, image: envoy}
      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
status: {replicas: 12}
---
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: store}
spec: {type: NodePort, clusterIP: 10.0.0.7, selector: {app: shop}, ports: [{port: 80, targetPort: 9000, nodePort: 30080}]}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: shop}
spec: {}
"""


def documents() -> list[Any]:
    return list(yaml.safe_load_all(TEXT))


def by_kind(found: WhatIf) -> dict[str, dict[str, Any]]:
    return {item["kind"]: item for item in found.items}


def test_what_decides_about_a_rollout_stays_and_what_runs_in_it_is_replaced() -> None:
    found = what_if(documents(), ENV)
    spec = by_kind(found)["Deployment"]["spec"]
    pod = spec["template"]["spec"]
    shop, proxy = pod["containers"]
    assert spec["strategy"] == {"rollingUpdate": {"maxSurge": 2}}
    assert pod["terminationGracePeriodSeconds"] == 45
    assert shop["readinessProbe"] == {"httpGet": {"path": "/health", "port": 9000}}
    assert shop["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}
    assert {entry["name"]: entry["value"] for entry in shop["env"]} == ENV
    assert {entry["name"]: entry["value"] for entry in proxy["env"]} == {"STARTUP_DELAY": "0"}
    assert not {"envFrom", "args", "volumeMounts"} & shop.keys()
    assert "volumes" not in pod
    assert (found.name, found.namespace) == ("shop", "store")


def test_everything_that_is_taken_away_is_said() -> None:
    notes = "\n".join(what_if(documents(), ENV).notes)
    for said in (
        "left out: HorizontalPodAutoscaler shop",
        "containers[0] shop: its environment is not passed on",
        "instead of example.com/shop:1",
        "containers[1] proxy: a sidecar",
        "6 of the 12",
    ):
        assert said in notes


def test_the_lab_takes_the_result_and_lists_what_it_does_not_model(write: Callable[..., str]) -> None:
    found = what_if(documents(), ENV)
    loaded = manifests.load((write(*found.items),))
    assert (loaded.service, loaded.namespace) == ("shop", "store")
    assert any("initContainers" in note for note in loaded.notes)


def test_a_live_object_loses_what_only_live_ones_have() -> None:
    found = by_kind(what_if(documents(), ENV, most=20))
    deployment, service = found["Deployment"], found["Service"]
    assert "status" not in deployment
    assert deployment["spec"]["replicas"] == 12
    assert not {"uid", "resourceVersion"} & deployment["metadata"].keys()
    assert not {"clusterIP"} & service["spec"].keys()
    assert "nodePort" not in service["spec"]["ports"][0]


def test_a_list_is_taken_apart_and_a_missing_service_is_made_up_for_the_port_of_the_probe() -> None:
    found = what_if([{"kind": "List", "items": documents()[:1]}], ENV)
    assert by_kind(found)["Service"]["spec"] == {
        "selector": {"app": "shop"},
        "ports": [{"port": 80, "targetPort": 9000}],
    }
    assert any("one is made up, for port 9000" in note for note in found.notes)


def test_a_service_of_other_pods_is_not_taken() -> None:
    parts = documents()
    parts[1]["spec"]["selector"] = {"app": "other"}
    assert any("made up" in note for note in what_if(parts, ENV).notes)


def test_of_several_deployments_one_must_be_chosen() -> None:
    second = documents()[0]
    second["metadata"]["name"] = "cart"
    with pytest.raises(UsageError, match="several Deployments \\(shop, cart\\); choose one"):
        what_if([*documents(), second], ENV)
    found = what_if([*documents(), second], ENV, wanted="cart")
    assert found.name == "cart"
    assert "left out: Deployment shop (choose with --deployment)" in found.notes
    with pytest.raises(UsageError, match="no Deployment till; there are: shop"):
        what_if(documents(), ENV, wanted="till")


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([None], "no Deployment among nothing"),
        ([{"kind": "Service", "metadata": {"name": "a"}}], "no Deployment among Service"),
        (["text"], "no Kubernetes manifest"),
        ([{"kind": "Deployment"}], "no metadata"),
        ([{"kind": "Deployment", "metadata": {"name": "a"}, "spec": {}}], "no spec.template.spec.containers"),
    ],
)
def test_what_cannot_be_tried_is_refused_in_one_line(parts: list[Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        what_if(parts, ENV)
