"""The head of every report: when the run was, its load, its workload, its change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness import masking
from harness.clock import Clock
from harness.judge.wording import lasting
from harness.model import NEVER, Mark

if TYPE_CHECKING:
    from harness.judge.timeline.timeline import Timeline
    from harness.model import RunRecord
    from harness.recording.read import Recording


@dataclass(frozen=True, slots=True)
class About:
    """What the run was, for the head of every report. Unknown texts are empty."""

    name: str
    folder: str
    began: str  # wall time, UTC, ISO 8601
    version: str
    command: tuple[str, ...]
    source: str
    targets: tuple[str, ...]  # "GET https://…"
    model: str  # which loop ran
    workload: str  # "Deployment shop/web"
    cluster: str  # "context lab, server https://…"
    trigger: str
    rollout_state: str
    rollout_reason: str
    replicas: int
    status_done_ns: int | None  # from the trigger to what `kubectl rollout status` calls success
    old_gone_ns: int | None  # … to the last old pod gone
    settled_ns: int | None  # … to the end of *during*
    stalled_over_ns: int
    state: str
    ended_by: str
    load_from: str = ""  # where the load was sent from, and what that leaves untested


def about(recording: Recording, timeline: Timeline) -> About:
    """Read it from a recording."""
    run = recording.run
    cluster, rollout = run.cluster, run.rollout

    def since(mark: Mark) -> int | None:
        t_ns = run.mark(mark)
        return None if t_ns == NEVER or not timeline.triggered else t_ns - timeline.zero_ns

    old, endpoints = since(Mark.OLD_PODS_GONE), since(Mark.ENDPOINTS_SETTLED)
    return About(
        name=run.name,
        folder=recording.path.name,
        began=f"{Clock(run.monotonic_ns, run.wall_ns).wall(0):%Y-%m-%d %H:%M:%S} UTC",
        version=run.versions.get("zdtest", ""),
        command=run.command,
        source=run.source,
        targets=tuple(
            f"{'call' if run.grpc else target.get('method', 'GET')} {masking.url(str(target.get('url', '?')))}"
            for target in run.targets
        ),
        model=_model(run),
        load_from=_load_from(run),
        workload=f"{cluster.kind} {cluster.namespace}/{cluster.name}" if cluster else "",
        cluster=_cluster(run),
        trigger=rollout.trigger if rollout else "",
        rollout_state=rollout.state if rollout else "",
        rollout_reason=rollout.reason if rollout else "",
        replicas=rollout.replicas if rollout else 0,
        status_done_ns=since(Mark.ROLLOUT_DONE),
        old_gone_ns=old,
        settled_ns=None if old is None or endpoints is None else max(old, endpoints),
        stalled_over_ns=run.stalled_ns,
        state=run.state,
        ended_by=run.ended_by,
    )


def _model(run: RunRecord) -> str:
    if run.stream:
        kind = "WebSockets" if run.stream == "websocket" else "streams"
        return f"{run.concurrency} {kind} held, {run.workers} worker{'' if run.workers == 1 else 's'}"
    slots = f"{run.concurrency} slot{'' if run.concurrency == 1 else 's'}, 1 request in flight each"
    if run.streams > 1:
        slots = (
            f"{run.concurrency} connection{'' if run.concurrency == 1 else 's'}, {run.streams} streams each"
        )
    loop = "closed loop" if run.rate is None else f"open loop at {run.rate:g} requests/s"
    loop += f" after a ramp of {lasting(run.ramp_ns)}" if run.ramp_ns else ""
    workers = f"{run.workers} worker{'' if run.workers == 1 else 's'}"
    return f"{loop}, {slots}, {workers}{', gRPC' if run.grpc else ', HTTP/2' if run.http2 else ''}"


def _load_from(run: RunRecord) -> str:
    if run.cluster is not None and run.cluster.lab:
        return ""
    inside = "the public way into it may not have been tested"
    return {
        "local": "sent from outside the cluster" if run.cluster else "",
        "cluster": f"sent from inside the cluster: {inside}",
        "both": "half sent from outside the cluster, half from inside",
    }.get(run.load_from, "")


def _cluster(run: RunRecord) -> str:
    if run.cluster is None:
        return ""
    where = f"context {run.cluster.context}" if run.cluster.context else "in-cluster"
    return f"{where}, {run.cluster.server}" + (" (the embedded lab)" if run.cluster.lab else "")
