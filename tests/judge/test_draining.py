"""Several pods evicted from one node: the node was drained, and that is said once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.clock import NS
from harness.cluster.rollout import podends
from harness.judge.timeline.draining import drained
from harness.model import OtherChange


def evicted(at: int, pod: str, node: str, reason: str = "EvictionByEvictionAPI") -> OtherChange:
    """The change as the watch writes it."""
    condition = {"type": "DisruptionTarget", "status": "True", "reason": reason}
    thing: dict[str, Any] = {"status": {"conditions": [condition]}}
    found = podends._disruption(at, pod, node, thing)
    assert found is not None
    return found


SCALED = OtherChange(15, "scaled", "scaled web from 3 to 4", "kubectl")


def test_evictions_from_one_node_are_one_drain_at_the_time_of_the_first() -> None:
    found = drained([evicted(10, "web-a", "n1"), SCALED, evicted(20, "web-b", "n1")])
    assert [(one.at_ns, one.kind) for one in found] == [(10, "pod_evicted"), (15, "scaled")]
    assert found[0].told == (
        "somebody evicted 2 pods from node n1 and none from another: node n1 was drained, as it seems (web-a, web-b)"
    )
    assert found[0].disturbs


def test_evictions_from_several_nodes_or_of_one_pod_stay_what_they_are() -> None:
    for changes in (
        [evicted(10, "web-a", "n1"), evicted(20, "web-b", "n2")],
        [evicted(10, "web-a", "n1")],
        [evicted(10, "web-a", ""), evicted(20, "web-b", "")],
        [
            evicted(10, "web-a", "n1", "DeletionByTaintManager"),
            evicted(20, "web-b", "n1", "TerminationByKubelet"),
        ],
        [replace(SCALED, at_ns=3), SCALED],
        [],
    ):
        assert drained(changes) == tuple(changes)


def test_evictions_with_a_long_pause_between_them_are_no_one_drain() -> None:
    apart = [evicted(0, "web-a", "n1"), evicted(15 * 60 * NS, "web-b", "n1")]
    assert drained(apart) == tuple(apart)
    two = [*apart, evicted(NS, "web-c", "n1"), evicted(16 * 60 * NS, "web-d", "n1")]
    assert [(one.at_ns, "evicted 2 pods" in one.what) for one in drained(two)] == [
        (0, True),
        (900 * NS, True),
    ]
    slow = [evicted(number * 100 * NS, f"web-{number}", "n1") for number in range(4)]
    assert len(drained(slow)) == 1, "each pod takes its time to end, and a budget makes the next one wait"


def test_evictions_of_one_are_no_drain_of_another() -> None:
    changes = [evicted(10, "web-a", "n1"), replace(evicted(20, "web-b", "n1"), who="descheduler")]
    assert drained(changes) == tuple(changes)


def test_of_many_pods_a_few_are_named() -> None:
    (one,) = drained([evicted(number, f"web-{number}", "n1") for number in range(5)])
    assert one.what.endswith("(web-0, web-1, web-2 and 2 more)")
