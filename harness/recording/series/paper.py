"""How the JSON file of an experiment or a suite is read: each way in which it can be wrong is one line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from harness.errors import RecordingError
from harness.recording import folder
from harness.recording.jsontext import parse

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")

FORMAT = 1  # of both


def read(directory: Path, file: str, what: str, most: int, make: Callable[[dict[str, Any]], T]) -> T:
    """Read such a file of at most so many bytes, and make of it what it is.

    `what`: "suite". `make` may raise KeyError, TypeError and ValueError. Raises RecordingError, one line.
    """
    try:
        raw = parse(folder.read(directory, file, most))
    except FileNotFoundError:
        raise RecordingError(f"{directory} is no {what}: it has no {file}") from None
    except ValueError as error:
        raise RecordingError(f"{directory / file} cannot be read: {error}") from None
    try:
        return make(_known(raw))
    except (KeyError, TypeError, ValueError) as error:
        wrong = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
        raise RecordingError(f"{directory / file} cannot be understood: {wrong}") from None


def _known(raw: Any) -> dict[str, Any]:
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        found = raw.get("format") if isinstance(raw, dict) else "no"
        raise ValueError(f"its format is {found}, and this zdtest reads {FORMAT}")
    return raw
