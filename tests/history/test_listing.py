"""All runs of a folder are listed, and nothing that a folder may hold ends in a traceback."""

from __future__ import annotations

import json
import os
import shutil
import time
from typing import TYPE_CHECKING

import pytest

from harness.errors import UsageError
from harness.history import index, reading, runs, table
from harness.history.listing import Listing, listed
from harness.recording.series import suite
from tests.history.folders import S, deployment, folder_name, lines_of, make_run, record, verdict
from tests.judge.synthetic import SyntheticRun

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = "<script>\x1b[2J\u202e"


def why(found: Listing) -> dict[str, str]:
    return {one.folder: one.why for one in found.skipped}


def test_runs_are_listed_newest_first_with_what_their_verdict_says(tmp_path: Path) -> None:
    make_run(tmp_path, 1, verdict("FAIL", lost=47, outage_ms=61, causes=((("B1",), 40), (("A1", "C1"), 7))))
    make_run(tmp_path, 2, verdict())
    new, old = listed(tmp_path).runs
    assert (new.grade, new.lost, new.causes, new.outage_ns) == ("PASS", 0, (), 0)
    assert (old.grade, old.lost, old.requests, old.outage_ns) == ("FAIL", 47, 9000, 61_000_000)
    assert [cause.text for cause in old.causes] == ["B1", "A1|C1"]
    assert (old.workload, old.cluster, old.load) == ("Deployment shop/web", "staging", "200 connections")
    assert (old.length_ns, old.rollout_ns, old.p99_ns) == (60 * S, 18 * S, 40_000_000)
    assert (old.lag_ns, old.lag_least, old.reach_least) == (700_000_000, False, True)


def test_what_does_not_count_against_the_rollout_is_no_cause_in_the_list(tmp_path: Path) -> None:
    causes = ((("not the rollout",), 5), (("E1",), 2), (("unexplained",), 1))
    make_run(tmp_path, 1, verdict("FAIL", causes=causes))
    assert [cause.text for cause in listed(tmp_path).runs[0].causes] == ["unexplained"]


def test_a_run_of_several_rollouts_has_their_medians_and_counts_those_that_lost(tmp_path: Path) -> None:
    each = [verdict("FAIL", lost=3), verdict(), verdict(settled=False)]
    make_run(tmp_path, 1, verdict("FAIL", lost=3, settled=False, rollouts=each))
    (run,) = listed(tmp_path).runs
    assert (run.rollouts, run.lossy, run.rollout_ns) == (2, 1, 18 * S)


def test_the_judges_own_verdict_is_read_as_it_was_written(tmp_path: Path) -> None:
    from harness.judge.verdict.judgement import judge, to_json
    from harness.recording.read import Recording

    path = SyntheticRun.rolling(probe=False).write(tmp_path)
    judgement = judge(Recording.open(path))
    (path / "verdict.json").write_text(to_json(judgement))
    (run,) = listed(tmp_path).runs
    assert (run.grade, run.lost) == (judgement.grade, judgement.verdict.lost)
    assert run.lost
    assert judgement.measured
    assert judgement.measured.reach
    assert run.reach_ns == judgement.measured.reach.p99_ns
    assert run.rollout_ns == judgement.about.settled_ns
    assert run.requests == judgement.numbers.requests
    assert [cause.ids for cause in run.causes] == [c.ids for c in judgement.causes if c.the_rollouts]
    assert run.objects


def test_a_run_without_a_verdict_is_named_with_what_to_do(tmp_path: Path) -> None:
    make_run(tmp_path, 1, versions={"zdtest": "0.1.0"})
    (run,) = listed(tmp_path).runs
    name = folder_name(1)
    assert run.missing == "written by zdtest 0.1.0, no verdict.json"
    said = f"run {name}: {run.missing}: judge it with zdtest report"
    assert f"{said} {name}" in table.render(listed(tmp_path), "results")
    assert f"{said} /srv/runs/{name}" in table.render(listed(tmp_path), "/srv/runs/")


def test_a_running_run_and_a_killed_one_are_told_apart(tmp_path: Path) -> None:
    make_run(tmp_path, 1, state="running")
    killed = make_run(tmp_path, 2, state="running")
    long_ago = time.time() - 2 * 86400
    os.utime(killed / "run.json", (long_ago, long_ago))
    assert [run.verdict for run in listed(tmp_path).runs] == ["killed", "running"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"verdict": 1}',
        '{"verdict": {"grade": "<b>"}}',
        "[" * 100_000,
        "\x00",
        '{"a": NaN}',
    ],
)
def test_a_damaged_verdict_is_named_and_the_run_still_listed(tmp_path: Path, text: str) -> None:
    path = make_run(tmp_path, 1)
    (path / "verdict.json").write_text(text)
    (run,) = listed(tmp_path).runs
    assert run.grade == ""
    assert run.missing.startswith("verdict.json")
    assert len(run.unjudged().splitlines()) == 1


@pytest.mark.parametrize("grade", ["PASS", "FAIL", "INCONCLUSIVE"])
def test_a_verdict_that_an_older_zdtest_wrote_leaves_unknown_what_it_lacks(
    tmp_path: Path, grade: str
) -> None:
    make_run(tmp_path, 1, {"verdict": {"grade": grade}})
    (run,) = listed(tmp_path).runs
    assert (run.grade, run.lost, run.p99_ns, run.outage_ns, run.reach_ns) == (grade, None, None, None, None)
    assert grade in table.render(listed(tmp_path), "results")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"),
        ("[]", "no format number"),
        ('{"format": 2}', "newer zdtest"),
        ('{"format": 1, "name": "../x", "wall_ns": 1}', "damaged"),
        ('{"format": 1, "name": "x", "wall_ns": 1e999}', "too large"),
        ('{"format": 1, "name": "x", "wall_ns": -5}', "damaged"),
        ('{"format": true, "name": 5}', "damaged"),
    ],
)
def test_a_folder_with_a_damaged_run_json_is_skipped_with_the_reason(
    tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "run.json").write_text(text)
    found = listed(tmp_path)
    assert not found.runs
    assert said in why(found)["odd"]


def test_values_of_the_wrong_type_are_unknown_and_break_nothing(tmp_path: Path) -> None:
    wrong: list[object] = [None, 5, -1, "x", [], {}, [{}], True, 1.5, HOSTILE]
    for night, value in enumerate(wrong):
        changed = {key: value for key in record(0) if key not in {"format", "name", "wall_ns"}}
        path = make_run(tmp_path, night, dict.fromkeys(verdict(), value) | {"verdict": {"grade": "FAIL"}})
        (path / "run.json").write_text(json.dumps(record(night) | changed))
        (path / "manifests" / "before.json").write_text(json.dumps(value))
    found = listed(tmp_path)
    assert len(found.runs) == len(wrong)
    printed = table.render(found, "results")
    assert "\x1b" not in printed
    assert "\u202e" not in printed


def test_every_lab_has_another_address_and_the_same_target(tmp_path: Path) -> None:
    for night, port in ((1, 39371), (2, 33679)):
        path = make_run(tmp_path, night, verdict())
        raw = json.loads((path / "run.json").read_text())
        raw["targets"] = [{"method": "GET", "url": f"https://127.0.0.1:{port}/shop"}]
        raw["cluster"]["lab"] = True
        (path / "run.json").write_text(json.dumps(raw))
    assert {run.target for run in listed(tmp_path).runs} == {"GET https://the-lab/shop"}


def test_an_experiment_is_no_run_and_says_where_its_runs_are(tmp_path: Path) -> None:
    folder = tmp_path / "20261130T030000Z-ab-web"
    folder.mkdir()
    (folder / "experiment.json").write_text("{}")
    assert [(one.folder, one.why) for one in listed(tmp_path).skipped] == [
        (folder.name, f"an experiment; its runs are listed by: zdtest list {folder}/runs")
    ]


def test_what_is_no_run_is_named_and_skipped_and_no_link_is_followed(tmp_path: Path) -> None:
    root = tmp_path / "results"
    elsewhere = make_run(tmp_path / "elsewhere", 1, verdict())
    root.mkdir()
    (root / "notes").mkdir()
    (root / folder_name(2)).mkdir()
    (root / "crash.txt").write_text("")
    (root / ".hidden").mkdir()
    (root / "link").symlink_to(elsewhere)
    linked = make_run(root, 3)
    (linked / "run.json").unlink()
    (linked / "run.json").symlink_to(elsewhere / "run.json")
    found = listed(root)
    assert not found.runs
    assert why(found).keys() == {"notes", "link", folder_name(2), folder_name(3)}
    assert why(found)["notes"] == "there is no run.json in it"
    assert "never began" in why(found)[folder_name(2)]
    assert "link" in why(found)["link"]
    assert "link" in why(found)[folder_name(3)]


def test_a_folder_that_holds_no_runs_says_so_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        listed(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="Not a directory"):
        listed(tmp_path / "file")
    run = make_run(tmp_path, 1)
    (run / "hits").mkdir()
    with pytest.raises(UsageError, match="is one run"):
        listed(run)
    assert table.render(listed(run / "hits"), "results") == "no run in results"


@pytest.mark.parametrize("width", [80, 100])
def test_the_table_fits_the_terminal_however_long_the_names_are(tmp_path: Path, width: int) -> None:
    long = "a" * 200
    cluster = {"kind": "StatefulSet", "namespace": long, "name": long, "context": long, "server": long}
    causes = tuple(((f"B{n}", f"C{n}"), 5) for n in range(30))
    make_run(tmp_path, 1, verdict("INCONCLUSIVE", lost=8_999_999, causes=causes), name=long, cluster=cluster)
    make_run(tmp_path, 2)
    lines = table.render(listed(tmp_path), "results", width).splitlines()
    assert all(len(line) <= width for line in lines[:3])
    assert "INCONCLUSIVE" in lines[2]
    assert "8,999,999" in lines[2]


def test_the_time_in_the_table_is_the_one_in_the_folders_name(tmp_path: Path) -> None:
    make_run(tmp_path, 0)  # its load began two seconds after the folder was made
    assert listed(tmp_path).runs[0].when == "2026-11-01 03:00"
    (tmp_path / folder_name(0)).rename(tmp_path / "example")
    assert listed(tmp_path).runs[0].when == "2026-11-01 03:00"


# --- the index ----------------------------------------------------------------------------------------------


def many(root: Path, count: int = index.WORTH_IT) -> None:
    for night in range(count):
        make_run(root, night, verdict("FAIL", lost=night, causes=((("B1",), night),)), deployment())


def test_the_index_gives_what_the_runs_give_without_opening_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many(tmp_path)
    first = listed(tmp_path)
    monkeypatch.setattr(reading, "read", lambda *_: pytest.fail("a run was opened"))
    assert listed(tmp_path) == first
    assert len(first.runs) == index.WORTH_IT


def test_few_runs_get_no_index(tmp_path: Path) -> None:
    many(tmp_path, 3)
    listed(tmp_path)
    assert not (tmp_path / index.NAME).exists()


def test_a_run_that_was_judged_again_is_read_again(tmp_path: Path) -> None:
    many(tmp_path, index.WORTH_IT + 1)
    listed(tmp_path)
    (tmp_path / folder_name(5) / "verdict.json").write_text(json.dumps(verdict("PASS")))
    shutil.rmtree(tmp_path / folder_name(7))
    found = {run.folder: run.grade for run in listed(tmp_path).runs}
    assert found[folder_name(5)] == "PASS"
    assert folder_name(7) not in found
    assert len(lines_of(tmp_path / index.NAME)) == 1 + index.WORTH_IT  # the head, and one run less


def test_a_running_run_is_never_taken_from_the_index(tmp_path: Path) -> None:
    many(tmp_path)
    path = make_run(tmp_path, 90, state="running")
    assert listed(tmp_path).runs[0].verdict == "running"
    long_ago = time.time() - 2 * 86400
    stamp = (path / "run.json").stat()
    os.utime(path / "run.json", (long_ago, long_ago))
    assert listed(tmp_path).runs[0].verdict == "killed"
    assert stamp.st_size


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: "",
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('{"zdtest_index":1}', '{"zdtest_index":99}'),
        lambda text: text.replace('"lost":', '"last":'),
        lambda text: text.replace('"grade":"FAIL"', '"grade":"GOOD"'),
        lambda text: text.replace('"lost":5', '"lost":"5"'),
        lambda text: text.replace('"stamp":[', '"stamp":[true,'),
        lambda text: text + "\n[]\n{}\nnull\n" + "[" * 200,
        lambda _: "\udc80",
    ],
)  # fmt: skip
def test_a_broken_index_is_rebuilt(tmp_path: Path, damage: object) -> None:
    many(tmp_path)
    first = listed(tmp_path)
    file = tmp_path / index.NAME
    whole = file.read_text()
    file.write_text(damage(whole), errors="surrogateescape")  # type: ignore[operator]
    assert listed(tmp_path) == first
    listed(tmp_path)
    assert sorted(file.read_text().splitlines())[:1]
    assert index.load(tmp_path).keys() == {run.folder for run in first.runs}


def test_an_index_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    many(tmp_path)
    (tmp_path / index.NAME).mkdir()
    assert len(listed(tmp_path).runs) == index.WORTH_IT


def test_an_index_that_is_a_link_is_neither_read_nor_written_through(tmp_path: Path) -> None:
    root = tmp_path / "results"
    root.mkdir()
    many(root)
    outside = tmp_path / "outside"
    outside.write_text("mine")
    (root / index.NAME).symlink_to(outside)
    listed(root)
    assert outside.read_text() == "mine"


def test_a_run_is_the_same_after_a_way_through_json(tmp_path: Path) -> None:
    many(tmp_path, 1)
    (run,) = listed(tmp_path).runs
    assert runs.from_json(json.loads(json.dumps(runs.to_json(run)))) == run


def test_runs_of_suites_are_listed_with_all_others(tmp_path: Path) -> None:
    night = tmp_path / "20261103T010000Z-suite-nightly"
    suite.write(night_of(night), suite.Suite("nightly", ()))
    make_run(night / suite.RUNS, 2, verdict("FAIL", lost=3), name="web")
    make_run(tmp_path, 1, verdict(), name="web")
    (night / suite.RUNS / "20261104T030007Z-linked").symlink_to(tmp_path)
    found = listed(tmp_path)
    inner = f"{night.name}/runs/{folder_name(2, 'web')}"
    assert [run.folder for run in found.runs] == [inner, folder_name(1, "web")]
    assert found.runs[0].when == "2026-11-03 03:00", "when the run began, not the suite"
    assert [one.folder for one in found.skipped] == [f"{night.name}/runs/20261104T030007Z-linked"]


def test_a_suite_without_runs_is_neither_listed_nor_skipped(tmp_path: Path) -> None:
    suite.write(night_of(tmp_path / "20261103T010000Z-suite-nightly"), suite.Suite("nightly", ()))
    assert listed(tmp_path) == Listing(())


def test_the_index_knows_the_runs_of_suites(tmp_path: Path) -> None:
    for night in range(index.WORTH_IT):
        folder = night_of(tmp_path / f"202611{night + 1:02d}T010000Z-suite-nightly")
        suite.write(folder, suite.Suite("nightly", ()))
        make_run(folder / suite.RUNS, night, verdict(), name="web")
    first = listed(tmp_path)
    assert len(index.load(tmp_path)) == len(first.runs) == index.WORTH_IT
    assert listed(tmp_path) == first


def night_of(folder: Path) -> Path:
    (folder / suite.RUNS).mkdir(parents=True)
    return folder
