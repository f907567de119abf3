from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from harness.errors import RecordingError
from harness.model import ClusterEvent, WatchGap
from harness.recording.write import RunDirectory, write_json

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
