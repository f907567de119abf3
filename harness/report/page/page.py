"""Puts the page together: words, styles, script, data. Nothing in it refers to anything outside of it.

The words are HTML, so that they can be read where scripts do not run (a CI server that shows artifacts without them);
only the picture and the table of failures need the script. The policy in the head allows this script and these styles
by their hashes and nothing else: no request, no image, no frame, no form.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING

from harness.escaping import everywhere, for_line
from harness.report.page import headline, sections
from harness.report.page.drawing import drawn
from harness.report.page.markup import Markup, sleeping_json, tag
from harness.report.page.policy import policy

if TYPE_CHECKING:
    from harness.judge.picture.picture import Picture
    from harness.judge.verdict.judgement import Judgement

# In this order: each may use what stands before it.
SCRIPTS = (
    "data",
    "looks",
    "view",
    "selection",
    "panels",
    "lanes",
    "overview",
    "notes",
    "hover",
    "table",
    "start",
)


_OF_REQUESTS = {
    "rate": "Requests per second",
    "failed": "Failed requests",
    "by": "how long it took",
    "waited": "Latency",
    "every": "Every failed request",
}
_OF_STREAMS = {
    "rate": "Streams open",
    "failed": "Cut streams, failed handshakes",
    "by": "how old it was",
    "waited": "From one message to the next",
    "every": "Every cut stream and failed handshake",
}


def render(judgement: Judgement, picture: Picture) -> str:
    """Return the page of a run."""
    judgement, picture = everywhere(judgement, for_line), everywhere(picture, for_line)
    styles, script = _styles(), _script()
    return Template(_asset("page.html")).substitute(
        policy=policy(styles, script),
        title=tag("title", f"{judgement.grade}: {judgement.about.name}, {judgement.about.began}"),
        styles=styles,
        head=headline.render(judgement, picture),
        sections=sections.render(judgement, picture),
        foot=tag(
            "p", f"Made by zdtest {judgement.about.version}".strip(), "; drawn with uPlot (MIT licence)."
        ),
        **(_OF_REQUESTS if judgement.streams is None else _OF_STREAMS),
        data=Markup(sleeping_json(drawn(judgement, picture))),
        script=script,
    )


@cache
def _styles() -> str:
    return _vendored("uPlot.min.css") + "\n" + _asset("page.css")


@cache
def _script() -> str:
    """Return uPlot with its licence, and our own script in a function of its own."""
    own = "\n".join(_asset(f"script/{name}.js") for name in SCRIPTS)
    text = f"/*\n{_vendored('LICENSE')}*/\n{_vendored('uPlot.iife.min.js')}\n(() => {{\n'use strict';\n{own}\n}})();"
    if "</" in text:
        raise ValueError("a script in a page must not contain the beginning of a closing tag")
    return text


def _asset(name: str) -> str:
    return files("harness.report.page").joinpath("assets", *name.split("/")).read_text("utf-8")


def _vendored(name: str) -> str:
    return files("harness.report.page").joinpath("vendor", name).read_text("utf-8")
