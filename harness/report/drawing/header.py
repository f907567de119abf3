"""The words above a picture: the verdict, what was run, and the causes. Pure."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.report import looks

if TYPE_CHECKING:
    from harness.report.drawing.scene import Scene

# Characters that fit a line of the title, of a cause, of the small text.
_TITLE, _CAUSE, _SMALL = 90, 138, 165


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text: its height in inches, and matplotlib's properties of it."""

    words: str
    height: float
    style: dict[str, Any]


def header(scene: Scene) -> list[Line]:
    """Return the lines above a picture."""
    theme, judgement = scene.theme, scene.judgement
    grade = judgement.verdict.grade.value
    title = textwrap.wrap(f"{grade}: {judgement.verdict.headline}", _TITLE, max_lines=2, placeholder=" ...")
    strong = {"fontsize": 12.5, "fontweight": "bold", "color": theme.grades[grade]}
    lines = [Line(words, 0.27, strong) for words in title]
    lines.append(Line(_cut(looks.subtitle(judgement), _SMALL), 0.26, {"fontsize": 8.5, "color": theme.faint}))
    plain = {"fontsize": 9.5, "color": theme.ink}
    for number, _, words in scene.causes:
        lines += [Line(line, 0.23, plain) for line in _hanging(f"{number}   {words}")]
    if scene.more_causes:
        lines.append(Line(f"     {scene.more_causes}", 0.23, {**plain, "color": theme.faint}))
    return lines


def _hanging(words: str) -> list[str]:
    return textwrap.wrap(words, _CAUSE, subsequent_indent="     ", max_lines=2, placeholder=" ...")


def _cut(words: str, most: int) -> str:
    return words if len(words) <= most else words[: most - 3] + "..."
