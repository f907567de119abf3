"""Fetches uPlot with npm into harness/report/page/vendor, and says there which version it is.

    python -m tests.bench.vendor [VERSION]

npm checks the package against the registry's own digest. What changed is left for a person to look at, and to test
with `nox -s browser`.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VENDOR = Path(__file__).parents[2] / "harness" / "report" / "page" / "vendor"
FILES = ("dist/uPlot.iife.min.js", "dist/uPlot.min.css", "LICENSE")
_HEAD = 3  # lines of VERSION that are about the package itself


def fetch(version: str) -> str:
    """Put a version's files into the folder, and return the version."""
    with tempfile.TemporaryDirectory() as folder:
        packed = subprocess.run(
            ["npm", "pack", "--json", f"uplot@{version}"],
            cwd=folder,
            check=True,
            capture_output=True,
            text=True,
        )
        about = json.loads(packed.stdout)[0]
        archive = Path(folder, about["filename"])
        with tarfile.open(archive) as files:
            for name in FILES:
                found = files.extractfile(f"package/{name}")
                if found is None:
                    raise SystemExit(f"uplot {about['version']} has no {name}")
                (VENDOR / Path(name).name).write_bytes(found.read())
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    note = VENDOR / "VERSION"
    kept = note.read_text("utf-8").splitlines()
    head = [f"uPlot {about['version']}", kept[1], f"sha256 of the package: {digest}"]
    note.write_text("\n".join([*head, *kept[_HEAD:]]) + "\n", "utf-8")
    return str(about["version"])


if __name__ == "__main__":
    print(f"uPlot {fetch(sys.argv[1] if len(sys.argv) > 1 else 'latest')}")  # noqa: T201
