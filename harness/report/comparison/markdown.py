"""A comparison for a pull request or a chat: the conclusion, a short table, causes and the fields that explain them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.escaping import everywhere, for_code, for_markdown
from harness.judge.comparison.conclusion import p_said, said
from harness.judge.wording import cause_in_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.judge.comparison.record import Comparison

_CAUSES, _FIELDS, _NOTES = 5, 5, 4


def render(comparison: Comparison) -> str:
    """Return the message, without a newline at the end."""
    code = everywhere(comparison.manifest, for_code)
    comparison = everywhere(comparison, for_markdown)  # except for text between backticks
    before, after = comparison.before, comparison.after
    lines = [f"**{comparison.sentence}**", ""]
    lines += [f"- {text}" for text in comparison.evidence]
    lines += [f"- also: {text}" for text in comparison.also]
    lines += [
        "",
        f"| | {before.name} | {after.name} | p |",
        "|---|---|---|---|",
        f"| rollouts | {len(before.rollouts)} | {len(after.rollouts)} | |",
        *_rows(comparison),
    ]
    lines += ["", *_causes(comparison)] if comparison.causes else []
    fields = [
        f"- `{one.change.path}`: `{one.change.before}` -> `{one.change.after}`"
        + (f" (explains: {', '.join(one.explains)})" if one.explains else "")
        for one in code[:_FIELDS]
    ]
    if len(code) > _FIELDS:
        fields.append(f"- ... and {len(code) - _FIELDS} more fields of the manifest")
    lines += ["", *fields] if fields else []
    notes = [f"- note: {text}" for text in comparison.warnings[:_NOTES]]
    lines += ["", *notes] if notes else []
    return "\n".join(lines)


def _rows(comparison: Comparison) -> Iterator[str]:
    for one in comparison.differences:
        if one.before is None and one.after is None:
            continue
        p = one.p if one.primary else one.corrected_p
        yield f"| {one.name} | {said(one.before, one.unit)} | {said(one.after, one.unit)} | {p_said(p)} |"


def _causes(comparison: Comparison) -> Iterator[str]:
    for one in comparison.causes[:_CAUSES]:
        yield f"- {cause_in_words(one.name, one.ids)}: {one.hits_before:,} -> {one.hits_after:,} ({one.what})"
    if len(comparison.causes) > _CAUSES:
        yield f"- ... and {len(comparison.causes) - _CAUSES} more causes"
