"""When the next hit is due: decided without a clock."""

import random
import statistics

from hypothesis import given, strategies as st

from harness.load.rows.totals import CycleMedian
from harness.load.worker.pacer import SPREAD_NS, ClosedLoop

MS = 1_000_000


def test_first_hits_are_spread_and_the_first_is_due_at_the_start() -> None:
    pacer = ClosedLoop(200, backoff=True)
    due = [pacer.first_ns(7, slot) for slot in range(200)]
    assert due[0] == 7
    assert due == sorted(due)
    assert len(set(due)) == 200
    assert due[-1] < 7 + SPREAD_NS


def test_a_good_hit_is_followed_at_once_and_a_failed_one_after_the_rest_of_a_cycle() -> None:
    pacer = ClosedLoop(1, backoff=True)
    pacer.cycle_ns = 40 * MS
    assert pacer.after_hit_ns(100 * MS, 101 * MS, failed=False) == 101 * MS
    assert pacer.after_hit_ns(100 * MS, 101 * MS, failed=True) == 140 * MS
    assert pacer.after_hit_ns(100 * MS, 190 * MS, failed=True) == 190 * MS


def test_failed_connects_wait_twice_as_long_each_time_up_to_a_second() -> None:
    pacer = ClosedLoop(1, backoff=True)
    waits = [pacer.after_failed_connect_ns(0, count) // MS for count in (1, 2, 3, 4, 5, 6, 1000)]
    assert waits == [50, 100, 200, 400, 800, 1000, 1000]


@given(st.integers(0, 10**12), st.integers(0, 10**10), st.integers(1, 10**6))
def test_without_back_off_nothing_waits(due: int, took: int, count: int) -> None:
    pacer = ClosedLoop(1, backoff=False)
    pacer.cycle_ns = 10**9
    assert pacer.after_hit_ns(due, due + took, failed=True) == due + took
    assert pacer.after_failed_connect_ns(due, count) == due


def test_the_median_of_many_cycles_is_right_to_two_percent() -> None:
    median = CycleMedian()
    assert median.value_ns() == 0
    draw = random.Random(5)
    cycles = [int(draw.lognormvariate(17, 0.7)) for _ in range(20_001)]
    for start in range(0, len(cycles), 500):
        median.add(cycles[start : start + 500])
    assert abs(median.value_ns() / statistics.median(cycles) - 1) < 0.02
