"""Windows around a pod's end, where not all of its moments are known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from harness.clock import NS
from harness.judge.causes.context import Context
from harness.judge.causes.stops import dead_address
from harness.judge.timeline.clocks import SLACK
from harness.judge.timeline.lifeline import Lifeline
from harness.judge.timeline.surroundings import Surroundings

if TYPE_CHECKING:
    from harness.judge.timeline.timeline import Timeline

NOWHERE = Context(cast("Timeline", None), {}, Surroundings(), {}, lambda t_ns: t_ns)
GONE = Lifeline("web-a", "a", old=True, deleted_ns=0, exited_ns=2 * NS, gone_ns=30 * NS)


def last_begun(**moments: Any) -> int:
    window = dead_address(replace(GONE, **moments), NOWHERE, 2 * NS)
    assert window is not None
    return window.begun[1]


def test_an_address_that_nobody_saw_leave_may_have_been_asked_until_the_pod_was_gone() -> None:
    assert last_begun() == 30 * NS + SLACK + 2 * NS


def test_an_address_that_left_was_asked_no_longer_than_the_balancer_lags() -> None:
    assert last_begun(out_of_endpoints_ns=3 * NS) == 3 * NS + SLACK + 2 * NS


def test_without_any_word_of_its_going_the_exit_counts() -> None:
    assert last_begun(gone_ns=None) == 2 * NS + SLACK + 2 * NS
