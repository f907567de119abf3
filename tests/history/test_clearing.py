"""`run --keep` and `clean`: the oldest runs go, and nothing else does."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from harness.history.clearing import chosen, finished_runs, prune, prune_suites, remove
from harness.recording.series import suite
from harness.recording.write import write_json


def run_of(root: Path, folder: str, name: str, state: str = "complete") -> None:
    (root / folder).mkdir()
    write_json(root / folder / "run.json", {"name": name, "state": state})


def test_keep_deletes_the_oldest_runs_of_that_name_and_nothing_else(tmp_path: Path) -> None:
    for day in (21, 22, 23, 24):
        run_of(tmp_path, f"202611{day}T000000Z-web", "web")
    run_of(tmp_path, "20261120T000000Z-web-2", "web-2")
    run_of(tmp_path, "20261119T000000Z-web", "web", state="running")
    (tmp_path / "20261101T000000Z-web").mkdir()
    (tmp_path / "notes").mkdir()
    gone = prune(tmp_path, "web", keep=2)
    assert [path.name for path in gone] == ["20261121T000000Z-web", "20261122T000000Z-web"]
    left = {path.name for path in tmp_path.iterdir()}
    assert {"20261120T000000Z-web-2", "20261119T000000Z-web", "20261101T000000Z-web", "notes"} <= left


def suite_of(root: Path, day: int, name: str) -> Path:
    path = root / f"202611{day}T000000Z-suite-{name}"
    (path / "runs" / f"202611{day}T000001Z-web").mkdir(parents=True)
    suite.write(path, suite.Suite(name, ()))
    return path


def test_keep_deletes_the_oldest_suites_of_that_name_with_their_runs(tmp_path: Path) -> None:
    nightly = [suite_of(tmp_path, day, "nightly") for day in (21, 22, 23, 24)]
    weekly = suite_of(tmp_path, 20, "weekly")
    (tmp_path / "20261119T000000Z-suite-nightly").mkdir()
    (tmp_path / "20261118T000000Z-suite-nightly").symlink_to(nightly[3])
    gone = prune_suites(tmp_path, "nightly", 2, spared=nightly[0])
    assert gone == [nightly[1]], "the one that was just resumed stays"
    assert prune_suites(tmp_path, "nightly", 2, spared=nightly[3]) == [nightly[0]]
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {
        nightly[2].name, nightly[3].name, weekly.name, "20261119T000000Z-suite-nightly",
        "20261118T000000Z-suite-nightly",
    }  # fmt: skip


def test_keep_counts_a_run_that_was_killed_once_it_can_no_longer_be_at_work(tmp_path: Path) -> None:
    for day in (21, 22):
        run_of(tmp_path, f"202611{day}T000000Z-web", "web", state="running")
    run_of(tmp_path, "20261123T000000Z-web", "web")
    long_ago = time.time() - 2 * 86400
    os.utime(tmp_path / "20261121T000000Z-web" / "run.json", (long_ago, long_ago))
    os.utime(tmp_path / "20261122T000000Z-web" / "run.json", (long_ago, long_ago))
    (tmp_path / "20261122T000000Z-web" / "generator.jsonl").write_text("{}\n")  # this one still writes
    assert [path.name for path in prune(tmp_path, "web", keep=1)] == ["20261121T000000Z-web"]


def folders(*names: str) -> list[Path]:
    return [Path(f"r/2026112{n}T000000Z-{name}") for n, name in enumerate(names)]


def test_clean_keeps_the_latest_of_each_name_and_spares_the_latest_pass() -> None:
    web, shop = folders("web", "web", "web", "web"), folders("shop", "shop")
    grades = dict(zip((path.name for path in web), ("PASS", "PASS", "FAIL", "FAIL"), strict=True))
    assert chosen({"web": web, "shop": shop}, grades, keep=1) == sorted([shop[0], web[0], web[2]])
    assert chosen({"web": web}, {}, keep=1) == web[:3]


@pytest.mark.parametrize(("keep_failed", "gone"), [(0, [0, 1, 3]), (1, [0, 1]), (2, [0]), (9, [])])
def test_clean_spares_as_many_failed_runs_as_it_is_told(keep_failed: int, gone: list[int]) -> None:
    runs = folders(*["web"] * 6)
    grades = dict(zip((path.name for path in runs), ("FAIL", "FAIL", "PASS", "FAIL", "", ""), strict=True))
    assert chosen({"web": runs}, grades, 2, keep_failed) == [runs[n] for n in gone]


def test_what_is_no_finished_run_of_ours_is_never_chosen(tmp_path: Path) -> None:
    for day in (21, 22):
        run_of(tmp_path, f"202611{day}T000000Z-web", "web")
    run_of(tmp_path, "example", "web")  # renamed by hand
    run_of(tmp_path, "20261101T000000Z-live", "web", state="running")
    (tmp_path / "20261101T000000Z-notes").mkdir()
    (tmp_path / "20261102T000000Z-link").symlink_to(tmp_path / "example")
    (tmp_path / "20261103T000000Z-list").mkdir()
    write_json(tmp_path / "20261103T000000Z-list" / "run.json", [])
    assert [path.name for path in chosen(finished_runs(tmp_path), {}, keep=1)] == ["20261121T000000Z-web"]


@pytest.mark.parametrize("name", ["keep-20261101T000000Z-web", "1-20261101T000000Z-web", "BEST-Z-web"])
def test_a_run_that_was_renamed_is_kept_even_if_its_time_is_still_in_the_name(
    tmp_path: Path, name: str
) -> None:
    for day in (21, 22):
        run_of(tmp_path, f"202611{day}T000000Z-web", "web")
    run_of(tmp_path, name, "web")
    assert [path.name for path in prune(tmp_path, "web", keep=1)] == ["20261121T000000Z-web"]
    assert (tmp_path / name / "run.json").is_file()


def test_deleting_a_run_follows_no_link_out_of_it(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    (kept / "inner").mkdir(parents=True)
    (kept / "file").write_text("mine")
    run_of(tmp_path, "20261121T000000Z-web", "web")
    path = tmp_path / "20261121T000000Z-web"
    (path / "link").symlink_to(kept)
    (path / "hits").mkdir()
    (path / "hits" / "link").symlink_to(kept / "file")
    remove(path)
    assert not path.exists()
    assert (kept / "file").read_text() == "mine"


def test_a_run_that_was_deleted_in_part_is_still_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_of(tmp_path, "20261121T000000Z-web", "web")
    path = tmp_path / "20261121T000000Z-web"
    (path / "hits").mkdir()

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "hits")

    with monkeypatch.context() as patched:
        patched.setattr("shutil.rmtree", refused)
        with pytest.raises(PermissionError):
            remove(path)
    assert finished_runs(tmp_path) == {"web": [path]}
