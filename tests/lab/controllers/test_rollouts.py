"""How many pods each ReplicaSet gets: rounding, order, rollover, proportional scaling."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from harness.lab.controllers import rollouts


def deployment(
    replicas: int,
    surge: int | str = "25%",
    unavailable: int | str = "25%",
    kind: str = "RollingUpdate",
    **status: Any,
) -> dict[str, Any]:
    limits = {"maxSurge": surge, "maxUnavailable": unavailable}
    strategy = {"type": kind, "rollingUpdate": limits} if kind == "RollingUpdate" else {"type": kind}
    return {"spec": {"replicas": replicas, "strategy": strategy}, "status": status}


def rs(
    name: str,
    replicas: int,
    available: int | None = None,
    age: int = 0,
    annotations: dict[str, str] | None = None,
) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "creationTimestamp": f"2026-01-01T00:00:{age:02}Z",
            "annotations": annotations or {},
        },
        "spec": {"replicas": replicas},
        "status": {"availableReplicas": replicas if available is None else available},
    }


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "fences"),
    [
        (3, "25%", "25%", (1, 0)),
        (4, "25%", "25%", (1, 1)),
        (10, "25%", "25%", (3, 2)),
        (1, "25%", "25%", (1, 0)),
        (3, "0%", "25%", (0, 1)),  # both are 0 after rounding, so one may be unavailable
        (5, 0, 1, (0, 1)),
        (5, 2, "50%", (2, 2)),
        (2, 1, 9, (1, 2)),
        (0, "25%", "25%", (0, 0)),
    ],
)
def test_surge_rounds_up_and_unavailable_rounds_down(
    replicas: int, surge: int | str, unavailable: int | str, fences: tuple[int, int]
) -> None:
    assert rollouts.fences(deployment(replicas, surge, unavailable)) == fences


def test_the_new_set_grows_by_the_surge_and_no_further() -> None:
    old, new = rs("old", 3), rs("new", 0)
    assert rollouts.new_replicas(deployment(3), [old, new], new) == 1
    assert rollouts.new_replicas(deployment(3), [old, rs("new", 1)], rs("new", 1)) == 1
    assert rollouts.new_replicas(deployment(3, kind="Recreate"), [new], new) == 3


def test_an_old_pod_goes_only_when_a_new_one_is_available() -> None:
    assert rollouts.old_replicas(deployment(3), [rs("old", 3)], rs("new", 1, available=0)) == {}
    assert rollouts.old_replicas(deployment(3), [rs("old", 3)], rs("new", 1)) == {"old": 2}


def test_old_pods_that_never_worked_go_first_and_at_once() -> None:
    broken = rs("broken", 1, available=0, age=5)
    assert rollouts.old_replicas(deployment(3), [rs("old", 3), broken], rs("new", 0)) == {"broken": 0}


def test_a_scaling_during_a_rollout_is_shared_in_proportion() -> None:
    notes = {rollouts.MAX_REPLICAS: "13", rollouts.DESIRED_REPLICAS: "10"}
    sets = [rs("old", 8, annotations=notes, age=1), rs("new", 5, annotations=notes, age=2)]
    # The example of Kubernetes' documentation: 10 + 3 surge to 15 + 3 surge, old and new share the 5.
    shared = rollouts.scaled(deployment(15, surge=3, unavailable=2), sets[:1], sets[1])
    assert shared == {"old": 11, "new": 7}


def test_one_active_set_follows_a_scaling_alone() -> None:
    assert rollouts.scaled(deployment(5), [rs("old", 0)], rs("new", 3)) == {"new": 5}
    assert rollouts.scaled(deployment(5), [rs("old", 3)], None) == {"old": 5}


@given(st.integers(1, 20), st.integers(0, 20), st.integers(0, 20))
def test_a_rollout_stays_within_its_fences_and_always_ends(
    replicas: int, surge: int, unavailable: int
) -> None:
    item = deployment(replicas, surge=surge, unavailable=unavailable)
    most, least = replicas + rollouts.fences(item)[0], replicas - rollouts.fences(item)[1]
    old, new = rs("old", replicas), rs("new", 0, age=1)
    for _ in range(4 * replicas + 4):
        grown = rollouts.new_replicas(item, [old, new], new)
        shrunk = rollouts.old_replicas(item, [old], new).get("old", old["spec"]["replicas"])
        if grown != new["spec"]["replicas"]:
            new = rs("new", grown, available=new["status"]["availableReplicas"], age=1)
        elif shrunk != old["spec"]["replicas"]:
            old = rs("old", shrunk)
        elif new["status"]["availableReplicas"] < grown:
            new = rs("new", grown, available=new["status"]["availableReplicas"] + 1, age=1)
        else:
            break
        assert old["spec"]["replicas"] + new["spec"]["replicas"] <= most
        assert old["status"]["availableReplicas"] + new["status"]["availableReplicas"] >= least
    assert (old["spec"]["replicas"], new["spec"]["replicas"]) == (0, replicas)
