"""When nothing was left to send to, from the stretches in which each pod was an endpoint."""

from __future__ import annotations

from harness.judge.causes.context import FOREVER
from harness.judge.causes.shortage import without_endpoint
from harness.judge.timeline.lifeline import Lifeline, Served


def pod(*stretches: tuple[int, int | None]) -> Lifeline:
    return Lifeline(name="web", uid="web", old=True, endpoints=tuple(Served(a, b) for a, b in stretches))


def test_a_pod_that_hands_over_to_the_next_at_the_same_moment_leaves_no_gap() -> None:
    assert without_endpoint([pod((0, 10)), pod((10, None))]) == ()
    assert without_endpoint([pod((0, 10)), pod((5, 20)), pod((12, None))]) == ()


def test_each_gap_lasts_to_the_next_pods_coming_and_the_last_for_good() -> None:
    assert without_endpoint([pod((0, 10), (30, 40)), pod((15, 20))]) == ((10, 15), (20, 30), (40, FOREVER))


def test_before_the_first_endpoint_nobody_had_left() -> None:
    assert without_endpoint([pod((7, None))]) == ()
    assert without_endpoint([pod()]) == ()
    assert without_endpoint([]) == ()
