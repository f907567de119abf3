"""Which verdict, which words and which cause a run of streams gets."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from harness.errors import RecordingError
from harness.judge.findings.finding import BACK, CLOSED
from harness.judge.verdict.judgement import Judgement, from_json, judge, to_json
from harness.model import Grade
from harness.recording.read import Recording
from harness.report import text
from tests.judge.streams.stream_run import StreamRun
from tests.judge.synthetic import SyntheticRun

if TYPE_CHECKING:
    from pathlib import Path


def rolling(**changes: Any) -> StreamRun:
    run = StreamRun.rolling(**changes)
    assert isinstance(run, StreamRun)
    return run


def judged(root: Path, **changes: Any) -> Judgement:
    pods = {key: changes.pop(key) for key in ("prestop", "grace", "drains", "deaf") if key in changes}
    run = replace(rolling(**{"prestop": 3, "grace": 20} | pods, concurrency=12), **changes)
    return judge(Recording.open(run.write(root)))


def grade(judgement: Judgement, objective: str) -> Grade:
    return next(f.grade for f in judgement.verdict.findings if f.objective.startswith(objective))


def causes(judgement: Judgement) -> set[tuple[str, ...]]:
    return {cause.ids for cause in judgement.causes}


def test_streams_that_are_closed_cleanly_and_come_back_pass(tmp_path: Path) -> None:
    found = judged(tmp_path, closes=True)
    streams = found.streams
    assert streams is not None
    assert found.grade is Grade.PASS
    assert (streams.cut, streams.announced) == (0, streams.lost)
    assert streams.announced >= 12
    assert set(streams.ends) == {"1001"}
    assert "none of" in found.verdict.headline
    assert "WebSockets was cut" in found.verdict.headline
    assert streams.back is not None
    assert 0.9e9 < streams.back.percentiles["50"] < 3e9


def test_streams_that_an_exit_cuts_fail_with_the_pods_cause(tmp_path: Path) -> None:
    found = judged(tmp_path)
    streams = found.streams
    assert streams is not None
    assert found.grade is Grade.FAIL
    assert grade(found, CLOSED) is Grade.FAIL
    assert found.verdict.lost == streams.cut >= 12
    assert "were cut without a close frame because of the rollout (1006 (closed):" in found.verdict.headline
    assert causes(found) == {("B2",)}
    cause = found.causes[0]
    assert cause.name == "the app exits on SIGTERM without ending its streams"
    assert any("close frame 1001" in line for line in cause.mend)
    assert cause.confidence == "exact"


def test_an_objective_that_allows_losses_allows_cut_streams(tmp_path: Path) -> None:
    found = judged(tmp_path, record={"scenario": {"fail_on": ["failed>1000"]}})
    assert grade(found, CLOSED) is Grade.PASS
    assert found.grade is Grade.PASS


def test_no_longer_pre_stop_is_advised_for_what_no_pre_stop_keeps(tmp_path: Path) -> None:
    found = judged(tmp_path)
    assert found.advice is None or "sleep" not in str(found.advice.patch)


def test_streams_that_outlast_the_grace_period_are_put_down_to_it(tmp_path: Path) -> None:
    found = judged(tmp_path, deaf=True, grace=8)
    assert found.grade is Grade.FAIL
    assert {name for ids in causes(found) for name in ids} <= {"B3", "B4"}
    assert "SIGKILL cut them" in found.causes[0].name


def test_streams_of_pods_that_were_well_were_cut_by_the_balancer(tmp_path: Path) -> None:
    found = judged(tmp_path, closes=True, reloads=4.0)
    assert found.grade is Grade.FAIL
    assert causes(found) == {("C8",)}
    assert "pods that were well" in found.causes[0].name
    assert any("worker_shutdown_timeout" in line for line in found.causes[0].mend)


def test_a_pod_whose_pre_stop_still_runs_is_well(tmp_path: Path) -> None:
    run = rolling(prestop=9, grace=20, concurrency=12)
    first = min(pod.deleted for pod in run.pods if pod.deleted is not None)
    found = judge(Recording.open(replace(run, closes=True, reloads=first + 8).write(tmp_path)))
    assert causes(found) == {("C8",)}


def test_a_reload_in_the_middle_of_a_pods_end_takes_its_streams_along(tmp_path: Path) -> None:
    run = rolling(prestop=3, grace=20, concurrency=12)
    end = min(pod.exits for pod in run.pods if pod.exits is not None)
    found = judge(Recording.open(replace(run, reloads=end - 0.05).write(tmp_path)))
    sizes = {cause.ids: cause.hits for cause in found.causes}
    assert sizes[("C8",)] == 12  # all that were open, those of the ending pod included
    assert set(sizes) == {("C8",), ("B2",)}


def test_streams_that_come_back_late_fail_though_each_was_closed_cleanly(tmp_path: Path) -> None:
    found = judged(tmp_path, closes=True, wait=3.0, back_within=2.0)
    assert grade(found, CLOSED) is Grade.PASS
    assert grade(found, BACK) is Grade.FAIL
    assert found.grade is Grade.FAIL


def test_a_stream_that_has_not_had_the_time_to_come_back_withholds_the_pass(tmp_path: Path) -> None:
    found = judged(tmp_path, closes=True, wait=7.0, settle=3.0)
    assert grade(found, BACK) is Grade.INCONCLUSIVE
    assert found.streams is not None
    assert found.streams.away > 0


def test_handshakes_that_are_refused_on_the_way_back_are_counted_by_what_refused_them(tmp_path: Path) -> None:
    run = rolling(prestop=3, grace=20, concurrency=12)
    end = min(pod.exits for pod in run.pods if pod.exits is not None)
    found = judge(Recording.open(replace(run, closes=True, refuses_until=end + 3).write(tmp_path)))
    assert found.streams is not None
    assert found.streams.refused["502"] > 0
    assert found.streams.tries >= 2
    assert "handshake" in found.verdict.headline
    assert found.grade is Grade.FAIL


def test_messages_missed_while_away_are_told_from_those_skipped(tmp_path: Path) -> None:
    found = judged(tmp_path, closes=True).streams
    assert found is not None
    assert found.numbered
    assert found.skipped == 0
    assert found.missed >= found.announced  # a second away, two messages a second


def test_messages_without_numbers_are_not_called_missed(tmp_path: Path) -> None:
    found = judged(tmp_path, closes=True, numbered=False).streams
    assert found is not None
    assert (found.numbered, found.missed, found.skipped) == (False, 0, 0)


def test_the_summary_and_the_json_tell_of_streams(tmp_path: Path) -> None:
    found = judged(tmp_path)
    said = text.render(found, latencies=False)
    assert "-- Streams --" in said
    assert "back after" in said
    assert from_json(to_json(found)).streams == found.streams


def test_websockets_on_which_nothing_but_pongs_come_pass(tmp_path: Path) -> None:
    found = judged(tmp_path, closes=True, pongs=7.0)
    assert found.grade is Grade.PASS, found.verdict.headline
    assert found.streams is not None
    assert found.streams.messages == 0
    assert found.streams.back is not None  # by the handshake


def test_a_worker_whose_streams_left_no_rows_at_the_end_withholds_the_pass(tmp_path: Path) -> None:
    run = replace(rolling(prestop=3, grace=20, concurrency=12), closes=True)
    path = run.write(tmp_path)
    file = path / "streams" / "0.arrow"
    file.write_bytes(file.read_bytes()[:-200])  # as after a full disk: the last batch is cut
    found = judge(Recording.open(path))
    assert found.grade is Grade.INCONCLUSIVE


def test_a_run_of_requests_has_no_streams(tmp_path: Path) -> None:
    found = judge(Recording.open(SyntheticRun.rolling(prestop=3).write(tmp_path)))
    assert found.streams is None
    assert not any(f.objective.startswith((CLOSED, BACK)) for f in found.verdict.findings)


@pytest.mark.parametrize("column", ["first_message_ns", "tries", "replaces"])
def test_a_streams_file_from_a_stranger_is_checked(tmp_path: Path, column: str) -> None:

    path = replace(rolling(prestop=3, concurrency=3), closes=True).write(tmp_path)
    file = path / "streams" / "0.arrow"
    with pa.ipc.open_stream(file.read_bytes()) as reader:
        table = reader.read_all()
    field = table.schema.get_field_index(column)
    wrong = pa.array([-7] * table.num_rows, table.schema.field(column).type)
    with pa.OSFile(str(file), "wb") as out, pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table.set_column(field, table.schema.field(column), wrong))
    with pytest.raises(RecordingError, match=column):
        Recording.open(path).streams()
