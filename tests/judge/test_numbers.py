"""Hits -> numbers, on rows small enough to count by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.judge.numbers.piecewise.allhits import AllHits
from harness.judge.numbers.piecewise.masked import masked
from harness.judge.numbers.summary import Numbers, measure, summarise
from harness.judge.timeline import timeline as times
from harness.model import NEVER, Mark, MarkAt, Outcome, Phase, RunRecord
from harness.recording.read import Recording
from harness.recording.write import RunDirectory
from tests.judge.synthetic import WALL, S, SyntheticRun, write_hits

if TYPE_CHECKING:
    from pathlib import Path

MS = 1_000_000


def hit(done: float, took: float = 0.02, **rest: Any) -> dict[str, Any]:
    """One good GET on a connection that had carried others, ending at `done` s on the run clock."""
    begun, ended = round((done - took) * S), round(done * S)
    row = {
        "seq": 0, "slot": 0, "conn": 0, "conn_hits": 5, "due_ns": begun, "sent_ns": begun, "first_byte_ns": ended,
        "done_ns": ended, "status": 200, "outcome": Outcome.RESPONSE, "bytes_in": 100, "bytes_out": 50, "target": 0,
        "peer": "127.0.0.1:80", "pod": "",
    }  # fmt: skip
    return row | rest


def lost(
    done: float, outcome: Outcome = Outcome.RESET_BEFORE_RESPONSE, took: float = 0.02, **rest: Any
) -> dict[str, Any]:
    return hit(
        done, took, **({"status": 0, "outcome": outcome, "first_byte_ns": NEVER, "bytes_in": 0} | rest)
    )


def record(marks: dict[Mark, float], **rest: Any) -> RunRecord:
    marked = tuple(MarkAt(mark, round(t * S)) for mark, t in marks.items())
    return replace(SyntheticRun.rolling(1).run(), marks=marked, **rest)


ROLLOUT = {
    Mark.LOAD_START: 0.0, Mark.WARMUP_END: 2.0, Mark.TRIGGER: 10.0, Mark.OLD_PODS_GONE: 14.0,
    Mark.ENDPOINTS_SETTLED: 14.0, Mark.SETTLED: 20.0, Mark.LOAD_END: 20.0, Mark.DRAIN_END: 20.0,
}  # fmt: skip
PLAIN = {Mark.LOAD_START: 0.0, Mark.WARMUP_END: 2.0, Mark.LOAD_END: 12.0}


def numbers(tmp_path: Path, rows: list[dict[str, Any]], run: RunRecord | None = None) -> Numbers:
    run = run or record(ROLLOUT)
    with RunDirectory.create(tmp_path, "web", WALL) as directory:
        directory.run(run)
        write_hits(directory.path / "hits" / "0.arrow", sorted(rows, key=lambda row: row["done_ns"]))
    recording = Recording.open(directory.path)
    hits = AllHits.of(recording)
    return summarise(hits, run, times.read(run, [], [], hits.last_ns))


def test_good_failed_and_cut_are_told_apart(tmp_path: Path) -> None:
    rows = [hit(5), hit(5.1, status=204), hit(6, status=502), hit(6.1, status=404), lost(7)]
    rows += [lost(7.1, Outcome.EOF_MID_RESPONSE, status=200), lost(20, Outcome.CUT_AT_DEADLINE, took=3.0)]
    found = numbers(tmp_path, rows)
    assert (found.requests, found.good, found.failed, found.cut) == (6, 2, 4, 1)
    assert found.cut_oldest_ns == 3 * S
    assert found.statuses == {"200": 1, "204": 1, "404": 1, "502": 1}
    assert found.outcomes == {
        "eof_mid_response": 1,
        "reset_before_response": 1,
    }  # truncated counts, status 200 or not
    assert {kind.kind: kind.count for kind in found.kinds} == {
        "404": 1, "502": 1, "eof_mid_response": 1, "reset_before_response": 1,
    }  # fmt: skip


def test_what_is_expected_is_for_the_user_to_say(tmp_path: Path) -> None:
    run = record(ROLLOUT, expect=((200, 299), (404, 404)))
    found = numbers(tmp_path, [hit(5), hit(6, status=404), hit(7, status=301)], run)
    assert (found.good, found.failed) == (2, 1)


def test_a_hit_belongs_to_the_phase_in_which_it_ended(tmp_path: Path) -> None:
    rows = [lost(1.5), hit(2.01, took=1.0), lost(10.001, took=5.0), hit(9.999), hit(14.5, took=4.0)]
    found = numbers(tmp_path, rows)
    counted = {part.name: (part.requests, part.failed) for part in found.parts}
    assert counted == {"warmup": (1, 1), "before": (2, 0), "during": (1, 1), "after": (1, 0)}
    assert (found.warmup_failed, found.failed, found.requests) == (1, 1, 4)


def test_the_control_window_is_as_long_as_the_rollout_but_never_reaches_the_warm_up(tmp_path: Path) -> None:
    found = numbers(tmp_path, [hit(5), lost(7)])
    assert found.control is not None
    assert (found.control.from_ns, found.control.to_ns, found.control.failed) == (6 * S, 10 * S, 1)
    late = numbers(tmp_path, [hit(5)], record(ROLLOUT | {Mark.ENDPOINTS_SETTLED: 19.0}))
    assert late.control is not None
    assert late.control.from_ns == 2 * S


def test_a_fast_502_does_not_improve_the_median(tmp_path: Path) -> None:
    rows = [hit(3 + i / 100, took=0.1) for i in range(10)] + [
        hit(4 + i / 100, took=0.001, status=502) for i in range(90)
    ]
    found = numbers(tmp_path, rows)
    assert found.latency is not None
    assert found.latency.percentiles["50"] == 100 * MS
    assert found.kinds[0].latency.percentiles["50"] == 1 * MS


def test_percentiles_follow_bombardiers_rank() -> None:
    took = np.array([10, 20, 30, 40, 50, 60, 70, 80, 90, 100], dtype=np.int64)
    latency = measure(took)
    assert latency is not None
    assert latency.percentiles == {"50": 50, "75": 80, "90": 90, "95": 100, "99": 100}
    alone = measure(np.array([7], dtype=np.int64))
    assert alone is not None
    assert set(alone.percentiles.values()) == {7}


def test_the_deviation_does_not_shrink_as_the_run_grows() -> None:
    some = np.random.default_rng(1).lognormal(6, 0.8, 1000).astype(np.int64)
    small, large = measure(some), measure(np.tile(some, 1000))
    assert small is not None
    assert large is not None
    assert large.stdev_ns == pytest.approx(small.stdev_ns, rel=0.01)
    assert large.stdev_ns == pytest.approx(float(np.std(some)), rel=0.01)


def test_rates_are_completed_over_time_and_of_whole_seconds(tmp_path: Path) -> None:
    rows = [hit(2.0 + second + i / 20) for second in range(10) for i in range(5 if second % 2 else 15)]
    found = numbers(tmp_path, rows, record(PLAIN, rollout_wanted=False))
    assert found.rates.mean == pytest.approx(10.0)
    assert found.rates.max == 15
    assert found.rates.stdev == pytest.approx(np.std([5, 15] * 5, ddof=1))
    assert found.bytes_per_s == pytest.approx(10 * 150)


def test_the_outage_is_the_time_between_two_good_responses_with_a_failure_between(tmp_path: Path) -> None:
    rows = [hit(3 + i / 10) for i in range(11)] + [
        hit(8.0, status=502),
        hit(9.5),
        hit(9.6, status=502),
        hit(9.7),
    ]
    found = numbers(tmp_path, rows)
    assert found.outage is not None
    assert (found.outage.from_ns, found.outage.to_ns, found.outage.failed) == (4 * S, round(9.5 * S), 1)


def test_one_failing_slot_among_many_is_no_outage_to_speak_of(tmp_path: Path) -> None:
    rows = [hit(3 + i / 1000) for i in range(1000)] + [
        hit(3 + i / 10 + 0.0005, status=502) for i in range(10)
    ]
    found = numbers(tmp_path, rows)
    assert found.outage is not None
    assert found.outage.to_ns - found.outage.from_ns == 1 * MS


def test_an_outage_that_never_ends_is_bounded_by_the_load(tmp_path: Path) -> None:
    found = numbers(tmp_path, [hit(3.0), hit(5.0, status=503)])
    assert found.outage is not None
    assert found.outage.from_ns == 3 * S
    assert found.outage.to_ns == 20 * S


def test_what_was_still_out_when_the_load_ended_makes_no_outage_of_the_time_after_it(tmp_path: Path) -> None:
    marks = ROLLOUT | {Mark.LOAD_END: 15.0}
    rows = [hit(3 + i / 10) for i in range(120)] + [
        hit(17.0, took=3.0, status=504),
        hit(18.0, took=3.5, status=504),
    ]
    found = numbers(tmp_path, rows, record(marks))
    assert found.outage is not None
    assert found.outage.to_ns - found.outage.from_ns <= 100 * MS


@pytest.mark.parametrize("answered_late", [False, True])
def test_an_outage_that_the_load_ended_in_lasts_until_then(tmp_path: Path, answered_late: bool) -> None:  # noqa: FBT001
    marks = ROLLOUT | {Mark.LOAD_END: 15.0}
    rows = [hit(3 + i / 10) for i in range(90)] + [hit(17.0, took=4.0, status=504)]
    rows += [hit(17.5, took=4.0)] if answered_late else []
    found = numbers(tmp_path, rows, record(marks))
    assert found.outage is not None
    assert (found.outage.from_ns, found.outage.to_ns) == (round(11.9 * S), 15 * S)


def test_a_slow_silence_without_a_failure_is_no_outage(tmp_path: Path) -> None:
    found = numbers(tmp_path, [hit(3.0), hit(9.0, took=6.0)])
    assert found.outage is None
    assert found.stalled == 1


def test_seconds_with_failures_are_counted_from_the_trigger(tmp_path: Path) -> None:
    found = numbers(
        tmp_path,
        [hit(9.99, status=502), hit(10.0, status=502), hit(10.99, status=504), hit(12.5, status=502)],
    )
    assert found.bad_seconds == 3
    assert found.worst_second is not None
    assert (found.worst_second.second, found.worst_second.failed) == (0, {"502": 1, "504": 1})


def test_a_second_in_which_nothing_ends_is_a_row_of_zeros(tmp_path: Path) -> None:
    found = numbers(tmp_path, [hit(3.5), hit(6.5, took=2.5)])
    rows = {row.second: (row.started, row.completed) for row in found.seconds}
    assert rows == {-7: (1, 1), -6: (1, 0), -5: (0, 0), -4: (0, 1)}


@pytest.mark.parametrize(
    ("row", "hidden"),
    [
        (lost(5.0), True),
        (lost(5.0, Outcome.IDLE_CLOSE_RACE), True),
        (lost(5.0, conn_hits=0), False),  # a fresh connection: no client retries that
        (lost(5.0, target=1), False),  # POST
        (lost(5.0, Outcome.READ_TIMEOUT_HEADERS, took=2.0), False),  # the client gave up itself
        (lost(5.0) | {"first_byte_ns": 1}, False),
        (hit(5.0, status=502), False),  # an answer is an answer
    ],
)
def test_masked_is_what_a_retrying_client_would_have_hidden(
    tmp_path: Path, row: dict[str, Any], *, hidden: bool
) -> None:
    targets = ({"method": "GET", "url": "x"}, {"method": "POST", "url": "x"})
    found = numbers(tmp_path, [row, hit(5.5)], record(ROLLOUT, targets=targets))
    assert (found.failed, found.masked, found.hard) == (1, int(hidden), int(not hidden))


def test_a_retry_that_fails_or_comes_late_hides_nothing(tmp_path: Path) -> None:
    assert numbers(tmp_path, [lost(5.0), lost(5.5, conn_hits=0)]).masked == 0
    assert numbers(tmp_path, [lost(5.0), hit(7.0)]).masked == 0
    assert numbers(tmp_path, [lost(5.0), hit(5.5, slot=1)]).masked == 0


def test_masking_looks_at_the_same_slot_of_the_same_worker(tmp_path: Path) -> None:
    run = record(ROLLOUT)
    with RunDirectory.create(tmp_path, "web", WALL) as directory:
        directory.run(run)
        write_hits(directory.path / "hits" / "0.arrow", [lost(5.0)])
        write_hits(directory.path / "hits" / "1.arrow", [hit(5.5)])
    assert masked(AllHits.of(Recording.open(directory.path)), run, 0, 100 * S) == 0


def test_no_hits_at_all_is_all_zeros(tmp_path: Path) -> None:
    found = numbers(tmp_path, [])
    assert (found.requests, found.failed, found.latency, found.outage, found.seconds) == (
        0,
        0,
        None,
        None,
        (),
    )
    during = found.part(Phase.DURING)
    assert during is not None
    assert during.requests == 0


def test_a_lull_before_the_trigger_is_no_part_of_the_control_window() -> None:
    marks = ROLLOUT | {Mark.LULL: 7.0}
    with_lull = times.read(record(marks), [], [], NEVER).control
    without = times.read(record(ROLLOUT), [], [], NEVER).control
    assert with_lull == times.Span(3 * S, 7 * S)  # as long as *during*, which took 4 s
    assert without == times.Span(6 * S, 10 * S)
