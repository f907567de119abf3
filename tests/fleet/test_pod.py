from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from harness.clock import NS, Clock
from harness.fleet.arriving import Arriving
from harness.fleet.frames import HITS, LogName, Piece, piece
from harness.fleet.link import Link, _Connection
from harness.fleet.members import Member
from harness.fleet.pod.pod import ORPHANED_S, UNCALLED_S, Pod

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("done", "patience_s"), [(0, UNCALLED_S), (1, ORPHANED_S)])
def test_a_pod_that_nobody_speaks_to_ends_by_itself(tmp_path: Path, done: int, patience_s: float) -> None:
    now, asked = [5 * NS], []

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            pod = Pod(tmp_path, tasks, lambda: now[0])
            pod._done = done

            async def pass_time() -> None:
                now[0] += round((patience_s - 1) * NS)
                await anyio.sleep(0.01)
                asked.append(tasks.cancel_scope.cancel_called)
                now[0] += 2 * NS

            tasks.start_soon(pass_time)
            tasks.start_soon(pod.leave_when_forgotten)
            await anyio.sleep(30)

    anyio.run(main)
    assert asked == [False]


def test_a_full_disk_ends_the_run_and_is_not_taken_for_a_connection_that_broke(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Arriving, "_keep", full)

    async def main() -> None:
        link = Link(
            Member("pod-1"), (3,), Arriving(tmp_path, [3], lambda _: None), Clock.start(), lambda: None
        )
        connection = _Connection(link)
        connection.data_received(piece(Piece(LogName(HITS, 3), 0, b"abc")))
        assert connection.closed.is_set()
        assert isinstance(link.broken, OSError)
        assert link.complaint == ""

    anyio.run(main)


def test_what_no_pod_says_ends_the_connection_and_is_remembered(tmp_path: Path) -> None:
    async def main() -> None:
        link = Link(
            Member("pod-1"), (3,), Arriving(tmp_path, [3], lambda _: None), Clock.start(), lambda: None
        )
        connection = _Connection(link)
        connection.data_received(b"HTTP/1.1 400 Bad Request\r\n")
        assert connection.closed.is_set()
        assert "another version" in link.complaint

    anyio.run(main)
