"""The tests of significance, against values worked out by hand, by brute force, and by scipy."""

from __future__ import annotations

from itertools import combinations, product
from math import prod

import numpy as np
import pytest

from harness.judge.comparison.significance import exact
from harness.judge.comparison.significance.exact import (
    Block,
    between_runs_p,
    holm,
    least_p,
    midranks,
    permuted,
)


def by_brute_force(blocks: list[Block]) -> tuple[float, float]:
    """How often AFTER's sum is as small, and as large, over every way of dealing each block's rollouts."""
    each = [[sum(chosen) for chosen in combinations((*b.before, *b.after), len(b.after))] for b in blocks]
    sums = [sum(row) for row in product(*each)]
    seen = sum(sum(b.after) for b in blocks)
    return sum(s <= seen for s in sums) / len(sums), sum(s >= seen for s in sums) / len(sums)


def test_four_bad_rollouts_against_four_clean_ones_have_one_of_seventy_ways_on_each_side() -> None:
    found = permuted([Block(before=(5, 6, 7, 8), after=(0, 0, 0, 0))])
    assert found.p == pytest.approx(2 / 70)
    assert found.p == pytest.approx(found.least_p)
    assert found.direction == -1
    assert found.exact


def test_the_same_with_the_sides_exchanged_points_the_other_way() -> None:
    there = permuted([Block((5, 6, 0, 8), (0, 1, 0, 0))])
    back = permuted([Block((0, 1, 0, 0), (5, 6, 0, 8))])
    assert there.p == pytest.approx(back.p)
    assert (there.direction, back.direction) == (-1, 1)


def test_within_pairs_only_the_two_of_a_pair_change_places() -> None:
    pairs = [Block((9,), (1,)), Block((8,), (0,)), Block((7,), (0,)), Block((5,), (4,)), Block((3,), (2,))]
    assert permuted(pairs).p == pytest.approx(2 / 2**5)
    assert permuted([Block((9, 8, 7, 5, 3), (1, 0, 0, 4, 2))]).p < 2 / 2**5  # as if there were no pairs


@pytest.mark.parametrize("seed", range(6))
def test_it_agrees_with_going_through_every_permutation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = [(1, 1), (2, 2), (3, 1)] if seed % 2 else [(4, 5)]
    values = [Block(tuple(map(int, rng.poisson(4, a))), tuple(map(int, rng.poisson(6, b)))) for a, b in sizes]
    found = permuted(values)
    assert (found.less_p, found.more_p) == pytest.approx(by_brute_force(values))
    assert found.least_p == pytest.approx(
        min(1, 2 / prod(len(list(combinations(range(a + b), b))) for a, b in sizes))
    )


def test_large_counts_are_gone_through_one_by_one_and_agree_with_the_table_of_small_ones() -> None:
    small = permuted([Block((1, 7, 3, 9, 2), (8, 6, 9, 4, 5))])
    large = permuted([Block((1_000_000, 7_000_000, 3_000_000, 9_000_000, 2_000_000),
                            (8_000_000, 6_000_000, 9_000_000, 4_000_000, 5_000_000))])  # fmt: skip
    assert large.exact
    assert large.p == pytest.approx(small.p)


def test_where_there_are_too_many_permutations_it_draws_them_and_never_says_zero() -> None:
    rng = np.random.default_rng(5)
    before, after = (tuple(map(int, rng.integers(0, 10**9, 40))) for _ in range(2))
    found = permuted([Block(before, after)])
    assert not found.exact
    ranked = midranks((*before, *after))
    assert found.p == pytest.approx(permuted([Block(ranked[:40], ranked[40:])]).p, abs=0.12)
    apart = permuted([Block(before, tuple(value + 10**10 for value in after))])
    assert apart.p == pytest.approx(2 / (exact.DRAWS + 1))
    assert found == permuted([Block(before, after)]), "the seed is fixed: the same recordings give the same p"


def test_rollouts_that_are_all_alike_differ_in_nothing() -> None:
    found = permuted([Block((0,) * 6, (0,) * 6)])
    assert (found.p, found.direction) == (1.0, 0)


def test_a_side_without_rollouts_gives_no_evidence() -> None:
    assert permuted([Block((), (3, 4))]).p == 1.0
    assert least_p([]) == 1.0


@pytest.mark.parametrize(("rollouts", "p"), [(3, 0.10), (4, 0.029), (5, 0.008), (6, 0.002)])
def test_so_few_rollouts_a_side_can_give_no_less(rollouts: int, p: float) -> None:
    assert least_p([Block((0,) * rollouts, (0,) * rollouts)]) == pytest.approx(p, abs=0.0005)


def test_ranks_are_doubled_and_equal_values_share_theirs() -> None:
    assert midranks([30, 10, 10, 20]) == (8, 3, 3, 6)
    assert sum(midranks([5.5, 5.5, 5.5])) == 2 * (1 + 2 + 3)


def test_ranked_values_give_the_p_of_the_mann_whitney_test() -> None:
    from scipy import stats

    before, after = [1.2, 3.4, 2.2, 0.7, 5.0], [2.9, 4.4, 6.1, 7.3, 8.8]
    ranks = midranks([*before, *after])
    known = stats.mannwhitneyu(before, after, method="exact").pvalue
    assert permuted([Block(ranks[:5], ranks[5:])]).p == pytest.approx(known)


def test_the_test_between_runs_is_students_on_logarithms() -> None:
    from scipy import stats

    before, after = [12.0, 30.0, 7.0], [0.0, 2.0, 0.5]
    known = stats.ttest_ind(np.log1p(before), np.log1p(after)).pvalue
    assert between_runs_p(before, after) == pytest.approx(known)


def test_between_runs_nothing_is_known_of_one_run_a_side() -> None:
    assert between_runs_p([100.0], [0.0]) == 1.0
    assert between_runs_p([], [1.0, 2.0]) == 1.0
    assert between_runs_p([3.0, 3.0], [3.0, 3.0]) == 1.0
    assert between_runs_p([3.0, 3.0], [0.0, 0.0]) == 0.0


def test_holm_multiplies_the_smallest_most_and_keeps_the_order() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([0.9, 0.5]) == (1.0, 1.0)
    assert holm([]) == ()
