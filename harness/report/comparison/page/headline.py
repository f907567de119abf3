"""The top of the page, for a reader with ten seconds: the conclusion, what it rests on, and the numbers behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.judge.comparison.record import Conclusion
from harness.judge.wording import cause_in_words, count, lasting
from harness.report.comparison.page.dots import figure
from harness.report.comparison.page.timelines import SIDES
from harness.report.page.markup import Markup, joined, listed, tag

if TYPE_CHECKING:
    from harness.judge.comparison.record import Comparison, Difference, ManifestChange
    from harness.judge.comparison.sides import Side

_LOOKS = {  # sign, word, and the colours of the verdict that it resembles
    Conclusion.BETTER: ("\u2713", "BETTER", "pass"),
    Conclusion.NO_WORSE: ("\u2713", "NO WORSE", "pass"),
    Conclusion.WORSE: ("\u2715", "WORSE", "fail"),
    Conclusion.CANNOT_TELL: ("?", "CANNOT TELL", "inconclusive"),
    Conclusion.NOT_COMPARABLE: ("?", "NOT COMPARABLE", "inconclusive"),
}
BECAME = {"more": "larger share", "less": "smaller share", "same": "same share"}  # of what was lost
_TILES = 4
_TOLD = frozenset(
    {"lossy", "p99", "rollout"}
)  # by other tiles than the first, where nothing differs beyond chance
_SHOWN = 3  # causes and fields; all are below


def word(conclusion: Conclusion) -> str:
    """Return the conclusion as it stands on the badge."""
    return _LOOKS[conclusion][1]


def render(comparison: Comparison) -> Markup:
    """Return the page's top. The texts are already escaped for a line."""
    sign, said, class_ = _LOOKS[comparison.conclusion]
    head, more = _said(comparison)
    badge = tag("span", tag("span", sign, aria_hidden="true"), f" {said}", class_="badge")
    facts = [
        tag("span", tag("b", SIDES[number], class_=f"side s{number}"), " ", whose(side))
        for number, side in enumerate((comparison.before, comparison.after))
    ]
    evidence = listed(comparison.evidence, class_="evidence")
    return joined(
        [
            tag(
                "div",
                tag(
                    "div",
                    badge,
                    tag("h1", head),
                    tag("p", *facts, class_="facts"),
                    class_="verdict",
                ),
                tag("p", more, class_="more") if more else None,
                evidence,
                _tiles(comparison),
                class_=f"top {class_}",
            ),
            _answers(comparison),
            _warnings(comparison),
        ]
    )


def _said(comparison: Comparison) -> tuple[str, str]:
    """Return the conclusion without the word that stands on the badge beside it, and what else the sentence says."""
    first, colon, rest = comparison.sentence.partition(": ")
    said = rest if colon and first.upper() == word(comparison.conclusion) else comparison.sentence
    head, _, more = said.partition("; ")
    return head[:1].upper() + head[1:], more[:1].upper() + more[1:]


def whose(side: Side) -> str:
    """Say which runs a side is."""
    runs = [run.folder for run in side.runs]
    shown = ", ".join(runs[:2]) + (f" and {len(runs) - 2} more" if len(runs) > 2 else "")
    left = f"; {len(side.left_out)} left out" if side.left_out else ""
    arm = "" if side.name.upper() in SIDES else f"{side.name}: "
    return f"{arm}{shown} ({count(len(side.rollouts), 'rollout')}{left})"


def explained(one: ManifestChange) -> str:
    """Return what a field explains: "B1 vanished, A1 or C1 appeared"."""
    parts = (words.rpartition(" ") for words in one.explains)
    return ", ".join(f"{ids} {BECAME.get(what, what)}".strip() for ids, _, what in parts).replace("|", " or ")


def comparable(comparison: Comparison) -> bool:
    """Whether chance is all that may be between the sides."""
    return comparison.conclusion is not Conclusion.NOT_COMPARABLE


def amount(value: float | None, unit: str) -> str:
    """Return a measure's value in words."""
    if value is None:
        return "-"
    if unit == "ns":
        return lasting(value) if value else "0"
    return f"{100 * value:.0f} %" if unit == "share" else figure(value)


def _tiles(comparison: Comparison) -> Markup | None:
    known = [one for one in comparison.differences if one.before is not None and one.after is not None]
    if not known:
        return None
    # What differs beyond chance is worth more of the few places than what does not; the primary one stands first.
    ordered = sorted(known, key=lambda one: (not one.primary, not one.direction, one.measure not in _TOLD))
    left = sum(bool(one.direction) for one in ordered[_TILES:]) if comparable(comparison) else 0
    words = f"{count(left, 'other measure')} differ{'s' if left == 1 else ''} beyond chance"
    return joined(
        [
            tag("dl", *(_tile(one, told=comparable(comparison)) for one in ordered[:_TILES]), class_="tiles"),
            tag("p", tag("a", words, href="#measures")) if left else None,
        ]
    )


def _tile(one: Difference, *, told: bool) -> Markup:
    chance = tag("small", "beyond chance" if one.direction else "within chance") if told else None
    number = tag(
        "b",
        tag("span", _unbroken(one.before, one), class_="side s0"),
        tag("span", " \u2192 ", aria_hidden="true"),
        tag("span", " to ", class_="spoken"),
        tag("span", _unbroken(one.after, one), class_="side s1"),
    )
    return tag("div", tag("dt", one.name), tag("dd", number, chance), class_="tile")


def _answers(comparison: Comparison) -> Markup | None:
    """Return in short what became of the causes, and which change of the manifest explains it."""
    causes = [
        tag("li", tag("b", BECAME.get(one.what, one.what)), f" {cause_in_words(one.name, one.ids)}: "
            f"{one.hits_before:,} \u2192 {count(one.hits_after, 'request')}")
        for one in comparison.causes[:_SHOWN]
    ]  # fmt: skip
    explaining = [one for one in comparison.manifest if one.explains]
    fields = [
        tag("li", tag("code", one.change.path.rpartition(" ")[2]), f": {one.change.before} \u2192 {one.change.after}",
            tag("small", f" explains: {explained(one)}") if one.explains else None)
        for one in (explaining or comparison.manifest)[:_SHOWN]
    ]  # fmt: skip
    left = len(comparison.manifest) - len(fields)
    more = tag(
        "p", tag("a", f"{count(left, 'other field')} differ{'s' if left == 1 else ''}", href="#manifest")
    )
    return tag(
        "div",
        tag("div", tag("h2", "Why"), tag("ul", *causes) if causes else tag("p", "No request was lost to a cause."),
            class_="card"),
        tag("div", tag("h2", "What was changed"), tag("ul", *fields) if fields else tag("p", comparison.manifest_note),
            more if left and fields else None, class_="card"),
        class_="answers",
    )  # fmt: skip


def _unbroken(value: float | None, one: Difference) -> str:
    """Return a value whose unit stays beside it."""
    return amount(value, one.unit).replace(" ", "\u00a0")


def _warnings(comparison: Comparison) -> Markup | None:
    found = listed(comparison.warnings)
    if found is None:
        return None
    return tag(
        "section",
        tag("h2", "Read this with care", id="care-title", data_short="Care"),
        found,
        id="care",
        aria_labelledby="care-title",
        class_="care",
    )
