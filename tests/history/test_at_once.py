"""`list`, and `show` of a run that was judged, answer at once: nothing that takes long to load is loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.history.folders import make_run, verdict

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = {"pandas", "numpy", "scipy", "pyarrow", "matplotlib", "pydantic", "anyio", "kubernetes"}
PROGRAM = """
import sys
from harness.__main__ import main
sys.argv = ["zdtest", *sys.argv[1:]]
code = main()
print(" ".join(sorted(sys.modules)), file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize(
    "words",
    [["list"], ["list", "--format", "json"], ["show", "last"], ["history"], ["history", "--html", "p.html"]],
)
def test_nothing_heavy_is_loaded(tmp_path: Path, words: list[str]) -> None:
    for night in range(3):
        path = make_run(tmp_path / "results", night, verdict())
        (path / "summary.txt").write_text("PASS: as it was written\n")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        cwd=tmp_path, capture_output=True, text=True, check=False, env={**os.environ, "COVERAGE_PROCESS_START": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not HEAVY & set(done.stderr.split())
    assert "PASS" in done.stdout or "p.html" in done.stdout
