r"""Escapes text for output, one function per medium. The text may come from a server, a cluster or a stranger. Pure.

Control characters (C1 too), direction overrides, zero-width and other invisible characters become visible escapes:
"\x1b", "\u202e". The code that writes a medium calls these functions, so that no caller has to.
"""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")
# At the beginning of a line, or anywhere in it: what GitHub Actions, Azure Pipelines and TeamCity obey in a job's log.
_ORDER = re.compile(r"^([ \t]*)::|##(?=\w*\[)", re.MULTILINE)
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_BLANK = re.compile(r"[\t\n\v\f\r]+")


def for_terminal(text: str) -> str:
    """Return text of several lines in which a terminal finds nothing to obey."""
    return _seen(text, kept="\n")


def for_log(text: str) -> str:
    """Return text in which a CI system that reads the job's log finds no command. JSON stays the same JSON."""
    return _ORDER.sub(lambda found: f"{found[1]}\\u003a:" if found[1] is not None else "\\u0023#", text)


def for_line(text: str) -> str:
    """Return text that stays on one line: an error, a note, a value in a table."""
    return _seen(_BLANK.sub(" ", text), kept="")


def for_markdown(text: str) -> str:
    """Return a value that Markdown shows literally: no HTML, link, image, emphasis or code."""
    text = for_line(text).replace("\\", "\\\\").replace("`", "'")
    text = re.sub(r"&(?=#|\w+;)", "&amp;", text).replace("<", "&lt;")
    text = re.sub(r"^[#>+=-]|[*$]|~~|(?<![^\W_])_|_(?![^\W_])", lambda found: f"\\{found[0]}", text)
    text = re.sub(r"\](?=[(:\[])", r"]\\", text)  # [text](url), [text][name], [name]: url
    # A bare address becomes a link by itself.
    return text.replace("://", ":\\//").replace("www.", "www\\.").replace("@", "\\@")


def for_code(text: str) -> str:
    """Return a value to put between backticks in Markdown, where only a backtick has a meaning."""
    return for_line(text).replace("`", "'")


def for_picture(text: str) -> str:
    """Return a value for a picture, where an invisible character has no shape."""
    return for_line(text)


def everywhere(value: _T, escape: Callable[[str], str]) -> _T:
    """Return a record with every string in it escaped, at any depth, so that no report can forget one."""
    found: _T = _everywhere(value, escape)
    return found


def _everywhere(value: Any, escape: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return value if isinstance(value, Enum) else escape(value)
    if isinstance(value, dict):
        return {_everywhere(key, escape): _everywhere(inner, escape) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        found = [_everywhere(inner, escape) for inner in value]
        if all(new is old for new, old in zip(found, value, strict=True)):
            return value
        return found if isinstance(value, list) else tuple(found)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init}
        changed = {name: new for name, old in fields.items() if (new := _everywhere(old, escape)) is not old}
        return dataclasses.replace(value, **changed) if changed else value
    return value


def _seen(text: str, *, kept: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c in kept or unicodedata.category(c) not in _UNSEEN else _escape(c) for c in text)


def _escape(character: str) -> str:
    number = ord(character)
    return (
        f"\\x{number:02x}"
        if number < 0x100
        else f"\\u{number:04x}"
        if number < 0x10000
        else f"\\U{number:08x}"
    )
