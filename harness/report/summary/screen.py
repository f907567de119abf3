"""The first screen of summary.txt: verdict, losses, causes and fix, in 40 lines of 100 columns, for any run.

It must be enough for a reader at 3 am, or at the top of a CI log. What does not fit is below, and the screen says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.judge.balancers import shown as balancers
from harness.judge.wording import cause_in_words
from harness.model import Grade
from harness.report.summary import sentences
from harness.report.summary.attention import attention
from harness.report.summary.layout import LABEL, WIDTH, clipped, elided, labelled, shortened, wrapped
from harness.report.summary.remedies import remedy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.judge.causes.causes import Cause
    from harness.judge.findings.finding import Finding
    from harness.judge.verdict.judgement import Judgement

LINES = 40
_TEXT = WIDTH - LABEL
_NUMBER = 9  # columns of a cause's count, and the space behind it


def render(judgement: Judgement) -> list[str]:
    """Return the screen; its first line is the verdict. The judgement's texts are already escaped."""
    above = [_verdict(judgement), _run(judgement)]
    below = labelled("To check", clipped(attention(judgement), 5, "... and more, below"))
    blocks = {
        Grade.FAIL: _of_fail,
        Grade.INCONCLUSIVE: _of_inconclusive,
        Grade.PASS: _of_pass,
    }[judgement.grade]
    room = LINES - sum(len(block) + 1 for block in above) - len(below) - 1
    shown = [*above, *blocks(judgement, room), below]
    lines = [line for block in shown if block for line in ("", *block)]
    return lines[1:]


def _verdict(judgement: Judgement) -> list[str]:
    words = f"{judgement.grade}: {judgement.verdict.headline}"
    return clipped(wrapped(words, "", "  "), 3, "  ... (whole in the last line)")


def _run(judgement: Judgement) -> list[str]:
    about = judgement.about
    target, change = sentences.target_and_change(judgement)
    return labelled("Run", [shortened(t, _TEXT) for t in (f"{about.name}, {about.began}", target, change)])


# --- FAIL ---------------------------------------------------------------------------------------------------


def _of_fail(judgement: Judgement, room: int) -> list[list[str]]:
    failed = labelled("Failed", clipped(list(_broken(judgement)), 4, "... and more, below"))
    lost = labelled("Lost", clipped(list(_lost(judgement)), 6))
    said = labelled("Balancer", _answers(judgement))
    room -= sum(len(block) + 1 for block in (failed, lost, said) if block)
    return [lost, failed, said, *_why_and_fix(judgement, room)]


def _answers(judgement: Judgement) -> list[str]:
    """Say which balancer answered, and show one failed answer of each kind, each in a line."""
    lines = [elided(line, _TEXT) for line in balancers.lines(judgement.balancers, meanings=False)]
    return clipped(lines, 4, "... and more, below")


def _broken(judgement: Judgement) -> Iterator[str]:
    """Say which objectives failed, except for those about lost requests."""
    for text in sentences.broken(judgement):
        yield from wrapped(text, "", "  ", _TEXT)


def _lost(judgement: Judgement) -> Iterator[str]:
    """Say how many requests were lost, with which statuses, when, and for how long."""
    if not judgement.verdict.lost:
        yield from _failures(judgement)
        return
    yield from wrapped(sentences.how_many_lost(judgement), "", "  ", _TEXT)
    yield sentences.when_lost(judgement)
    yield from filter(None, [sentences.longest_outage(judgement)])
    if judgement.rollouts:
        yield from clipped(wrapped(sentences.lost_by_rollout(judgement), "", "  ", _TEXT), 2, "  ...")
    yield from filter(None, [sentences.unnoticed(judgement)])


def _failures(judgement: Judgement) -> Iterator[str]:
    """Say what failed if none of it, or not all of it, is known to be due to the rollout."""
    if text := sentences.how_many_failed(judgement):
        yield from wrapped(text, "", "  ", _TEXT)
        yield from filter(None, [sentences.longest_outage(judgement)])


def _why_and_fix(judgement: Judgement, room: int) -> list[list[str]]:
    """Return the largest causes and the manifest lines that fix them, as many as fit."""
    causes = [cause for cause in judgement.causes if cause.the_rollouts]
    if not causes:
        return [labelled("Why", [sentences.without_cause(judgement)])] if judgement.verdict.lost else []
    how = (
        [shortened(f"as a patch: zdtest advise {judgement.about.folder}", _TEXT)] if _patch(judgement) else []
    )
    room -= 3 + len(how)  # two blank lines, and the line that says that there are more
    why: list[str] = []
    fixes: list[str] = []
    shown = 0
    for cause in causes:
        words = _cause(cause)
        new = sentences.new_fixes(cause, fixes)
        needs = len(words) + sum(len(_fix(fix)) for fix in new)
        used = len(why) + sum(len(_fix(fix)) for fix in fixes)
        if shown and used + needs > room:
            break
        why += words
        fixes += new
        shown += 1
    if shown < len(causes):
        why.append(f"{'':<{_NUMBER}}and {len(causes) - shown} more, below")
    lines = [line for fix in fixes for line in _fix(fix)]
    lines = clipped(lines, max(room - len(why) + 1, 2), "  ... and more, below")
    return [labelled("Why", why), labelled("Fix", [*lines, *how])]


def _cause(cause: Cause) -> list[str]:
    words = wrapped(
        cause_in_words(cause.name, cause.ids), f"{cause.hits:>{_NUMBER - 2},}  ", " " * _NUMBER, _TEXT
    )
    return clipped(words, 5, " " * _NUMBER + "...")


def _fix(text: str) -> list[str]:
    return wrapped(text, "", "  ", _TEXT)


def _patch(judgement: Judgement) -> bool:
    return bool(judgement.advice and judgement.advice.patch)


# --- INCONCLUSIVE -------------------------------------------------------------------------------------------


def _of_inconclusive(judgement: Judgement, room: int) -> list[list[str]]:
    failed = labelled("Failed", clipped(list(_failures(judgement)), 3))
    room -= len(failed) + bool(failed) + 2  # a blank line, and the line that says that there are more
    lines: list[str] = []
    doubts = [f for f in judgement.verdict.findings if f.grade is Grade.INCONCLUSIVE]
    shown = 0
    for finding in doubts:
        words = _doubt(finding, judgement)
        if shown and len(lines) + len(words) > room:
            break
        lines += words[:room]
        shown += 1
    if shown < len(doubts):
        lines.append(f"and {len(doubts) - shown} more, below")
    return [labelled("No PASS", lines), failed]


def _doubt(finding: Finding, judgement: Judgement) -> list[str]:
    seen = clipped(
        wrapped(f"{finding.objective}: {finding.observed}", "not shown: ", "  ", _TEXT), 5, "  ..."
    )
    advice = remedy(finding, judgement)
    return [*seen, *(wrapped(f"to do: {advice}", "  ", "         ", _TEXT) if advice else [])]


# --- PASS ---------------------------------------------------------------------------------------------------


def _of_pass(judgement: Judgement, room: int) -> list[list[str]]:
    failed = labelled("Failed", clipped(list(_failures(judgement)), 3))
    closest = labelled("Closest", clipped(_closest(judgement), 4))
    return [labelled("Proven", clipped(list(_proven(judgement)), min(room - 9, 12))), failed, closest]


def _proven(judgement: Judgement) -> Iterator[str]:
    yield from filter(None, [sentences.through(judgement)])
    for text in sentences.proofs(judgement):
        yield from clipped(wrapped(text, "", "  ", _TEXT), 3, "  ...")
    if judgement.verdict.bound:
        yield from wrapped(judgement.verdict.bound, "", "  ", _TEXT)


def _closest(judgement: Judgement) -> list[str]:
    text = sentences.closest(judgement)
    return wrapped(text, "", "  ", _TEXT) if text else []
