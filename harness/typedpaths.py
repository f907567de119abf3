"""Whether a path that a user typed is there. Unlike Path's own methods these never raise, not even for a name that is
too long for any file system (before Python 3.12 those do): such a file is not there.
"""

from __future__ import annotations

import os.path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def exists(path: Path) -> bool:
    """Whether there is anything at this path."""
    return os.path.exists(path)  # noqa: PTH110


def is_dir(path: Path) -> bool:
    """Whether it is a folder."""
    return os.path.isdir(path)  # noqa: PTH112


def is_file(path: Path) -> bool:
    """Whether it is a regular file."""
    return os.path.isfile(path)  # noqa: PTH113
