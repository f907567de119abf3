"""Where a run's own page is, as seen from the page of the history."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import quote

from harness.recording import folder

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from harness.history.runs import Run

_PAGES = ("report.html", "summary.txt")  # the first that is there


def links(runs: Iterable[Run], root: Path, here: Path) -> dict[str, str]:
    """Return for each run's folder in `root` a link to its page, relative to the folder `here`; "" without any."""
    way = os.path.relpath(root, here)
    found = {}
    for run in runs:
        page = next((name for name in _PAGES if folder.stamp(root, f"{run.folder}/{name}")), "")
        found[run.folder] = quote(f"{way}/{run.folder}/{page}".removeprefix("./")) if page else ""
    return found
