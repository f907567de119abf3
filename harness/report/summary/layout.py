"""The layout of summary.txt: 100 columns, plain ASCII, wrapped at spaces."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH = 100
_UNIT = re.compile(r"(?<=\d) (?=(?:s|ms|us|%)(?:\W|$))")  # a number and its unit stay on one line
_GLUE = "\x1f"  # textwrap does not see it as a space, and no text contains it: escaping.py escapes it
LABEL = 10  # columns of the first screen's labels


def wrapped(text: str, first: str, rest: str, width: int = WIDTH) -> list[str]:
    """Wrap text; `first` is put before its first line, `rest` before the others."""
    lines = textwrap.wrap(
        _UNIT.sub(_GLUE, text), width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False
    )
    return [line.replace(_GLUE, " ") for line in lines] or [first.rstrip()]


def clipped(lines: Sequence[str], most: int, more: str = "...") -> list[str]:
    """Return at most `most` lines; if there were more, the last one says so."""
    if len(lines) <= most:
        return list(lines)
    return [*lines[: most - 1], more] if most > 0 else []


def shortened(text: str, width: int) -> str:
    """Return one line, cut to a number of columns."""
    return text if len(text) <= width else text[: width - 3] + "..."


def elided(text: str, width: int) -> str:
    """Return one line of at most so many columns, without its middle if it is longer."""
    tail = width // 2 - 3
    return text if len(text) <= width else f"{text[: width - tail - 5].rstrip()} ... {text[-tail:].lstrip()}"


def labelled(label: str, lines: Sequence[str]) -> list[str]:
    """Put a label in front of the first line, and as much space in front of the others."""
    return [
        f"{label if number == 0 else '':<{LABEL}}{line}".rstrip() for number, line in enumerate(lines) if line
    ]
