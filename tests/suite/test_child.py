"""One run as a process of its own: one that hangs, is killed or interrupted, or whose suite is gone."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import yaml

from harness.errors import UsageError
from harness.suite.child import Child
from harness.suite.ending import Ended
from harness.suite.handover import Handed, line, taken

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path


@pytest.fixture
def silent() -> Iterator[str]:
    """An address that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


def waits_for_ever(folder: Path, url: str) -> list[str]:
    """The command line of a run that hangs: its target never answers the first request."""
    scenario = {"name": "hangs", "target": {"url": url, "timeout": "10m"}, "load": {"duration": "5s"}}
    (folder / "hangs.yaml").write_text(yaml.safe_dump(scenario))
    return ["run", "-f", str(folder / "hangs.yaml"), "--no-rollout", "-o", str(folder / "runs")]


def carried_out(
    folder: Path,
    words: list[str],
    limit_s: float,
    meanwhile: Callable[[Child], Coroutine[Any, Any, None]] | None = None,
) -> Ended:
    child, found = Child(), list[Ended]()

    async def whole() -> None:
        async with anyio.create_task_group() as group:
            if meanwhile:
                group.start_soon(meanwhile, child)
            with (folder / "log").open("wb") as log:
                found.append(await child.carry_out(words, line(Handed()), log, limit_s, folder))
            group.cancel_scope.cancel()

    anyio.run(whole)
    return found[0]


async def is_under_way(child: Child) -> int:
    """Wait until the process runs; return its id."""
    while child._process is None:  # noqa: ASYNC110  nothing tells when it is there
        await anyio.sleep(0.01)
    return child._process.pid


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_run_that_hangs_is_ended_after_its_limit(tmp_path: Path, silent: str) -> None:
    ended = carried_out(tmp_path, waits_for_ever(tmp_path, silent), 1.0)
    assert ended.timed_out
    assert not ended.interrupted
    assert ended.exit_code != 0
    assert 1 <= ended.took_s < 60


def test_a_run_that_is_killed_ends_at_once_with_the_signal(tmp_path: Path, silent: str) -> None:
    async def kill(child: Child) -> None:
        os.kill(await is_under_way(child), signal.SIGKILL)

    ended = carried_out(tmp_path, waits_for_ever(tmp_path, silent), 100, kill)
    assert (ended.exit_code, ended.timed_out) == (-signal.SIGKILL, False)


def test_a_run_that_does_not_obey_is_killed_when_asked_twice(
    tmp_path: Path, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.suite.child.LEAVE_S", 0.3)
    pids = []

    async def stop_and_ask(child: Child) -> None:
        pids.append(await is_under_way(child))
        os.kill(pids[0], signal.SIGSTOP)  # deaf to anything but SIGKILL
        child.interrupt(1)
        child.interrupt(2)

    ended = carried_out(tmp_path, waits_for_ever(tmp_path, silent), 100, stop_and_ask)
    assert (ended.exit_code, ended.interrupted) == (-signal.SIGKILL, True)
    assert not alive(pids[0])


def test_an_interrupt_that_comes_before_the_process_is_there_reaches_it(tmp_path: Path, silent: str) -> None:
    async def at_once(child: Child) -> None:
        await anyio.lowlevel.checkpoint()
        assert child._process is None
        child.interrupt(1)

    ended = carried_out(tmp_path, waits_for_ever(tmp_path, silent), 100, at_once)
    assert ended.interrupted
    assert ended.took_s < 60


def test_a_run_ends_when_its_suite_is_gone(tmp_path: Path, silent: str) -> None:
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "harness", *waits_for_ever(tmp_path, silent), "--of-suite", str(reading)]
    with subprocess.Popen(command, pass_fds=(reading,), stderr=subprocess.PIPE, text=True) as run:
        os.close(reading)
        os.write(writing, line(Handed()))
        time.sleep(0.5)
        assert run.poll() is None
        os.close(writing)
        assert run.wait(60) == 130
        assert run.stderr
        assert "interrupted" in run.stderr.read()


def test_what_is_handed_over_arrives_whole() -> None:
    handed = Handed(
        {"target.headers": {"A": "x" * 200_000}}, {"load": {"rate": 5}}, interactive=True, earlier="/r"
    )
    reading, writing = os.pipe()
    text = line(handed)
    writer = threading.Thread(target=lambda: os.write(writing, text))  # more than a pipe holds
    writer.start()
    assert taken(reading) == handed
    writer.join()
    # The write end stays open for as long as this process lives: its end would end this process.


def test_a_descriptor_that_is_no_suites_is_refused_in_one_line() -> None:
    reading, writing = os.pipe()
    os.close(writing)
    with pytest.raises(UsageError, match="--of-suite is for `zdtest suite` alone"):
        taken(reading)
    with pytest.raises(UsageError, match="--of-suite is for"):
        taken(987)
