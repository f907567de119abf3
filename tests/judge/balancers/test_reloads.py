"""A balancer's own reload: many connections closed within a second, and what crossed that is lost to no pod."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.model import Grade, Outcome
from harness.recording.answers import Answer
from tests.judge.balancers import answers as say
from tests.judge.balancers.behind import by_ids, connection, judged, lost
from tests.judge.synthetic import SyntheticRun

if TYPE_CHECKING:
    from pathlib import Path

    from harness.judge.verdict.judgement import Judgement

NGINX_GOOD = Answer(200, (("server", "nginx"),), good=True)


def good_manifest(**rest: Any) -> SyntheticRun:
    return SyntheticRun.rolling(prestop=4, grace=20, concurrency=40, identity=(NGINX_GOOD,), **rest)


def burst(at: float, how: str = "fin", hits: int | None = None, **rest: Any) -> list[dict[str, Any]]:
    """Each of 40 connections closed once within half a second, after a number of hits of its own."""
    return [
        connection(100 + n, at + n / 80, hits if hits is not None else 100 + 7 * n, how=how, **rest)
        for n in range(40)
    ]


def run(
    tmp_path: Path, connections: list[dict[str, Any]], at: float, synthetic: SyntheticRun, **rest: Any
) -> Judgement:
    rows = [*synthetic.hits(), lost(at, None, conn=100, **rest)]
    return judged(tmp_path, synthetic, sorted(rows, key=lambda row: row["done_ns"]), connections)


def test_a_request_that_crosses_a_reload_is_lost_to_the_reload(tmp_path: Path) -> None:
    synthetic = good_manifest()
    at = synthetic.pods[3].enters + 0.4
    found = run(tmp_path, burst(at), at + 0.2, synthetic)
    causes = by_ids(found)
    assert set(causes) == {("C8",)}
    assert "the balancer closed 40 connections that had lost nothing" in causes["C8",].evidence[0]
    assert not any("preStop" in line for line in causes["C8",].mend)
    assert found.grade is Grade.FAIL
    assert "failed because of the rollout" in found.verdict.headline, (
        "without it, no endpoints would have changed"
    )
    assert found.advice is None or "lifecycle" not in str(found.advice.patch)


def test_a_restart_that_refuses_for_a_moment_is_the_same(tmp_path: Path) -> None:
    synthetic = good_manifest()
    synthetic.record = {"scenario": {"balancer": "nginx"}}
    at = synthetic.pods[3].enters + 0.4
    found = run(
        tmp_path, burst(at, by="peer"), at + 0.1, synthetic, outcome=Outcome.CONNECT_REFUSED, conn_hits=0
    )
    assert set(by_ids(found)) == {("C8",)}


def test_its_fix_is_said_for_the_balancer_that_stands_there(tmp_path: Path) -> None:
    for name, line in (
        ("ingress-nginx", "`worker-shutdown-timeout`"),
        ("caddy", "load of its configuration"),
    ):
        synthetic = good_manifest()
        synthetic.record = {"scenario": {"balancer": name}}
        at = synthetic.pods[3].enters + 0.4
        (fix,) = by_ids(run(tmp_path / name, burst(at), at + 0.2, synthetic))["C8",].mend
        assert line in fix


def test_connections_that_reach_their_limit_together_are_no_reload(tmp_path: Path) -> None:
    synthetic = good_manifest()
    at = synthetic.pods[3].enters + 0.4
    found = run(tmp_path, burst(at, hits=1000), at + 0.2, synthetic)
    assert set(by_ids(found)) == {("unexplained",)}


def test_connections_closed_far_from_any_change_of_the_endpoints_are_no_reload_of_the_rollouts(
    tmp_path: Path,
) -> None:
    synthetic = good_manifest(settle=40.0)
    at = synthetic.rolled + 20.0
    assert set(by_ids(run(tmp_path, burst(at), at + 0.2, synthetic))) == {("unexplained",)}


def test_connections_closed_all_the_time_are_no_reload(tmp_path: Path) -> None:
    synthetic = good_manifest()
    at = synthetic.pods[3].enters + 0.4
    steady = [connection(100 + n, -10 + n / 40, 1 + n % 9) for n in range(40 * 30)]
    assert set(by_ids(run(tmp_path, steady, at + 0.2, synthetic))) == {("unexplained",)}


def test_connections_closed_after_errors_on_them_are_no_reload(tmp_path: Path) -> None:
    synthetic = good_manifest()
    at = synthetic.pods[3].enters + 0.4
    rows = synthetic.hits() + [lost(at, say.HAPROXY_503, conn=100 + n) for n in range(40)]
    rows.append(lost(at + 0.2, None, conn=900))
    found = judged(tmp_path, synthetic, sorted(rows, key=lambda row: row["done_ns"]), burst(at))
    assert ("C8",) not in by_ids(found)


def test_connections_closed_after_waiting_in_vain_for_a_dead_pod_are_no_reload(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(lag=3.0, prestop=1, settle=8.0, concurrency=40)
    synthetic.record = {"scenario": {"balancer": "haproxy"}}
    old = synthetic.pods[0]
    assert old.deleted is not None
    at = old.deleted + 3.5
    rows = [lost(at + n / 80, None, conn=100 + n, took=2.0) for n in range(40)]
    found = judged(
        tmp_path, synthetic, sorted([*synthetic.hits(), *rows], key=lambda r: r["done_ns"]), burst(at)
    )
    assert ("C8",) not in by_ids(found)
    assert by_ids(found)["C1",].kinds["eof_before_response"] >= 40


def test_a_balancer_that_keeps_connections_after_errors_closed_them_by_itself(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(lag=1.0, settle=8.0, concurrency=40)
    synthetic.record = {"scenario": {"balancer": "caddy"}}
    old = synthetic.pods[0]
    assert old.deleted is not None
    at = old.deleted + 1.2
    rows = [lost(at + n / 80, say.CADDY_502, conn=100 + n) for n in range(40)]
    rows.append(lost(at + 0.4, None, conn=900, conn_hits=0, outcome=Outcome.RESET_BEFORE_RESPONSE))
    rows = sorted([*synthetic.hits(), *rows], key=lambda row: row["done_ns"])
    causes = by_ids(judged(tmp_path, synthetic, rows, burst(at)))
    assert causes["C8",].kinds == {"reset_before_response": 1}


def test_connections_that_passed_on_a_pods_cut_answers_were_not_closed_by_the_balancer_itself(
    tmp_path: Path,
) -> None:
    synthetic = SyntheticRun.rolling(lag=1.0, settle=8.0, concurrency=40)
    synthetic.record = {"scenario": {"balancer": "caddy"}}
    old = synthetic.pods[0]
    assert old.deleted is not None
    at = old.deleted + 1.2
    for outcome in (Outcome.EOF_MID_RESPONSE, Outcome.RESET_MID_RESPONSE):
        rows = [lost(at + n / 80, None, conn=100 + n, outcome=outcome) for n in range(40)]
        rows.append(lost(at + 0.4, None, conn=900, conn_hits=0, outcome=Outcome.RESET_BEFORE_RESPONSE))
        rows = sorted([*synthetic.hits(), *rows], key=lambda row: row["done_ns"])
        causes = by_ids(judged(tmp_path / outcome.value, synthetic, rows, burst(at, by="peer")))
        assert not any("C8" in ids for ids in causes)


def test_straight_to_pods_connections_end_with_their_pod_and_not_by_a_reload(tmp_path: Path) -> None:
    synthetic = good_manifest()
    synthetic.record = {"scenario": {"balancer": "none"}}
    at = synthetic.pods[3].enters + 0.4
    assert ("C8",) not in by_ids(run(tmp_path, burst(at), at + 0.2, synthetic))
