"""`run --baseline`: which earlier runs are taken, what is kept of them, and what reports say of it."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import pytest

from harness import cli
from harness.cli.baselines import LEVEL, keep_for, wanted
from harness.errors import RecordingError, UsageError
from harness.judge.verdict.judgement import judge, to_json
from harness.recording.read import Recording
from harness.recording.series.baseline import Baseline, keep, kept
from tests.judge.test_rollouts import clean, lossy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from tests.judge.synthetic import SyntheticRun

    Zdtest = Callable[..., tuple[int, str, str]]


@pytest.fixture
def zdtest(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Zdtest:
    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["zdtest", *map(str, words)])
        code = cli.main()
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


def night(root: Path, day: int, run: SyntheticRun | None = None, **record: Any) -> Path:
    """A judged run of one night."""
    made = run or clean()
    made.record = {**made.record, "wall_ns": 1_796_000_000_000_000_000 + day * 86_400_000_000_000, **record}
    path = made.write(root / f"day{day}")
    moved = root / f"202611{day:02}T030000Z-web"
    path.rename(moved)
    path.parent.rmdir()
    (moved / "verdict.json").write_text(to_json(judge(Recording.open(moved))))
    return moved


def test_a_folder_gives_its_latest_pass_runs_of_the_same_name_workload_and_load(tmp_path: Path) -> None:
    nights = [night(tmp_path, day) for day in (1, 2)]
    night(tmp_path, 3, lossy())
    night(tmp_path, 4, concurrency=77)
    night(tmp_path, 5, name="other")
    mine = night(tmp_path, 6)
    night(tmp_path, 7)
    keep_for(mine, wanted(str(tmp_path), LEVEL, tmp_path))
    found = kept(mine)
    assert found is not None
    assert [run.folder for run in found.runs] == [path.name for path in nights]
    assert found.level == LEVEL
    assert all(run.rollouts[0].rollout_ns for run in found.runs)


def test_last_pass_is_the_latest_one_before_this_run(tmp_path: Path) -> None:
    night(tmp_path, 1)
    second = night(tmp_path, 2)
    night(tmp_path, 3, lossy())
    mine = night(tmp_path, 4)
    keep_for(mine, wanted("last-pass", LEVEL, tmp_path))
    found = kept(mine)
    assert found is not None
    assert [run.folder for run in found.runs] == [second.name]


def test_the_first_night_has_no_baseline_yet_and_passes(tmp_path: Path, zdtest: Zdtest) -> None:
    mine = night(tmp_path, 4)
    keep_for(mine, wanted("last-pass", LEVEL, tmp_path))
    code, out, _ = zdtest("report", mine)
    assert code == 0
    said = "cannot tell: the baseline (last-pass) has no earlier run to compare with, and it takes 8"
    assert said in " ".join(out.split())
    assert f"- baseline: {said}" in (mine / "summary.md").read_text()


def test_one_run_is_taken_as_it_was_given(tmp_path: Path) -> None:
    other, mine = night(tmp_path / "elsewhere", 1), night(tmp_path, 4)
    keep_for(mine, wanted(str(other), LEVEL, tmp_path))
    found = kept(mine)
    assert found is not None
    assert [run.folder for run in found.runs] == [other.name]


@pytest.mark.parametrize("word", ["nothing/here", "", "last-fail"])
def test_a_baseline_that_is_not_there_is_refused_before_the_run(
    tmp_path: Path, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="--baseline"):
        wanted(word, LEVEL, tmp_path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--baseline", "nothing/here"), "--baseline nothing/here: no such folder"),
        (("--baseline-level", "0.1"), "--baseline-level goes with --baseline"),
        (("--baseline", "last-pass", "--baseline-level", "nan"), "nan is not a number"),
        (("--baseline", __file__), "is no run"),
        (("--baseline", "last-pass", "--no-rollout"), "with --no-rollout there is none"),
    ],
)
def test_wrong_use_is_refused_in_one_line_before_anything_is_touched(
    words: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zdtest: Zdtest
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = zdtest(
        "run", "http://127.0.0.1:1/", "--deployment", "web", "--context", "x", "-n", "y", *words
    )
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def worse(path: Path, tmp_path: Path) -> None:
    """Keep a baseline of twelve nights whose rollouts took a third of the time."""
    source = night(tmp_path / "old", 1)
    keep_for(path, wanted(str(source), LEVEL, tmp_path))
    found = kept(path)
    assert found is not None
    [run] = found.runs
    quick = tuple(replace(one, rollout_ns=(one.rollout_ns or 0) // 3) for one in run.rollouts)
    keep(path, replace(found, runs=tuple(replace(run, folder=f"n{n}", rollouts=quick) for n in range(12))))


def test_a_worse_night_fails_in_every_report_and_again_without_the_earlier_runs(
    tmp_path: Path, zdtest: Zdtest
) -> None:
    path = night(tmp_path, 4)
    assert zdtest("report", path)[0] == 0
    worse(path, tmp_path)
    junit = tmp_path / "junit.xml"
    code, out, _ = zdtest("report", path, "--junit", junit)
    assert code == 1
    assert out.startswith("FAIL: worse than the baseline (20261101T030000Z-web: 12 runs, level 1%)")
    assert "FAIL: worse than the baseline" in out.rstrip().splitlines()[-1]
    said = "rollout to the end"
    assert said in (path / "summary.txt").read_text()
    message = (path / "summary.md").read_text()
    assert "FAIL: worse than the baseline" in message
    assert message.count("worse than the baseline") == 1
    assert 'name="the run is no worse than its baseline runs"' in junit.read_text()
    assert "<failure" in junit.read_text()
    assert "the run is no worse than its baseline runs" in (path / "report.html").read_text()
    assert json.loads((path / "verdict.json").read_text())["verdict"]["grade"] == "FAIL"
    assert zdtest("report", path)[1] == out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "has a format that this zdtest does not read"),
        ('{"format": 2}', "has a format that this zdtest does not read"),
        ('{"format": 1}', "Field required"),
        ('{"format": 1, "named": "x", "level": 7, "runs": []}', "its level is no share"),
        ('{"format": 1, "named": "' + "x" * 501 + '", "level": 0.1, "runs": []}', "a text in it is too long"),
    ],
)
def test_a_baseline_that_no_run_writes_is_one_line(
    tmp_path: Path, text: str, said: str, zdtest: Zdtest
) -> None:
    path = night(tmp_path, 4)
    (path / "baseline.json").write_text(text)
    code, _, err = zdtest("report", path)
    assert code == 2
    assert said in err
    assert len(err.splitlines()) == 1


def test_a_long_url_does_not_cost_the_run_its_verdict(tmp_path: Path, zdtest: Zdtest) -> None:
    targets = [{"url": "http://web/" + "x" * 2000, "method": "GET"}]
    night(tmp_path, 1, targets=targets)
    mine = night(tmp_path, 4, targets=targets)
    keep_for(mine, wanted(str(tmp_path), LEVEL, tmp_path))
    code, out, err = zdtest("report", mine)
    assert (code, err) == (0, "")
    assert "1 rollout, and it takes 8" in " ".join(out.split())


def test_earlier_runs_that_cannot_be_listed_any_more_do_not_cost_the_run_its_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, mine = night(tmp_path / "elsewhere", 1), night(tmp_path, 4)
    asked = wanted(str(other.parent), LEVEL, tmp_path)
    (other.parent / "hits").mkdir()
    (other.parent / "run.json").write_text("{}")
    keep_for(mine, asked)
    found = kept(mine)
    assert found is not None
    assert found.runs == ()
    assert "is one run, not a folder of runs" in capsys.readouterr().err


def test_numbers_that_no_run_has_are_refused(tmp_path: Path) -> None:
    path = night(tmp_path, 4)
    keep_for(path, wanted(str(night(tmp_path / "old", 1)), LEVEL, tmp_path))
    raw = json.loads((path / "baseline.json").read_text())
    for wrong in (-1, 1 << 62):
        raw["runs"][0]["rollouts"][0]["reach_ns"] = wrong
        (path / "baseline.json").write_text(json.dumps(raw))
        with pytest.raises(RecordingError, match=r"baseline.json is damaged"):
            kept(path)


def test_what_is_kept_is_read_back_as_it_was(tmp_path: Path) -> None:
    path = night(tmp_path, 4)
    keep_for(path, wanted(str(night(tmp_path / "old", 1)), LEVEL, tmp_path))
    found = kept(path)
    assert isinstance(found, Baseline)
    keep(path, found)
    assert asdict(kept(path)) == asdict(found)  # type: ignore[arg-type]
    assert kept(tmp_path) is None
