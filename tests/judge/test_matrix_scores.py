"""What a lost request of the matrix's cells truly met, by the proxy's own log; and what the table says of it."""

from __future__ import annotations

import pytest

from tests.bench.cells import PROXIES, ROWS, SCENARIOS, Lost, truth
from tests.bench.matrix import accused, rows_of, share
from tests.bench.scoring import Score

ROW = {row.name: row for row in ROWS}


def test_every_cell_is_a_scenario_that_is_there_and_bears_its_label() -> None:
    for row in ROWS:
        assert f"label: {row.label}" in (row.folder / "zdtest.yaml").read_text(), row.name
        assert row.folder.is_relative_to(SCENARIOS)


@pytest.mark.parametrize("said", ["UF", "UF,URX", "SC", "sC"])
def test_a_connection_that_was_not_made_is_no_request_in_flight(said: str) -> None:
    assert truth(ROW["B1-exit"], "envoy", Lost(answered=True, said=said, old=True)) == {"B1", "C6"}
    assert truth(ROW["B1-exit"], "haproxy", Lost(answered=True, said=said, old=True, quick=True)) == {"B1"}


def test_one_that_broke_had_come_to_a_pod_that_was_there() -> None:
    assert truth(ROW["B1-exit"], "envoy", Lost(answered=True, said="UC", old=True)) == {"B1", "B2"}


def test_what_failed_on_a_pod_that_has_just_come_is_not_the_end_of_another() -> None:
    assert truth(ROW["B1"], "envoy", Lost(answered=True, said="UF", old=False)) == frozenset()
    assert truth(ROW["A1"], "envoy", Lost(answered=True, said="UF", old=True)) == frozenset()
    assert truth(ROW["A1"], "envoy", Lost(answered=True, said="UF", old=False)) == {"A1"}


def test_a_close_without_an_answer_is_the_proxys_own_where_it_reloads_and_the_pods_where_it_does_not() -> (
    None
):
    closed = Lost(answered=False, logged=False)
    assert truth(ROW["B1"], "caddy", closed) == {"C8"}
    assert truth(ROW["B1"], "apache", closed) == {"B1", "C6", "C8"}
    assert truth(ROW["B1"], "haproxy", closed) == {"B1", "C6"}


def test_a_clean_cell_may_lose_requests_to_a_reload_and_to_no_pod() -> None:
    assert truth(ROW["clean"], "nginx-reload", Lost(answered=False)) == {"C8"}
    assert "B1" not in truth(ROW["clean"], "haproxy", Lost(answered=True, said="SC", old=True))
    reload = Score("nginx-reload/clean", "clean", "FAIL", accused=("C8",))
    pod = Score("haproxy/clean", "clean", "FAIL", accused=("B1",))
    assert accused([reload, pod]) == [pod]


def test_the_table_says_what_was_not_run_and_what_was_missed() -> None:
    score = Score("envoy/B1", "B1", "FAIL", hits=10, right=8, pair=1, wrong=1)
    score.pairs.update({("B1", "B1"): 8, ("B1", "B1 or C6"): 1, ("B1", "A7"): 1})
    text = "\n".join(rows_of({("envoy", "B1"): score}, [ROW["B1"], ROW["C1"]], PROXIES))
    assert "| B1 | FAIL, 9 of 10 | not run |" in text
    assert "| C1 | not run |" in text
    assert "| envoy/B1 | B1 | A7 | 1 |" in text
    assert "B1 or C6 | 1" not in text
    assert share([score]) == 0.9
