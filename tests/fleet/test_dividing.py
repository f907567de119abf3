from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from harness.clock import NS, Clock
from harness.errors import UsageError
from harness.fleet.dividing import GOOD_ROWS, divided, good_rows, report_every_s
from harness.load.worker.pacer import FixedRate
from harness.model import LoadPlan, Target


def plan(concurrency: int, workers: int = 1) -> LoadPlan:
    return LoadPlan((Target("http://h/"),), concurrency, workers=workers)


@settings(max_examples=40)
@given(pods=st.integers(1, 40), workers=st.integers(1, 3), more=st.integers(0, 200))
def test_every_connection_is_somebodys_and_no_pod_has_two_more_than_another(
    pods: int, workers: int, more: int
) -> None:
    concurrency = pods * workers + more
    parts = divided(plan(concurrency, workers), pods, Clock(0, 0), Path())
    assert [len(part) for part in parts] == [workers] * pods
    slots = [slot for part in parts for each in part for slot in each.slots]
    assert sorted(slots) == list(range(concurrency))
    sizes = [sum(len(each.slots) for each in part) for part in parts]
    assert max(sizes) - min(sizes) <= workers
    assert sorted(each.worker for part in parts for each in part) == list(range(pods * workers))


@pytest.mark.parametrize(("rate", "concurrency", "pods"), [(101.0, 10, 3), (7.3, 8, 8), (1000.0, 50, 7)])
def test_a_rate_is_divided_exactly_remainders_included(rate: float, concurrency: int, pods: int) -> None:
    parts = divided(plan(concurrency), pods, Clock(0, 0), Path())
    due = sorted(
        schedule.due_ns(0, n)
        for part in parts
        for each in part
        for schedule in [FixedRate(rate, each.slots, concurrency)]
        for n in range(40)
    )
    first = due[: 30 * pods]  # all pods have reached these
    assert first == [round(n / rate * NS) for n in range(len(first))]


def test_more_workers_than_a_recording_holds_are_refused() -> None:
    with pytest.raises(UsageError, match="lower --pods or --workers"):
        divided(plan(5000, 4), 300, Clock(0, 0), Path())


def test_all_pods_together_send_as_many_good_rows_as_fit_but_each_sends_some() -> None:
    assert good_rows(1) == GOOD_ROWS
    assert good_rows(4) * 4 == GOOD_ROWS
    assert good_rows(1024) == 50


def test_few_pods_report_as_often_as_workers_do_and_many_once_a_second() -> None:
    assert report_every_s(4) == 0.25
    assert report_every_s(1000) == 1.0
