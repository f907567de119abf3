from __future__ import annotations

import pytest

from harness.model import LATENCY_STEPS
from harness.progress.history import cells, percentiles
from tests.progress.snapshots import MILLISECOND, counts, history, snapshot


def test_the_rate_is_that_of_the_last_two_seconds_whatever_came_before() -> None:
    fast_then_slow = [snapshot(s, counts=counts(1000 * min(s, 10) + 10 * max(0, s - 10))) for s in range(15)]
    assert history(fast_then_slow).rate() == 10


def test_a_run_that_has_just_begun_has_no_rate_and_no_percentile() -> None:
    assert history([]).rate() == history([snapshot(0)]).rate() == 0.0
    assert history([snapshot(0)]).percentiles(0.5) is None


def test_percentiles_are_those_of_the_last_five_seconds() -> None:
    slow = MILLISECOND + 3 * LATENCY_STEPS  # 8 ms
    early = [snapshot(s, counts=counts(latencies={MILLISECOND: 1000 * (s + 1)})) for s in range(5)]
    late = [
        snapshot(s, counts=counts(latencies={MILLISECOND: 5000, slow: 10 * (s - 4)})) for s in range(5, 12)
    ]
    first, last = history(early).percentiles(0.5), history(early + late).percentiles(0.5)
    assert first is not None
    assert last is not None
    assert first[0] == pytest.approx(1_050_000, rel=0.05)
    assert last[0] == pytest.approx(8_390_000, rel=0.05)


def test_the_p99_of_a_hundred_is_the_slowest_but_one() -> None:
    found = percentiles({100: 98, 160: 1, 320: 1}, (0.5, 0.98, 0.99, 1.0))
    assert found is not None
    steps = [int(LATENCY_STEPS * (ns.bit_length() - 1)) for ns in found]
    assert [step // 16 for step in steps] == [100 // 16, 100 // 16, 160 // 16, 320 // 16]


def test_failures_are_counted_in_the_second_in_which_they_were_seen() -> None:
    failed = {0: 0, 1: 0, 2: 3, 3: 3, 5: 10}
    assert history(snapshot(s, counts=counts(100, n)) for s, n in failed.items()).failed == [0, 0, 3, 0, 0, 7]


@pytest.mark.parametrize(
    ("seconds", "cell"), [(0, 1), (40, 1), (41, 2), (600, 15), (100_000, 3600), (300_000, 7500)]
)
def test_a_strip_fits_whatever_the_run_lasts_and_loses_no_failure(seconds: int, cell: int) -> None:
    found, width = cells([1] * seconds, 40)
    assert width == cell
    assert len(found) <= 40
    assert sum(found) == seconds
