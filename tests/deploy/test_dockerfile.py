"""The Dockerfile, read by hadolint."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DOCKERFILE = Path(__file__).parents[2] / "deploy" / "Dockerfile"
HADOLINT = shutil.which("hadolint", path=f"{Path(sys.executable).parent}") or shutil.which("hadolint")

pytestmark = pytest.mark.skipif(HADOLINT is None, reason="the extra deploy is not installed")


def complaints(path: Path) -> str:
    assert HADOLINT
    done = subprocess.run([HADOLINT, "--no-color", str(path)], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_hadolint_has_nothing_to_complain_of() -> None:
    assert complaints(DOCKERFILE) == ""


def test_hadolint_really_reads_it(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE.read_text().replace("python:3.12-slim", "python"))
    assert "DL3006" in complaints(tmp_path / "Dockerfile")
