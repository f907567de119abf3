"""A manifest without each of its protections."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from harness.experiment.protections import without_each
from harness.scenario.resolve import shipped
from harness.scenario.yamltext import load_all

Object = dict[str, Any]

CHANGED = {  # the last words of the paths that may differ
    "readinessProbe": {"readinessProbe"},
    "preStop": {"lifecycle"},
    "grace period": {"terminationGracePeriodSeconds"},
    "drain": {"value"},
    "maxUnavailable": {"type", "maxSurge", "maxUnavailable"},
    "keep-alive order": {"value"},
    "minReadySeconds": {"minReadySeconds"},
}


def good() -> Object:
    text = (shipped() / "clean/all-protections/app.yaml").read_text()
    return next(doc for doc in load_all(text) if doc["kind"] == "Deployment")


def container(document: Object) -> Object:
    found: Object = document["spec"]["template"]["spec"]["containers"][0]
    return found


def variables(document: Object) -> dict[str, str]:
    return {one["name"]: one["value"] for one in container(document)["env"]}


def test_each_protection_of_the_shipped_scenario_is_switched_off_alone() -> None:
    whole = good()
    kept = copy.deepcopy(whole)
    found, lacking = without_each(whole)
    assert whole == kept
    assert lacking == ()
    without = {one.name: one.document for one in found}
    assert list(without) == [
        "readinessProbe", "preStop", "grace period", "drain", "maxUnavailable", "keep-alive order", "minReadySeconds",
    ]  # fmt: skip
    assert "readinessProbe" not in container(without["readinessProbe"])
    assert "lifecycle" not in container(without["preStop"])
    assert without["grace period"]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 1
    assert variables(without["drain"])["ON_TERM"] == "exit"
    assert without["maxUnavailable"]["spec"]["strategy"]["rollingUpdate"] == {
        "maxUnavailable": 1,
        "maxSurge": 0,
    }
    assert float(variables(without["keep-alive order"])["KEEPALIVE"]) < 1
    assert "minReadySeconds" not in without["minReadySeconds"]["spec"]


def test_nothing_else_changes_with_a_protection() -> None:
    found, _ = without_each(good())
    for one in found:
        assert {path.split("/")[-1] for path in _paths(good(), one.document)} <= CHANGED[one.name]


def _paths(one: Any, other: Any, at: str = "") -> list[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        return [p for k in one.keys() | other.keys() for p in _paths(one.get(k), other.get(k), f"{at}/{k}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [p for n, pair in enumerate(zip(one, other, strict=True)) for p in _paths(*pair, f"{at}/{n}")]
    return [] if one == other else [at]


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
def test_what_a_manifest_never_had_is_said(kind: str) -> None:
    bare: Object = {"kind": kind, "spec": {"template": {"spec": {"containers": [{"name": "web"}]}}}}
    found, lacking = without_each(bare)
    assert [one.name for one in found] == ["grace period"]  # 30 s by default
    assert len(lacking) == 6


def test_other_hooks_of_the_container_stay() -> None:
    document = good()
    container(document)["lifecycle"]["postStart"] = {"exec": {"command": ["true"]}}
    without = {one.name: one.document for one in without_each(document)[0]}
    assert container(without["preStop"])["lifecycle"] == {"postStart": {"exec": {"command": ["true"]}}}
