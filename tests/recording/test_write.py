from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from harness.errors import RecordingError
from harness.model import ClusterEvent, WatchGap
from harness.recording.write import RunDirectory, prune, write_json

if TYPE_CHECKING:
    from pathlib import Path

WHEN = datetime(2026, 11, 25, 14, 2, 11, tzinfo=UTC)


def test_a_run_directory_is_named_by_time_and_name_and_numbered_on_collision(tmp_path: Path) -> None:
    names = []
    for _ in range(3):
        with RunDirectory.create(tmp_path, "web", WHEN) as directory:
            names.append(directory.path.name)
    assert names == ["20261125T140211Z-web", "20261125T140211Z-web-2", "20261125T140211Z-web-3"]
    assert (tmp_path / names[0] / "hits").is_dir()


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingError, match="-o"):
        RunDirectory.create(tmp_path / "file", "web", WHEN)


def test_events_and_gaps_are_lines_that_can_be_read_while_the_run_goes_on(tmp_path: Path) -> None:
    with RunDirectory.create(tmp_path, "web", WHEN) as directory:
        directory.event(ClusterEvent(5, "ADDED", "Pod", "default", "web-1", "u", {"a": 1}))
        directory.gap(WatchGap("Pod", 1, 2, "410 Expired", relisted=True))
        lines = [json.loads(line) for line in (directory.path / "events.jsonl").read_text().splitlines()]
    assert lines[0]["name"] == "web-1"
    assert lines[1]["gap"] is True


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


def test_keep_counts_a_run_that_was_killed_once_it_can_no_longer_be_at_work(tmp_path: Path) -> None:
    for day in (21, 22):
        run_of(tmp_path, f"202611{day}T000000Z-web", "web", state="running")
    run_of(tmp_path, "20261123T000000Z-web", "web")
    long_ago = time.time() - 2 * 86400
    os.utime(tmp_path / "20261121T000000Z-web" / "run.json", (long_ago, long_ago))
    os.utime(tmp_path / "20261122T000000Z-web" / "run.json", (long_ago, long_ago))
    (tmp_path / "20261122T000000Z-web" / "generator.jsonl").write_text("{}\n")  # this one still writes
    assert [path.name for path in prune(tmp_path, "web", keep=1)] == ["20261121T000000Z-web"]


def test_a_failed_write_leaves_no_temporary_file(tmp_path: Path) -> None:
    (tmp_path / "run.json").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_json(tmp_path / "run.json", {})
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_json_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    write_json(tmp_path / "run.json", {"a": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "run.json", {1j: "no key for JSON"})
    assert json.loads((tmp_path / "run.json").read_text()) == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
