from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from harness.clock import NS
from harness.fleet.clocks import SLEW_NS, Course, Exchange, estimate
from harness.model import NEVER

MS = 1_000_000


def exchange(at_ns: int, offset_ns: int, there_ns: int, back_ns: int, held_ns: int = 5_000) -> Exchange:
    """An exchange of a pod whose clock lies `offset_ns` behind the run's, with the time that each way took."""
    received = at_ns + there_ns + offset_ns
    return Exchange(at_ns, received, received + held_ns, at_ns + there_ns + held_ns + back_ns)


@settings(max_examples=40)
@given(
    offset=st.integers(-(10**18), 10**18),
    there=st.integers(0, 50 * MS),
    back=st.integers(0, 50 * MS),
)
def test_the_offset_lies_within_its_uncertainty_however_unlike_the_two_ways_are(
    offset: int, there: int, back: int
) -> None:
    one = exchange(5 * NS, offset, there, back)
    known = estimate([one], one.back_ns)
    assert abs(known.offset_ns - offset) <= known.uncertainty_ns
    assert known.uncertainty_ns <= (there + back) // 2 + 2


def test_of_several_exchanges_the_quickest_counts() -> None:
    slow, quick = exchange(NS, 7 * MS, 9 * MS, 1 * MS), exchange(2 * NS, 7 * MS, MS // 10, MS // 10)
    known = estimate([slow, quick], 3 * NS)
    assert abs(known.offset_ns - 7 * MS) < MS // 10
    assert known.uncertainty_ns < MS // 5


def test_an_old_exchange_gives_way_to_a_newer_one_since_clocks_drift() -> None:
    old, new = exchange(0, 0, 10_000, 10_000), exchange(300 * NS, 6 * MS, MS, MS)
    known = estimate([old, new], 301 * NS)
    assert abs(known.offset_ns - 6 * MS) <= MS


def test_a_clock_that_drifts_by_50_ppm_is_followed_to_within_a_fraction_of_a_millisecond() -> None:
    course, known = Course(0), []
    for second in range(0, 600, 2):
        at = second * NS
        known.append(exchange(at, at // 20_000, 100_000, 150_000))
        course.bend(known[-1].back_ns, estimate(known[-8:], known[-1].back_ns).offset_ns)
    assert abs(course.offset_ns(599 * NS) - 599 * NS // 20_000) < MS // 4


@settings(max_examples=40)
@given(
    bends=st.lists(
        st.tuples(st.integers(0, 4 * NS), st.integers(-NS // 2, NS // 2)), min_size=1, max_size=20
    ),
    moments=st.lists(st.integers(0, 60 * NS), min_size=2, max_size=30),
)
def test_what_happened_first_stays_first(bends: list[tuple[int, int]], moments: list[int]) -> None:
    course, at = Course(0), 0
    for after, offset in bends:
        at += after
        course.bend(at, offset // 2)
    moved = course.on_the_runs_clock(np.array(sorted(moments), np.int64))
    assert (np.diff(moved) >= 0).all()


def test_what_was_said_of_a_moment_is_not_changed_by_a_later_reading() -> None:
    course = Course(0)
    course.bend(10 * NS, 4 * MS)
    before = [course.offset_ns(10 * NS + part * NS // 10) for part in range(5)]
    course.bend(10 * NS + NS // 2, -4 * MS)
    assert [course.offset_ns(10 * NS + part * NS // 10) for part in range(5)] == before
    assert course.offset_ns(10 * NS + NS // 2) == pytest.approx(2 * MS, abs=2)
    assert course.offset_ns(10 * NS + NS // 2 + SLEW_NS) == -4 * MS


def test_a_moment_that_never_came_stays_so() -> None:
    course = Course(5 * MS)
    assert course.on_the_runs_clock(np.array([NEVER, NS], np.int64)).tolist() == [NEVER, NS + 5 * MS]
