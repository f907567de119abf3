"""Several rollouts of one run, judged together. The unit is the rollout, and each is judged by itself first.

A request lost in one rollout is lost in the run, and a doubt about one rollout withholds the run's PASS. Measured
numbers are those of all pods together; for each protection, the rollout that left the least of it counts.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.judge import chance
from harness.judge.findings.finding import COVERED, EVERY_ROLLOUT, LOSSLESS, Finding
from harness.judge.numbers.hits import ranked
from harness.judge.numbers.measured import Capacity, Measured, Tail, of_pods
from harness.judge.timeline.observed import lifelines
from harness.judge.timeline.timeline import PhaseSpan, Span, Timeline
from harness.judge.verdict.headline import about, allowed, during, reasons, still_fails
from harness.judge.verdict.verdict import Verdict
from harness.judge.wording import count
from harness.model import Grade, Phase, RolloutFacts
from harness.recording.rounds import every_mark

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.judge.advice.margins import Margin
    from harness.judge.causes.causes import Cause, PodShare
    from harness.judge.numbers.summary import Numbers
    from harness.judge.timeline.lifeline import Lifeline
    from harness.model import ClusterEvent, RunRecord, WatchGap

_SHOWN = 3  # a finding names at most this many rollouts


def timeline_of(
    run: RunRecord,
    events: Sequence[ClusterEvent],
    gaps: Sequence[WatchGap],
    parts: Sequence[Timeline],
    services: Sequence[dict[str, Any]] = (),
) -> Timeline:
    """Put all rollouts on one timeline, counted from the first trigger. It has no single control window."""
    facts = [part.rollout for part in run.earlier] + ([run.rollout] if run.rollout else [])
    every_old = RolloutFacts(
        trigger="", patch={}, old_pods=tuple(ref for one in facts for ref in one.old_pods)
    )
    first, last = parts[0], parts[-1]
    return Timeline(
        zero_ns=first.zero_ns,
        triggered=first.triggered,
        during_ended=all(part.during_ended for part in parts if part.triggered),
        judged=Span(first.judged.from_ns, last.judged.to_ns),
        load=Span(first.load.from_ns, last.load.to_ns),
        phases=tuple(_clipped(parts)),
        control=None,
        marks=every_mark(run),
        pods=lifelines(replace(run, rollout=every_old), events, services),
        gaps=tuple(gaps),
        scalings=tuple(one for part in parts for one in part.scalings),
        changes=run.changes,
        target_groups=first.target_groups,
        steps=tuple(dict.fromkeys(one for part in parts for one in part.steps)),
    )


def _clipped(parts: Sequence[Timeline]) -> Iterable[PhaseSpan]:
    """Yield the phases of all rollouts; each rollout's phases end where the next one's begin."""
    ends = [part.judged.from_ns for part in parts[1:]] + [parts[-1].judged.to_ns]
    for part, end_ns in zip(parts, ends, strict=True):
        for phase in part.phases:
            if phase.span.from_ns < end_ns:
                yield PhaseSpan(phase.phase, Span(phase.span.from_ns, min(phase.span.to_ns, end_ns)))


def measured_of(parts: Iterable[Measured | None]) -> Measured | None:
    """Merge the numbers of all rollouts: every pod counts once as a new one and once as an old one."""
    known = [part for part in parts if part is not None]
    if not known:
        return None
    pods = tuple(pod for part in known for pod in part.pods)
    tails = [part.tail for part in known if part.tail]
    capacities = [part.capacity for part in known if part.capacity]
    tail = capacity = None
    if tails:
        tail = Tail(
            p99_ns=max(one.p99_ns for one in tails),
            p999_ns=max(one.p999_ns for one in tails),
            max_ns=max(one.max_ns for one in tails),
            cut_ns=max(one.cut_ns for one in tails),
        )
    if capacities:
        shares = [one.worst_share for one in capacities if one.worst_share is not None]
        capacity = Capacity(
            replicas=capacities[0].replicas,
            least_endpoints=min(one.least_endpoints for one in capacities),
            least_serving=min(one.least_serving for one in capacities),
            below_ns=sum(one.below_ns for one in capacities),
            worst_share=min(shares, default=None),
        )
    return of_pods(pods, tail=tail, outage_ns=max(part.outage_ns for part in known), capacity=capacity)


def closest(parts: Iterable[Sequence[Margin]]) -> tuple[Margin, ...]:
    """Return, for each protection, the rollout that left the least of it."""
    found: dict[str, Margin] = {}
    for part in parts:
        for line in part:
            known = found.get(line.what)
            if known is None or _left(line) < _left(known):
                found[line.what] = line
    return tuple(found.values())


def _left(line: Margin) -> int:
    return 1 << 62 if line.used_ns is None or line.of_ns is None else line.of_ns - line.used_ns


def causes_of(parts: Sequence[Sequence[Cause]], pods: Sequence[Lifeline]) -> tuple[Cause, ...]:
    """Merge the same causes of several rollouts; the evidence is that of the rollout with the most hits.

    `pods` are those of the whole run. Of several that shared a name, a rollout knows a part, and so tells them apart
    by other names.
    """
    names = {pod.uid: pod.name for pod in pods}
    groups: dict[tuple[tuple[str, ...], str], list[tuple[int, Cause]]] = {}
    for number, part in enumerate(parts, 1):
        for cause in part:
            groups.setdefault((cause.ids, cause.confidence), []).append((number, cause))
    found = []
    for group in groups.values():
        number, worst = max(group, key=lambda item: (item[1].hits, -item[0]))
        kinds = Counter[str]()
        for _, cause in group:
            kinds.update(cause.kinds)
        where = ", ".join(str(n) for n, _ in group)
        where_seen = f"in {'rollout' if len(group) == 1 else 'rollouts'} {where} of {len(parts)}"
        if len(group) > 1:
            where_seen += f"; most in {number}, of which the rest of this speaks"
        if number > 1:
            where_seen += ", in times from that one's own trigger"
        found.append(
            replace(
                worst,
                hits=sum(cause.hits for _, cause in group),
                kinds=dict(sorted(kinds.items(), key=lambda item: (-item[1], item[0]))),
                first_ns=min(cause.first_ns for _, cause in group),
                last_ns=max(cause.last_ns for _, cause in group),
                pods=_shares(
                    replace(share, pod=names.get(share.uid, share.pod))
                    for _, cause in group
                    for share in cause.pods
                ),
                evidence=(where_seen, *worst.evidence),
            )
        )
    return tuple(sorted(found, key=lambda cause: (-cause.hits, cause.ids)))


def _shares(shares: Iterable[PodShare]) -> tuple[PodShare, ...]:
    merged: dict[tuple[str, bool], PodShare] = {}
    for share in shares:
        known = merged.get((share.pod, share.old))
        merged[share.pod, share.old] = replace(share, hits=share.hits + (known.hits if known else 0))
    return tuple(sorted(merged.values(), key=lambda share: (-share.hits, share.pod)))


def decide_together(
    run: RunRecord, numbers: Numbers, verdicts: Sequence[Verdict], own: Sequence[Finding]
) -> Verdict:
    """Grade the run: merge the findings of its rollouts, and add `own`, those of the run as a whole."""
    findings = [_all_made(run, len(verdicts)), *_pooled(verdicts), *own]
    grades = {finding.grade for finding in findings}
    grade = next(g for g in (Grade.FAIL, Grade.INCONCLUSIVE, Grade.PASS) if g in grades)
    lost = sum(verdict.lost for verdict in verdicts)
    return Verdict(
        grade=grade,
        headline=_headline(grade, findings, run, numbers, verdicts),
        findings=tuple(findings),
        lost=lost,
        of=numbers.requests,
        bound=_bound(numbers, verdicts),
        kinds=_kinds(verdicts),
        untied=sum(verdict.untied for verdict in verdicts),
    )


def _all_made(run: RunRecord, seen: int) -> Finding:
    objective = EVERY_ROLLOUT
    # If the run ended early, its last rollout is not over; whether it was covered is its own finding.
    grade = Grade.PASS if seen == run.rollouts else Grade.INCONCLUSIVE
    ended = (
        "" if grade is Grade.PASS else f": the run ended in the {seen}. ({run.ended_by.replace('_', ' ')})"
    )
    return Finding(objective, f"{seen} of {run.rollouts}{ended}", grade)


def _pooled(verdicts: Sequence[Verdict]) -> list[Finding]:
    by_objective: dict[str, list[tuple[int, Finding]]] = {}
    for number, verdict in enumerate(verdicts, 1):
        for finding in verdict.findings:
            by_objective.setdefault(finding.objective, []).append((number, finding))
    found = []
    for objective, seen in by_objective.items():
        grades = {finding.grade for _, finding in seen}
        grade = next(g for g in (Grade.FAIL, Grade.INCONCLUSIVE, Grade.PASS) if g in grades)
        at = [(number, finding) for number, finding in seen if finding.grade is grade]
        if grade is Grade.PASS and len({finding.observed for _, finding in seen}) == 1:
            observed = seen[0][1].observed
            if len(seen) > 1:
                observed += f" (each of {len(seen)} rollouts)"
        else:
            observed = "; ".join(f"rollout {number}: {finding.observed}" for number, finding in at[:_SHOWN])
            if len(at) > _SHOWN:
                observed += f"; and {len(at) - _SHOWN} more"
        found.append(Finding(objective, observed, grade))
    return found


def _headline(
    grade: Grade,
    findings: Sequence[Finding],
    run: RunRecord,
    numbers: Numbers,
    verdicts: Sequence[Verdict],
) -> str:
    lost, total = sum(verdict.lost for verdict in verdicts), len(verdicts)
    requests = f"{numbers.requests:,}"
    bad = [verdict for verdict in verdicts if verdict.lost]
    blamed = any(f.grade is Grade.FAIL and f.objective == LOSSLESS for f in findings)
    if grade is Grade.FAIL and lost and blamed:
        kinds = _kinds(verdicts)
        counted = ", ".join(f"{kind}: {n:,}" for kind, n in list(kinds.items())[:_SHOWN])
        more = ", ..." if len(kinds) > _SHOWN else ""
        untied = sum(verdict.untied for verdict in verdicts)
        why = reasons(lost, untied, requests, f" because of {len(bad)} of {total} rollouts")
        return f"{about(lost, kinds)}{why} ({counted}{more})"
    if grade is not Grade.PASS:
        faults = sorted(
            (f for f in findings if f.grade is grade),
            key=lambda f: (f.objective != COVERED, f.objective == LOSSLESS),
        )
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        return f"{faults[0].observed}{more}; {numbers.failed:,} of {requests} requests failed"
    if lost:
        return f"{lost:,} of {requests} requests failed because of {len(bad)} of {total} rollouts, {allowed(run)}"
    facts = [part.rollout for part in run.earlier] + ([run.rollout] if run.rollout else [])
    pods = sum(len(one.old_pods) for one in facts)
    return f"none of {requests} requests failed because of {total} rollouts ({count(pods, 'pod')} replaced)"


def _kinds(verdicts: Sequence[Verdict]) -> dict[str, int]:
    counted = Counter[str]()
    for verdict in verdicts:
        counted.update(verdict.kinds)
    return ranked(dict(counted))


def _bound(numbers: Numbers, verdicts: Sequence[Verdict]) -> str:
    """Say what these rollouts mean for the next ones. Rollouts that were not judged to their end do not count."""
    covered = [
        v for v in verdicts if any(f.objective == COVERED and f.grade is Grade.PASS for f in v.findings)
    ]
    if not covered:
        return ""
    total, bad = len(covered), sum(bool(v.lost) for v in covered)
    if bad:
        least = 100 * (1 - chance.upper_share(total - bad, total))
        most = 100 * chance.upper_share(bad, total)
        return (
            f"{bad} of {total} rollouts lost requests: at least {least:.0f} % and at most {most:.0f} % "
            "of this manifest's rollouts do (each at 95 %)"
        )
    part = numbers.part(Phase.DURING)
    if part is None or not part.requests:
        return ""
    return f"{during(part, f'{total} rollouts')}; {count(total, 'clean rollout')}: {still_fails(total)}"
