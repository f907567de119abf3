"""Files and folders that their owner alone may read, whatever the umask: a recording tells much of a cluster. Standard library only."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = 0o700
FILE = 0o600


def private(path: str, flags: int) -> int:
    """Open a file that is its owner's alone: an `opener` for `open`."""
    return os.open(path, flags, FILE)


def make_private(folder: Path) -> None:
    """Take away everybody else's access to what others have written into a folder. Raises OSError."""
    folder.chmod(FOLDER)
    for path in folder.rglob("*"):
        if not path.is_symlink():
            path.chmod(FOLDER if path.is_dir() else FILE)
