"""Names that are protected until the user spells them out. Pure.

A restart of the wrong cluster is the worst thing this program could do.
"""

from __future__ import annotations

import re

PROTECTED = ("prod", "production", "live")


def protected_word(context: str, namespace: str, name: str) -> str | None:
    """Return the first of context, namespace and name that has a protected word as a whole word, or None.

    Words are what lies between `-_./:` and digits: "eks-prod1" is protected, "delivery" and "product" are not.
    """
    for text in (context, namespace, name):
        if any(word in PROTECTED for word in re.split(r"[-_./:@\s\d]+", text.lower())):
            return text
    return None


def refusal(context: str, namespace: str, name: str, allow: str | None) -> str | None:
    """Say why this workload may not be touched, or None when it may. `allow` is CONTEXT/NAMESPACE/NAME."""
    word = protected_word(context, namespace, name)
    spelled = f"{context}/{namespace}/{name}"
    if allow is not None and allow != spelled:
        return f"--allow {allow} is not what would be restarted; that is {spelled}"
    if word and allow is None:
        return f"{word!r} looks like production and is protected; if you mean it, add --allow {spelled}"
    return None
