"""Reads Markdown pages: their headings' anchors, their links, and the commands that they quote."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")], key=lambda page: page.as_posix()
)
_FENCE = re.compile(r"^\s*(`{3,})([^\n`]*)\n(.*?)^\s*\1\s*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!\\)\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+(?:\([^()]*\))?)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?)\s*$", re.MULTILINE)
_COMMAND = re.compile(r"(?:^|(?<=[\s(;&|])|(?<=bin/))(?:kubectl[ -])?zdtest(?=\s|$)")


@dataclass(frozen=True, slots=True)
class Quoted:
    """A command line of zdtest that a page quotes, as the words after `zdtest`."""

    page: str
    words: tuple[str, ...]


def name(page: Path) -> str:
    """Return a page's path from the root of the repository."""
    return page.relative_to(ROOT).as_posix()


def prose(page: Path) -> str:
    """Return a page's text without its code blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def blocks(page: Path, language: str = "") -> list[str]:
    """Return the texts of a page's code blocks: all of them, or those of one language."""
    found = _FENCE.findall(page.read_text(encoding="utf-8"))
    return [text for _, said, text in found if not language or said.strip() == language]


def links(page: Path) -> list[str]:
    """Return where a page's links and pictures lead, code left out."""
    return _LINK.findall(re.sub(r"`[^`\n]*`", "``", prose(page)))


def slug(heading: str) -> str:
    """Return the anchor that GitHub gives a heading: lower case, no punctuation, hyphens for spaces."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").replace("*", "").lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return the anchors of a page's headings; the second of two that are alike ends in -1."""
    seen: dict[str, int] = {}
    found = set()
    for heading in _HEADING.findall(prose(page)):
        anchor = slug(heading)
        number = seen.get(anchor, 0)
        seen[anchor] = number + 1
        found.add(f"{anchor}-{number}" if number else anchor)
    return frozenset(found)


def spans(page: Path) -> list[str]:
    """Return the code within a page's sentences."""
    return re.findall(r"`([^`\n]+)`", prose(page))


def quoted(page: Path) -> list[Quoted]:
    """Return the command lines of zdtest in a page's code blocks, and in code within its sentences."""
    lines = [line for block in blocks(page) for line in _joined(block)]
    lines += [code for code in spans(page) if re.match(r"(?:\S+/|kubectl )?zdtest ", code)]
    return [
        Quoted(name(page), tuple(words))
        for line in lines
        for rest in _COMMAND.split(line)[1:]
        for words in [_words(rest)]
        if words
    ]


def flags(page: Path) -> list[str]:
    """Return the flags that a page's sentences name by themselves, such as `--keep 30`."""
    return [match[0] for code in spans(page) if (match := re.match(r"--[a-z][a-z0-9-]*", code))]


def _joined(block: str) -> list[str]:
    """Return a block's lines without comments, with those that a backslash continues put together."""
    lines = re.sub(r"\\\n\s*", " ", block).splitlines()
    return [line for line in lines if not line.lstrip().startswith(("#", "//"))]


def _words(rest: str) -> list[str]:
    """Split what follows `zdtest` as a shell does, as far as the command goes."""
    end = re.search(r"[|;<>&)]| #|\s{3,}|…", re.sub(r"'[^']*'|\"[^\"]*\"", lambda m: "x" * len(m[0]), rest))
    text = rest[: end.start()] if end else rest
    try:
        words = shlex.split(text)
    except ValueError:  # a quotation mark of the file around it
        words = text.replace("'", " ").replace('"', " ").split()
    return [word.strip("[],\"'") for word in words if word.strip("[],\"'")]
