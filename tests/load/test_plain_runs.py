"""Plain load tests as a user runs them: `zdtest run --no-rollout URL`, what it prints, and how it fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.load.scripted_server import ScriptedServer, Visit, always
from tests.processes import descendants

if TYPE_CHECKING:
    from collections.abc import Callable

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def command(url: str, out: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "harness", "run", url, "--no-rollout", "-o", str(out), *words]


def run(url: str, out: Path, *words: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    done = subprocess.run(command(url, out, *words), capture_output=True, text=True, timeout=170, check=False)
    (path,) = out.iterdir()
    return done, json.loads((path / "verdict.json").read_text())


def workers(pid: int) -> list[int]:
    return [
        child
        for child, _ in descendants(pid)
        if b"harness.load.worker" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_run_without_a_cluster_does_not_wait_for_kubernetes_to_be_loaded() -> None:
    code = "import sys, harness.run.execute; print({'kubernetes', 'pandas', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.slow
def test_a_worker_that_is_killed_ends_the_run_inconclusive_and_what_was_written_is_reported(
    tmp_path: Path,
) -> None:
    with ScriptedServer(always(OK)) as server:
        process = subprocess.Popen(
            command(server.url, tmp_path, "-c", "4", "--workers", "2", "-d", "60s"),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        wait_for(lambda: server.seen["requests"] > 1000)
        time.sleep(3)  # past the warm-up, and some flushes
        os.kill(min(workers(process.pid)), signal.SIGKILL)
        out, errors = process.communicate(timeout=100)
    assert process.returncode == 3, out + errors
    assert out.rstrip().splitlines()[-1].startswith("INCONCLUSIVE: 1 of 2 workers was lost (number ")
    assert "had open when it was lost" in out
    (path,) = tmp_path.iterdir()
    verdict = json.loads((path / "verdict.json").read_text())
    assert verdict["about"]["ended_by"] == "worker_lost"
    rows = {worker["worker"]: worker["hits"] for worker in verdict["numbers"]["workers"]}
    assert set(rows) == {0, 1}
    assert min(rows.values()) > 50


def test_a_service_that_fails_shows_when_why_and_how_the_load_held_back(tmp_path: Path) -> None:
    def script(visit: Visit) -> None:
        while visit.request():
            turn = visit.server.seen["requests"] % 10
            if turn == 5:  # quicker than any good answer
                visit.answer(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
                continue
            time.sleep(0.04)
            if turn == 0:
                visit.reset()
                return
            visit.answer()

    with ScriptedServer(script) as server:
        done, verdict = run(server.url, tmp_path, "-c", "4", "-d", "1s")
    assert done.returncode == 1, done.stderr
    output = " ".join(done.stdout.split())
    assert "closed loop, 4 slots, 1 request in flight each, 1 worker" in output
    assert "reset_before_response, for one: ConnectionResetError(104, 'Connection reset by peer')" in output
    assert "reset by the server" in output
    assert "a connection waited after a failed request" in output
    sending = verdict["sending"]
    assert sending["open_loop"] is None
    assert sending["backed_off"] > 0
    assert sending["connections"]["opened"] == server.seen["connections"] - 3  # the preflight's
    assert sending["connections"]["ends"]["peer reset"] > 3


@pytest.mark.slow
def test_a_service_that_is_down_stops_the_load_and_fails(tmp_path: Path) -> None:
    def script(visit: Visit) -> None:
        while visit.request():
            down = visit.server.seen["requests"] > 200
            time.sleep(0.02)
            visit.answer(b"HTTP/1.1 503 Down\r\nContent-Length: 0\r\n\r\n" if down else OK)

    with ScriptedServer(script) as server:
        done, verdict = run(server.url, tmp_path, "-c", "4", "-d", "10m")
    assert done.returncode == 1, done.stderr
    assert verdict["about"]["ended_by"] == "service_down"
    assert any(
        "over half of all requests failed for 30 s" in f["observed"] for f in verdict["verdict"]["findings"]
    )
