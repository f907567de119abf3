"""What the first screen and report.html both say, a sentence each, unwrapped: what was lost, when, what fixes it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.judge.advice.draft import AS_IT_IS
from harness.judge.findings.finding import COVERED, LOSSLESS, PROVEN, UNBROKEN
from harness.judge.streams import words
from harness.judge.wording import at, count, exchanged, lasting, share
from harness.model import Grade

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from harness.judge.causes.causes import Cause
    from harness.judge.verdict.judgement import Judgement

_KINDS = 6


def target_and_change(judgement: Judgement) -> tuple[str, str]:
    """Say what the requests were sent to, and what was changed meanwhile; "" where there was nothing."""
    about = judgement.about
    target = about.targets[0] if about.targets else ""
    if len(about.targets) > 1:
        target += f" and {count(len(about.targets) - 1, 'more target')}"
    change = f"{about.workload}: {about.trigger or 'no change'}" if about.workload else ""
    if about.rollout_state:
        change += f", {about.rollout_state.replace('_', ' ')}"
    return target, change


def how_many_lost(judgement: Judgement) -> str:
    """Say how many requests were lost, and how; "" if none was."""
    verdict = judgement.verdict
    if not verdict.lost:
        return ""
    so_many = "" if verdict.lost == sum(verdict.kinds.values()) else "about "
    if judgement.streams is not None:
        return words.headline(judgement.streams, verdict.lost, "")
    part = share(verdict.lost, verdict.of)
    return f"{so_many}{verdict.lost:,} of {verdict.of:,} requests ({part}): {kinds_in_words(verdict.kinds)}"


def when_lost(judgement: Judgement) -> str:
    """Say from when to when requests were lost, and in how many seconds."""
    verdict, numbers, zero = judgement.verdict, judgement.numbers, judgement.timeline.zero_ns
    against = [cause for cause in judgement.causes if cause.the_rollouts]
    moments = [(cause.first_ns, cause.last_ns) for cause in against]
    moments = moments or [(k.first_ns, k.last_ns) for k in numbers.kinds if k.kind in verdict.kinds]
    when = ""
    if moments:
        first, last = min(first for first, _ in moments), max(last for _, last in moments)
        when = f"from {at(first, zero)} to {at(last, zero)} after the {_since(judgement)}, "
    return f"{when}in {numbers.bad_seconds:,} of {count(numbers.seconds_total, 'second')}"


def longest_outage(judgement: Judgement) -> str:
    """Say how long nothing but failures came; "" if there was no such time."""
    outage = judgement.numbers.outage
    if outage is None:
        return ""
    length = lasting(outage.to_ns - outage.from_ns)
    return f"longest outage {length}, at {at(outage.from_ns, judgement.timeline.zero_ns)}"


def lost_by_rollout(judgement: Judgement) -> str:
    """Say in which of several rollouts requests were lost; "" for a single one."""
    if not judgement.rollouts:
        return ""
    bad = [(n, one.verdict.lost) for n, one in enumerate(judgement.rollouts, 1) if one.verdict.lost]
    each = ", ".join(f"rollout {n}: {lost:,}" for n, lost in bad)
    return f"in {len(bad)} of {count(len(judgement.rollouts), 'rollout')}" + (f" ({each})" if each else "")


def unnoticed(judgement: Judgement) -> str:
    """Say how many of the lost a client that retries would have hidden; "" if none."""
    masked = judgement.numbers.masked
    return f"a client that retries would not have noticed {masked:,} of them" if masked else ""


def how_many_failed(judgement: Judgement) -> str:
    """Say what failed if none of it, or not all of it, is known to be due to the rollout; "" if nothing did."""
    numbers = judgement.numbers
    if not numbers.failed:
        return ""
    if judgement.streams is not None:
        failed = kinds_in_words({words.in_words(kind.kind): kind.count for kind in numbers.kinds})
        return f"{numbers.failed:,} streams and handshakes in the whole run: {failed}"
    kinds = kinds_in_words({kind.kind: kind.count for kind in numbers.kinds})
    part = share(numbers.failed, numbers.requests)
    return f"{numbers.failed:,} of {numbers.requests:,} requests ({part}): {kinds}"


def broken(judgement: Judgement) -> Iterator[str]:
    """Say which objectives failed, except for those about lost requests."""
    for finding in judgement.verdict.findings:
        said_by_lost = judgement.verdict.lost and finding.objective in {LOSSLESS, UNBROKEN}
        if finding.grade is Grade.FAIL and not said_by_lost:
            yield f"{finding.objective}: {finding.observed}"


def fixes_of(cause: Cause) -> list[str]:
    """Return what fixes a cause, a manifest line each; what is right already is left out."""
    found = [line for fix in cause.mend for line in re.split(r"; (?=(?:until then )?spec\.)", fix)]
    return [line for line in found if not line.endswith(AS_IT_IS)] or found


def new_fixes(cause: Cause, said: Collection[str]) -> list[str]:
    """Return the fixes of a cause that have not been said: what is said is not said again as "until then"."""
    return [fix for fix in fixes_of(cause) if fix.removeprefix("until then ") not in said]


def without_cause(judgement: Judgement) -> str:
    """Say why no cause is named."""
    if judgement.about.trigger:
        return "unknown: no cause was found; see timeline.png"
    return "without a rollout there is nothing to name as a cause; the failures by kind are below"


def through(judgement: Judgement) -> str:
    """Say how many requests went through how many replaced pods, and what was lost; "" without a rollout."""
    if not judgement.about.trigger:
        return ""
    verdict, each = judgement.verdict, judgement.rollouts or (judgement,)
    olds = sum(pod.old and pod.deleted_ns is not None for one in each for pod in one.timeline.pods)
    news = sum(one.timeline.came for one in each)
    lost = f"{verdict.lost:,} lost" if verdict.lost else "none lost"
    if judgement.streams is not None:
        held = words.named(judgement.streams, judgement.streams.held)
        return f"{held} through {exchanged(olds, news)}, {judgement.streams.blamed:,} cut"
    return f"{count(judgement.numbers.requests, 'request')} through {exchanged(olds, news)}, {lost}"


def proofs(judgement: Judgement) -> Iterator[str]:
    """Say what a PASS rests on: that the target leads to the workload, and that the rollout was covered."""
    for finding in judgement.verdict.findings:
        if finding.objective in {PROVEN, COVERED}:
            yield f"{finding.objective}: {finding.observed}"


def closest(judgement: Judgement) -> str:
    """Say which protection had the least left; "" if none was tried."""
    tried = [one for one in judgement.headroom if one.used_ns is not None and one.of_ns]
    if not tried:
        return ""
    least = min(tried, key=lambda one: (one.of_ns or 0) - (one.used_ns or 0))
    return f"{least.what}: {least.sentence}{f' ({least.pod})' if least.pod else ''}"


def kinds_in_words(kinds: dict[str, int]) -> str:
    """Return kinds with their counts: "502: 12, 503: 3"."""
    shown = ", ".join(f"{kind}: {n:,}" for kind, n in list(kinds.items())[:_KINDS])
    return shown + (", ..." if len(kinds) > _KINDS else "")


def _since(judgement: Judgement) -> str:
    if not judgement.timeline.triggered:
        warmed = any(phase.phase == "warmup" for phase in judgement.timeline.phases)
        return "end of the warm-up" if warmed else "start"
    return "first trigger" if judgement.rollouts else "trigger"
