"""What else reads a verdict: conditions, metrics, JUnit, history, comparisons. Streams are no requests."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from harness.export import rows
from harness.history import text as history
from harness.history.groups import grouped
from harness.history.listing import listed
from harness.history.metrics import metrics_of
from harness.history.reading import read
from harness.judge.comparison.comparison import compare
from harness.judge.comparison.sides import judged_run, side_of
from harness.judge.verdict.judgement import Judgement, judge, to_json
from harness.model import Grade
from harness.recording.read import Recording
from harness.report import text
from harness.report.ci import junit, metrics
from tests.judge.streams.test_streams_judged import grade, judged, rolling
from tests.judge.synthetic import SyntheticRun
from tests.program import zdtest

if TYPE_CHECKING:
    from pathlib import Path

    from harness.judge.comparison.sides import Side


def written(root: Path, **changes: Any) -> Path:
    return replace(rolling(prestop=3, grace=20, concurrency=12), **changes).write(root)


def under(root: Path, *conditions: str, **changes: Any) -> Judgement:
    return judged(root, record={"scenario": {"fail_on": list(conditions)}}, **changes)


@pytest.mark.parametrize(
    ("condition", "closes", "of_it"),
    [("cut>0", True, Grade.PASS), ("cut>0", False, Grade.FAIL), ("reconnect>5s", True, Grade.PASS),
     ("reconnect>1s", True, Grade.FAIL), ("gap>600ms", True, Grade.PASS), ("gap>400ms", True, Grade.FAIL),
     ("away>0", True, Grade.PASS), ("missed>0", True, Grade.FAIL), ("missed>1000", True, Grade.PASS)],
)  # fmt: skip
def test_a_run_may_be_judged_by_its_streams(
    tmp_path: Path, condition: str, *, closes: bool, of_it: Grade
) -> None:
    found = under(tmp_path, condition, closes=closes)
    assert grade(found, f"not {condition}") is of_it
    assert (found.grade is Grade.PASS) == (of_it is Grade.PASS)


def test_a_bound_on_cut_streams_does_not_allow_what_the_default_forbids(tmp_path: Path) -> None:
    assert under(tmp_path, "cut>1000").grade is Grade.FAIL
    assert under(tmp_path / "lost", "lost>1000").grade is Grade.PASS


@pytest.mark.parametrize("condition", ["missed>0", "cut>0"])
def test_what_was_not_measured_withholds_the_pass(tmp_path: Path, condition: str) -> None:
    if condition == "cut>0":  # of a run of requests, made before such a condition was refused
        run = SyntheticRun.rolling(prestop=3, record={"scenario": {"fail_on": [condition]}})
        found = judge(Recording.open(run.write(tmp_path)))
    else:
        found = under(tmp_path, condition, closes=True, numbered=False)
    assert grade(found, f"not {condition}") is Grade.INCONCLUSIVE


def test_metrics_of_streams_replace_those_of_requests(tmp_path: Path) -> None:
    said = metrics.prometheus(judged(tmp_path))
    held = judge(Recording.open(SyntheticRun.rolling(prestop=3).write(tmp_path / "requests")))
    of_requests = metrics.prometheus(held)
    for name in ("zdtest_requests", "zdtest_failed_ratio", "zdtest_latency_seconds", "zdtest_reach_seconds"):
        assert f"{name}{{" in of_requests
        assert f"{name}{{" not in said
    for name in (
        "zdtest_streams",
        "zdtest_reconnect_seconds",
        "zdtest_message_gap_seconds",
        "zdtest_messages_missed",
    ):
        assert f"{name}{{" in said
        assert f"{name}{{" not in of_requests
    cut = next(line for line in said.splitlines() if 'how="cut"' in line)
    assert int(cut.split()[-1]) >= 12
    assert metrics.openmetrics(judged(tmp_path / "open")).endswith("# EOF\n")


def test_junit_and_the_summary_speak_of_streams(tmp_path: Path) -> None:
    found = judged(tmp_path)
    assert '<property name="cut"' in junit.render([found])
    assert '<property name="requests"' not in junit.render([found])
    summary = text.render(found, latencies=True)
    assert "bombardier" not in summary
    assert "Reqs/sec" not in summary
    assert "-- What clients waited for" in summary


def test_the_history_follows_cuts_and_reconnects_of_streams_and_no_latencies(tmp_path: Path) -> None:
    path = written(tmp_path / "streams")
    (path / "verdict.json").write_text(to_json(judge(Recording.open(path))))
    run = read(path.parent, path.name)
    assert run.load == "12 streams"
    assert run.cut is not None
    assert run.cut >= 12
    assert (run.p99_ns, run.reach_ns, run.lag_ns, run.requests) == (None, None, None, None)
    assert [metric.id for metric in metrics_of([run])] == ["lost", "cut", "back", "outage", "rollout"]
    shown = history.render(grouped(listed(path.parent).runs, lambda _, __: ()), "there", 100, 5)
    assert "streams cut" in shown
    assert "p99" not in shown
    requests = SyntheticRun.rolling(prestop=3).write(tmp_path / "requests")
    (requests / "verdict.json").write_text(to_json(judge(Recording.open(requests))))
    other = read(requests.parent, requests.name)
    assert other.streams is None
    assert {"p99", "reach"} <= {metric.id for metric in metrics_of([other])}
    assert not {"cut", "back"} & {metric.id for metric in metrics_of([other])}
    assert {"p99", "cut"} <= {metric.id for metric in metrics_of([run, other])}


def test_a_limits_cuts_are_no_cause_in_the_history(tmp_path: Path) -> None:
    path = written(tmp_path, closes=True, limit=14.0)
    (path / "verdict.json").write_text(to_json(judge(Recording.open(path))))
    assert read(path.parent, path.name).causes == ()


def test_streams_are_exported_as_a_table_and_requests_have_none(tmp_path: Path) -> None:
    path = written(tmp_path / "streams", closes=True)
    recording = Recording.open(path)
    schema, batches = rows.tables(recording, rows.Known())["streams"]
    found = pa.Table.from_batches(batches(), schema).to_pandas()
    held = recording.streams()
    assert len(found) == len(held) > 12
    assert found["code"].dropna().astype(int).tolist() == held["code"][held["code"] > 0].tolist()
    assert (found["replaces"].isna() == (held["replaces"] == -1)).all()
    assert found["messages"].tolist() == held["messages"].tolist()
    requests = SyntheticRun.rolling(prestop=3).write(tmp_path / "requests")
    done = zdtest("export", str(requests), "--to", "csv", "--table", "streams", "--out", "-")
    assert (done.returncode, done.stdout) == (2, "")
    assert "this run sent requests and held no streams" in done.stderr
    assert (
        zdtest("export", str(path), "--to", "csv", "--table", "streams", "--out", "-").stdout.count("\n")
        == len(held) + 1
    )


def side(name: str, *paths: Path) -> Side:
    return side_of(name, [judged_run(Recording.open(path)) for path in paths])


def test_two_runs_of_streams_are_compared_by_what_they_cut(tmp_path: Path) -> None:
    bad = side("before", *(written(tmp_path / f"bad{n}") for n in range(4)))
    good = side("after", *(written(tmp_path / f"good{n}", closes=True) for n in range(4)))
    found = compare(bad, good)
    told = {one.measure: one for one in found.differences}
    assert told["cut"].before is not None
    assert told["cut"].before >= 12
    assert told["cut"].after == 0
    assert told["back"].before is not None
    assert all(told[name].before is None for name in ("p50", "p95", "p99", "reach"))
    assert "loses fewer streams" in found.sentence
    assert "request" not in found.sentence + " ".join(found.evidence)


def test_streams_are_not_compared_with_requests(tmp_path: Path) -> None:
    held = side("before", written(tmp_path / "streams"))
    sent = side("after", SyntheticRun.rolling().write(tmp_path / "requests"))
    assert "some runs hold streams and some send requests" in compare(held, sent).sentence
