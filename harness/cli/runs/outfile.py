"""A file that the user named for output: written beside its place, and put there once it is complete."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from harness import typedpaths
from harness.errors import UsageError
from harness.recording import folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def replaced(path: Path) -> Iterator[BinaryIO]:
    """Write a file that replaces `path` once all of it is written; whatever goes wrong leaves the old one, or none.

    Raises UsageError, one line, if it cannot be written.
    """
    if typedpaths.exists(path) and not typedpaths.is_file(path):
        what = (
            "a folder" if typedpaths.is_dir(path) else "no regular file; to write to it, use - and redirect"
        )
        raise UsageError(f"{path} cannot be written: it is {what}")
    try:
        with folder.replacing(path.parent, path.name) as file:
            yield file
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}; choose another file") from error
