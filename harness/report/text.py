"""summary.txt and what a run prints: read at 3 am on a narrow terminal. Plain ASCII, at most 100 columns."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from harness.escaping import everywhere, for_line
from harness.judge.balancers import shown as balancers
from harness.judge.wording import at, lasting, share
from harness.model import Grade
from harness.report import bombardier, lint, measured, sending

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.judge.causes.causes import Cause
    from harness.judge.numbers.summary import Latency, Numbers, Part
    from harness.judge.timeline.timeline import Timeline
    from harness.judge.verdict.about import About
    from harness.judge.verdict.compare import Comparison
    from harness.judge.verdict.judgement import Judgement

WIDTH = 100
FOOTNOTE = (
    "Latency: good responses only. Reqs/sec: completed / time; Stdev and Max of whole seconds. bombardier itself "
    "mixes all outcomes into Latency, takes 20 ms samples, and its Stdev shrinks as the run grows."
)


def render(judgement: Judgement, *, latencies: bool) -> str:
    """Return the whole summary, without a newline at its end; its last line is the verdict. `latencies` adds the distribution."""
    judgement = everywhere(judgement, for_line)
    numbers, timeline = judgement.numbers, judgement.timeline
    blocks = [
        _head(judgement.about),
        [
            *bombardier.render(bombardier.of(numbers, latencies=latencies)).splitlines(),
            *_wrapped(FOOTNOTE, "  * ", "    "),
        ],
        sending.latencies(judgement.sending),
        _requests(judgement),
        sending.targets(judgement.sending),
        _failures(numbers, timeline)
        + sending.samples(judgement.sending, {kind.kind: kind.count for kind in numbers.kinds}),
        _rollouts(judgement) or _phases(numbers, timeline),
        _bad_time(numbers, timeline),
        [part for line in balancers.lines(judgement.balancers) for part in _wrapped(line, "", "          ")],
        _why(judgement.causes, timeline, several=bool(judgement.rollouts)),
        [] if judgement.rollouts else _pods(timeline),
        _scalings(timeline),
        measured.numbers(judgement.measured),
        measured.headroom(judgement.headroom, judgement.curve),
        measured.advice(judgement.advice),
        lint.marked(judgement.lint),
        sending.connections(judgement.sending)
        + sending.slower(judgement.sending)
        + sending.stalls(judgement.sending),
        _gaps(timeline),
        [line for note in judgement.notes for line in _wrapped(note, "Note: ", "      ")],
        _findings(judgement),
        [headline(judgement)],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _head(about: About) -> list[str]:
    lines = [f"{about.name}, {about.began}" + (f", zdtest {about.version}" if about.version else "")]
    shown = about.targets[:3]
    lines += [f"  {target}" for target in shown]
    if len(about.targets) > len(shown):
        lines.append(f"  ... and {len(about.targets) - len(shown)} more targets")
    lines.append(f"  {about.model}")
    if about.workload:
        lines += _wrapped(f"{about.workload}, {about.cluster}", "  ", "    ")
    if about.trigger:
        reason = (
            f" ({about.rollout_reason})" if about.rollout_reason and about.rollout_state != "complete" else ""
        )
        story = f"{about.trigger}: {about.rollout_state.replace('_', ' ')}{reason}"
        if about.status_done_ns is not None:
            story += f"; `rollout status` done {at(about.status_done_ns, 0)}"
        if about.old_gone_ns is not None:
            story += f", last old pod gone {at(about.old_gone_ns, 0)}"
        if about.settled_ns is not None:
            story += f", settled {at(about.settled_ns, 0)}"
        lines += _wrapped(story, "  ", "    ")
    return lines


def _requests(judgement: Judgement) -> list[str]:
    numbers = judgement.numbers
    rows = [("Requests", numbers.requests, f"in {lasting(numbers.elapsed_ns)} of load after the warm-up")]
    rows.append(("  good", numbers.good, ""))
    split = (
        f"{numbers.hard:,} hard, {numbers.masked:,} that a retrying client would have hidden"
        if numbers.failed
        else ""
    )
    rows.append(("  failed", numbers.failed, split))
    if numbers.stalled:
        rows.append(("  stalled", numbers.stalled, f"took over {lasting(judgement.about.stalled_over_ns)}"))
    if numbers.cut:
        oldest = f"still out when the load was over, oldest {lasting(numbers.cut_oldest_ns)}; neither good nor failed"
        rows.append(("  cut", numbers.cut, oldest))
    if numbers.warmup_failed:
        rows.append(
            ("  (warm-up)", numbers.warmup_failed, f"of {numbers.warmup_requests:,} failed in it; not judged")
        )
    lines = [f"{name:<14}{value:>12,}  {text}".rstrip() for name, value, text in rows]
    codes = ", ".join(f"{status}: {n:,}" for status, n in numbers.statuses.items())
    return lines + (_wrapped(codes, "  statuses    ", "              ") if codes else [])


def _failures(numbers: Numbers, timeline: Timeline) -> list[str]:
    if not numbers.kinds:
        return []
    lines = [
        f"{'Failed':<26}{'count':>10}{'share':>9}{'first':>11}{'last':>11}{'p50':>10}{'p99':>10}{'max':>10}"
    ]
    for kind in numbers.kinds:
        first, last = at(kind.first_ns, timeline.zero_ns), at(kind.last_ns, timeline.zero_ns)
        p50, p99, top = _latency(kind.latency)
        part = share(kind.count, numbers.requests)
        lines.append(
            f"  {kind.kind:<24}{kind.count:>10,}{part:>9}{first:>11}{last:>11}{p50:>10}{p99:>10}{top:>10}"
        )
    return lines


def _rollouts(judgement: Judgement) -> list[str]:
    """Return a line for each of several rollouts: what it lost, from its trigger to the next one's before."""
    if not judgement.rollouts:
        return []
    zero = judgement.timeline.zero_ns
    lines = [
        f"{'Rollout':<10}{'trigger':>10}{'took':>9}{'requests':>11}{'failed':>9}{'bad s':>7}{'outage':>10}{'p99':>10}{'max':>10}  verdict"
    ]
    for number, one in enumerate(judgement.rollouts, 1):
        trigger = at(one.timeline.zero_ns, zero) if one.timeline.triggered else "-"
        took = "-" if one.about.settled_ns is None else lasting(one.about.settled_ns)
        outage = one.numbers.outage
        gap = "-" if outage is None else lasting(outage.to_ns - outage.from_ns)
        _, p99, top = _latency(one.numbers.latency)
        counted = f"{one.numbers.requests:>11,}{one.numbers.failed:>9,}{one.numbers.bad_seconds:>7,}"
        lines.append(
            f"  {number:<8}{trigger:>10}{took:>9}{counted}{gap:>10}{p99:>10}{top:>10}  {one.verdict.grade}"
        )
    lines.append("  Each by itself, with its pods and its picture: the folder rollouts/ beside this text.")
    return lines


def _phases(numbers: Numbers, timeline: Timeline) -> list[str]:
    parts: list[Part] = [part for part in numbers.parts if part.name != "warmup"]
    if not timeline.triggered or not parts:
        return []
    if numbers.control:
        parts.insert(1, numbers.control)
    lines = [
        f"{'Phase':<12}{'from':>10}{'to':>10}{'requests':>11}{'failed':>9}{'bad s':>7}{'p50':>11}{'p99':>11}{'max':>11}"
    ]
    for part in parts:
        name = "  - control" if part.name == "control" else f"  {part.name}"
        start, stop = at(part.from_ns, timeline.zero_ns), at(part.to_ns, timeline.zero_ns)
        p50, p99, top = _latency(part.latency)
        counted = f"{part.requests:>11,}{part.failed:>9,}{part.bad_seconds:>7,}"
        lines.append(f"{name:<12}{start:>10}{stop:>10}{counted}{p50:>11}{p99:>11}{top:>11}")
    return lines


def _bad_time(numbers: Numbers, timeline: Timeline) -> list[str]:
    if not numbers.failed:
        return []
    lines = [f"Seconds with failures   {numbers.bad_seconds} of {numbers.seconds_total}"]
    worst = numbers.worst_second
    if worst is not None:
        lines[0] += (
            f"; worst: second {worst.second:+d} with {sum(worst.failed.values()):,} of {worst.completed:,}"
        )
    outage = numbers.outage
    if outage is not None:
        span = f"{at(outage.from_ns, timeline.zero_ns)} to {at(outage.to_ns, timeline.zero_ns)}"
        lines.append(
            f"Longest outage          {lasting(outage.to_ns - outage.from_ns)}, {span}: no good response, {outage.failed:,} failed"
        )
    lines.append(
        f"Time lost in failures   {share(round(1e6 * numbers.failed_time_share), 1_000_000)} of all time spent in requests"
    )
    return lines


def _why(causes: Sequence[Cause], timeline: Timeline, *, several: bool) -> list[str]:
    if not causes:
        return []
    lines = [f"Why (times from the {'first ' if several else ''}trigger)"]
    for number, cause in enumerate(causes, 1):
        span = f"{at(cause.first_ns, timeline.zero_ns)} to {at(cause.last_ns, timeline.zero_ns)}"
        kinds = ", ".join(f"{kind}: {n:,}" for kind, n in list(cause.kinds.items())[:3])
        ids = " or ".join(cause.ids)
        lead = f"{number:>2}. "
        if len(cause.ids) == 1 and not cause.ids[0][0].isupper():
            lines += _wrapped(f"{cause.hits:,} failed: {cause.name}", lead, "    ")
        else:
            lines += _wrapped(f"{cause.hits:,} failed, {cause.confidence}: {ids}, {cause.name}", lead, "    ")
        lines += _wrapped(f"{kinds}; {span}", "    ", "      ")
        for text in cause.evidence:
            lines += _wrapped(text, "    - ", "      ")
        for text in cause.mend:
            lines += _wrapped(text, "    fix: ", "         ")
        if cause.spread_by:
            lines += _wrapped(cause.spread_by, "    to tell them apart: ", "      ")
    return lines


def _pods(timeline: Timeline) -> list[str]:
    if not timeline.pods:
        return []
    zero = timeline.zero_ns
    longest = max(len(pod.name) for pod in timeline.pods)
    wide = min(max(longest, 16), 30)
    head = f"{'Pods (s)':<{wide + 6}}" + "".join(
        f"{word:>8}" for word in ("start", "ready", "in ep", "deleted", "out ep", "exit", "gone")
    )
    lines = [head + "  code"]
    shown = timeline.pods if len(timeline.pods) <= 24 else timeline.pods[:24]
    for pod in shown:
        moments = (
            pod.started_ns,
            pod.ready_ns,
            pod.in_endpoints_ns,
            pod.deleted_ns,
            pod.out_of_endpoints_ns,
            pod.exited_ns,
            pod.gone_ns,
        )
        times = "".join(f"{_short(t, zero):>8}" for t in moments)
        name = pod.name if len(pod.name) <= wide else "..." + pod.name[-(wide - 3) :]
        code = "" if pod.exit_code is None else str(pod.exit_code)
        told = f"{code}{' ' + pod.exit_reason if pod.exit_reason == 'OOMKilled' else ''}"
        told += f" restarts {pod.restarts}" if pod.restarts else ""
        told += " (partly unseen)" if pod.missed else ""
        lines.append(f"  {'old' if pod.old else 'new'} {name:<{wide}}{times}  {told}".rstrip()[:WIDTH])
    if len(timeline.pods) > len(shown):
        lines.append(f"  ... and {len(timeline.pods) - len(shown)} more in verdict.json")
    return lines


def _scalings(timeline: Timeline) -> list[str]:
    return [
        f"Scaled {at(one.t_ns, timeline.zero_ns)}: from {one.before} to {one.after} replicas{f', by {one.by}' if one.by else ''}"
        for one in timeline.scalings
    ]


def _gaps(timeline: Timeline) -> list[str]:
    gaps = [gap for gap in timeline.gaps if gap.blind]
    if not gaps:
        return []
    lines = ["Gaps of the watch"]
    for gap in gaps[:8]:
        span = f"{at(gap.from_ns, timeline.zero_ns)} to {at(gap.to_ns, timeline.zero_ns)}"
        lines += _wrapped(
            f"{gap.kind}: {span}{', listed anew' if gap.relisted else ''} ({gap.reason})", "  ", "    "
        )
    if len(gaps) > 8:
        lines.append(f"  ... and {len(gaps) - 8} more")
    return lines


def _findings(judgement: Judgement) -> list[str]:
    lines = ["Findings"]
    for finding in judgement.verdict.findings:
        lead = {Grade.PASS: "  ok    ", Grade.FAIL: "  FAIL  ", Grade.INCONCLUSIVE: "  ?     "}[finding.grade]
        lines += _wrapped(f"{finding.objective}: {finding.observed}", lead, "        ")
    if judgement.verdict.bound:
        lines += _wrapped(judgement.verdict.bound, "  ", "  ")
    return lines


def render_comparison(comparison: Comparison) -> str:
    """Return two runs side by side; the last line says whether the difference can be told from chance."""
    comparison = everywhere(comparison, for_line)
    lines = [f"{'':<30}{'before':>18}{'after':>18}{'change':>16}"]
    lines += [
        f"{row.name:<30}{row.before:>18}{row.after:>18}{row.change:>16}".rstrip() for row in comparison.rows
    ]
    lines.append("")
    if comparison.manifest:
        lines.append("Manifest")
        told = [f"{change.path}: {change.before} -> {change.after}" for change in comparison.manifest]
        lines += [line for text in told for line in _wrapped(text, "  ", "      ")]
    else:
        lines.append(comparison.manifest_note)
    lines += ["", comparison.sentence]
    return "\n".join(lines)


def headline(judgement: Judgement) -> str:
    """Return the verdict in one line."""
    return f"{judgement.verdict.grade}: {judgement.verdict.headline}"


def _latency(latency: Latency | None) -> tuple[str, str, str]:
    if latency is None:
        return ("-", "-", "-")
    return lasting(latency.percentiles["50"]), lasting(latency.percentiles["99"]), lasting(latency.max_ns)


def _short(t_ns: int | None, zero_ns: int) -> str:
    """Return a moment for a table: what lies long before the run is only "before"."""
    if t_ns is None:
        return "-"
    return (
        "before"
        if t_ns - zero_ns < -3_600_000_000_000 or t_ns < 0
        else f"{(t_ns - zero_ns) / 1e9 + 0.0:+.1f}"
    )


def _wrapped(text: str, first: str, rest: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False
    ) or [first.rstrip()]
