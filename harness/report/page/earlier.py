"""The run beside earlier ones: for each measure a dot for each of them, what is too much to be chance, and this run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.judge.wording import count, lasting
from harness.report.page.markup import Markup, tag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.judge.picture.earlier import Beside

_HEIGHT, _MIDDLE = 34, 17
_FAR = 4  # times as far right as all else, a bound is left out: it would press the rest to the left


def render(found: Sequence[Beside]) -> Markup | None:
    """Return the section; None for a run that was not to be held against earlier ones."""
    if not found:
        return None
    head = tag("h2", "Beside earlier runs", id="earlier-title", data_short="Earlier")
    key = tag("p", "A dot is an earlier run, the diamond this one. Beyond the dashed line is more than chance.",
              class_="aside")  # fmt: skip
    return tag(
        "section", head, key, *(_row(one) for one in found), id="earlier", aria_labelledby="earlier-title"
    )


def _row(one: Beside) -> Markup:
    shown = [*one.nights, one.now]
    bound = one.bound if one.bound is not None and one.bound <= _FAR * max(shown) else None
    top = max(*shown, bound or 0, 1e-9) * 1.03

    def across(value: float) -> str:
        return f"{1.5 + 97 * value / top:.2f}%"

    marks = [
        tag("line", x1="0", x2="100%", y1=_MIDDLE, y2=_MIDDLE, class_="strip-line"),
        *(tag("circle", cx=across(value), cy=_MIDDLE, r=5, class_="strip-dot") for value in one.nights),
    ]
    if bound is not None:
        marks.append(
            tag("line", x1=across(bound), x2=across(bound), y1=3, y2=_HEIGHT - 3, class_="strip-bound")
        )
    # A diamond keeps its shape in a drawing of its own, whose left upper corner is placed.
    diamond = tag("path", d="M0 -9L9 0L0 9L-9 0Z", class_=f"strip-now{' worse' if one.worse else ''}")
    marks.append(tag("svg", diamond, x=across(one.now), y=_MIDDLE, class_="strip-place"))
    name = one.name if one.name[1:2].isdigit() else one.name[:1].upper() + one.name[1:]  # p99 stays small
    label = f"{one.words}; {count(len(one.nights), 'earlier run')}"
    pill = tag("span", "worse" if one.worse else "no worse" if one.bound is not None else "too few to tell",
               class_=f"pill {'fail' if one.worse else 'pass' if one.bound is not None else ''}".strip())  # fmt: skip
    return tag(
        "div",
        tag("h3", f"{name} ", pill),
        tag("svg", *marks, class_="strip", width="100%", height=_HEIGHT, role="img", aria_label=label),
        tag("p", _said(one)),
        class_="beside",
    )


def _said(one: Beside) -> str:
    bound = "" if one.bound is None else f", at most {_amount(one.bound, one.unit)} by chance"
    return f"{_amount(one.now, one.unit)} now; usually {_amount(one.usual, one.unit)}{bound}"


def _amount(value: float, unit: str) -> str:
    return lasting(value) if unit == "ns" else f"{value:,.10g}" if value == int(value) else f"{value:,.1f}"
