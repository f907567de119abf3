"""What the watch saw is on disk before the run acts on it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import anyio
import pytest

from harness.model import ClusterEvent, WatchGap
from harness.recording.write import RunDirectory
from harness.run.keeping import keep_events

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from harness.cluster.watching.watcher import Item

DELETED = ClusterEvent(5, "DELETED", "Pod", "shop", "web-a", "uid-web-a", {"metadata": {"name": "web-a"}})
GAP = WatchGap("Pod", 5, 9, "410 Gone", relisted=True)


async def watched() -> AsyncIterator[Item]:
    for item in (DELETED, GAP):
        yield item


def test_events_and_gaps_are_recorded_before_the_run_sees_them(tmp_path: Path) -> None:
    seen: list[tuple[Item, int]] = []
    with RunDirectory.create(tmp_path, "web", datetime.now(UTC)) as directory:
        file = directory.path / "events.jsonl"
        anyio.run(
            keep_events,
            watched(),
            directory,
            lambda item: seen.append((item, len(file.read_text().splitlines()))),
        )
    assert seen == [(DELETED, 1), (GAP, 2)]


def test_an_event_that_the_run_stumbles_over_is_on_disk(tmp_path: Path) -> None:
    def stumble(_item: Item) -> None:
        raise KeyError("metadata")

    with RunDirectory.create(tmp_path, "web", datetime.now(UTC)) as directory:
        with pytest.raises(KeyError):
            anyio.run(keep_events, watched(), directory, stumble)
        assert '"web-a"' in (directory.path / "events.jsonl").read_text()
