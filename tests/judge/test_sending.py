"""The load's own side of a run: corrected and raw latency, late and dropped hits, targets, connections, stalls."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from harness.judge.verdict.judgement import Judgement, from_json, judge, to_json
from harness.model import NEVER, Grade, HealthSample, Mark, MarkAt, Outcome, RunRecord
from harness.recording.read import Recording
from harness.recording.write import CONNECTION_SCHEMA, ArrowStream, RunDirectory
from harness.report import text
from tests.judge.synthetic import WALL, S, SyntheticRun, write_hits

if TYPE_CHECKING:
    from pathlib import Path

MS = 1_000_000
MARKS = {Mark.LOAD_START: 0, Mark.WARMUP_END: 2 * S, Mark.LOAD_END: 12 * S, Mark.DRAIN_END: 12 * S}


def record(**rest: Any) -> RunRecord:
    whole = replace(
        SyntheticRun.rolling(1).run(),
        marks=tuple(MarkAt(mark, t_ns) for mark, t_ns in MARKS.items()),
        rollout_wanted=False,
        rollout=None,
        cluster=None,
        ended_by="duration",
        workers=1,
    )
    return replace(whole, **rest)


def hit(due_ns: int, sent_ns: int, done_ns: int, **rest: Any) -> dict[str, Any]:
    row = {
        "seq": 0, "slot": 0, "conn": 0, "conn_hits": 5, "due_ns": due_ns, "sent_ns": sent_ns, "first_byte_ns": done_ns,
        "done_ns": done_ns, "status": 200, "outcome": Outcome.RESPONSE, "bytes_in": 100, "bytes_out": 50, "target": 0,
        "peer": "127.0.0.1:80", "pod": "",
    }  # fmt: skip
    return row | rest


def every_10_ms(waited_ms: dict[int, int] | None = None) -> list[dict[str, Any]]:
    """A hit each 10 ms from 0 to 12 s, sent at once but for those that waited, and answered in 4 ms."""
    waited_ms = waited_ms or {}
    due = [(n, n * 10 * MS) for n in range(1200)]
    return [hit(t, t + waited_ms.get(n, 0) * MS, t + (waited_ms.get(n, 0) + 4) * MS, seq=n) for n, t in due]


def healthy(lags: dict[int, int] | None = None) -> list[HealthSample]:
    """A sample each second; `lags` says the worst lag of some, in ms."""
    lags = lags or {}
    return [
        HealthSample((n + 1) * S, 0, 100, 100, 0, 1, 5 * MS, 2 * MS, lags.get(n, 3) * MS, 10 * MS, 20)
        for n in range(12)
    ]


def judged(
    folder: Path,
    rows: list[dict[str, Any]],
    run: RunRecord,
    *,
    health: list[HealthSample] | None = None,
    connections: list[dict[str, Any]] | None = None,
) -> Judgement:
    with RunDirectory.create(folder, "load", WALL) as directory:
        directory.run(run)
        write_hits(directory.path / "hits" / "0.arrow", sorted(rows, key=lambda row: row["done_ns"]))
        if connections:
            write_connections(directory.path / "connections" / "0.arrow", connections)
        for sample in health if health is not None else healthy():
            directory.health(sample)
    return judge(Recording.open(directory.path))


def write_connections(path: Path, rows: list[dict[str, Any]]) -> None:
    stream = ArrowStream(path, CONNECTION_SCHEMA, 0)
    arrays: list[pa.Array] = []
    for column in CONNECTION_SCHEMA:
        values = [row[column.name] for row in rows]
        if pa.types.is_dictionary(column.type):
            words = list(dict.fromkeys(values))
            codes = pa.array(np.array([words.index(value) for value in values], dtype=np.int32))
            arrays.append(pa.DictionaryArray.from_arrays(codes, pa.array(words, pa.string())))
        else:
            arrays.append(pa.array(values, column.type))
    stream.append(arrays)
    stream.close()


def grades(found: Judgement) -> dict[str, Grade]:
    return {finding.objective: finding.grade for finding in found.verdict.findings}


def test_corrected_counts_from_due_and_raw_from_sent(tmp_path: Path) -> None:
    # For 1.4 s nothing could be sent: 140 hits waited, the first one longest. wrk2's own example.
    waits = {n: 1400 - (n - 400) * 10 for n in range(400, 540)}
    found = judged(tmp_path, every_10_ms(waits), record(rate=100.0))
    assert found.sending
    loop = found.sending.open_loop
    assert loop
    assert loop.corrected
    assert loop.raw
    assert (loop.raw.percentiles["99"], loop.raw.max_ns) == (4 * MS, 4 * MS)
    assert loop.corrected.percentiles["50"] == 4 * MS
    # 1,000 judged hits, the slowest ten waited 1,310 ms to 1,400 ms.
    assert loop.corrected.percentiles["99"] == (1300 + 4) * MS
    assert loop.corrected.max_ns == (1400 + 4) * MS
    assert loop.corrected == found.numbers.latency
    assert (loop.due, loop.late, loop.late_max_ns, loop.dropped) == (1000, 135, 1400 * MS, 0)
    shown = text.render(found, latencies=False)
    assert "open loop at 100 requests/s" in shown
    assert "corrected (from when it was due)" in shown
    assert "raw (from when it was sent)" in shown
    assert from_json(to_json(found)) == found


def test_a_ramp_is_part_of_the_model_that_ran(tmp_path: Path) -> None:
    found = judged(tmp_path / "ramp", every_10_ms(), record(rate=100.0, ramp_ns=4 * S))
    assert "open loop at 100 requests/s after a ramp of 4 s, " in text.render(found, latencies=False)
    found = judged(tmp_path / "none", every_10_ms(), record(rate=100.0))
    assert "ramp" not in text.render(found, latencies=False)


def test_a_closed_loop_has_no_due_times_and_says_so(tmp_path: Path) -> None:
    found = judged(tmp_path, every_10_ms(), record())
    assert found.sending
    assert found.sending.open_loop is None
    assert "closed loop" in found.about.model
    assert not any("rate is held" in objective for objective in grades(found))
    assert "corrected" not in text.render(found, latencies=True)


@pytest.mark.parametrize(("late", "grade"), [(0, Grade.PASS), (50, Grade.PASS), (51, Grade.INCONCLUSIVE)])
def test_a_rate_that_was_not_held_withholds_the_pass(tmp_path: Path, late: int, grade: Grade) -> None:
    found = judged(tmp_path, every_10_ms(dict.fromkeys(range(400, 400 + late), 60)), record(rate=100.0))
    assert grades(found)["the rate is held (sent within 50 ms of when it was due)"] is grade
    assert found.grade is grade


def test_a_hit_that_was_due_and_never_sent_withholds_the_pass_and_says_what_to_do(tmp_path: Path) -> None:
    rows = every_10_ms()
    nothing = {"status": 0, "outcome": Outcome.DROPPED, "first_byte_ns": NEVER, "conn": -1, "bytes_in": 0}
    rows[500] = hit(5 * S, NEVER, 10 * S, **nothing)
    found = judged(tmp_path, rows, record(rate=100.0))
    assert found.grade is Grade.INCONCLUSIVE
    assert found.numbers.failed == 0
    assert "1 of 1,000 requests that were due were never sent" in found.verdict.headline
    assert "raise -c" in found.verdict.headline


def test_the_time_that_a_connection_takes_to_open_is_nobodys_lateness(tmp_path: Path) -> None:
    rows = every_10_ms(dict.fromkeys(range(300, 1100), 80))
    opened = []
    for row in rows:
        row |= {"conn_hits": 0, "conn": row["seq"]}
        opened.append(connection(conn=row["seq"], opened_ns=row["due_ns"], connect_ns=80 * MS, hits=1))
    found = judged(tmp_path / "far", rows, record(rate=100.0), connections=opened)
    assert found.sending
    assert found.sending.open_loop
    assert (found.sending.open_loop.late, found.grade) == (0, Grade.PASS)
    for row in opened[500:600]:
        row["opened_ns"] += 60 * MS  # no slot was free before
    late = judged(tmp_path / "late", rows, record(rate=100.0), connections=opened)
    assert late.sending
    assert late.sending.open_loop
    assert (late.sending.open_loop.late, late.grade) == (100, Grade.INCONCLUSIVE)


def test_targets_are_told_apart_those_that_lost_something_first(tmp_path: Path) -> None:
    rows = every_10_ms()
    for n, row in enumerate(rows):
        row["target"] = int(n % 10 == 9)
    for row in rows[499::100]:
        row["status"] = 503
    targets = (
        {"method": "GET", "url": "http://h/items", "weight": 9},
        {"method": "POST", "url": "http://h/cart", "weight": 1},
    )
    found = judged(tmp_path, rows, record(targets=targets))
    assert found.sending
    by_target = [(row.name, row.weight, row.requests, row.failed, row.kinds) for row in found.sending.targets]
    assert by_target == [
        ("POST http://h/cart", 1, 100, 8, {"503": 8}),
        ("GET http://h/items", 9, 900, 0, {}),
    ]
    lines = text.render(found, latencies=False).splitlines()
    assert any(line.split()[:4] == ["POST", "http://h/cart", "100", "8"] for line in lines)


def test_one_target_needs_no_table(tmp_path: Path) -> None:
    found = judged(tmp_path, every_10_ms(), record())
    assert found.sending
    assert found.sending.targets == ()
    assert "Target  " not in text.render(found, latencies=False)


def connection(**rest: Any) -> dict[str, Any]:
    row = {
        "conn": 0, "slot": 0, "peer": "10.0.0.1:443", "opened_ns": S, "connect_ns": 2 * MS, "tls_ns": 3 * MS,
        "closed_ns": 9 * S,
        "closed_by": "us", "how": "end", "hits": 100, "tls_version": "TLSv1.3",
    }  # fmt: skip
    return row | rest


def test_connections_are_counted_by_who_ended_them_and_where_they_went(tmp_path: Path) -> None:
    rows = [
        connection(),
        connection(peer="10.0.0.2:443"),
        connection(closed_by="peer", how="fin", hits=50),
        connection(closed_by="peer", how="refused", connect_ns=-1, tls_ns=-1, tls_version="", hits=0),
    ]
    found = judged(tmp_path, every_10_ms(), record(backed_off=7), connections=rows)
    assert found.sending
    connections = found.sending.connections
    assert connections
    assert (
        connections.opened,
        connections.refused,
        connections.connect_ns,
        connections.tls_ns,
        connections.hits,
    ) == (3, 1, 2 * MS, 3 * MS, 100)
    assert connections.ends == {"us end": 2, "peer fin": 1}
    assert connections.peers == {"10.0.0.1:443": 2, "10.0.0.2:443": 1}
    assert connections.tls_versions == {"TLSv1.3": 3}
    shown = text.render(found, latencies=False)
    assert "3 opened to 2 addresses" in shown
    assert "1 by the server" in shown
    assert "7 times a connection waited after a failed request" in shown


def test_connections_that_a_lost_worker_had_open_are_said_to_be_unknown(tmp_path: Path) -> None:
    lost = record(workers_lost=(0,), ended_by="worker_lost")
    found = judged(tmp_path / "none", every_10_ms(), lost)
    assert "Connections   unknown: those that worker 0 had open when it was lost" in text.render(
        found, latencies=False
    )
    assert from_json(to_json(found)) == found
    found = judged(tmp_path / "some", every_10_ms(), lost, connections=[connection()])
    shown = text.render(found, latencies=False)
    assert "1 opened to 1 address" in shown
    assert "  unknown     those that worker 0 had open when it was lost" in shown


def test_of_http2_its_cost_is_said(tmp_path: Path) -> None:
    found = judged(tmp_path, every_10_ms(), record(http2=True))
    summary = " ".join(text.render(found, latencies=False).split())
    assert "1 worker, HTTP/2" in summary
    found = judged(tmp_path / "streams", every_10_ms(), record(http2=True, streams=4))
    assert "4 streams each, 1 worker, HTTP/2" in " ".join(text.render(found, latencies=False).split())
    assert "HTTP/2 a request took 100 us of the generator's processor time" in summary
    assert "its own lag was 2.0 ms (p99 of the worst second)" in summary


def test_each_outcome_that_failed_is_shown_with_one_raw_text(tmp_path: Path) -> None:
    rows = every_10_ms()
    rows[700] = hit(7 * S, 7 * S, 7 * S + MS, status=0, outcome=Outcome.RESET_BEFORE_RESPONSE)
    samples = {
        "reset_before_response": "ConnectionResetError(104, 'Connection reset by peer')",
        "eof_before_response": "EOFError() of an outcome no hit had",
    }
    shown = text.render(judged(tmp_path, rows, record(error_samples=samples)), latencies=False)
    assert "reset_before_response, for one: ConnectionResetError(104" in shown
    assert "an outcome no hit had" not in shown


def test_a_second_in_which_the_generator_was_late_is_marked_and_judged_only_when_there_are_many(
    tmp_path: Path,
) -> None:
    found = judged(tmp_path, every_10_ms(), record(), health=healthy({6: 120}))
    assert found.sending
    assert found.sending.stalled_seconds == {4: 120 * MS}  # the seventh second, the fifth after the warm-up
    assert found.grade is Grade.PASS
    assert "1 second in which the generator itself was over 50 ms late: +4 (120 ms)" in " ".join(
        text.render(found, latencies=False).split()
    )
    calm = judged(tmp_path, every_10_ms(), record())
    assert calm.sending
    assert calm.sending.stalled_seconds == {}
    assert "late:" not in text.render(calm, latencies=False)


def test_a_generator_that_stood_still_leaves_a_hole_that_withholds_the_pass(tmp_path: Path) -> None:
    stood = [
        replace(sample, completed=50) for sample in healthy({8: 3100}) if sample.t_ns not in {7 * S, 8 * S}
    ]
    rows = [row for row in every_10_ms() if not 6 * S < row["due_ns"] < 9 * S]
    found = judged(tmp_path, rows, record(), health=stood)
    assert found.sending
    assert found.sending.stalled_seconds == dict.fromkeys((4, 5, 6), 3100 * MS)
    assert found.grade is Grade.INCONCLUSIVE
    assert "stood still 1 time, at worst for 3.10 s at +4.0 s" in found.verdict.headline


def test_targets_that_differ_in_their_query_alone_are_told_apart_without_it(tmp_path: Path) -> None:
    targets = tuple(
        {"method": "GET", "url": f"https://h/x?key={key}", "weight": 1} for key in ("s3cret", "s3cret2")
    )
    found = judge(Recording.open(SyntheticRun.rolling(record={"targets": targets}).write(tmp_path)))
    assert found.sending is not None
    names = {target.name for target in found.sending.targets}
    assert names == {"GET https://h/x?key=*** (target 1)", "GET https://h/x?key=*** (target 2)"}
    assert found.about.targets == ("GET https://h/x?key=***",) * 2, "an older recording has the values still"
