"""What is ranked, summed up and told of gaps in pieces is what it is of the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from harness.judge.numbers.piecewise.gaps import Around, LongestWait
from harness.judge.numbers.piecewise.ranks import Ranks, deviation

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHARES = (0.0, 0.5, 0.9, 0.999, 1.0)


def ranks_of(count: int) -> list[int]:
    return [min(int(share * count), count - 1) for share in SHARES]


def numbers(kind: str, count: int = 5000) -> NDArray[np.int64]:
    chance = np.random.default_rng(count)
    made = {
        "latencies": chance.lognormal(17, 1, count),
        "one number": np.full(count, 40_000_000),
        "small ones": chance.integers(0, 5, count),
        "a clock that went back": chance.integers(-(10**12), 10**10, count),
        "days": chance.integers(0, 31 * 86400 * 10**9, count),
        "side by side": 1_000_000_007 + chance.integers(0, 3, count),
    }
    return made[kind].astype(np.int64)


KINDS = ("latencies", "one number", "small ones", "a clock that went back", "days", "side by side")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("about", [10, 1 << 30])
def test_ranks_and_sums_are_exact_whatever_the_pieces(kind: str, about: int) -> None:
    values = numbers(kind)
    for pieces in (1, 7):
        found = Ranks(2, ranks_of, about)
        more, passes = True, 0
        while more:
            for piece in np.array_split(values, pieces):
                found.add(1, piece)
            more, passes = found.again(), passes + 1
        assert passes < 12
        assert [found.at(1, rank) for rank in ranks_of(len(values))] == [
            int(np.sort(values)[rank]) for rank in ranks_of(len(values))
        ]
        every = values.tolist()
        assert (found.totals[1], found.squares[1]) == (sum(every), sum(one * one for one in every))
        assert found.largest[1] == max(every)
        assert found.counts.tolist() == [0, len(values)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_is_a_number_that_occurs_so_often(kind: str) -> None:
    values = numbers(kind, 400)
    weights = np.random.default_rng(2).integers(1, 9, len(values))
    weights[0] = 1 << 24
    weights[1:3] = 1
    found, more = Ranks(1, ranks_of), True
    while more:
        for piece in (slice(0, 150), slice(150, None)):
            found.add(0, values[piece], weights[piece])
        more = found.again()
    order = np.argsort(values, kind="stable")
    until, count = np.cumsum(weights[order]), int(weights.sum())
    for rank in ranks_of(count):
        assert found.at(0, rank) == values[order][np.searchsorted(until, rank, side="right")]
    pairs = list(zip(values.tolist(), weights.tolist(), strict=True))
    assert found.totals[0] == sum(value * weight for value, weight in pairs)
    assert found.squares[0] == sum(value * value * weight for value, weight in pairs)


def test_the_deviation_is_that_of_a_sample() -> None:
    values = numbers("latencies")
    every = values.tolist()
    assert deviation(len(every), sum(every), sum(one * one for one in every)) == pytest.approx(
        float(values.std(ddof=1)), rel=1e-12
    )
    assert deviation(1, 5, 25) == 0.0


def test_the_answers_around_a_moment_are_found_in_any_order_of_pieces() -> None:
    chance = np.random.default_rng(3)
    good = chance.integers(100, 900, 60)
    moments = np.sort(np.concatenate([chance.integers(0, 1000, 50), good[:5]]))
    around = Around(moments, 0, 1000)
    for piece in np.array_split(good, 9):
        around.add(piece)
    begins, ends = around.stretches()
    for moment, begin, end in zip(moments.tolist(), begins.tolist(), ends.tolist(), strict=True):
        assert begin == max((one for one in good.tolist() if one <= moment), default=0)
        assert end == min((one for one in good.tolist() if one > moment), default=1000)


def test_the_longest_wait_may_lie_between_two_pieces_or_at_an_end() -> None:
    for moments, longest in (([10, 20, 90, 95], 70), ([50, 60, 95], 50), ([10, 20, 30], 70)):
        wait = LongestWait(0)
        for piece in np.array_split(np.array(moments), 2):
            wait.add(piece[::-1])
        assert wait.until(100) == longest
