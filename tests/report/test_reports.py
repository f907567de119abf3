"""The reports of a judged run: text, message, picture, JSON; for complete runs and for broken ones."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from harness import cli
from harness.errors import RecordingError
from harness.judge.verdict.fieldchanges import field_changes
from harness.judge.verdict.judgement import Judgement, from_json, judge, judge_with_picture
from harness.model import MarkAt, WatchGap
from harness.recording.read import Recording
from harness.recording.write import write_json
from harness.report import write_all
from harness.report.drawing.draw import draw
from harness.report.looks import FAILURES, STATES
from harness.report.markdown import render as message
from harness.report.patch import render as advised
from harness.report.summary.layout import WIDTH
from harness.report.text import render
from tests.judge.synthetic import S, SyntheticRun

if TYPE_CHECKING:
    from pathlib import Path

    from harness.judge.picture.picture import Picture

KINDS: dict[str, dict[str, Any]] = {
    "no-probe": {"probe": False},
    "readiness": {},
    "grace": {"prestop": 4, "grace": 20},
    "silent": {"dead_is_silent": True, "noise": 0.002},
    "recreate": {"recreate": True},
    "direct": {"direct": True, "names_pods": False, "probe": False},
    "blind": {
        "gaps": [WatchGap("Pod", 13 * S, 16 * S, "HTTP 410: too old resource version " * 6, relisted=True)]
    },
    "noted": {"record": {"notes": ("a proxy is set in the environment and was ignored " * 4,)}},
}


def with_picture(path: Path) -> tuple[Judgement, Path, Picture]:
    found, picture = judge_with_picture(Recording.open(path))
    return found, path, picture


def judged(tmp_path: Path, **how: Any) -> Judgement:
    replicas = how.pop("replicas", 3)
    return judge(Recording.open(SyntheticRun.rolling(replicas, **how).write(tmp_path)))


@pytest.mark.parametrize("kind", KINDS)
def test_the_summary_fits_a_narrow_terminal_and_ends_with_the_verdict(tmp_path: Path, kind: str) -> None:
    found = judged(tmp_path, **KINDS[kind])
    lines = render(found, latencies=True).splitlines()
    assert lines[-1] == f"{found.grade}: {found.verdict.headline}"
    assert max(len(line) for line in lines[:-1]) <= WIDTH
    assert all(line.isascii() for line in lines)
    assert "\x1b" not in "".join(lines)
    assert lines[-1].isprintable()


def test_the_summary_says_what_failed_when_why_and_what_fixes_it(tmp_path: Path) -> None:
    text = render(judged(tmp_path, probe=False), latencies=False)
    for words in (
        "Statistics        Avg      Stdev        Max",
        "  * Latency: good responses only.",
        "Failed                         count    share      first       last       p50       p99       max",
        "Phase             from        to   requests   failed  bad s",
        "  - control",
        "Seconds with failures",
        "Longest outage",
        "No readinessProbe",
        "fix: spec.template.spec.containers[web].readinessProbe",
        "old web-6d9f7c8b54-",
        "  FAIL  no request fails because of the rollout",
    ):
        assert words in text, words
    assert "Latency Distribution" not in text


def test_latencies_are_shown_on_demand(tmp_path: Path) -> None:
    assert re.search(r"Latency Distribution\n     50% +\d", render(judged(tmp_path), latencies=True))


def test_a_clean_run_shows_no_empty_block(tmp_path: Path) -> None:
    text = render(judged(tmp_path, prestop=4, grace=20), latencies=False)
    assert not re.search(r"^(Failed|Lost|Why|Fix|-- Causes|Gaps|Seconds with)", text, re.MULTILINE)
    assert "\n\n\n" not in text
    assert text.splitlines()[-1].startswith("PASS: none of ")


@pytest.mark.parametrize("kind", KINDS)
def test_the_message_has_at_most_15_lines_and_begins_with_the_verdict(tmp_path: Path, kind: str) -> None:
    found = judged(tmp_path, **KINDS[kind])
    lines = message(found).splitlines()
    assert len(lines) <= 15
    assert lines[0] == f"**{found.grade}: {found.verdict.headline}**"


def test_many_doubts_still_fit_the_message(tmp_path: Path) -> None:
    run = SyntheticRun.rolling().run()
    record = {
        "state": "running",
        "ended_by": "",
        "workers": 9,
        "path": None,
        "rollout": None,
        "marks": run.marks[:3],
    }
    found = judged(tmp_path, names_pods=False, health=False, noise=0.01, record=record)
    assert len(message(found).splitlines()) <= 15


def test_all_files_are_written_and_none_is_left_half_done(tmp_path: Path) -> None:
    path = SyntheticRun.rolling(probe=False).write(tmp_path)
    before = {file.name for file in path.iterdir()}
    found, picture = judge_with_picture(Recording.open(path))
    write_all(found, path, picture)
    assert {file.name for file in path.iterdir()} - before == {
        "verdict.json",
        "summary.txt",
        "summary.md",
        "report.html",
        "timeline.png",
        "timeline-dark.png",
        "timeline.svg",
    }
    assert from_json((path / "verdict.json").read_bytes()) == found
    assert (path / "summary.txt").read_text().endswith(f"{found.verdict.headline}\n")
    assert (path / "timeline.png").read_bytes().startswith(b"\x89PNG")


def test_reporting_again_changes_nothing(tmp_path: Path) -> None:
    path = SyntheticRun.rolling(probe=False).write(tmp_path)
    written = []
    for _ in range(2):
        found, picture = judge_with_picture(Recording.open(path))
        write_all(found, path, picture)
        written.append({file.name: file.read_bytes() for file in path.iterdir() if file.is_file()})
    assert len(written[0]) > 7
    assert written[0] == written[1]


def test_a_file_that_cannot_be_written_is_named_and_the_others_are_there(tmp_path: Path) -> None:
    path = SyntheticRun.rolling(prestop=4, grace=20).write(tmp_path)
    (path / "summary.md").mkdir()
    with pytest.raises(
        RecordingError, match=r"cannot write the report to .* \(summary\.md\): Is a directory"
    ):
        write_all(*with_picture(path))
    assert {"verdict.json", "summary.txt", "timeline.png"} <= {file.name for file in path.iterdir()}
    assert not list(path.glob(".*"))


def test_a_verdict_is_printed_even_if_its_report_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = SyntheticRun.rolling().write(tmp_path)
    (path / "verdict.json").mkdir()
    monkeypatch.setattr("sys.argv", ["zdtest", "report", str(path)])
    assert cli.main() == 1
    printed = capsys.readouterr()
    assert printed.out.splitlines()[-1].startswith("FAIL: ")
    assert printed.err.startswith(f"zdtest: cannot write the report to {path} (verdict.json)")
    assert len(printed.err.splitlines()) == 1


def test_a_folder_that_is_gone_gets_one_clear_line(tmp_path: Path) -> None:
    found = judged(tmp_path, prestop=4, grace=20)
    with pytest.raises(RecordingError, match="cannot write the report to"):
        write_all(found, tmp_path / "gone")


@pytest.mark.parametrize(
    "how",
    [
        KINDS["no-probe"],
        KINDS["silent"],
        KINDS["grace"],
        {"replicas": 20, "startup": 0.2},
        {"replicas": 35, "probe": False},
    ],
)
def test_the_picture_can_be_drawn(tmp_path: Path, how: dict[str, Any]) -> None:
    path = SyntheticRun.rolling(how.pop("replicas", 3), **how).write(tmp_path)
    draw(*judge_with_picture(Recording.open(path)), tmp_path / "timeline.png")
    assert (tmp_path / "timeline.png").stat().st_size > 10_000


def test_failures_and_states_can_be_told_apart_in_a_grey_print() -> None:
    for looks in (FAILURES, STATES):
        greys = sorted((_grey(look.colour), look.hatch) for look in looks.values())
        for (light, hatch), (darker, other) in pairwise(greys):
            assert abs(light - darker) > 0.12 or hatch != other


@pytest.mark.parametrize("wreck", ["no hits", "no events", "cut", "no marks", "warm-up only", "nothing"])
def test_what_is_left_of_a_broken_run_is_reported(tmp_path: Path, wreck: str) -> None:
    path = SyntheticRun.rolling(probe=False).write(tmp_path)
    run = Recording.open(path).run
    if wreck in {"no hits", "nothing"}:
        (path / "hits" / "0.arrow").write_bytes(b"")
    if wreck in {"no events", "nothing"}:
        (path / "events.jsonl").write_text('{"t_ns": 1')
    if wreck == "cut":
        arrow = path / "hits" / "0.arrow"
        arrow.write_bytes(arrow.read_bytes()[: arrow.stat().st_size // 3])
    marks: tuple[MarkAt, ...] = {"no marks": (), "nothing": (), "warm-up only": run.marks[:1]}.get(
        wreck, run.marks
    )
    ended: dict[str, Any] = (
        {"state": "running", "ended_by": "", "cluster": None, "rollout": None, "path": None}
        if wreck == "nothing"
        else {}
    )
    write_json(path / "run.json", dataclasses.asdict(replace(run, marks=marks, **ended)))
    found, _, picture = with_picture(path)
    write_all(found, path, picture)
    assert found.grade != "PASS"
    assert (path / "summary.txt").read_text().splitlines()[-1].startswith(("FAIL: ", "INCONCLUSIVE: "))


def test_importing_the_reports_brings_neither_pandas_nor_matplotlib() -> None:
    code = (
        "import sys, harness.report, harness.report.text; print({'pandas', "
        "'matplotlib', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_moved_recording_gives_the_same_summary(tmp_path: Path) -> None:
    path = SyntheticRun.rolling().write(tmp_path)
    moved = tmp_path / "elsewhere" / path.name
    shutil.copytree(path, moved)
    assert render(judge(Recording.open(path)), latencies=True) == render(
        judge(Recording.open(moved)), latencies=True
    )


def _grey(colour: str) -> float:
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return 0.299 * red + 0.587 * green + 0.114 * blue


def test_the_advised_command_goes_to_the_cluster_of_the_run_and_there_is_none_on_the_lab(
    tmp_path: Path,
) -> None:
    found = judged(tmp_path / "real", probe=False)
    assert found.advice
    assert (
        "# kubectl --context test -n shop patch deployment/web --patch-file FILE"
        in advised(found).splitlines()
    )
    on_lab = dataclasses.replace(found, advice=dataclasses.replace(found.advice, kubectl=""))
    assert "kubectl" not in advised(on_lab)


def test_a_field_that_only_older_recordings_hold_is_not_a_difference() -> None:
    def app(*words: str) -> list[dict[str, Any]]:
        return [{"kind": "Deployment", "metadata": {"name": "web"}, "spec": {"args": list(words)}}]

    assert field_changes(app("s3cret"), app("***")) == ()
    (change,) = field_changes(app("--token=s3cret"), app("--token=***", "--x"))
    assert (change.before, change.after) == ("***", "--token=*** --x")
    assert field_changes(app("--token=***"), app("--token=***", "--x"))
    assert field_changes(app("--a"), app("--b"))
