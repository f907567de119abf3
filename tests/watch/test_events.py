"""A recording begins with the objects as they were, and with what happened since."""

from __future__ import annotations

from harness.model import ClusterEvent, WatchGap
from harness.watch.events import EventRing, shifted


def event(t_ns: int, change: str, name: str = "web-1", kind: str = "Pod", **status: str) -> ClusterEvent:
    return ClusterEvent(t_ns, change, kind, "shop", name, f"uid-{name}", {"status": status})


def test_what_is_older_than_the_beginning_becomes_the_first_list() -> None:
    ring = EventRing([event(0, "ADDED", phase="Pending")])
    ring.add(event(10, "MODIFIED", phase="Running"))
    ring.add(event(50, "MODIFIED", phase="Failed"))
    first, later = ring.since(20)
    assert isinstance(first, ClusterEvent)
    assert (first.change, first.t_ns, first.object["status"]["phase"]) == ("LISTED", 20, "Running")
    assert later == event(50, "MODIFIED", phase="Failed")


def test_an_object_that_had_gone_before_the_beginning_is_not_listed() -> None:
    ring = EventRing([event(0, "ADDED")])
    ring.add(event(10, "DELETED"))
    assert ring.since(20) == []


def test_an_object_that_goes_later_is_listed_and_then_deleted() -> None:
    ring = EventRing([event(0, "ADDED")])
    ring.add(event(30, "DELETED"))
    assert [one.change for one in ring.since(20) if isinstance(one, ClusterEvent)] == ["LISTED", "DELETED"]


def test_an_event_of_kubernetes_is_no_object_and_is_not_listed() -> None:
    ring = EventRing()
    ring.add(event(10, "ADDED", kind="Event"))
    assert ring.since(20) == []


def test_a_gap_that_ended_before_the_beginning_is_forgotten_and_a_later_one_is_kept() -> None:
    ring = EventRing()
    ring.add(WatchGap("Pod", 1, 5, "cut", relisted=False))
    ring.add(WatchGap("Pod", 10, 40, "cut", relisted=True))
    assert ring.since(20) == [WatchGap("Pod", 10, 40, "cut", relisted=True)]


def test_on_a_recordings_clock_what_began_earlier_begins_with_it() -> None:
    assert shifted(WatchGap("Pod", 10, 40, "cut", relisted=True), 20) == WatchGap(
        "Pod", 0, 20, "cut", relisted=True
    )
    assert shifted(event(50, "ADDED"), 20) == event(30, "ADDED")
