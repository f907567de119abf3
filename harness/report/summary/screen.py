"""The first screen of summary.txt: verdict, losses, causes and fix, in 40 lines of 100 columns, for any run.

It must be enough for a reader at 3 am, or at the top of a CI log. What does not fit is below, and the screen says so.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.judge.advice.draft import AS_IT_IS
from harness.judge.balancers import shown as balancers
from harness.judge.findings.finding import COVERED, LOSSLESS, PROVEN, UNBROKEN
from harness.judge.wording import at, cause_in_words, count, exchanged, lasting, share
from harness.model import Grade
from harness.report.summary.attention import attention
from harness.report.summary.layout import LABEL, WIDTH, clipped, elided, labelled, shortened, wrapped
from harness.report.summary.remedies import remedy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.judge.advice.margins import Margin
    from harness.judge.causes.causes import Cause
    from harness.judge.findings.finding import Finding
    from harness.judge.verdict.judgement import Judgement

LINES = 40
_TEXT = WIDTH - LABEL
_KINDS = 6
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
    target = about.targets[0] if about.targets else ""
    if len(about.targets) > 1:
        target += f" and {count(len(about.targets) - 1, 'more target')}"
    change = f"{about.workload}: {about.trigger or 'no change'}" if about.workload else ""
    if about.rollout_state:
        change += f", {about.rollout_state.replace('_', ' ')}"
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
    for finding in judgement.verdict.findings:
        said_by_lost = judgement.verdict.lost and finding.objective in {LOSSLESS, UNBROKEN}
        if finding.grade is Grade.FAIL and not said_by_lost:
            yield from wrapped(f"{finding.objective}: {finding.observed}", "", "  ", _TEXT)


def _lost(judgement: Judgement) -> Iterator[str]:
    """Say how many requests were lost, with which statuses, when, and for how long."""
    verdict, numbers, zero = judgement.verdict, judgement.numbers, judgement.timeline.zero_ns
    if not verdict.lost:
        yield from _failures(judgement)
        return
    so_many = "" if verdict.lost == sum(verdict.kinds.values()) else "about "
    part = share(verdict.lost, verdict.of)
    kinds = _kinds(verdict.kinds)
    yield from wrapped(
        f"{so_many}{verdict.lost:,} of {verdict.of:,} requests ({part}): {kinds}", "", "  ", _TEXT
    )
    against = [cause for cause in judgement.causes if cause.the_rollouts]
    moments = [(cause.first_ns, cause.last_ns) for cause in against]
    moments = moments or [(k.first_ns, k.last_ns) for k in numbers.kinds if k.kind in verdict.kinds]
    when = ""
    if moments:
        first, last = min(first for first, _ in moments), max(last for _, last in moments)
        since = _since(judgement)
        when = f"from {at(first, zero)} to {at(last, zero)} after the {since}, "
    seconds = f"{when}in {numbers.bad_seconds:,} of {count(numbers.seconds_total, 'second')}"
    yield from (line for line in (seconds, _outage(judgement)) if line)
    if judgement.rollouts:
        bad = [(n, one.verdict.lost) for n, one in enumerate(judgement.rollouts, 1) if one.verdict.lost]
        each = ", ".join(f"rollout {n}: {lost:,}" for n, lost in bad)
        yield from clipped(
            wrapped(
                f"in {len(bad)} of {count(len(judgement.rollouts), 'rollout')} ({each})", "", "  ", _TEXT
            ),
            2,
            "  ...",
        )
    if numbers.masked:
        yield f"a client that retries would not have noticed {numbers.masked:,} of them"


def _failures(judgement: Judgement) -> Iterator[str]:
    """Say what failed if none of it, or not all of it, is known to be due to the rollout."""
    numbers = judgement.numbers
    if numbers.failed:
        kinds = _kinds({kind.kind: kind.count for kind in numbers.kinds})
        part = share(numbers.failed, numbers.requests)
        text = f"{numbers.failed:,} of {numbers.requests:,} requests ({part}): {kinds}"
        yield from (line for line in (*wrapped(text, "", "  ", _TEXT), _outage(judgement)) if line)


def _outage(judgement: Judgement) -> str:
    outage = judgement.numbers.outage
    if outage is None:
        return ""
    length = lasting(outage.to_ns - outage.from_ns)
    return f"longest outage {length}, at {at(outage.from_ns, judgement.timeline.zero_ns)}"


def _kinds(kinds: dict[str, int]) -> str:
    shown = ", ".join(f"{kind}: {n:,}" for kind, n in list(kinds.items())[:_KINDS])
    return shown + (", ..." if len(kinds) > _KINDS else "")


def _since(judgement: Judgement) -> str:
    if not judgement.timeline.triggered:
        return "start"
    return "first trigger" if judgement.rollouts else "trigger"


def _why_and_fix(judgement: Judgement, room: int) -> list[list[str]]:
    """Return the largest causes and the manifest lines that fix them, as many as fit."""
    causes = [cause for cause in judgement.causes if cause.the_rollouts]
    if not causes:
        return [labelled("Why", _without_cause(judgement))] if judgement.verdict.lost else []
    how = (
        [shortened(f"as a patch: zdtest advise {judgement.about.folder}", _TEXT)] if _patch(judgement) else []
    )
    room -= 3 + len(how)  # two blank lines, and the line that says that there are more
    why: list[str] = []
    fixes: list[str] = []
    shown = 0
    for cause in causes:
        words = _cause(cause)
        new = [fix for fix in fixes_of(cause) if fix.removeprefix("until then ") not in fixes]
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


def fixes_of(cause: Cause) -> list[str]:
    """Return what fixes a cause, a manifest line each; what is right already is left out."""
    found = [line for fix in cause.mend for line in re.split(r"; (?=(?:until then )?spec\.)", fix)]
    return [line for line in found if not line.endswith(AS_IT_IS)] or found


def _fix(text: str) -> list[str]:
    return wrapped(text, "", "  ", _TEXT)


def _patch(judgement: Judgement) -> bool:
    return bool(judgement.advice and judgement.advice.patch)


def _without_cause(judgement: Judgement) -> list[str]:
    if judgement.about.trigger:
        return ["unknown: no cause was found; see timeline.png"]
    return ["without a rollout there is nothing to name as a cause; the failures by kind are below"]


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
    closest = labelled("Closest", clipped(list(_closest(judgement.headroom)), 4))
    return [labelled("Proven", clipped(list(_proven(judgement)), min(room - 9, 12))), failed, closest]


def _proven(judgement: Judgement) -> Iterator[str]:
    verdict, numbers = judgement.verdict, judgement.numbers
    each = judgement.rollouts or (judgement,)
    olds = sum(pod.old and pod.deleted_ns is not None for one in each for pod in one.timeline.pods)
    if judgement.about.trigger:
        lost = f"{verdict.lost:,} lost" if verdict.lost else "none lost"
        news = sum(one.timeline.came for one in each)
        yield f"{count(numbers.requests, 'request')} through {exchanged(olds, news)}, {lost}"
    for finding in verdict.findings:
        if finding.objective in {PROVEN, COVERED}:
            yield from clipped(
                wrapped(f"{finding.objective}: {finding.observed}", "", "  ", _TEXT), 3, "  ..."
            )
    if verdict.bound:
        yield from wrapped(verdict.bound, "", "  ", _TEXT)


def _closest(headroom: Sequence[Margin]) -> Iterator[str]:
    """Say which protection had the least left."""
    tried = [one for one in headroom if one.used_ns is not None and one.of_ns]
    if tried:
        least = min(tried, key=lambda one: (one.of_ns or 0) - (one.used_ns or 0))
        pod = f" ({least.pod})" if least.pod else ""
        yield from wrapped(f"{least.what}: {least.sentence}{pod}", "", "  ", _TEXT)
