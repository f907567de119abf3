"""What rollouts cost in revisions."""

from __future__ import annotations

from typing import Any

import pytest

from harness.cluster.rollout.history import revisions_left
from harness.errors import UsageError
from harness.scenario.trigger import parse


def deployment(limit: int | None = 10, kind: str = "Deployment") -> dict[str, Any]:
    spec = {} if limit is None else {"revisionHistoryLimit": limit}
    return {"kind": kind, "metadata": {"name": "web", "uid": "u1"}, "spec": spec}


def sets(mine: int, others: int = 0) -> list[dict[str, Any]]:
    owners = ["u1"] * mine + ["u2"] * others
    return [
        {"metadata": {"name": f"rs{n}", "ownerReferences": [{"uid": uid}]}} for n, uid in enumerate(owners)
    ]


@pytest.mark.parametrize(
    ("limit", "mine", "rollouts", "said"),
    [
        (10, 1, 1, "1 of 10 revisions that are left will be used (revisionHistoryLimit 10)"),
        (None, 4, 3, "3 of 7 revisions that are left will be used"),
        (
            2,
            3,
            1,
            "web keeps 2 old revisions (revisionHistoryLimit) and has 2: Kubernetes will prune the oldest",
        ),
        (5, 6, 3, "has 5: Kubernetes will prune the oldest 3"),
        (5, 4, 4, "has 3: Kubernetes will prune the oldest 2"),
        (0, 1, 4, "keeps no old revision"),
    ],
)
def test_it_is_said_how_many_revisions_are_left(
    limit: int | None, mine: int, rollouts: int, said: str
) -> None:
    (line,) = revisions_left(deployment(limit), sets(mine, others=3), parse("restart"), rollouts)
    assert said in line


def test_rollouts_that_would_prune_all_that_one_could_go_back_to_are_refused() -> None:
    assert revisions_left(deployment(5), sets(1), parse("restart"), 5)
    with pytest.raises(UsageError, match="ask for 5 at most, or raise the limit"):
        revisions_left(deployment(5), sets(1), parse("restart"), 6)


def test_removing_pods_makes_no_revision() -> None:
    assert revisions_left(deployment(5), sets(1), parse("delete-pod"), 50) == ()


def test_of_other_kinds_the_limit_is_told() -> None:
    (line,) = revisions_left(deployment(7, "StatefulSet"), [], parse("restart"), 2)
    assert "the last 7 are kept" in line
