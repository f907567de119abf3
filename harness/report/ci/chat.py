"""What --webhook posts: the result as JSON, with a `text` that Slack and what is compatible with it show. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from harness import masking
from harness.escaping import everywhere, for_line
from harness.judge.wording import cause_in_words, count
from harness.model import Grade
from harness.report.summary.remedies import remedy
from harness.report.summary.sentences import fixes_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.judge.causes.causes import Cause
    from harness.judge.verdict.judgement import Judgement

FORMAT = 1
_CAUSES = 5
_DOUBTS = 5
_LONGEST = 3000  # characters of the text: Slack cuts at 40,000 and advises 4,000
_LINE = 500
_SIGNS = {
    Grade.PASS: ":white_check_mark:",
    Grade.FAIL: ":x:",
    Grade.INCONCLUSIVE: ":grey_question:",
}


def payload(judgement: Judgement, link: str = "") -> dict[str, Any]:
    """Return the object to post. Everything in it is masked once more: it leaves the machine."""
    judgement = everywhere(judgement, lambda text: masking.prose(for_line(text)))
    about, verdict = judgement.about, judgement.verdict
    causes = [cause for cause in judgement.causes if cause.the_rollouts]
    return {
        "text": _text(judgement, causes, link),
        "format": FORMAT,
        "verdict": verdict.grade.value,
        "headline": verdict.headline,
        "run": about.folder,
        "scenario": about.name,
        "workload": about.workload,
        "trigger": about.trigger,
        "began": about.began,
        "requests": judgement.numbers.requests,
        "lost": verdict.lost,
        "causes": [_cause(cause) for cause in causes[:_CAUSES]],
        "not_shown": list(_doubts(judgement)),
        "link": link or None,
        "zdtest": about.version,
    }


def render(judgement: Judgement, link: str = "") -> bytes:
    """Return the body to post."""
    return json.dumps(payload(judgement, link)).encode()


def _cause(cause: Cause) -> dict[str, Any]:
    return {"ids": list(cause.ids), "name": cause.name, "requests": cause.hits, "fix": fixes_of(cause)}


def _text(judgement: Judgement, causes: list[Cause], link: str) -> str:
    about, verdict = judgement.about, judgement.verdict
    lines = [f"{_SIGNS[verdict.grade]} *{verdict.grade}*: {_escaped(verdict.headline)}"]
    change = f"{about.workload}: {about.trigger or 'no change'}" if about.workload else ""
    lines.append(_escaped(", ".join(part for part in (about.name, change, about.began) if part)))
    for cause in causes[:_CAUSES]:
        lines.append(f"• {cause.hits:,}: {_escaped(cause_in_words(cause.name, cause.ids))}")
        lines += [f"   fix: {_escaped(fix)}" for fix in fixes_of(cause)]
    if len(causes) > _CAUSES:
        lines.append(f"• and {count(len(causes) - _CAUSES, 'more cause')}")
    lines += [f"• not shown: {_escaped(doubt)}" for doubt in _doubts(judgement)]
    shown, used = [], 0
    for line in lines:
        used += len(line) + 1
        if used > _LONGEST:
            shown.append("...")
            break
        shown.append(line)
    return "\n".join([*shown, *([f"<{_escaped(link)}|The job>"] if link else [])])


def _doubts(judgement: Judgement) -> Iterator[str]:
    """Say what withholds the PASS, and what to do about it."""
    if judgement.grade is not Grade.INCONCLUSIVE:
        return
    doubts = [finding for finding in judgement.verdict.findings if finding.grade is Grade.INCONCLUSIVE]
    for finding in doubts[:_DOUBTS]:
        to_do = remedy(finding, judgement)
        yield f"{finding.objective}: {finding.observed}" + (f"; to do: {to_do}" if to_do else "")


def _escaped(text: str) -> str:
    """Return text by Slack's rules: these three would begin a link or a mention. Cut where it is very long."""
    text = text if len(text) <= _LINE else f"{text[: _LINE - 3]}..."
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
