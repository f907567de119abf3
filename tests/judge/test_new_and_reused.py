"""Requests on new connections and on reused ones are judged apart."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.judge.verdict.judgement import Judgement, judge
from harness.model import NEVER, Outcome
from harness.recording.read import Recording
from harness.report.summary import tables
from tests.judge.synthetic import TRIGGER, S, SyntheticRun, write_hits
from tests.judge.test_numbers import hit, lost, numbers

if TYPE_CHECKING:
    from pathlib import Path

RESET = Outcome.RESET_BEFORE_RESPONSE


def test_failures_are_counted_on_each_sort_of_connection_by_kind(tmp_path: Path) -> None:
    rows = [hit(5), hit(6), hit(5.5, conn_hits=0), hit(11), lost(8)]
    rows += [lost(12, Outcome.CONNECT_REFUSED, conn_hits=0), lost(13, conn_hits=7), lost(14, conn_hits=1)]
    rows += [hit(12.5, conn_hits=0, status=502), hit(1, conn_hits=0, status=502)]  # the last in the warm-up
    found = numbers(tmp_path, rows).connections
    assert found is not None
    assert (found.new.requests, found.new.failed, found.new.since_trigger) == (3, 2, 2)
    assert found.new.kinds == {"502": 1, "connect_refused": 1}
    assert (found.reused.requests, found.reused.failed, found.reused.since_trigger) == (6, 3, 2)
    assert found.reused.kinds == {"reset_before_response": 3}


def test_a_request_for_which_this_host_had_no_port_was_on_neither_sort_of_connection(tmp_path: Path) -> None:
    found = numbers(tmp_path, [hit(5), lost(12, Outcome.NO_LOCAL_PORT, conn_hits=0)]).connections
    assert found is not None
    assert (found.new.requests, found.new.failed, found.reused.requests) == (0, 0, 1)


def test_the_summary_says_how_often_each_sort_failed(tmp_path: Path) -> None:
    found, _ = _at_the_end_of_a_pod(tmp_path, direct=True)
    said = " ".join(" ".join(tables.bad_time(found.numbers, found.timeline)).split())
    both = found.numbers.connections
    assert both is not None
    new = f"By connection new: 0 of {both.new.requests:,} failed; "
    assert f"{new}reused: 5 of {both.reused.requests:,} failed (reset_before_response: 5)" in said


def test_nothing_is_said_where_all_requests_were_on_one_sort_and_of_an_older_judgement(
    tmp_path: Path,
) -> None:
    found = numbers(tmp_path, [hit(5), lost(12), hit(13)])
    span = SyntheticRun.rolling(1)
    timeline = judge(Recording.open(span.write(tmp_path / "other"))).timeline
    for one in (found, replace(found, connections=None)):
        assert not any("By connection" in line for line in tables.bad_time(one, timeline))


def _broken(at: float, conn: int, **rest: Any) -> dict[str, Any]:
    ended = round((TRIGGER + at) * S)
    return {
        "seq": conn, "slot": conn, "conn": conn, "conn_hits": 4, "due_ns": ended - 1_000_000,
        "sent_ns": ended - 1_000_000,
        "first_byte_ns": NEVER, "done_ns": ended, "status": 0, "outcome": RESET, "bytes_in": 0, "bytes_out": 10,
        "target": 0,
        "peer": "", "pod": "",
    } | rest  # fmt: skip


def _at_the_end_of_a_pod(tmp_path: Path, *, direct: bool, of_new: int = 0) -> tuple[Judgement, list[str]]:
    """Judge a run in which five connections broke when the first old pod ended, while new connections were made."""
    run = SyntheticRun.rolling(prestop=4, grace=20, direct=direct)
    pod = next(pod for pod in run.pods if pod.exits is not None)
    assert pod.exits is not None
    peer = f"{pod.address}:8080" if direct else "127.0.0.1:8088"
    path = run.write(tmp_path)
    rows = [_broken(pod.exits + n / 1000, 1000 + n, peer=peer) for n in range(5)]
    rows += [_broken(pod.exits + n / 1000, 1500 + n, peer=peer, conn_hits=0) for n in range(of_new)]
    good = {
        "conn_hits": 0, "status": 200, "outcome": Outcome.RESPONSE, "bytes_in": 100,
        "peer": f"{run.pods[-1].address}:8080" if direct else peer,
    }  # fmt: skip
    for n in range(40):
        row = _broken(pod.exits - 0.2 + n / 100, 2000 + n, **good)
        rows.append(row | {"first_byte_ns": row["done_ns"]})
    write_hits(path / "hits" / "1.arrow", sorted(rows, key=lambda row: row["done_ns"]))
    found = judge(Recording.open(path))
    return found, [line for cause in found.causes if cause.the_rollouts for line in cause.evidence]


def test_that_only_kept_alive_connections_failed_is_evidence_and_kube_proxys_part_in_it_is_named(
    tmp_path: Path,
) -> None:
    found, evidence = _at_the_end_of_a_pod(tmp_path, direct=True)
    assert found.verdict.lost == 5
    assert any(
        line.startswith("all 5 failed on reused connections; 40 requests on new ones") for line in evidence
    )
    assert any("kubernetes#123116" in line for line in evidence)


def test_behind_a_balancer_kube_proxy_is_not_named(tmp_path: Path) -> None:
    _, evidence = _at_the_end_of_a_pod(tmp_path, direct=False)
    assert any(line.startswith("all 5 failed on reused connections") for line in evidence)
    assert not any("kube-proxy" in line for line in evidence)


def test_nothing_is_said_of_one_sort_where_both_failed(tmp_path: Path) -> None:
    _, evidence = _at_the_end_of_a_pod(tmp_path, direct=True, of_new=3)
    assert evidence
    assert not any("did well meanwhile" in line or "kube-proxy" in line for line in evidence)
