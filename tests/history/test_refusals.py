"""What a user may type wrong: one line on standard error, exit code 2, and nothing is touched."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.history.folders import make_run, verdict
from tests.history.test_commands import QUIET, zdtest

LONG = "a" * 300  # no file system takes such a name


@pytest.mark.parametrize(
    "words",
    [
        ["show", LONG],
        ["show", f"results/{LONG}"],
        ["show", f"{LONG}/last"],
        ["export", "last", "--to", "csv", "--out", LONG],
        ["history", "--html", f"{LONG}.html"],
        ["history", LONG],
        ["report", "last", "--junit", LONG],
        ["report", "last", "--junit", f"{LONG}/a.xml"],
        ["ladder", LONG],
        ["lint", f"{LONG}.yaml"],
        ["run", "-f", LONG],
        ["run", "-f", f"{LONG}.yaml"],
    ],
    ids=lambda words: " ".join(words).replace(LONG, "LONG"),
)
def test_a_name_that_is_too_long_is_one_line_and_exit_code_2(tmp_path: Path, words: list[str]) -> None:
    make_run(tmp_path / "results", 0, verdict())
    done = zdtest(tmp_path, *words)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["results"]


def test_two_outputs_to_one_file_are_refused(tmp_path: Path) -> None:
    make_run(tmp_path / "results", 0, verdict())
    (tmp_path / "link").symlink_to(tmp_path / "same")
    for second in ("same", "./same", "link"):
        done = zdtest(tmp_path, "report", "last", "--junit", "same", "--markdown", second)
        assert done.returncode == 2
        assert done.stderr == (
            f"zdtest: --markdown {Path(second)}: --junit goes to the same file; give each a file of its own\n"
        )
    assert not (tmp_path / "same").exists()


def test_a_page_and_json_at_once_are_refused(tmp_path: Path) -> None:
    make_run(tmp_path / "results", 0, verdict())
    done = zdtest(tmp_path, "history", "--html", "page.html", "--format", "json")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "--html and --format json do not go together" in done.stderr
    assert not (tmp_path / "page.html").exists()


def test_clean_that_is_answered_no_deletes_nothing_and_is_no_interruption(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / "results", night, verdict()) for night in range(2)]
    ours, its = pty.openpty()
    os.write(ours, b"n\n")
    done = subprocess.run(
        [sys.executable, "-m", "harness", "clean", "--keep", "1"],
        cwd=tmp_path, stdin=its, capture_output=True, text=True, check=False, timeout=120,
        env={**QUIET, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    os.close(ours)
    os.close(its)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "nothing was deleted"), done.stderr
    assert "interrupted" not in done.stderr
    assert all(path.is_dir() for path in runs)
