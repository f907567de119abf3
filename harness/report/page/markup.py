"""HTML elements whose text is always escaped, so that no caller can forget it. Pure."""

from __future__ import annotations

import html
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

_VOID = frozenset({"br", "hr", "meta"})
_ASLEEP = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


class Markup(str):
    """Text that is HTML already. Only `tag` and `joined` make it."""

    __slots__ = ()


Child = str | Markup | None


def tag(name: str, *children: Child, **attributes: str | int | bool | None) -> Markup:
    """Return an element. Text that is no Markup is escaped; None and "" are left out.

    An attribute's underscores become hyphens, `class_` and `for_` lose theirs; None and False leave an attribute out.
    """
    inside = "".join(
        child if isinstance(child, Markup) else html.escape(child) for child in children if child
    )
    given = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{html.escape(str(value))}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    return Markup(f"<{name}{given}>" if name in _VOID else f"<{name}{given}>{inside}</{name}>")


def joined(parts: Iterable[Child]) -> Markup:
    """Return elements one after the other."""
    return Markup("".join(part if isinstance(part, Markup) else html.escape(part) for part in parts if part))


def listed(lines: Iterable[Child], **attributes: str | int | bool | None) -> Markup | None:
    """Return a list with an item for each line; None without any."""
    items = [tag("li", line) for line in lines if line]
    return tag("ul", *items, **attributes) if items else None


def sleeping_json(value: Any) -> str:
    """Return JSON that can stand in a script element: no text within can end it, or begin another."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return "".join(_ASLEEP.get(character, character) for character in text) if _wakes(text) else text


def _wakes(text: str) -> bool:
    return any(character in text for character in _ASLEEP)
