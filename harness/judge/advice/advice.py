"""From what a run measured to a patch of the live manifest: every value computed, every margin said.

The patch is a strategic merge patch, as `kubectl patch --patch-file` takes it. Nothing is advised that the run gives no
reason for. What no manifest can mend (an app that does not drain, a keep-alive that is too short) becomes a warning.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from harness.clock import NS
from harness.judge.advice import pod_start as mendstart, pod_stop as mendstop
from harness.judge.advice.draft import Advice, Case, Draft, Line
from harness.judge.advice.path_defaults import idle_ns_of
from harness.judge.wording import count, lasting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.judge.causes.causes import Cause
    from harness.judge.numbers.measured import Measured
    from harness.judge.numbers.summary import Numbers
    from harness.judge.timeline.timeline import Timeline
    from harness.model import RunRecord

__all__ = ["Advice", "Line", "advise"]

KEEP_ALIVE_MARGIN_S = 5  # on top of the balancer's idle timeout


def advise(
    run: RunRecord,
    timeline: Timeline,
    numbers: Numbers,
    measured: Measured | None,
    causes: Sequence[Cause],
    objects: Sequence[Mapping[str, Any]],
) -> Advice | None:
    """Compute the advice; None for a run without a rollout or without its workload's manifest."""
    cluster = run.cluster
    if cluster is None or measured is None or not timeline.triggered:
        return None
    workload = next(
        (
            item
            for item in objects
            if item.get("kind", cluster.kind) in {cluster.kind, ""}
            and (item.get("metadata") or {}).get("name") == cluster.name
            and ((item.get("spec") or {}).get("template"))
        ),
        None,
    )
    if workload is None:
        return None
    against = [cause for cause in causes if cause.the_rollouts]
    case = Case(
        run=run,
        timeline=timeline,
        numbers=numbers,
        measured=measured,
        ids=frozenset(name for cause in against for name in cause.ids),
        beside=frozenset(cause.diagnosis or cause.ids[0] for cause in causes if not cause.the_rollouts),
        workload=workload,
        objects=objects,
        failed=bool(against),
    )
    draft = Draft(case)
    mendstart.readiness(case, draft)
    mendstart.startup(case, draft)
    mendstart.registration(case, draft)
    mendstop.stop(case, draft)
    _strategy(case, draft)
    _elsewhere(case, draft)
    return Advice(
        cluster.kind,
        cluster.namespace,
        cluster.name,
        draft.whole(),
        tuple(draft.lines),
        tuple(draft.warnings),
        "" if cluster.lab else cluster.kubectl,
    )


def _strategy(case: Case, draft: Draft) -> None:
    cluster = case.run.cluster
    if cluster is None or cluster.kind != "Deployment" or not case.ids & {"D2", "D3", "D9", "D1"}:
        return
    strategy = (case.workload.get("spec") or {}).get("strategy") or {}
    rolling = strategy.get("rollingUpdate") or {}
    if strategy.get("type") != "Recreate" and str(rolling.get("maxUnavailable", "25%")) in {"0", "0%"}:
        return
    capacity = case.measured.capacity
    draft.workload(
        "strategy",
        {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "RollingUpdate, maxUnavailable 0, maxSurge 1",
        "a new pod must serve before an old one goes",
        f"at the least {capacity.least_serving} of {count(capacity.replicas, 'pod')} were serving"
        if capacity
        else "no pod was left",
    )
    if capacity is not None and capacity.replicas < 2:
        draft.warnings.append("one replica leaves nothing to fall back on: run at least 2")


def _elsewhere(case: Case, draft: Draft) -> None:
    """Name what a patch cannot mend."""
    name = str(case.container.get("name") or "")
    told = {
        "B2": f"the app in {name} ends with requests in flight: let it finish them after SIGTERM; until then the preStop above covers them",
        "B3": f"SIGTERM does not reach the app in {name}, or has no effect: start it in exec form (or with `exec` in the shell), and let it act on SIGTERM",
        "C2": "idle connections are closed under the balancer's hands: the app's keep-alive must be longer than the balancer's idle timeout"
        f" of {lasting(idle_ns_of(case.run))}: say {math.ceil(idle_ns_of(case.run) / NS) + KEEP_ALIVE_MARGIN_S} s",
        "C7": "requests outlast the balancer's idle timeout: raise it, or answer sooner",
        "B9": ""
        if case.grace_s == 0
        else "a pod was killed from outside (out of memory, evicted, node lost): no manifest line of the rollout mends that",
        "A8": "the new version does not start: there is no manifest line for that; see the pod's events",
        "E1": "the load host ran out of ports or descriptors: raise `ulimit -n` and ip_local_port_range there",
    }
    draft.warnings += [told[found] for found in sorted((case.ids | case.beside) & told.keys()) if told[found]]
