"""Says what a run is about to do, before it does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.clock import NS
from harness.cluster.permission.lock import ANNOTATION
from harness.cluster.rollout.estimate import rollout_ns
from harness.cluster.trigger import RESTARTED_AT
from harness.k8s import argo
from harness.model import NEVER

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.run.preflight.workload import Subject
    from harness.scenario.resolve import Resolved


def announce(resolved: Resolved, subject: Subject | None, say: Callable[[str], None]) -> None:
    """Say what this run will change, on which server, and under which load. Nothing without a rollout."""
    load = resolved.scenario.load
    if subject is None:
        return
    facts, what = subject.facts, _what(subject)
    say(
        f"server {facts.server} ({facts.version}) as {facts.identity or 'unknown'}, context {facts.context},"
        f" namespace {facts.namespace}: will {what}{' (dry run: not now)' if resolved.dry_run else ''},"
        f" {round(resolved.scenario.trigger_after_ns / NS, 1):g} s after the warm-up"
    )
    say(f"path {'proven' if subject.path.proven else 'not proven'}: {subject.path.how}")
    for note in subject.notes:
        say(f"note: {note}")
    streams = resolved.scenario.target.streams
    each = "one request" if streams == 1 else f"{streams} requests"
    if not resolved.dry_run and subject.trigger.kind != "observe":
        say(f"the annotation {ANNOTATION} on it keeps a second run away until this one ends")
    each = "a stream on each" if resolved.scenario.stream else f"{each} in flight each"
    model = "streams" if resolved.scenario.stream else _model(load.rate, load.ramp)
    say(f"{model}, {load.concurrency} connections, {each}, for at least {load.duration / NS:g} s")
    times = resolved.scenario.rollout.rollouts
    if (takes_ns := expected_ns(subject)) != NEVER:
        more = f", and there will be {times}" if times > 1 else ""
        say(f"the rollout should take about {takes_ns / NS:.0f} s, estimated from its manifest{more}")


def expected_ns(subject: Subject) -> int:
    """Return what the rollout should take, by its manifest; NEVER where not all pods are replaced."""
    if subject.trigger.kind not in {"restart", "apply", "replace", "set-image"}:
        return NEVER
    return rollout_ns(subject.facts.kind, subject.workload, subject.trigger.kind)


def _model(rate: float | None, ramp_ns: int) -> str:
    if rate is None:
        return "closed loop"
    ramp = f" after a ramp of {ramp_ns / NS:g} s" if ramp_ns else ""
    return f"open loop, {rate:g} requests/s{ramp}, due by the clock"


def restarted_by(kind: str) -> str:
    """Name the field that restarts a workload of this kind."""
    return "spec.restartAt" if kind == argo.KIND else f"spec.template.metadata.annotations[{RESTARTED_AT}]"


def _what(subject: Subject) -> str:
    """Say what will be changed, and how, in words."""
    facts, trigger = subject.facts, subject.trigger
    name = f"{facts.kind.lower()}/{facts.name}"
    return {
        "restart": f"restart {name} by patching {restarted_by(facts.kind)}",
        "apply": f"apply {trigger.argument} to {name} (server-side, taking over its fields)",
        "replace": f"replace the spec of {name} by that in {trigger.argument} (the number of replicas stays where the"
        " file names none)",
        "set-image": f"set the image {trigger.argument} in {name}",
        "scale": f"scale {name} to {trigger.argument} replicas",
        "delete-pod": f"delete {trigger.argument or 'one pod'} of {name}",
        "evict-pod": f"evict {trigger.argument or 'one pod'} of {name}",
        "command": f"run {trigger.shown.removeprefix('command ')!r}, which is to change {name},",
        "observe": f"change nothing and wait for somebody else to change {name}, from",
    }[trigger.kind]
