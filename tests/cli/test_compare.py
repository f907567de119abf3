"""`zdtest compare`: which runs its words name, and how it ends."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import pytest

from harness import cli
from harness.judge.verdict.judgement import judge
from harness.model import Mark
from harness.recording.read import Recording
from tests.judge.synthetic import SyntheticRun
from tests.judge.test_rollouts import clean, lossy, series

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of runs: bad/ and good/ of four rollouts each, one/ with a single run of each sort."""
    root = tmp_path_factory.mktemp("made")
    series(root / "bad", *(lossy() for _ in range(4)))
    series(root / "good", *(clean() for _ in range(4)))
    SyntheticRun.rolling().write(root / "one" / "lossy")
    return root


@pytest.fixture
def zdtest(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["zdtest", "compare", *map(str, words)])
        code = cli.main()
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


def only(root: Path) -> Path:
    [found] = root.iterdir()
    return found


def test_after_that_loses_fewer_is_better_and_exits_with_0(made: Path, zdtest: Any) -> None:
    code, out, err = zdtest(only(made / "bad"), only(made / "good"))
    assert (code, err) == (0, "")
    assert out.startswith("Better: AFTER loses fewer requests")
    assert out.rstrip().splitlines()[-1].startswith("Better: AFTER loses fewer requests")
    assert "vanished: No preStop" in out
    assert "* Deployment spec.template.spec.containers[web].lifecycle.preStop" in out
    assert max(map(len, out.splitlines())) <= 100


def test_after_that_loses_more_is_worse_and_exits_with_1(made: Path, zdtest: Any) -> None:
    code, out, _ = zdtest(only(made / "good"), only(made / "bad"))
    assert code == 1
    assert out.startswith("Worse: AFTER loses more requests")


def test_what_cannot_be_told_exits_with_0_and_says_how_many_more_would(made: Path, zdtest: Any) -> None:
    code, out, _ = zdtest(only(made / "one" / "lossy"), only(made / "good"))
    assert code == 0
    assert out.startswith("Cannot tell: ")
    assert "more rollouts per side would, about " in " ".join(out.split())


def test_a_side_may_be_a_folder_of_runs_a_pattern_or_several_of_them(made: Path, zdtest: Any) -> None:
    by_folder = zdtest(made / "bad", made / "good")
    by_pattern = zdtest(f"{made}/bad/*", f"{made}/good/2026*")
    by_option = zdtest("--before", made / "bad", "--after", only(made / "good"))
    assert by_folder == by_pattern == by_option
    code, out, _ = zdtest(
        "--before", made / "bad", "--before", only(made / "one" / "lossy"), "--after", made / "good"
    )
    assert code == 0
    assert "2 runs" in out
    assert "5 of 5" in out
    twice = zdtest("--before", made / "bad", "--before", only(made / "bad"), "--after", made / "good")
    assert twice == by_folder, "a run that is named twice counts once"


def test_json_is_the_whole_comparison_without_the_live_objects(made: Path, zdtest: Any) -> None:
    code, out, _ = zdtest(made / "bad", made / "good", "--format", "json")
    found = json.loads(out)
    assert code == 0
    assert (found["format"], found["conclusion"]) == (1, "better")
    assert len(found["before"]["rollouts"]) == len(found["after"]["rollouts"]) == 4
    assert found["differences"][0]["measure"] == "lost"
    assert "manifests" not in found["before"]
    assert found["before"]["rollouts"][0]["lost"] > 0


def test_markdown_is_short_and_has_a_table(made: Path, zdtest: Any) -> None:
    _, out, _ = zdtest(made / "bad", made / "good", "--format", "markdown")
    lines = out.splitlines()
    assert lines[0].startswith("**Better: ")
    assert "| | before | after | p |" in lines
    assert len(lines) <= 45


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "give two sides: zdtest compare BEFORE AFTER"),
        (("a", "b", "c"), "3 runs without a side; give those of each with --before and --after"),
        (("--before", "x"), "AFTER has no run"),
        (("--after", "x"), "BEFORE has no run"),
        (
            ("x", "--before", "y", "--after", "z"),
            "x: with --before and --after, every run is given by one of them",
        ),
        (("nothing/here", "last"), "nothing"),
        (("nothing/*", "last"), "BEFORE: no run matches nothing/*"),
        (("", ""), "the name of a run is empty"),
        (("x", "y", "--level", "nan"), "nan is not a number"),
        (("x", "y", "--margin", "nan"), "nan is not a number"),
    ],
)
def test_bad_words_are_refused_in_one_line(
    words: tuple[str, ...], said: str, zdtest: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = zdtest(*words)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1


def test_a_folder_without_runs_is_refused(made: Path, tmp_path: Path, zdtest: Any) -> None:
    code, _, err = zdtest(tmp_path, made / "good")
    assert code == 2
    assert err == f"zdtest: BEFORE: there is no run in {tmp_path}; give a run, or a folder that holds runs\n"


def test_a_folder_that_is_no_experiment_is_refused(made: Path, zdtest: Any) -> None:
    code, _, err = zdtest(made / "good")
    assert code == 2
    assert "is no experiment of zdtest ab" in err


def test_a_side_that_is_one_inconclusive_run_is_refused(made: Path, tmp_path: Path, zdtest: Any) -> None:
    path = replace(clean(), lag_p99=0.2).write(tmp_path)
    code, out, err = zdtest(path, made / "good")
    assert (code, out) == (2, "")
    assert "BEFORE is one run" in err
    assert "and it is INCONCLUSIVE" in err
    assert len(err.splitlines()) == 1


def test_sides_that_saw_no_rollout_are_not_comparable_and_exit_with_3(
    made: Path, tmp_path: Path, zdtest: Any
) -> None:
    for number in range(2):
        run = lossy()
        marks = tuple(mark for mark in run.run().marks if mark.mark is not Mark.ENDPOINTS_SETTLED)
        run.record["marks"] = marks
        run.write(tmp_path / str(number))
    code, out, _ = zdtest(
        "--before", only(tmp_path / "0"), "--before", only(tmp_path / "1"), "--after", made / "good"
    )
    assert code == 3
    assert out.startswith("Not comparable: BEFORE has no rollout that tells what was lost")
    assert "because of the rollout" in out, "the table is there all the same"


# The folder that `zdtest ab` leaves.


def experiment(root: Path, **changed: Any) -> Path:
    order = []
    for number in range(4):
        for arm, run in (("a.yaml", lossy()), ("b.yaml", clean())):
            path = run.write(root / "runs" / f"{number}{arm}")
            name = f"{path.name}-{number}{arm[0]}"
            shutil.move(path, root / "runs" / name)
            (root / "runs" / f"{number}{arm}").rmdir()
            order.append({"arm": arm, "block": number // 2 + 1, "run": f"runs/{name}"})
    order.append({"arm": "a.yaml", "block": 3, "run": ""})
    raw = {
        "format": 1, "kind": "ab", "arms": [{"name": "a.yaml"}, {"name": "b.yaml"}], "order": order, "level": 0.1,
        "looks": [], "state": "running",
    }  # fmt: skip
    (root / "experiment.json").write_text(json.dumps(raw | changed))
    return root


def test_the_two_arms_of_an_experiment_are_compared_in_their_blocks(tmp_path: Path, zdtest: Any) -> None:
    code, out, err = zdtest(experiment(tmp_path), "--format", "json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert (found["before"]["name"], found["after"]["name"]) == ("a.yaml", "b.yaml")
    assert found["unit"] == "rollouts within blocks"
    assert found["differences"][0]["p"] == pytest.approx(2 / 6**2)
    assert (found["level"], found["conclusion"]) == (0.1, "better")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"format": 2}, "its format is 2"),
        ({"arms": [{"name": "a.yaml"}]}, "compares no two versions"),
        ({"arms": [{"name": "a.yaml"}, {"name": "a.yaml"}]}, "two arms have one name"),
        ({"arms": "x"}, "a list of objects was expected"),
        ({"level": 2}, "a number from 0 to 1 was expected"),
        ({"level": True}, "a number from 0 to 1 was expected"),
        ({"order": [{"arm": "a.yaml", "block": 1, "run": "../x"}]}, "outside of the experiment's folder"),
        ({"order": [{"arm": "a.yaml", "block": 1, "run": "runs/.."}]}, "outside of the experiment's folder"),
        ({"order": [{"arm": "a.yaml", "block": -1, "run": "runs/x"}]}, "a whole number was expected"),
        ({"order": []}, "a.yaml has no run"),
    ],
)
def test_an_experiment_that_is_damaged_or_none_of_two_arms_is_refused(
    tmp_path: Path, changed: dict[str, Any], said: str, zdtest: Any
) -> None:
    raw = {
        "format": 1, "kind": "ab", "arms": [{"name": "a.yaml"}, {"name": "b.yaml"}], "order": [], "level": 0.1,
        "state": "complete",
    }  # fmt: skip
    (tmp_path / "experiment.json").write_text(json.dumps(raw | changed))
    code, out, err = zdtest(tmp_path)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1


def test_an_ablation_prints_its_table_again(tmp_path: Path, zdtest: Any) -> None:
    root = experiment(tmp_path)
    raw = json.loads((root / "experiment.json").read_text())
    (root / "experiment.json").write_text(json.dumps(raw | {"kind": "ablate"}))
    code, out, err = zdtest(root)
    assert (code, err) == (0, "")
    assert out.startswith("switched off")
    assert out.count("a.yaml") == out.count("b.yaml") > 0


@pytest.mark.parametrize("word", ["--html=page.html", "--level=0.1", "--margin=5"])
def test_what_an_ablation_has_not_is_refused_rather_than_ignored(
    tmp_path: Path, zdtest: Any, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    root = experiment(tmp_path)
    raw = json.loads((root / "experiment.json").read_text())
    (root / "experiment.json").write_text(json.dumps(raw | {"kind": "ablate"}))
    code, out, err = zdtest(root, word)
    assert (code, out) == (2, "")
    assert f"{word.partition('=')[0]} does not go with an ablation" in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "page.html").exists()


def test_a_run_that_is_given_by_two_paths_counts_once(
    made: Path, zdtest: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = only(made / "bad")
    monkeypatch.chdir(made)
    words = ("--before", bad, "--before", bad.relative_to(made), "--after", only(made / "good"))
    code, out, err = zdtest(*words, "--format", "json")
    assert (code, err) == (0, "")
    assert len(json.loads(out)["before"]["runs"]) == 1


def test_a_run_on_both_sides_is_refused(made: Path, zdtest: Any) -> None:
    bad = only(made / "bad")
    code, out, err = zdtest(made / "bad", bad)
    assert (code, out) == (2, "")
    assert f"{bad.name} is on both sides" in err


def test_an_experiment_that_is_no_json_is_refused(tmp_path: Path, zdtest: Any) -> None:
    (tmp_path / "experiment.json").write_text("{")
    assert zdtest(tmp_path)[0] == 2


def test_comparing_judges_anew_and_writes_nothing(made: Path, zdtest: Any) -> None:
    path = only(made / "good")
    before = sorted(path.rglob("*"))
    zdtest(path, path)
    assert sorted(path.rglob("*")) == before
    assert asdict(judge(Recording.open(path)))
