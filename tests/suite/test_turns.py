"""Which runs go on at the same time, and what fits into a budget."""

from __future__ import annotations

from hypothesis import given, strategies as st

from harness.scenario.schema import Scenario
from harness.suite.turns import Turn, estimate_s, forecast, limit_s, next_one, too_late


def turn(expected_s: float, *shares: str) -> Turn:
    return Turn(expected_s, frozenset(shares))


def test_one_at_a_time_they_begin_one_after_the_other() -> None:
    found = forecast([turn(10), turn(20), turn(5)], 1, None)
    assert list(found.begins_s) == [0, 10, 30]
    assert found.ends_s == 35


def test_two_that_share_a_balancer_never_run_at_the_same_time() -> None:
    found = forecast([turn(10, "edge"), turn(10, "edge"), turn(10, "other")], 2, None)
    assert list(found.begins_s) == [0, 10, 0]


def test_one_that_must_wait_lets_the_next_go_first() -> None:
    assert next_one([1, 2], [0], [turn(9, "a"), turn(9, "a"), turn(9, "b")], 2) == 2
    assert next_one([1], [0], [turn(9, "a"), turn(9, "a")], 2) is None


def test_no_more_run_than_were_asked_for() -> None:
    assert next_one([2], [0, 1], [turn(9), turn(9), turn(9)], 2) is None


def test_what_would_end_after_the_budget_is_left_out_and_a_shorter_one_still_runs() -> None:
    found = forecast([turn(60), turn(50), turn(30)], 1, 100)
    assert list(found.begins_s) == [0, None, 60]
    assert found.ends_s == 90


def test_what_ends_with_the_budget_still_fits() -> None:
    assert too_late([0, 1], [turn(40), turn(40.5)], 60, 100) == [1]
    assert too_late([0], [turn(1e9)], 60, None) == []


def test_nothing_runs_where_nothing_fits() -> None:
    assert forecast([turn(60), turn(50)], 1, 10).begins_s == (None, None)


TURNS = st.lists(
    st.builds(Turn, st.floats(1, 100), st.frozensets(st.sampled_from("abcd"), max_size=2)), max_size=12
)


@given(TURNS, st.integers(1, 4), st.one_of(st.none(), st.floats(1, 300)))
def test_at_no_time_do_two_share_anything_or_too_many_run_or_the_budget_end(
    turns: list[Turn], parallel: int, budget_s: float | None
) -> None:
    found = forecast(turns, parallel, budget_s)
    ran = [
        (begin, begin + one.expected_s, one)
        for begin, one in zip(found.begins_s, turns, strict=True)
        if begin is not None
    ]
    for begin, end, one in ran:
        beside = [other for from_s, to_s, other in ran if other is not one and from_s <= begin < to_s]
        assert len(beside) < parallel
        assert not any(one.shares & other.shares for other in beside)
        assert budget_s is None or end <= budget_s
    if budget_s is None:
        assert None not in found.begins_s


def scenario(**fields: object) -> Scenario:
    return Scenario.model_validate(fields)


def test_a_run_is_expected_to_take_what_the_latest_ones_took() -> None:
    assert estimate_s(scenario(), [100, 300, 110, 90, 95, 9000], lab=False) == 115


def test_without_earlier_runs_the_scenario_says_how_long_it_takes() -> None:
    short = scenario(load={"duration": "10m"})
    assert estimate_s(short, [], lab=False) == 615
    assert estimate_s(short, [], lab=True) == 625
    many = scenario(
        load={"duration": "60s"}, rollout={"rollouts": 10, "trigger_after": "20s", "settle": "10s"}
    )
    assert estimate_s(many, [], lab=False) == 915
    assert estimate_s(scenario(rollout={"max_time": "50s"}), [], lab=False) == 65


def test_a_run_may_take_its_duration_and_its_longest_time_and_a_margin() -> None:
    assert (
        limit_s(scenario(load={"duration": "60s", "drain": "15s"}, rollout={"max_time": "45m"}))
        == 60 + 2700 + 15 + 180
    )
