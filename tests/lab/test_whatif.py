"""A user's manifests, turned into ones that the lab can run."""

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
metadata:
  {name: shop, namespace: store, uid: u, resourceVersion: "7", annotations: {deployment.kubernetes.io/revision: "3"}}
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
spec:
  {type: NodePort, clusterIP: 10.0.0.7, selector: {app: shop}, ports: [{port: 80, targetPort: 9000, nodePort: 30080}]}
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


def environment(container: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container["env"]}


def test_fields_that_matter_for_a_rollout_stay_and_containers_are_replaced() -> None:
    found = what_if(documents(), ENV)
    spec = by_kind(found)["Deployment"]["spec"]
    pod = spec["template"]["spec"]
    shop, proxy = pod["containers"]
    assert spec["strategy"] == {"rollingUpdate": {"maxSurge": 2}}
    assert pod["terminationGracePeriodSeconds"] == 45
    assert shop["readinessProbe"] == {"httpGet": {"path": "/health", "port": 9000}}
    assert shop["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}
    assert environment(shop) == ENV | {"PORT": "9000"}
    assert environment(proxy) == {"STARTUP_DELAY": "0", "PORT": "0"}
    assert not {"envFrom", "args", "volumeMounts"} & shop.keys()
    assert "volumes" not in pod
    assert (found.name, found.namespace) == ("shop", "store")


def test_every_removal_is_reported() -> None:
    notes = "\n".join(what_if(documents(), ENV).notes)
    for said in (
        "left out: HorizontalPodAutoscaler shop",
        "containers[0] shop: its environment is not passed on",
        "instead of example.com/shop:1",
        "containers[1] proxy: a sidecar",
        "6 instead of 12",
    ):
        assert said in notes


def test_the_lab_takes_the_result_and_lists_what_it_does_not_model(write: Callable[..., str]) -> None:
    found = what_if(documents(), ENV)
    loaded = manifests.load((write(*found.items),))
    assert (loaded.service, loaded.namespace) == ("shop", "store")
    assert any("initContainers" in note for note in loaded.notes)


def test_fields_of_live_objects_are_removed() -> None:
    found = by_kind(what_if(documents(), ENV, most=20))
    deployment, service = found["Deployment"], found["Service"]
    assert "status" not in deployment
    assert deployment["spec"]["replicas"] == 12
    assert not {"uid", "resourceVersion"} & deployment["metadata"].keys()
    assert not {"clusterIP"} & service["spec"].keys()
    assert "nodePort" not in service["spec"]["ports"][0]


def test_a_list_is_expanded_and_a_missing_service_is_created_for_the_probes_port() -> None:
    found = what_if([{"kind": "List", "items": documents()[:1]}], ENV)
    assert by_kind(found)["Service"]["spec"] == {
        "selector": {"app": "shop"},
        "ports": [{"port": 80, "targetPort": 9000}],
    }
    assert any("one was added, for port 9000" in note for note in found.notes)


def test_a_service_of_other_pods_is_not_used() -> None:
    parts = documents()
    parts[1]["spec"]["selector"] = {"app": "other"}
    assert any("one was added" in note for note in what_if(parts, ENV).notes)


def test_of_several_deployments_one_must_be_chosen() -> None:
    second = documents()[0]
    second["metadata"]["name"] = "cart"
    with pytest.raises(
        UsageError, match="several workloads \\(Deployment shop, Deployment cart\\); choose one"
    ):
        what_if([*documents(), second], ENV)
    found = what_if([*documents(), second], ENV, wanted="cart")
    assert found.name == "cart"
    assert "left out: Deployment shop (choose with --deployment)" in found.notes
    with pytest.raises(UsageError, match="no workload till found; there are: Deployment shop"):
        what_if(documents(), ENV, wanted="till")


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([None], "no Deployment, StatefulSet or DaemonSet among nothing"),
        (
            [{"kind": "Service", "metadata": {"name": "a"}}],
            "no Deployment, StatefulSet or DaemonSet among Service",
        ),
        (["text"], "not a Kubernetes manifest"),
        ([{"kind": "Deployment"}], "no metadata"),
        ([{"kind": "Deployment", "metadata": {"name": "a"}, "spec": {}}], "no spec.template.spec.containers"),
    ],
)
def test_manifests_that_cannot_be_tried_are_refused_in_one_line(parts: list[Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        what_if(parts, ENV)


def test_probes_on_a_management_port_or_https_are_sent_to_the_sample_apps_port() -> None:
    parts = documents()
    shop = parts[0]["spec"]["template"]["spec"]["containers"][0]
    shop["ports"] = [{"name": "http", "containerPort": 9000}, {"name": "management", "containerPort": 9001}]
    shop["readinessProbe"] = {"httpGet": {"path": "/ready", "port": "management"}}
    shop["livenessProbe"] = {"httpGet": {"path": "/live", "port": "http", "scheme": "HTTPS"}}
    found = what_if(parts, ENV)
    made = by_kind(found)["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    assert made["readinessProbe"]["httpGet"]["port"] == 9000
    assert made["livenessProbe"]["httpGet"] == {"path": "/live", "port": "http", "scheme": "HTTP"}
    said = "\n".join(found.notes)
    assert "readinessProbe uses port management; here it uses 9000, the sample app's" in said
    assert "livenessProbe uses HTTPS" in said


def test_the_container_that_the_service_sends_to_counts_at_any_position() -> None:
    parts = documents()
    containers = parts[0]["spec"]["template"]["spec"]["containers"]
    containers[0]["ports"] = [{"name": "http", "containerPort": 9000}]
    containers.reverse()
    parts[1]["spec"]["ports"][0]["targetPort"] = "http"
    proxy, shop = by_kind(what_if(parts, ENV))["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert environment(shop) == ENV | {"PORT": "9000"}
    assert environment(proxy)["STARTUP_DELAY"] == "0"


def test_an_autoscalers_min_replicas_is_the_lower_bound() -> None:
    parts = documents()
    del parts[0]["spec"]["replicas"]
    parts[2]["spec"] = {"minReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "shop"}}
    found = what_if(parts, ENV)
    assert by_kind(found)["Deployment"]["spec"]["replicas"] == 3
    assert any("minReplicas" in note for note in found.notes)


def test_a_stateful_set_is_tried_behind_the_service_that_has_an_address() -> None:
    parts = documents()
    parts[0] |= {"kind": "StatefulSet"}
    parts[0]["spec"].pop("strategy")
    parts[0]["spec"] |= {"serviceName": "shop", "volumeClaimTemplates": [{"metadata": {"name": "data"}}]}
    headless = {**parts[1], "metadata": {"name": "shop-headless"}}
    headless["spec"] = {**parts[1]["spec"], "clusterIP": "None"}
    found = what_if([headless, *parts], ENV, wanted="statefulset/shop")
    assert (found.kind, by_kind(found)["Service"]["metadata"]["name"]) == ("StatefulSet", "shop")
    assert "volumeClaimTemplates" not in by_kind(found)["StatefulSet"]["spec"]
    assert any("nothing is claimed" in note for note in found.notes)


def test_the_service_s_port_that_leads_to_the_application_is_tried_before_one_that_leads_to_a_sidecar() -> (
    None
):
    parts = documents()
    shop, proxy = parts[0]["spec"]["template"]["spec"]["containers"]
    shop["ports"] = [{"name": "http", "containerPort": 9000}]
    proxy |= {"name": "istio-proxy", "ports": [{"containerPort": 15090}]}
    parts[0]["spec"]["template"]["spec"]["containers"] = [proxy, shop]
    parts[1]["spec"]["ports"] = [
        {"name": "stats", "port": 15090},
        {"name": "http", "port": 80, "targetPort": "http"},
    ]
    found = what_if(parts, ENV)
    made = by_kind(found)
    assert made["Service"]["spec"]["ports"][0]["name"] == "http"
    assert environment(made["Deployment"]["spec"]["template"]["spec"]["containers"][1]) == ENV | {
        "PORT": "9000"
    }
    assert any("requests go to port http" in note for note in found.notes)


def test_without_a_service_the_application_is_tried_and_not_the_sidecar_before_it() -> None:
    parts = documents()
    parts[0]["spec"]["template"]["spec"]["containers"][1] |= {
        "name": "istio-proxy",
        "ports": [{"containerPort": 15090}],
    }
    parts[0]["spec"]["template"]["spec"]["containers"].reverse()
    proxy, shop = by_kind(what_if(parts[:1], ENV))["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert environment(shop) == ENV | {"PORT": "9000"}
    assert environment(proxy)["PORT"] == "15090"


def test_a_native_sidecar_is_the_sample_app_too_and_is_asked_on_a_port_that_it_has() -> None:
    parts = documents()
    parts[0]["spec"]["template"]["spec"]["initContainers"] = [
        {"name": "migrate", "image": "m"},
        {
            "name": "mesh",
            "image": "mesh:1",
            "restartPolicy": "Always",
            "env": [{"name": "TOKEN", "value": "s3cret"}],
            "startupProbe": {"httpGet": {"path": "/healthz/ready", "port": 15021}},
        },
    ]
    found = what_if(parts, ENV)
    migrate, mesh = by_kind(found)["Deployment"]["spec"]["template"]["spec"]["initContainers"]
    assert migrate == {"name": "migrate", "image": "m"}
    assert environment(mesh) == {"STARTUP_DELAY": "0", "PORT": "15021"}
    assert mesh["startupProbe"]["httpGet"]["port"] == 15021
    assert any(note.startswith("initContainers[1] mesh: a sidecar") for note in found.notes)


@pytest.mark.parametrize(
    ("given", "kept"), [("SIGQUIT", None), ("SIGKILL", "SIGKILL"), ("SIGTERM", "SIGTERM")]
)
def test_the_signal_that_the_real_app_acts_on_is_sigterm_for_the_sample_app(
    given: str, kept: str | None
) -> None:
    parts = documents()
    spec = parts[0]["spec"]["template"]["spec"]
    spec["os"] = {"name": "linux"}
    spec["containers"][0].setdefault("lifecycle", {})["stopSignal"] = given
    found = what_if(parts, ENV)
    app = by_kind(found)["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    assert app["lifecycle"].get("stopSignal") == kept
    assert any("it is stopped with SIGTERM instead of SIGQUIT" in note for note in found.notes) == (
        kept is None
    )
