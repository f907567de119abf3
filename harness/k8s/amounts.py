"""Numbers that may also be written as a percentage: maxSurge, maxUnavailable, minAvailable."""

from __future__ import annotations

import math
import re

_PERCENT = re.compile(r"(\d+)%")


def amount(value: object, whole: int, *, up: bool) -> int:
    """Resolve a number, or a percentage of `whole` rounded up or down (apimachinery, util/intstr).

    A Deployment's maxSurge rounds up and its maxUnavailable down. What is neither counts as 0, and so does what is
    below it.
    """
    text = str(value)
    if found := _PERCENT.fullmatch(text):
        exact = int(found[1]) * whole / 100
        return math.ceil(exact) if up else math.floor(exact)
    return int(text) if text.isdecimal() else 0
