"""Ctrl-C, SIGTERM and a closed terminal: at any moment and any number of times, the exit code is right."""

from __future__ import annotations

import http.server
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.interrupts import wrapped
from harness.recording.read import Recording
from tests.processes import caught, come_true, descendants, ended_within, signalled_until_it_ends
from tests.webserver import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

ALL = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(Answers) as address:
        yield address


@contextmanager
def hanging_up(how: signal.Handlers) -> Iterator[None]:
    """What a child process of these tests inherits: the tests themselves may run under nohup."""
    before = signal.signal(signal.SIGHUP, how)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def python(*words: str, how: signal.Handlers = signal.SIG_DFL) -> subprocess.Popen[str]:
    with hanging_up(how):
        return subprocess.Popen(
            [sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )


def program(*words: str, how: signal.Handlers = signal.SIG_DFL) -> subprocess.Popen[str]:
    return python("-m", "harness", *words, how=how)


def a_run(out: Path, url: str, lasts: str = "30s") -> subprocess.Popen[str]:
    return program("run", "--no-rollout", url, "-c", "2", "-d", lasts, "-o", str(out))


@pytest.fixture(scope="module")
def done(url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that is over."""
    out = tmp_path_factory.mktemp("done")
    process = a_run(out, url, "1s")
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    return next(out.glob("*"))


def test_signals_have_a_handler_before_anything_that_takes_long_to_load_is_imported() -> None:
    words = "import sys, harness.__main__; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert not {"click", "harness.cli", "anyio", "asyncio"} & set(loaded.stdout.split())


WRAPPED = """
import sys, types
from harness.interrupts import Interrupted

class Field:
    def __set_name__(self, owner, name):
        raise Interrupted

def main():
    type("Class", (), {"field": Field()})

if sys.argv[1] == "while it loads":
    class Finder:
        def find_spec(self, name, *_):
            if name == "harness.cli":
                main()
    sys.meta_path.insert(0, Finder())
else:
    import harness.cli
    harness.cli.root.main = lambda **_: main()
from harness.__main__ import main as program
sys.exit(program())
"""


@pytest.mark.parametrize("when", ["while it loads", "in a command"])
def test_an_interrupt_that_python_wraps_in_another_error_is_an_interrupt(when: str) -> None:
    done = subprocess.run([sys.executable, "-c", WRAPPED, when], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "zdtest: interrupted\n")


def test_another_error_that_has_a_cause_is_no_interrupt() -> None:
    error = RuntimeError("y")
    error.__cause__ = ValueError("x")
    assert not wrapped(error)


@pytest.mark.parametrize("number", ALL)
@pytest.mark.parametrize("after_s", [0.0, 0.02, 0.06])
def test_a_signal_while_the_program_loads_gives_one_line_and_130(
    number: signal.Signals, after_s: float, done: Path
) -> None:
    process = program("report", str(done))
    assert come_true(lambda: caught(process.pid, signal.SIGTERM))
    time.sleep(after_s)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (130, ""), stderr
    assert stderr.split("\n") in (
        ["zdtest: interrupted", ""],
        ["", "zdtest: interrupted", ""],
    )  # click's newline


@pytest.mark.parametrize("after_s", [0.0, 0.05, 0.2, 0.4, 0.7, 1.0, 1.5, 2.0])
def test_signals_without_end_from_any_moment_on_end_a_run_with_130(
    tmp_path: Path, url: str, after_s: float
) -> None:
    process = a_run(tmp_path, url)
    assert come_true(lambda: caught(process.pid, signal.SIGTERM))
    time.sleep(after_s)
    _, stderr = signalled_until_it_ends(process, *ALL, every_s=0.002)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr


@pytest.mark.parametrize("times", [1, 2, 4])
@pytest.mark.parametrize("apart_s", [0.0, 0.1])
def test_a_burst_ends_a_run_with_130_and_a_recording(
    tmp_path: Path, url: str, times: int, apart_s: float
) -> None:
    process = a_run(tmp_path, url)
    assert process.stderr
    for line in process.stderr:
        if line.startswith("00:"):  # the load is being shown: it goes on
            break
    below = descendants(process.pid)
    for n in range(times):
        process.send_signal(ALL[n % len(ALL)])
        time.sleep(apart_s)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert "nothing was touched" not in stderr
    assert Recording.open(next(tmp_path.glob("*"))).run.state == "interrupted"
    assert ended_within(below, 10)


@pytest.mark.parametrize("number", ALL)
def test_signals_that_come_when_the_verdict_is_printed_do_not_kill(
    done: Path, number: signal.Signals
) -> None:
    process = program("report", str(done))
    assert process.stdout
    while not process.stdout.readline().startswith("PASS: "):
        assert process.poll() is None
    _, stderr = signalled_until_it_ends(process, number, every_s=0.001)
    assert process.returncode in {0, 130}, stderr
    assert "Traceback" not in stderr


def test_once_the_exit_code_is_set_no_signal_changes_it() -> None:
    """Nor while Python shuts down."""
    words = """
import atexit, sys, time
from harness.interrupts import PROGRAM
PROGRAM.catch()
atexit.register(lambda: (print("ending", flush=True), time.sleep(0.5)))
PROGRAM.hold()
sys.exit(3)
"""
    process = python("-c", words)
    assert process.stdout
    assert process.stdout.readline() == "ending\n"
    _, stderr = signalled_until_it_ends(process, *ALL, every_s=0.001)
    assert (process.returncode, stderr) == (3, "")


def test_an_interrupt_that_is_handled_outside_of_an_exec_leaves_the_exit_code_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "interrupted.py").write_text("""
import os, signal, sys
from harness.interrupts import PROGRAM
PROGRAM.catch()
try:
    exec("os.kill(os.getpid(), signal.SIGINT)")
except KeyboardInterrupt:
    sys.exit(130)
""")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path.cwd()}")
    process = python("-m", "interrupted")
    _, stderr = process.communicate(timeout=30)
    assert (process.returncode, stderr) == (130, "")


def test_a_program_started_by_nohup_survives_a_closing_terminal(tmp_path: Path, url: str) -> None:
    words = ("run", "--no-rollout", url, "-c", "2", "-d", "2s", "-o", str(tmp_path))
    process = program(*words, how=signal.SIG_IGN)
    assert come_true(lambda: caught(process.pid, signal.SIGTERM))
    _, stderr = signalled_until_it_ends(process, signal.SIGHUP)
    assert process.returncode == 0, stderr


def test_a_lab_that_is_ended_many_times_ends_as_if_it_had_been_once() -> None:
    process = program("lab", "up", "scenarios/seed/1-no-probe")
    assert process.stdout
    for line in process.stdout:
        if line.startswith("Ctrl-C"):
            break
    below = descendants(process.pid)
    assert below
    for number in ALL:
        process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert ended_within(below, 10)


CALLBACK = """
import time, weakref
from harness.interrupts import PROGRAM

class Thing: ...

def slow(_):
    print("in the callback", flush=True)
    time.sleep(0.5)

PROGRAM.catch()
thing = Thing()
kept = weakref.ref(thing, slow)
try:
    del thing
    time.sleep(5)
    print("went on")
except KeyboardInterrupt:
    print("ended")
"""


def test_a_signal_in_a_callback_that_cannot_raise_still_ends_the_program() -> None:
    command = [sys.executable, "-c", CALLBACK]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "in the callback\n"
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=20)
    assert (stdout, stderr, process.returncode) == ("ended\n", "", 0)
