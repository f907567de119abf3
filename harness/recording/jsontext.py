"""Reads the JSON of recordings. Anything that our own files cannot contain is refused, in one line."""

from __future__ import annotations

import json
import re
from math import isfinite
from typing import Any

DEEPEST = 100  # levels of lists and objects; Kubernetes' own objects have a dozen
_LARGEST = 2**63
_LONGEST = 40  # digits of a number
_STRINGS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def parse(raw: bytes) -> Any:
    """Read JSON. Raises ValueError, which says in one line what is wrong."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None
    if text.count("[") + text.count("{") > DEEPEST and _depth(text) > DEEPEST:
        raise ValueError(f"it is nested over {DEEPEST} levels deep")
    try:
        value = json.loads(text, parse_int=_int, parse_float=_float, parse_constant=_constant)
    except RecursionError:
        raise ValueError(f"it is nested over {DEEPEST} levels deep") from None
    if _SURROGATE.search(text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("it contains half of a surrogate pair") from None
    return value


def _depth(text: str) -> int:
    deepest = depth = 0
    for character in re.sub(r"[^][{}]+", "", _STRINGS.sub("", text)):
        depth += 1 if character in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _int(digits: str) -> int:
    number = int(digits) if len(digits) <= _LONGEST else _LARGEST
    if not -_LARGEST <= number < _LARGEST:
        raise ValueError(f"the number {_short(digits)} is too large")
    return number


def _float(digits: str) -> float:
    number = float(digits)
    if not isfinite(number):
        raise ValueError(f"the number {_short(digits)} is too large")
    return number


def _constant(word: str) -> float:
    raise ValueError(f"{word} is not a number")


def _short(digits: str) -> str:
    return digits if len(digits) <= _LONGEST else f"{digits[:_LONGEST]}..."
