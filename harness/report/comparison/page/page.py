"""Puts the page together: words, styles, charts. Nothing in it refers to anything outside of it.

Words and charts are HTML and SVG, and can be read where scripts do not run. The script adds the numbers under the
pointer, the choice of a rollout, and the switch of the theme. The policy in the head allows this script and these
styles by their hashes and nothing else.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING

from harness import __version__
from harness.escaping import everywhere, for_line
from harness.judge.comparison.significance.design import Unit
from harness.judge.wording import count
from harness.report.comparison.page import dots, headline, headroom, latencies, tables, timelines
from harness.report.page.markup import Markup, joined, sleeping_json, tag
from harness.report.page.policy import policy

if TYPE_CHECKING:
    from harness.judge.comparison.picture import Overlay
    from harness.judge.comparison.record import Comparison


def render(comparison: Comparison, overlay: Overlay | None) -> str:
    """Return the page of a comparison; without an overlay it has no timelines and no latencies."""
    comparison, overlay = everywhere(comparison, for_line), everywhere(overlay, for_line)
    styles, script = _styles(), _script()
    data = timelines.hovered(overlay) if overlay else None
    names = " and ".join(_first(side.runs[0].folder if side.runs else "nothing", len(side.runs))
                         for side in (comparison.before, comparison.after))  # fmt: skip
    return Template(_asset("compare.html")).substitute(
        policy=policy(styles, script),
        title=tag("title", f"{headline.word(comparison.conclusion)}: {names} compared"),
        styles=styles,
        head=headline.render(comparison),
        sections=_sections(comparison, overlay),
        foot=tag("p", f"Made by zdtest {__version__}. Times are counted from each rollout's trigger."),
        data=Markup(sleeping_json(data)),
        script=script,
    )


def _first(name: str, of: int) -> str:
    return name if of <= 1 else f"{name} and {of - 1} more"


def _sections(comparison: Comparison, overlay: Overlay | None) -> Markup:
    before, after = comparison.before, comparison.after
    both = before.rollouts and after.rollouts
    dotted = dots.render(before, after, by_run=comparison.unit == Unit.RUNS) if both else None
    return joined(
        [
            _section(
                "Requests lost in each rollout",
                "lost",
                "A dot is a rollout, the upright line the mean, the bar its 95 % interval.",
                dotted,
            ),
            _timelines(overlay) if overlay else None,
            _latencies(overlay) if overlay else None,
            _section(
                "How close it was",
                "headroom",
                "What rollouts used of each protection, a mark each, beside what it has.",
                headroom.render(before, after),
            ),
            _section("What became of the causes", "causes", "", tables.causes(comparison)),
            _section("What was changed in the manifest", "manifest", "", tables.manifest(comparison)),
            _section(
                "Measures and their intervals",
                "measures",
                f"The first stands by itself, at a level of {comparison.level:g}; the p of the others are corrected for"
                f" their number (Holm). What was exchanged in the tests: {comparison.unit}.",
                tables.differences(comparison),
            ),
            _section("All numbers side by side", "numbers", "", tables.side_by_side(comparison)),
            _section("The runs", "runs", "", tables.runs(comparison)),
        ]
    )


def _section(title: str, name: str, remark: str, *inside: Markup | None) -> Markup | None:
    """Return a section; None with nothing in it. Its name, with a capital, is its link at the top of the page."""
    if not any(inside):
        return None
    head = tag("h2", title, id=f"{name}-title", data_short=name.capitalize())
    said = tag("p", remark, class_="aside") if remark else None
    return tag("section", head, said, *inside, id=name, aria_labelledby=f"{name}-title")


def _timelines(overlay: Overlay) -> Markup | None:
    many = [side.of for side in overlay.sides]
    some = " or ".join(
        f"{len(side.rollouts)} of {side.of}" for side in overlay.sides if len(side.rollouts) < side.of
    )
    bold = "" if max(many) == 1 else (
        f" {count(many[0], 'rollout')} before and {count(many[1], 'after', 'after')}; in bold the one in the middle of"
        " each side by requests lost, and the moments of its pods."
    )  # fmt: skip
    return _section(
        "What happened, aligned at the trigger",
        "timelines",
        f"Every rollout's trigger is at 0.{bold}{f' Of so many, only {some} are drawn.' if some else ''}",
        tag("div", id="choice", class_="chips"),
        _tools(),
        tag(
            "div",
            timelines.render(overlay),
            tag("div", id="line", aria_hidden="true"),
            id="stack",
            tabindex=0,
            role="group",
            aria_label="Both sides on one time axis",
            aria_describedby="keys",
        ),
        tag("p", "\u00a0", id="readout", class_="readout", aria_live="polite"),
        tag(
            "p",
            "Drag to zoom, double click to reset. In the picture, the arrow keys read out the numbers of a moment (with"
            " Shift, ten further), + and - zoom, 0 resets, Esc ends it.",
            id="keys",
            class_="aside",
        ),
    )


def _tools() -> Markup:
    """Return the buttons of the zoom; the script shows them."""
    buttons = (
        ("zoom-near", "Failures and pods", None),
        ("zoom-whole", "Whole", None),
        ("pan-left", "\u2190", "Move left"),
        ("pan-right", "\u2192", "Move right"),
        ("zoom-in", "+", "Zoom in"),
        ("zoom-out", "\u2212", "Zoom out"),
    )
    made = [
        tag("button", words, type="button", id=name, aria_label=label, title=label)
        for name, words, label in buttons
    ]
    return tag("div", *made, class_="tools", role="toolbar", aria_label="Zoom", id="tools", hidden=True)


def _latencies(overlay: Overlay) -> Markup | None:
    faint = max(len(side.rollouts) for side in overlay.sides) > 1
    return _section(
        "How long good answers took",
        "latencies",
        "Right of 99 % are the slowest hundredth of the answers, right of 99.9 % the slowest thousandth. Lower is"
        f" faster.{' The bold lines are all rollouts of a side together.' if faint else ''}",
        latencies.render(overlay),
    )


@cache
def _styles() -> str:
    """Return the styles of a run's page, and what a comparison adds to them."""
    page = files("harness.report.page").joinpath("assets", "page.css").read_text("utf-8")
    return page + "\n" + _asset("compare.css")


@cache
def _script() -> str:
    own = "\n".join(_asset(f"{name}.js") for name in ("zoom", "compare"))  # compare.js starts all
    text = f"(() => {{\n'use strict';\n{own}\n}})();"
    if "</" in text:
        raise ValueError("a script in a page must not contain the beginning of a closing tag")
    return text


def _asset(name: str) -> str:
    return files("harness.report.comparison.page").joinpath("assets", name).read_text("utf-8")
