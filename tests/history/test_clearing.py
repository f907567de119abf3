"""`run --keep` and `clean`: the oldest runs go, and nothing else does."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from harness.history.clearing import prune
from harness.recording.write import write_json

if TYPE_CHECKING:
    from pathlib import Path


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
