"""The verdict in one line, and what a clean run does not prove."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from harness.judge import chance, odds
from harness.judge.findings.finding import ALIVE, BASELINE, COVERED, ENDED, LOSSLESS, UNBROKEN
from harness.judge.numbers.hits import OWN_FAULT, ranked
from harness.judge.streams import words
from harness.judge.wording import at, count, exchanged, lasting
from harness.model import Grade, Phase
from harness.scenario.objectives import replacing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.judge.findings.finding import Finding
    from harness.judge.numbers.background import Background
    from harness.judge.numbers.summary import Numbers, Part
    from harness.judge.streams.numbers import StreamNumbers
    from harness.judge.timeline.timeline import Timeline
    from harness.model import RunRecord

# What somebody did to a rollout, in one word.
_CHANGED = {
    "undone": "undid",
    "scaled": "scaled",
    "paused": "paused",
    "resumed": "resumed",
    "deleted": "ended by deleting the workload",
    "service_deleted": "disturbed by deleting the Service",
    "pod_deleted": "disturbed by deleting a pod",
    "pod_evicted": "disturbed by evicting a pod",
}
_SHOWN = 3  # kinds that a headline names
# By what ended the run: the objective that explains the missing PASS best.
_LEADS = {
    "dry_run": COVERED,
    "interrupted": ENDED,
    "crash": ENDED,
    "baseline_unsound": BASELINE,
    "worker_lost": ALIVE,
    "rollout_stalled": COVERED,
    "changed": COVERED,
    "deleted": COVERED,
}


def headline(
    grade: Grade,
    findings: Sequence[Finding],
    lost: int,
    run: RunRecord,
    numbers: Numbers,
    timeline: Timeline,
    background: Background,
    untied: int = 0,
    streams: StreamNumbers | None = None,
) -> str:
    """Return the verdict in one line: what was lost, or why there is no PASS, or what passed."""
    total = f"{numbers.requests:,}"
    because = because_of(timeline) if run.rollout_wanted else ""
    accused = any(f.grade is Grade.FAIL and f.objective in {LOSSLESS, UNBROKEN} for f in findings)
    if grade is Grade.FAIL and lost and accused:
        if streams is not None:
            return words.headline(streams, lost, because if untied < lost else " during the rollout")
        kinds = blamed(run, numbers, background)
        most = ", ".join(f"{kind}: {n:,}" for kind, n in list(kinds.items())[:_SHOWN])
        more = ", ..." if len(kinds) > _SHOWN else ""
        why = (
            reasons(lost, untied, total, because)
            if run.rollout_wanted
            else f"{lost:,} of {total} requests failed"
        )
        return f"{about(lost, kinds)}{why} ({most}{more})"
    if grade is not Grade.PASS:
        faults = [finding for finding in findings if finding.grade is grade]
        lead = _LEADS.get(run.ended_by, "?")
        # That there was no rollout to judge follows from another finding, which says more.
        plain = sorted(faults, key=lambda f: (not f.objective.startswith(lead), f.objective == LOSSLESS))
        first = plain[0]
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        seen = (
            f"; {numbers.failed:,} of {total} requests failed"
            if grade is Grade.INCONCLUSIVE and numbers.requests and streams is None
            else ""
        )
        return f"{first.observed}{more}{seen}"
    if lost or background.suspected:
        so_many = "up to " if background.suspected else about(lost, blamed(run, numbers, background))
        return f"{so_many}{lost + background.suspected:,} of {total} requests failed{because}, {allowed(run)}"
    if streams is not None or not run.rollout_wanted:
        return words.clean(streams, because) if streams else f"none of {total} requests failed"
    since = sum(part.failed for part in numbers.parts if part.name in {Phase.DURING, Phase.AFTER})
    rest = f"; {since:,} failed, no more often than before" if since else ""
    during = timeline.phase(Phase.DURING)
    took = f" in {lasting(during.length_ns)}" if during else ""
    gone = len(run.rollout.old_pods) if run.rollout else 0
    came = timeline.came if timeline.pods else gone
    return f"none of {total} requests failed{because} ({exchanged(gone, came)}{took}{rest})"


def because_of(timeline: Timeline) -> str:
    """Say what the rollout was that requests were lost to: somebody may have had a hand in it."""
    changes = [change for change in timeline.changes if change.disturbs]
    if not changes:
        return " because of the rollout"
    first, more = changes[0], len(changes) - 1
    when = at(first.at_ns, timeline.zero_ns)
    others = f" (and {count(more, 'more change')})" if more else ""
    return f" in a rollout that {first.who or 'somebody'} {_CHANGED.get(first.kind, 'changed')} at {when}{others}"


def reasons(lost: int, untied: int, total: str, because: str) -> str:
    """Say how many failed because of the rollout, and how many merely during it. `because` is the wording."""
    nothing = "tied to nothing that happened to a pod"
    if untied >= lost:
        return f"{lost:,} of {total} requests failed during the rollout, {nothing}"
    if untied:
        return (
            f"{lost:,} of {total} requests failed during the rollout, "
            f"{lost - untied:,}{because}, {untied:,} {nothing}"
        )
    return f"{lost:,} of {total} requests failed{because}"


def blamed(run: RunRecord, numbers: Numbers, background: Background) -> dict[str, int]:
    """Count the lost requests by kind, most frequent first. Kinds that are only background are left out."""
    phases = {Phase.DURING, Phase.AFTER} if run.rollout_wanted else set(Phase) - {Phase.WARMUP}
    counted = Counter[str]()
    for part in numbers.parts:
        if part.name in phases:
            counted.update(part.kinds)
    return ranked(
        {
            kind: n
            for kind, n in counted.items()
            if kind not in OWN_FAULT and (background.blames(kind) or not run.rollout_wanted)
        }
    )


def about(lost: int, kinds: Mapping[str, int]) -> str:
    """Return "about" if background of the same kinds was subtracted."""
    return "" if lost == sum(kinds.values()) else "about "


def allowed(run: RunRecord) -> str:
    """Say which of the run's own objectives allow a loss."""
    own = replacing(run.scenario, rollout=run.rollout_wanted)
    texts = ", ".join(dict.fromkeys(text for texts in own.values() for text in texts))
    return f"which the run's own objectives allow ({texts})"


def bound(run: RunRecord, timeline: Timeline, numbers: Numbers, streams: StreamNumbers | None = None) -> str:
    """Say what a clean run does not rule out. Only requests during the rollout count, because only they met it."""
    if not run.rollout_wanted and streams is not None:
        return ""  # streams that end together are no independent trials
    if not run.rollout_wanted:
        return (
            f"{numbers.failed:,} of {numbers.requests:,} failed: {at_most(numbers.failed, numbers.requests)}"
        )
    part = numbers.part(Phase.DURING)
    if part is None or not part.requests or not timeline.during_ended:
        return ""
    olds = len(run.rollout.old_pods) if run.rollout else 0
    share = 100 * odds.clean_runs_bound(olds)
    pods = f" of {count(olds, 'pod')} (at most {share:.0f} % of such replacements lose any)" if olds else ""
    counted = during(part, "the rollout") if streams is None else words.counted(streams)
    return f"{counted}; 1 clean rollout{pods}: {still_fails(1)}"


def during(part: Part, what: str) -> str:
    """Say how many requests failed during one rollout or several, and what that bounds."""
    return f"{part.failed:,} of {part.requests:,} requests during {what} failed: {at_most(part.failed, part.requests)}"


def at_most(failed: int, requests: int) -> str:
    """Return the bound on the share of failures, at 95 %: "at most 1,300 per million at 95 %"."""
    per_million = 1e6 * chance.upper_share(failed, requests)
    return f"at most {per_million:,.{0 if per_million >= 100 else 1}f} per million at 95 %"


def still_fails(clean: int) -> str:
    """Say how often rollouts may still fail after this many clean ones."""
    share = 100 * odds.clean_runs_bound(clean)
    enough = " (59 clean ones would bring that down to 5 %)" if share > 5 else ""
    return f"this manifest may still fail in up to {share:.0f} % of rollouts{enough}"
