"""What stands in tables: causes, the manifest, measures with their intervals, all numbers side by side, the runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.judge.wording import cause_in_words, count
from harness.report.comparison.page.headline import BECAME, amount, comparable, explained
from harness.report.comparison.page.timelines import SIDES
from harness.report.page.markup import Markup, tag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.judge.comparison.record import CauseChange, Comparison, Difference, ManifestChange

_LOOKS = {"vanished": "pass", "appeared": "fail"}
_TOLD = {-1: "less", 1: "more", 0: "cannot be told"}

Cell = Markup | str


def table(label: str, head: Sequence[Cell], rows: Sequence[Sequence[Cell]], *, named: bool = False) -> Markup:
    """Return a table that can be scrolled by keyboard; `named`: the first cell of a row is its head."""
    body = [
        tag(
            "tr",
            *(
                tag("th", cell, scope="row") if named and not n else tag("td", cell)
                for n, cell in enumerate(row)
            ),
        )
        for row in rows
    ]
    return tag(
        "div",
        tag(
            "table",
            tag("thead", tag("tr", *(tag("th", cell, scope="col") for cell in head))),
            tag("tbody", *body),
        ),
        class_="scroll",
        tabindex=0,
        role="group",
        aria_label=label,
    )


def heads() -> list[Cell]:
    """Return the heads of the two sides."""
    return [tag("span", name, class_=f"side s{number}") for number, name in enumerate(SIDES)]


def causes(comparison: Comparison) -> Markup:
    """Return what became of each cause."""
    if not comparison.causes:
        return tag("p", "No rollout of either side lost a request to a cause.")
    totals = [len(side.rollouts) for side in (comparison.before, comparison.after)]
    return table("Causes", ["", "Cause", *heads()], [_cause(one, totals) for one in comparison.causes])


def _cause(one: CauseChange, totals: Sequence[int]) -> list[Cell]:
    counted = ((one.hits_before, one.rollouts_before), (one.hits_after, one.rollouts_after))
    return [
        tag("span", BECAME.get(one.what, one.what), class_=f"pill {_LOOKS.get(one.what, '')}".strip()),
        cause_in_words(one.name, one.ids),
        *(
            f"{count(hits, 'request')} in {seen} of {count(of, 'rollout')}" if hits else "-"
            for (hits, seen), of in zip(counted, totals, strict=True)
        ),
    ]


def manifest(comparison: Comparison) -> Markup:
    """Return the fields that a person changed; those that explain a change of causes come first, marked."""
    if not comparison.manifest:
        return tag("p", f"{comparison.manifest_note}.".replace("..", "."))
    ordered = sorted(comparison.manifest, key=lambda one: not one.explains)
    return table("Changed fields", ["Field", *heads(), "Explains"], [_field(one) for one in ordered])


def _field(one: ManifestChange) -> list[Cell]:
    change = one.change
    marked: Cell = tag("mark", explained(one), class_="explains") if one.explains else ""
    return [tag("code", change.path), tag("code", change.before), tag("code", change.after), marked]


def differences(comparison: Comparison) -> Markup | None:
    """Return each measure with the interval of its difference, and whether it can be told from chance."""
    if not comparison.differences:
        return None
    rows = [_difference(one, told=comparable(comparison)) for one in comparison.differences]
    return table("Measures", ["Measure", *heads(), "Difference, 95 %", "p", "AFTER is"], rows, named=True)


def _difference(one: Difference, *, told: bool) -> list[Cell]:
    between = "-"
    if one.low is not None and one.high is not None:
        between = f"{_signed(one.low, one.unit)} to {_signed(one.high, one.unit)}"
    p = one.p if one.corrected_p is None else one.corrected_p
    said = "-" if not told or (p is None and not one.direction) else _TOLD[one.direction]
    class_ = "told" if told and one.direction else None
    return [
        tag("span", one.name, class_=class_),
        amount(one.before, one.unit),
        amount(one.after, one.unit),
        between,
        "-" if p is None or not told else f"{p:.3f}" if p >= 0.001 else "<0.001",
        tag("span", said, class_=class_),
    ]


def _signed(value: float, unit: str) -> str:
    said = amount(abs(value), unit)
    sign = "" if not value or said in {"0", "0 %"} else "+" if value > 0 else "\u2212"
    return f"{sign}{said}"


def side_by_side(comparison: Comparison) -> Markup:
    """Return all numbers."""
    rows = [[row.name.strip(), row.before, row.after, row.change] for row in comparison.rows]
    return table("All numbers", ["", *heads(), "Change"], rows, named=True)


def runs(comparison: Comparison) -> Markup:
    """Return which runs were compared, and which of their rollouts do not count."""
    rows: list[list[Cell]] = []
    for number, side in enumerate((comparison.before, comparison.after)):
        for run in side.runs:
            left = "; ".join(
                f"rollout {one.number}: {one.why}" for one in side.left_out if one.run == run.folder
            )
            rows.append(
                [
                    tag("b", SIDES[number], class_=f"side s{number}"),
                    tag("code", run.folder),
                    tag("span", f"{run.grade}", class_=f"pill {run.grade.lower()}"),
                    run.headline,
                    left or "-",
                ]
            )
    return table("Runs", ["Side", "Run", "Verdict", "What it found", "Left out"], rows)
