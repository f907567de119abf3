"""A comparison as JSON: the record itself, without the live objects, of which the changed fields are there already."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.judge.comparison.record import Comparison


def render(comparison: Comparison) -> str:
    """Return the text of it, without a newline at the end."""
    bare = replace(
        comparison,
        before=replace(comparison.before, manifests=()),
        after=replace(comparison.after, manifests=()),
    )
    plain = asdict(bare)
    for side in ("before", "after"):
        del plain[side]["manifests"]
    return json.dumps(plain, indent=1)
