"""When somebody else's change began, judging by what the watch saw."""

from __future__ import annotations

from typing import Any

import pytest

from harness.clock import NS
from harness.cluster.rollout.view import Baseline, View
from harness.model import NEVER, ClusterEvent, PodRef, WatchGap
from harness.run.change.waiting import Waiting

A: dict[str, Any] = {"spec": {"v": "a"}}
B: dict[str, Any] = {"spec": {"v": "b"}}
POD = {"metadata": {"name": "web-1", "uid": "uid-1"}}
GOING = {"metadata": {**POD["metadata"], "deletionTimestamp": "2026-11-25T00:00:00Z"}}


def event(t_s: float, kind: str, obj: dict[str, Any], change: str = "MODIFIED") -> ClusterEvent:
    meta = obj["metadata"]
    return ClusterEvent(round(t_s * NS), change, kind, "default", meta["name"], meta["uid"], obj)


def web(template: dict[str, Any], replicas: int = 1, uid: str = "uid-web") -> dict[str, Any]:
    return {"metadata": {"name": "web", "uid": uid}, "spec": {"replicas": replicas, "template": template}}


def waiting() -> Waiting:
    view = View()
    view.apply(event(1, "Deployment", web(A), "LISTED"))
    view.apply(event(1, "Pod", POD, "LISTED"))
    old = (PodRef("web-1", "uid-1"),)
    before = Baseline(old, "aaa", template_before=A, template={}, generation=0, replicas=1, foreign=True)
    return Waiting(view, before, earliest_ns=3 * NS)


def seen(what: Waiting, happened: ClusterEvent) -> int:
    what.view.apply(happened)
    return what.see(happened)


def gap(from_s: float, to_s: float, kind: str = "Deployment") -> WatchGap:
    return WatchGap(kind, round(from_s * NS), round(to_s * NS), "down", relisted=False)


def test_another_template_is_a_beginning_at_once() -> None:
    what = waiting()
    assert seen(what, event(10, "Deployment", web(A))) == NEVER
    assert seen(what, event(11, "Deployment", web(B))) == 11 * NS


@pytest.mark.parametrize(
    "deletion",
    [
        event(11, "Deployment", web(A), "DELETED"),
        event(11, "Deployment", web(A, uid="uid-of-another"), "ADDED"),
        event(11, "Deployment", {**web(A), "metadata": {**web(A)["metadata"], "deletionTimestamp": "now"}}),
    ],
    ids=["gone", "gone and made anew while nobody watched", "going, its pods first"],
)
def test_that_the_workload_is_deleted_is_a_beginning_too(deletion: ClusterEvent) -> None:
    what = waiting()
    assert seen(what, deletion) == 11 * NS
    assert what.view.deleted


def test_a_pod_that_goes_is_one_only_when_it_can_be_no_autoscaler_s_doing() -> None:
    what = waiting()
    assert seen(what, event(10, "Pod", GOING)) == NEVER
    assert what.doubtful(12 * NS) == NEVER
    assert what.doubtful(14 * NS) == 10 * NS


def test_pods_that_the_watch_brought_before_their_workload_s_new_template_are_part_of_the_change() -> None:
    what = waiting()
    seen(what, event(10, "Pod", GOING))
    assert seen(what, event(10.5, "Deployment", web(B))) == 10 * NS


@pytest.mark.parametrize(
    ("missed", "begun_s"),
    [
        ([gap(5, 9.999)], 5.0),  # what came right after the gap may have happened in it
        ([gap(9, 9.999)], 9.0),  # a short one as well: what failed in it is no baseline
        ([gap(1, 9.999)], 3.0),  # not before the baseline began to be measured
        ([gap(1, 5), gap(8, 9)], 8.0),  # the last one counts
        ([gap(1, 7)], 10.0),  # long over
        ([gap(5, 9.999, "Pod")], 10.0),  # the workload itself was watched
        ([], 10.0),
    ],
)
def test_a_change_seen_right_after_a_gap_in_the_watch_began_with_the_gap_at_the_earliest(
    missed: list[WatchGap], begun_s: float
) -> None:
    what = waiting()
    for one in missed:
        what.gap(one)
    assert seen(what, event(10, "Deployment", web(B))) == round(begun_s * NS)


def test_a_pod_s_own_watch_tells_when_it_can_have_gone() -> None:
    what = waiting()
    what.gap(gap(4, 9.5, "Pod"))
    seen(what, event(10, "Pod", GOING))
    assert what.doubtful(12 * NS) == NEVER, "the workload's own watch may take longer to come back"
    assert what.doubtful(14 * NS) == 4 * NS
    assert seen(what, event(12, "Deployment", web(B))) == 4 * NS


def test_what_is_not_waited_for_never_begins() -> None:
    what = waiting()
    what.expected = None
    assert seen(what, event(11, "Deployment", web(B))) == NEVER
    assert what.doubtful(99 * NS) == NEVER
    assert not what.overdue(99 * NS)


def test_a_change_that_was_asked_for_and_does_not_show_is_overdue() -> None:
    what = waiting()
    assert not what.overdue(999 * NS), "nobody has asked for it yet"
    what.asked_ns = 10 * NS
    assert not what.overdue(25 * NS)
    assert what.overdue(26 * NS)
