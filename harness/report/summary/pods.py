"""The summary's tables of what the watch saw: pods, changes of scale, gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.judge.wording import at
from harness.report.summary.layout import WIDTH, wrapped

if TYPE_CHECKING:
    from harness.judge.timeline.targets import TargetState
    from harness.judge.timeline.timeline import Timeline

_STEPS = 40
_TARGETS = 24  # pods whose states the summary shows
_OTHERS = 12  # changes that the summary shows


def pods(timeline: Timeline) -> list[str]:
    """Return a row for each pod: when it started, was ready, came into the endpoints, and went."""
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
        ending = f"{code}{' ' + pod.exit_reason if pod.exit_reason == 'OOMKilled' else ''}"
        ending += f" restarts {pod.restarts}" if pod.restarts else ""
        ending += " (partly unseen)" if pod.missed else ""
        lines.append(f"  {'old' if pod.old else 'new'} {name:<{wide}}{times}  {ending}".rstrip()[:WIDTH])
    if len(timeline.pods) > len(shown):
        lines.append(f"  ... and {len(timeline.pods) - len(shown)} more in verdict.json")
    return lines


def targets(timeline: Timeline) -> list[str]:
    """Return what the load balancer thought of each pod, with how sure the times are."""
    told = [pod for pod in timeline.pods if pod.targets]
    if not told:
        return []
    lines = ["AWS targets (s)"]
    for group in timeline.target_groups:
        settings = (
            ("deregistration delay", group.deregistration_delay_s),
            ("idle timeout", group.idle_timeout_s),
        )
        said = ", ".join(f"{name} {value} s" for name, value in settings if value is not None)
        lines += wrapped(f"{group.name}: {said}" if said else group.name, "  ", "    ")
    for pod in told[:_TARGETS]:
        states = ", ".join(_target(one, timeline.zero_ns) for one in pod.targets)
        lines += wrapped(f"{'old' if pod.old else 'new'} {pod.name}: {states}", "  ", "    ")
    more = len(told) - _TARGETS
    return [*lines, *([f"  ... and {more} more in verdict.json"] if more > 0 else [])]


def _target(one: TargetState, zero_ns: int) -> str:
    reason = f" ({one.reason})" if one.reason and one.state == "unhealthy" else ""
    if one.after_ns is None:
        return f"{one.state}{reason} before"
    early = (one.t_ns - one.after_ns) / 1e9
    return f"{one.state}{reason} {_short(one.t_ns, zero_ns)} (up to {early:.1f} earlier)"


def scalings(timeline: Timeline) -> list[str]:
    """Return each change of the number of replicas."""
    return [
        (
            f"Scaled {at(one.t_ns, timeline.zero_ns)}: from {one.before} to {one.after} "
            f"replicas{f', by {one.by}' if one.by else ''}"
        )
        for one in timeline.scalings
    ]


def steps(timeline: Timeline) -> list[str]:
    """Return the steps of an Argo Rollout's update: its canary steps and pauses, the switches of its Services."""
    lines = [
        line
        for one in timeline.steps[:_STEPS]
        for line in wrapped(f"Rollout {at(one.t_ns, timeline.zero_ns)}: {one.words}", "", "    ")
    ]
    return [
        *lines,
        *([f"  ... and {len(timeline.steps) - _STEPS} more"] if len(timeline.steps) > _STEPS else []),
    ]


def others(timeline: Timeline) -> list[str]:
    """Return each change that somebody else made, but those of the number of replicas, which `scalings` tells of."""
    told = [one for one in timeline.changes if one.kind not in {"scaled", "autoscaled"}]
    lines = [
        line
        for one in told[:_OTHERS]
        for line in wrapped(f"Changed {at(one.at_ns, timeline.zero_ns)}: {one.told}", "", "    ")
    ]
    return [*lines, *([f"  ... and {len(told) - _OTHERS} more changes"] if len(told) > _OTHERS else [])]


def gaps(timeline: Timeline) -> list[str]:
    """Return when the watch saw nothing."""
    gaps = [gap for gap in timeline.gaps if gap.blind]
    if not gaps:
        return []
    lines = ["Gaps of the watch"]
    for gap in gaps[:8]:
        span = f"{at(gap.from_ns, timeline.zero_ns)} to {at(gap.to_ns, timeline.zero_ns)}"
        lines += wrapped(
            f"{gap.kind}: {span}{', then listed again' if gap.relisted else ''} ({gap.reason})", "  ", "    "
        )
    if len(gaps) > 8:
        lines.append(f"  ... and {len(gaps) - 8} more")
    return lines


def _short(t_ns: int | None, zero_ns: int) -> str:
    """Return a moment for a table; long before the run, it is just "before"."""
    if t_ns is None:
        return "-"
    return (
        "before"
        if t_ns - zero_ns < -3_600_000_000_000 or t_ns < 0
        else f"{(t_ns - zero_ns) / 1e9 + 0.0:+.1f}"
    )
