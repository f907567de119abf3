"""What lint does with manifests that Kubernetes would refuse: one line, with file, object and field, and exit code
2.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from harness.cli.manifests.manifestfiles import malformed
from harness.judge.lint.lint import assumptions, lint
from tests.judge.test_lint import BROKEN, SOUND, command

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Object = dict[str, Any]
HEAD = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n"
POD = "{metadata: {labels: {a: b}}, spec: %s}"
WRONG: tuple[Any, ...] = (
    None, "x", "", "5%%", 5, -1, 1.5, True, [], {}, [None], ["x"], [5], {"a": 1}, {"a": {"b": []}}, [{"a": 1}],
)  # fmt: skip

# Manifests that between them have every field that a rule looks at.
MANIFESTS = ("", "prestop-outlasts-grace", "on-delete", "max-unavailable-few-replicas", "deadline-too-short", "budget",
             "autoscaler", "deregistration-delay-short", "host-port", "route-retries", "route-timeout",
             "route-weight-zero", "argo-scale-down-delay")  # fmt: skip


def deployment(pod: str, more: str = "") -> str:
    return f"{HEAD}spec: {{template: {POD % pod}{more}}}\n"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            deployment('{terminationGracePeriodSeconds: "30s"}'),
            'spec.terminationGracePeriodSeconds: "30s" is not an integer',
        ),
        (deployment("{containers: {name: a}}"), 'spec.template.spec.containers: {"name": "a"} is not an array'),
        (deployment("{containers: [null]}"), "spec.template.spec.containers[0]: null is not an object"),
        (deployment("{containers: [{name: a, ports: [8080]}]}"), "containers[0].ports[0]: 8080 is not an object"),
        (
            deployment("{containers: [{name: a, lifecycle: {preStop: {sleep: 10}}}]}"),
            "containers[0].lifecycle.preStop.sleep: 10 is not an object",
        ),
        (
            deployment("{containers: [{name: a, readinessProbe: {httpGet: /x, periodSeconds: 5s}}]}"),
            'containers[0].readinessProbe.httpGet: "/x" is not an object (and 1 more)',
        ),
        (deployment("{containers: [{name: a, command: sleep}]}"), 'containers[0].command: "sleep" is not an array'),
        (
            deployment("{containers: [{name: a, readinessProbe: {tcpSocket: {port: [80]}}}]}"),
            "readinessProbe.tcpSocket.port: [80] is not a string",
        ),
        (deployment("{}", ', replicas: "3"'), 'spec.replicas: "3" is not an integer'),
        (
            deployment("{}", ", strategy: {rollingUpdate: {maxSurge: lots}}"),
            "spec.strategy.rollingUpdate.maxSurge: 'lots' is neither a number nor a percentage",
        ),
        (
            deployment("{}", ", selector: {matchLabels: {a: c}}"),
            "spec.selector.matchLabels: a: c is not among spec.template.metadata.labels",
        ),
        (HEAD + "spec: []\n", "spec: [] is not an object"),
        ("apiVersion: apps/v1\nkind: Deployment\nspec: {}\n", "metadata: it is missing, or no object"),
    ],
)  # fmt: skip
def test_a_malformed_manifest_is_one_line_with_file_object_and_field(
    tmp_path: Path, content: str, says: str
) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(content)
    done = command(str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    name = "x" if "metadata: {name" in content else "?"
    assert line.startswith(f"zdtest: {file}: Deployment/{name}: ")
    assert line.endswith(says)


def test_a_value_of_the_environment_is_not_shown() -> None:
    item = copy.deepcopy(SOUND[0])
    item["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "PASSWORD", "value": 123456}]
    assert malformed(item) == ["spec.template.spec.containers[0].env[0].value: it is not a string"]


def test_what_kubernetes_takes_is_not_malformed() -> None:
    item = copy.deepcopy(SOUND[0])
    item["spec"]["template"]["spec"]["containers"][0] |= {
        "resources": {"limits": {"cpu": 0.5, "memory": "1Gi"}, "requests": {"cpu": 1}},
        "livenessProbe": None,
    }
    assert malformed(item) == []
    for break_it in BROKEN.values():
        objects = copy.deepcopy(SOUND)
        break_it(objects)
        assert [malformed(each) for each in objects] == [[]] * len(objects)


def test_a_date_is_text_and_a_file_of_values_no_manifest(tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text("kind: DaemonSet\nreplicas: three\n")
    (tmp_path / "x.yaml").write_text(
        HEAD.replace("{name: x}", "{name: x, annotations: {released: 2026-11-27}}")
    )
    done = command(str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")


def test_a_field_that_kubernetes_does_not_have_is_noted(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(deployment("{containers: [{name: a, readinesProbe: {}}]}"))
    done = command(str(tmp_path))
    assert (
        "note: Deployment/x: spec.template.spec.containers[0].readinesProbe: Kubernetes has no such field"
        in done.stdout
    )


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value in a nest of mappings and lists."""
    if at:
        yield at
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in inner:
        yield from places(below, (*at, key))


@pytest.mark.parametrize("rule", MANIFESTS)
def test_whatever_stands_in_a_field_it_is_malformed_or_can_be_checked(rule: str) -> None:
    whole = copy.deepcopy(SOUND)
    if rule:
        BROKEN[rule](whole)
    for path in places(whole):
        for wrong in WRONG:
            objects: list[Any] = copy.deepcopy(whole)
            spot: Any = objects
            for step in path[:-1]:
                spot = spot[step]
            spot[path[-1]] = wrong
            items = [item for item in objects if isinstance(item, dict)]
            if not any(malformed(item) for item in items):
                known = [item for item in items if isinstance(item.get("metadata"), dict)]
                lint(known)
                assumptions(known)


@pytest.mark.parametrize(
    "pod",
    [
        "{containers: [{name: a, args: s3cret}]}",
        "{containers: [{name: a, command: app --token s3cret}]}",
        "{containers: [{name: a, command: [{x: s3cret}]}]}",
        "{containers: {name: a, env: [{name: T, value: s3cret}]}}",
        "{containers: [{name: a, livenessProbe: {httpGet: {port: 1, httpHeaders: s3cret}}}]}",
        "{volumes: [{name: v, csi: {driver: d, volumeAttributes: s3cret}}]}",
        '{containers: [{name: a, env: [{name: T, value: "s3cret}]',
        "{containers: [{name: a, env: [{name: T, value: s3cret: x}]}]}",
    ],
)
def test_what_is_refused_is_named_without_a_value_that_may_be_a_secret(tmp_path: Path, pod: str) -> None:
    (tmp_path / "x.yaml").write_text(deployment(pod))
    done = command(str(tmp_path))
    assert done.returncode == 2
    assert "x.yaml" in done.stderr
    assert "s3cret" not in done.stderr
