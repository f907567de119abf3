"""suite.html: all scenarios of a night on one page, those first that ask for attention, each with a link to its report.

It looks like a run's report.html, whose styles it has, and like that refers to nothing outside of itself but by links.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING
from urllib.parse import quote

from harness.escaping import everywhere, for_line
from harness.judge.wording import count
from harness.recording.series.suite import VERDICTS, Result
from harness.report.page.headline import fix_line
from harness.report.page.markup import Markup, joined, listed, tag
from harness.report.page.policy import policy
from harness.report.suite.words import how_it_ran, length, name_of, news, told, urgent_first

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.recording.series.suite import Entry, Suite

_SIGNS = {Result.PASS: "\u2713", Result.FAIL: "\u2715"}
_LOOKS = {Result.PASS: "pass", Result.FAIL: "fail", Result.LEFT_OUT: "none", Result.NOT_RUN: "none"}
_NO_VERDICT = frozenset(Result) - VERDICTS - {Result.LEFT_OUT, Result.NOT_RUN}
_FIXES = 6


def render(suite: Suite, headline: str) -> str:
    """Return the page."""
    suite, headline = everywhere(suite, for_line), for_line(headline)
    styles, script = _styles(), _asset("suite.js")
    worst = urgent_first(suite.entries)[0].result if suite.entries else Result.NOT_RUN
    return Template(_asset("suite.html")).substitute(
        policy=policy(styles, script),
        title=tag("title", f"{suite.name}: {headline}"),
        styles=styles,
        head=_head(suite, headline, worst),
        sections=joined([_to_change(suite.entries), _all(suite), _when(suite)]),
        foot=tag("p", f"Made by zdtest {suite.version}. Times are UTC."),
        script=script,
    )


def _look(result: Result) -> str:
    return _LOOKS.get(result, "inconclusive")


def _head(suite: Suite, headline: str, worst: Result) -> Markup:
    badge = tag(
        "span", tag("span", _SIGNS.get(worst, "?"), aria_hidden="true"), f" {name_of(worst)}", class_="badge"
    )
    facts = [tag("span", text) for text in (suite.name, *how_it_ran(suite), *suite.notes)]
    verdict = tag("div", badge, tag("h1", headline), tag("p", *facts, class_="facts"), class_="verdict")
    return tag("div", verdict, _tiles(suite.entries), class_=f"top {_look(worst)}")


def _tiles(entries: Sequence[Entry]) -> Markup:
    results = [entry.result for entry in entries]
    lost = sum(entry.lost or 0 for entry in entries)
    out = results.count(Result.LEFT_OUT) + results.count(Result.NOT_RUN)
    tiles = [
        _tile("FAIL", results.count(Result.FAIL), f"{count(lost, 'request')} lost" if lost else "", bad=True),
        _tile("PASS", results.count(Result.PASS), f"of {len(entries):,} scenarios"),
        _tile("INCONCLUSIVE", results.count(Result.INCONCLUSIVE), ""),
    ]
    if broken := sum(result in _NO_VERDICT for result in results):
        tiles.append(_tile("Without a verdict", broken, "crashed, timed out, refused ...", bad=True))
    if out:
        tiles.append(_tile("Not run", out, "left out, or the suite ended before"))
    return tag("dl", *tiles, class_="tiles")


def _tile(label: str, value: int, more: str, *, bad: bool = False) -> Markup:
    number = tag("b", f"{value:,}", class_="bad" if bad and value else None)
    return tag("div", tag("dt", label), tag("dd", number, " ", tag("span", more)), class_="tile")


def _section(title: str, name: str, *inside: Markup | None) -> Markup:
    head = tag("h2", title, id=f"{name}-title", data_short=title)
    return tag("section", head, *inside, id=name, aria_labelledby=f"{name}-title")


def _to_change(entries: Sequence[Entry]) -> Markup | None:
    """Return what to change in each service that lost requests."""
    cards = []
    for entry in entries:
        if entry.result is not Result.FAIL:
            continue
        causes = [
            joined([tag("b", f"{cause.requests:,}", class_="count"), " ", cause.name])
            for cause in entry.causes
        ]
        fixes = list(dict.fromkeys(fix for cause in entry.causes for fix in cause.fix))
        more = [f"and {len(fixes) - _FIXES} more, in its report"] if len(fixes) > _FIXES else []
        cards.append(
            tag(
                "article",
                tag("h3", _linked(entry), " ", tag("small", entry.workload)),
                tag("p", told(entry)),
                listed(causes, class_="causes"),
                listed([*(fix_line(fix) for fix in fixes[:_FIXES]), *more], class_="fixes"),
                class_="card",
            )
        )
    return _section("What to change", "change", tag("div", *cards, class_="cards")) if cards else None


def _linked(entry: Entry) -> Markup:
    if not entry.run or entry.result in {Result.KILLED, Result.CRASHED}:  # there is no report
        return tag("span", entry.name)
    return tag("a", entry.name, href=f"{quote(entry.run)}/report.html")


def _all(suite: Suite) -> Markup:
    heads = ("Scenario", "Verdict", "Lost", "Requests", "Took", "What it found")
    rows = [_row(entry, ordered=suite.budget_s is not None) for entry in urgent_first(suite.entries)]
    table = tag(
        "table",
        tag("thead", tag("tr", *(tag("th", head, scope="col") for head in heads))),
        tag("tbody", *rows),
        class_="scenarios",
    )
    return _section(
        "Scenarios",
        "scenarios",
        tag("div", table, class_="scroll", tabindex=0, role="group", aria_label="Scenarios"),
    )


def _row(entry: Entry, *, ordered: bool) -> Markup:
    """Return a scenario's row; `ordered`: by risk, so that it matters why it stood where it did."""
    judged, new = entry.result in VERDICTS, news(entry)
    pill = tag("span", name_of(entry.result), class_=f"pill {_look(entry.result)}")
    log = tag("a", "log", href=quote(entry.log)) if entry.log and entry.result in _NO_VERDICT else None
    found = [tag("span", told(entry)), *([" ", log] if log else [])]
    why = tag("small", f"why here: {entry.why}", class_="below") if entry.why and ordered else None
    return tag(
        "tr",
        tag("td", _linked(entry), tag("small", entry.workload, class_="below")),
        tag("td", pill, tag("small", new, class_="below") if new else None),
        _number("Lost", f"{entry.lost:,}" if judged and entry.lost is not None else ""),
        _number("Requests", f"{entry.requests:,}" if judged and entry.requests is not None else ""),
        _number("Took", length(entry.took_s) if entry.took_s is not None else ""),
        tag("td", *found, why),
    )


def _number(head: str, value: str) -> Markup:
    return tag("td", value or "-", class_="number" if value else "number nothing", data_head=head)


def _when(suite: Suite) -> Markup | None:
    """Return the night as a bar for each run; None if hardly anything ran."""
    from datetime import datetime  # noqa: PLC0415

    ran = [entry for entry in suite.entries if entry.began and entry.took_s]
    if len(ran) < 2:
        return None
    begins = [datetime.fromisoformat(entry.began).timestamp() for entry in ran]
    first = min(begins)
    whole_s = max(
        max(begin + (entry.took_s or 0) for begin, entry in zip(begins, ran, strict=True)) - first, 1.0
    )
    rows = []
    for begin, entry in sorted(zip(begins, ran, strict=True), key=lambda pair: pair[0]):
        bar = tag(
            "rect",
            x=f"{100 * (begin - first) / whole_s:.3f}%",
            y=2,
            width=f"{max(100 * (entry.took_s or 0) / whole_s, 0.4):.3f}%",
            height=12,
            rx=3,
            class_=f"bar-of {_look(entry.result)}",
        )
        svg = tag(
            "svg", bar, height=16, role="img", aria_label=f"{entry.began[11:19]}, {length(entry.took_s)}"
        )
        rows.append(
            tag(
                "div", tag("span", _linked(entry), " ", tag("small", entry.began[11:16])), svg, class_="night"
            )
        )
    scale = tag(
        "div", tag("span", ""), tag("p", tag("span", "0"), tag("span", length(whole_s))), class_="night scale"
    )
    return _section("When each ran", "when", *rows, scale)


@cache
def _styles() -> str:
    """Return the styles of a run's page, and what a suite adds to them."""
    page = files("harness.report.page").joinpath("assets", "page.css").read_text("utf-8")
    return page + "\n" + _asset("suite.css")


@cache
def _asset(name: str) -> str:
    return files("harness.report.suite").joinpath("assets", name).read_text("utf-8")
