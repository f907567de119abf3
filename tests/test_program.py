"""A fork of tests/program.py ends as Python does: tests that look at what `zdtest` printed can trust it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# `harness` itself is exchanged for a few lines: what matters is how a process ends, whatever it runs.
_FORK = """
import os, runpy, sys, threading, time
from tests.program import _become
def run(*_, **__):
    {body}
runpy.run_module = run
_become({{"words": [], "cwd": ".", "env": dict(os.environ)}}, [os.dup(n) for n in range(3)])
"""


def ended(body: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _FORK.format(body=body)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def test_half_a_line_on_either_stream_is_not_lost() -> None:
    done = ended("sys.stdout.write('out'); sys.stderr.write('err'); sys.exit(3)")
    assert (done.returncode, done.stdout, done.stderr) == (3, "out", "err")


def test_threads_that_are_no_daemons_are_waited_for() -> None:
    done = ended("threading.Thread(target=lambda: (time.sleep(0.3), print('late'))).start()")
    assert (done.returncode, done.stdout) == (0, "late\n")


def test_words_instead_of_an_exit_code_are_printed_and_mean_1() -> None:
    done = ended("sys.exit('no')")
    assert (done.returncode, done.stderr) == (1, "no\n")


def test_what_nobody_catches_is_a_traceback_and_means_1() -> None:
    done = ended("raise ValueError('x')")
    assert done.returncode == 1
    assert done.stderr.endswith("ValueError: x\n")
