"""What a user may type wrong: one line on standard error, exit code 2, and nothing is touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.history.folders import make_run, verdict
from tests.history.test_commands import zdtest

if TYPE_CHECKING:
    from pathlib import Path

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
