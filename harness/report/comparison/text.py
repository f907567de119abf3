"""What `zdtest compare` prints: the conclusion first and last, and between them what it rests on. 100 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.escaping import everywhere, for_line
from harness.judge.comparison.conclusion import p_said, said
from harness.judge.wording import cause_in_words
from harness.report.summary.layout import shortened, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.judge.comparison.record import Comparison, Difference

_NAME, _VALUE, _CHANGE = 34, 22, 14
_FIELDS = 20  # of a manifest that are shown


def render(comparison: Comparison) -> str:
    """Return both sides, measure by measure, and the conclusion, without a newline at the end."""
    comparison = everywhere(comparison, for_line)
    blocks = [
        _conclusion(comparison),
        _table(comparison),
        list(_differences(comparison)),
        list(_causes(comparison)),
        list(_manifest(comparison)),
        [line for text in comparison.warnings for line in wrapped(text, "Note: ", "      ")],
        wrapped(comparison.sentence, "", "  "),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _conclusion(comparison: Comparison) -> list[str]:
    lines = wrapped(comparison.sentence, "", "  ")
    for text in comparison.evidence:
        lines += wrapped(text, "  ", "    ")
    for text in comparison.also:
        lines += wrapped(f"Also: {text}.", "  ", "    ")
    return lines


def _table(comparison: Comparison) -> list[str]:
    names = [shortened(side.name, _VALUE) for side in (comparison.before, comparison.after)]
    lines = [f"{'':<{_NAME}}{names[0]:>{_VALUE}}{names[1]:>{_VALUE}}{'change':>{_CHANGE}}"]
    lines += [
        f"{row.name:<{_NAME}}{shortened(row.before, _VALUE - 1):>{_VALUE}}"
        f"{shortened(row.after, _VALUE - 1):>{_VALUE}}{row.change:>{_CHANGE}}".rstrip()
        for row in comparison.rows
    ]
    return lines


def _differences(comparison: Comparison) -> Iterator[str]:
    known = [one for one in comparison.differences if one.low is not None]
    if not known:
        return
    names = shortened(f"{comparison.after.label} minus {comparison.before.label}", _NAME + 8)
    yield f"{names:<{_NAME + 8}}{'95 % interval':>{2 * _VALUE - 16}}{'p':>8}{'corrected p':>{_CHANGE}}"
    for one in known:
        corrected = "" if one.primary else p_said(one.corrected_p)
        yield (
            f"{one.name:<{_NAME}}{_span(one):>{2 * _VALUE - 8}}{p_said(one.p):>8}{corrected:>{_CHANGE}}"
        ).rstrip()


def _span(one: Difference) -> str:
    return f"{said(one.low, one.unit)} to {said(one.high, one.unit)}"


def _causes(comparison: Comparison) -> Iterator[str]:
    if not comparison.causes:
        return
    yield "Causes: lost requests, and the rollouts that had any"
    of = len(comparison.before.rollouts), len(comparison.after.rollouts)
    for one in comparison.causes:
        counts = (
            f"{one.hits_before:,} in {one.rollouts_before} of {of[0]} -> "
            f"{one.hits_after:,} in {one.rollouts_after} of {of[1]}"
        )
        what = {"same": "the same share", "more": "a larger share", "less": "a smaller share"}
        yield from wrapped(
            f"{what.get(one.what, one.what)}: {cause_in_words(one.name, one.ids)}: {counts} (p = {p_said(one.p)})",
            "  ",
            "      ",
        )


def _manifest(comparison: Comparison) -> Iterator[str]:
    if not comparison.manifest:
        yield comparison.manifest_note
        return
    yield "Manifest (* explains what became of a cause)"
    for one in comparison.manifest[:_FIELDS]:
        mark = "* " if one.explains else "  "
        why = f"  [{', '.join(one.explains)}]" if one.explains else ""
        change = one.change
        yield from wrapped(f"{mark}{change.path}: {change.before} -> {change.after}{why}", "", "      ")
    if len(comparison.manifest) > _FIELDS:
        yield f"  ... and {len(comparison.manifest) - _FIELDS} more fields"
