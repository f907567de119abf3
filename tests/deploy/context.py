"""What of the repository reaches an image's builder, by .dockerignore."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def patterns() -> list[str]:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def in_the_context(path: str) -> bool:
    """Tell whether a file reaches the image's builder: as docker reads .dockerignore, the last line that fits decides.

    A pattern fits a path, or a folder above it. `*` stops at a slash, `**` does not.
    """
    above = ["/".join(path.split("/")[: n + 1]) for n in range(path.count("/") + 1)]
    kept = True
    for pattern in patterns():
        parts = re.split(r"(\*\*/|\*)", pattern.removeprefix("!"))
        fits = "".join({"**/": "(?:.*/)?", "*": "[^/]*"}.get(part, re.escape(part)) for part in parts)
        if any(re.fullmatch(fits, each) for each in above):
            kept = pattern.startswith("!")
    return kept
