"""Which scenario comes first when not all fit into the night."""

from __future__ import annotations

import pytest

from harness.clock import NS
from harness.suite.risk import Past, as_listed, by_risk, why

DAY = 86400 * NS
NOW = 1_000 * DAY


def ran_before(days: int, grade: str = "PASS", changed: str = "") -> Past:
    return Past(grade, NOW - days * DAY, NOW - days * DAY, changed)


def inconclusive(days: int, tested_days: int) -> Past:
    return Past("INCONCLUSIVE", NOW - days * DAY, NOW - tested_days * DAY)


def order(*pasts: Past) -> list[int]:
    return [place.number for place in by_risk(pasts, NOW)]


def test_what_failed_last_time_comes_before_what_changed_before_the_longest_untested() -> None:
    assert order(ran_before(30), ran_before(1, changed="image"), ran_before(1, "FAIL")) == [2, 1, 0]


def test_what_was_never_tested_comes_before_what_was_tested_long_ago() -> None:
    assert order(ran_before(300), Past(), ran_before(5)) == [1, 0, 2]


def test_a_failure_is_more_urgent_than_what_was_never_tested() -> None:
    assert order(Past(), ran_before(1, "FAIL")) == [1, 0]


def test_of_several_failures_the_oldest_comes_first() -> None:
    assert order(ran_before(1, "FAIL"), ran_before(9, "FAIL"), ran_before(3, "FAIL")) == [1, 2, 0]


def test_an_inconclusive_run_does_not_count_as_tested() -> None:
    assert order(ran_before(5), inconclusive(1, tested_days=9)) == [1, 0]


def test_a_failure_that_a_pass_followed_is_mended() -> None:
    assert order(ran_before(5), ran_before(1)) == [0, 1]


def test_what_is_alike_stays_in_its_order() -> None:
    assert order(Past(), Past(), Past()) == [0, 1, 2]


def test_without_a_budget_the_order_is_the_one_that_was_given() -> None:
    assert [place.number for place in as_listed([ran_before(1), ran_before(1, "FAIL")], NOW)] == [0, 1]


@pytest.mark.parametrize(
    ("past", "said"),
    [
        (ran_before(3, "FAIL"), "FAIL last time, 1972-09-24"),
        (ran_before(3, changed="spec.replicas"), "changed since the last run: spec.replicas"),
        (Past(), "never tested"),
        (Past("INCONCLUSIVE", NOW - DAY), "never tested (INCONCLUSIVE on 1972-09-26)"),
        (ran_before(1), "last tested 1 day ago"),
        (ran_before(12), "last tested 12 days ago"),
        (Past("PASS", NOW, NOW - 3 * 3600 * NS), "last tested 3 hours ago"),
        (Past("PASS", NOW, NOW), "last tested less than an hour ago"),
    ],
)
def test_it_says_why(past: Past, said: str) -> None:
    assert why(past, NOW) == said
