"""Where a field of a manifest stands: its line, or the line of its nearest parent."""

from __future__ import annotations

import pytest
import yaml

from harness.scenario.places import Place, find, written

WEB = """\
# a comment
apiVersion: v1
kind: Service
metadata:
  name: web
  annotations:
    service.beta.kubernetes.io/aws-load-balancer-attributes: deregistration_delay.timeout_seconds=5
spec:
  selector: {app: web}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
spec:
  replicas: 3
  template:
    spec:
      containers:
      - name: proxy
        image: envoy
      - image: web:1
        name: web
        ports:
        - containerPort: 8080
        - containerPort: 9090
          hostPort: 9090
        lifecycle:
          preStop:
            exec: {command: [sleep, "5"]}
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("spec.replicas", 17),
        ("spec.template.spec.containers[web].lifecycle.preStop", 30),
        ("spec.template.spec.containers[web].lifecycle.preStop.exec", 31),
        ("spec.template.spec.containers[web].ports.hostPort", 28),
        # Of what is not there, the nearest parent.
        ("spec.template.spec.containers[web].readinessProbe", 23),
        ("spec.template.spec.containers[proxy].readinessProbe.httpGet", 21),
        ("spec.template.spec.containers[1].readinessProbe", 23),
        ("spec.template.spec.containers[?].readinessProbe", 21),
        ("spec.template.spec.containers[gone].readinessProbe", 20),
        ("spec.template.spec.terminationGracePeriodSeconds", 19),
        ("spec.minReadySeconds", 16),
        ("", 14),
        ("nonsense", 14),
        ("spec.replicas.deeper[x].still", 17),
    ],
)
def test_a_field_has_its_line_or_that_of_its_nearest_parent(path: str, line: int) -> None:
    objects = list(written(WEB, "k8s/web.yaml"))
    assert find(objects, "Deployment", "web", path) == Place("k8s/web.yaml", line)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("Service web spec.sessionAffinity", 8),
        ("Service spec.publishNotReadyAddresses", 8),
        ("Service web deregistration_delay", 7),
        ("Service web", 5),
        ("Service other spec.ports", 14),  # not in a file: the workload itself
        ("Ingress web service-upstream", 14),
    ],
)
def test_a_path_may_lead_to_another_object(path: str, line: int) -> None:
    assert find(list(written(WEB, "a.yaml")), "Deployment", "web", path) == Place("a.yaml", line)


def test_an_object_that_no_file_has_has_no_place() -> None:
    assert find(list(written(WEB, "a.yaml")), "Deployment", "other", "spec.replicas") is None
    assert find([], "Deployment", "web", "") is None


def test_of_two_with_the_same_name_the_namespace_decides_then_the_file() -> None:
    other = WEB.replace("namespace: shop", "namespace: stage")
    objects = [*written(other, "stage.yaml"), *written(WEB, "shop.yaml"), *written(WEB, "copy.yaml")]
    assert find(objects, "Deployment", "web", "spec", namespace="shop") == Place("shop.yaml", 16)
    assert find(objects, "Deployment", "web", "spec", namespace="shop", beside="copy.yaml") == Place(
        "copy.yaml", 16
    )
    assert find(objects, "Deployment", "web", "Service web", beside="copy.yaml") == Place("copy.yaml", 5)


def test_a_service_without_a_name_is_not_guessed_among_several() -> None:
    objects = list(written(WEB + "---\n" + WEB.replace("name: web\n  ann", "name: other\n  ann"), "a.yaml"))
    assert find(objects, "Deployment", "web", "Service spec.x") == Place("a.yaml", 14)


def test_items_of_a_list_and_json_are_found_too() -> None:
    text = "kind: List\nitems:\n- kind: Deployment\n  metadata: {name: web}\n  spec:\n    replicas: 1\n- 5\n"
    assert find(list(written(text, "a.yaml")), "Deployment", "web", "spec.replicas") == Place("a.yaml", 6)
    json = '{\n "kind": "Deployment",\n "metadata": {"name": "web"},\n "spec": {\n  "replicas": 1}}\n'
    assert find(list(written(json, "a.json")), "Deployment", "web", "spec.replicas") == Place("a.json", 5)


def test_a_merged_field_is_at_its_anchor() -> None:
    text = "x: &x\n  replicas: 1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  <<: *x\n"
    assert find(list(written(text, "a.yaml")), "Deployment", "web", "spec.replicas") == Place("a.yaml", 2)


@pytest.mark.parametrize(
    "text", ["", "5\n", "- a\n", "kind: [x]\nmetadata: 5\n", "kind: List\nitems: 7", "? [a]\n: b"]
)
def test_yaml_that_is_no_manifest_has_no_place(text: str) -> None:
    assert find(list(written(text, "a.yaml")), "Deployment", "web", "spec") is None


def test_the_bounds_of_yaml_hold() -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{new}: &{new} [{','.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdef", "bcdefg", strict=True)
    )
    with pytest.raises(yaml.YAMLError, match="aliases stand for over"):
        list(written(bomb, "a.yaml"))
