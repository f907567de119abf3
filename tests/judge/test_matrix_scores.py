"""What a lost request of the matrix's cells truly met, by the proxy's own log; and what the table says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from harness.model import Grade
from harness.scenario.reading import read_file, validate
from tests.bench.cells import CASE_ROWS, PROXIES, ROWS, SCENARIOS, SERVER_ROWS, THREE, Lost, truth
from tests.bench.matrix import accused, cells, rows_of, share
from tests.bench.real import fixed, servers
from tests.bench.real.making import make_all
from tests.bench.scoring import Score
from tests.e2e.real_cluster import for_real_cluster

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.bench.cells import Row
    from tests.bench.real.making import Job

ROW = {row.name: row for row in (*ROWS, *SERVER_ROWS)}


def test_every_cell_is_a_scenario_that_is_there_and_bears_its_label() -> None:
    for row in (*ROWS, *CASE_ROWS):
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


def test_a_published_case_runs_behind_the_one_balancer_that_it_is_about() -> None:
    assert {(row.name, proxy) for row, proxy in cells(CASE_ROWS, PROXIES)} >= {("D1-kuberay-3166", "envoy")}
    assert len(cells(CASE_ROWS, PROXIES)) == len(CASE_ROWS)
    assert {proxy for row, proxy in cells(SERVER_ROWS, PROXIES)} == set(THREE)


def test_a_connection_that_gunicorns_kernel_took_and_nobody_read_may_be_called_in_flight() -> None:
    reset = Lost(answered=True, said="UC", old=True)
    assert truth(ROW["gunicorn"], "envoy", reset) == {"B1", "B2"}
    assert truth(ROW["uvicorn"], "envoy", reset) == {"B1"}


@pytest.mark.parametrize("row", SERVER_ROWS, ids=lambda row: row.name)
def test_a_real_servers_scenario_can_be_read_and_its_pods_find_their_program(
    row: Row, tmp_path: Path
) -> None:
    assert row.server
    folder = servers.written(row.server, row.prestop_s, tmp_path / row.name)
    assert validate(read_file(folder / "zdtest.yaml")[0], {}).name == f"servers-{row.name}"
    _, deployment, _ = yaml.safe_load_all((folder / "app.yaml").read_text())
    container = for_real_cluster(deployment)["spec"]["template"]["spec"]["containers"][0]
    assert container["command"][0] in {"/python/bin/python3", "/usr/bin/node"}
    assert ("lifecycle" in container) == row.name.endswith("-prestop")


def test_a_cell_that_cannot_be_made_does_not_stop_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def job(name: str) -> Job:
        def made(port: int, turn: AbstractContextManager[object]) -> None:
            if name == "second":
                raise SystemExit("exit 2: no pods")
            with turn:
                (tmp_path / name).write_text(str(port))

        return made

    make_all([(tmp_path / name, job(name)) for name in ("first", "second", "third")])
    assert {path.name for path in tmp_path.iterdir()} == {"first", "third"}
    assert "second in 0 s: not made: exit 2: no pods" in capsys.readouterr().err


def test_the_run_after_the_fix_says_what_was_patched_and_whose_fault_the_rest_was() -> None:
    hook = {"preStop": {"exec": {"command": ["/bin/sh", "-c", "sleep 30"]}}}
    pod = {"terminationGracePeriodSeconds": 36, "containers": [{"name": "web", "lifecycle": hook}]}
    patch = {"spec": {"template": {"spec": pod}}}
    assert fixed.in_words(patch) == "preStop 30 s, grace 36 s"
    assert (
        fixed.in_words({"spec": {"strategy": {"type": "RollingUpdate"}}}) == "RollingUpdate, maxUnavailable 0"
    )
    found = [
        fixed.Fix("envoy", "B1", 36, "preStop 30 s", Grade.PASS),
        fixed.Fix("caddy", "B1", 39, "preStop 30 s", Grade.FAIL, 2, ("C8",)),
    ]
    text = "\n".join(fixed.table(found))
    assert "| caddy | B1 | 39 | preStop 30 s | FAIL, 2 lost (C8) |" in text
    assert "**1 of 2 PASS; 1 of 1 behind the balancers that take a change" in text
    assert "In 1 more nothing was lost but by the balancer's own reload" in text
