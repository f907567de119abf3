"""From what a run measured to a patch of the live manifest: every value computed, every margin said.

The patch is a strategic merge patch, as `kubectl patch --patch-file` takes it. Nothing is advised that the run gives no
reason for. What no manifest can fix (an app that does not drain, a keep-alive that is too short) becomes a warning.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from harness.clock import NS
from harness.judge.advice import pod_start, pod_stop
from harness.judge.advice.draft import Advice, Basis, Draft
from harness.judge.advice.path_defaults import idle_ns_of
from harness.judge.causes.rules import RULES, VALUES
from harness.judge.wording import count, lasting

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.judge.balancers.known import Seen
    from harness.judge.causes.causes import Cause
    from harness.judge.numbers.measured import Measured
    from harness.judge.numbers.summary import Numbers
    from harness.judge.timeline.timeline import Timeline
    from harness.model import RunRecord

KEEP_ALIVE_MARGIN_S = 5  # on top of the balancer's idle timeout


@dataclass(frozen=True, slots=True)
class Decided:
    """Each value that this run gives reason for, by the names of rules.VALUES; and the patch that sets them, if one
    can be made.
    """

    advice: Advice | None = None
    values: Mapping[str, str] = field(default_factory=dict)

    def by_path(self) -> dict[str, str]:
        """Return what the patch sets, by its place in the manifest."""
        return {line.path: line.value for line in self.advice.lines} if self.advice else {}


def advise(
    run: RunRecord,
    timeline: Timeline,
    numbers: Numbers,
    measured: Measured | None,
    causes: Sequence[Cause],
    objects: Sequence[Mapping[str, Any]],
    balancers: Sequence[Seen] = (),
) -> Decided:
    """Decide what each field should be, behind the balancers that were recognised.

    There is no patch for a run without a rollout, or without its workload's manifest.
    """
    cluster = run.cluster
    if measured is None or not timeline.triggered:
        return Decided()
    against = [cause for cause in causes if cause.the_rollouts]
    basis = Basis(
        run=run,
        timeline=timeline,
        numbers=numbers,
        measured=measured,
        ids=frozenset(name for cause in against for name in _to_mend(cause)),
        beside=frozenset(cause.diagnosis or cause.ids[0] for cause in causes if not cause.the_rollouts),
        workload=_workload(run, objects),
        objects=objects,
        failed=any(cause.of_pods for cause in against),
        balancers=balancers,
    )
    draft = Draft(basis)
    if basis.workload:
        pod_start.readiness(basis, draft)
        pod_start.startup(basis, draft)
        pod_start.registration(basis, draft)
    pod_stop.stop(basis, draft)
    _strategy(basis, draft)
    _elsewhere(basis, draft)
    if cluster is None or not basis.workload:
        return Decided(None, draft.values)
    advice = Advice(
        cluster.kind,
        cluster.namespace,
        cluster.name,
        draft.whole(),
        tuple(draft.lines),
        tuple(draft.warnings),
        "" if cluster.lab else cluster.kubectl,
    )
    return Decided(advice, draft.values)


def _to_mend(cause: Cause) -> tuple[str, ...]:
    """Return the ids to act on: to wait for the balancer (A7) mends nothing that a preStop mends, so it yields to
    what one does.
    """
    stops = {rule.id for rule in RULES if rule.side == "stop"}
    return tuple(name for name in cause.ids if name != "A7" or not stops & set(cause.ids))


def cited(causes: Iterable[Cause], decided: Decided) -> tuple[Cause, ...]:
    """Put the decided values into the lines that fix each cause."""
    values = {**VALUES, **decided.values}

    def with_values(text: str) -> str:
        for name, value in values.items():
            text = text.replace(f"{{{name}}}", value)
        return text

    return tuple(replace(cause, mend=tuple(map(with_values, cause.mend))) for cause in causes)


def _workload(run: RunRecord, objects: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the workload's manifest; {} where it was not recorded."""
    cluster = run.cluster
    if cluster is None:
        return {}
    fitting = (
        item
        for item in objects
        if item.get("kind", cluster.kind) in {cluster.kind, ""}
        and (item.get("metadata") or {}).get("name") == cluster.name
        and ((item.get("spec") or {}).get("template"))
    )
    return next(fitting, {})


def _strategy(basis: Basis, draft: Draft) -> None:
    cluster = basis.run.cluster
    if cluster is None or cluster.kind != "Deployment" or not basis.ids & {"D2", "D3", "D9", "D1"}:
        return
    strategy = (basis.workload.get("spec") or {}).get("strategy") or {}
    rolling = strategy.get("rollingUpdate") or {}
    if strategy.get("type") != "Recreate" and str(rolling.get("maxUnavailable", "25%")) in {"0", "0%"}:
        return
    capacity = basis.measured.capacity
    draft.values["strategy"] = strategy_value = "RollingUpdate, maxUnavailable 0, maxSurge 1"
    draft.values["or_no_surge"] = ""
    draft.workload(
        "strategy",
        {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        strategy_value,
        "a new pod must serve before an old one goes",
        (
            f"at worst {capacity.least_serving} of {count(capacity.replicas, 'pod')} were serving"
            if capacity
            else "no pod was left"
        ),
    )
    if capacity is not None and capacity.replicas < 2:
        draft.warnings.append("one replica leaves nothing to fall back on: run at least 2")


def _elsewhere(basis: Basis, draft: Draft) -> None:
    """Name what a patch cannot fix."""
    name = str(basis.container.get("name") or "")
    elsewhere = {
        "B2": (
            f"the app in {name} ends with requests in flight: let it finish them after SIGTERM; until then the"
            " preStop above covers them"
        ),
        "B3": (
            f"SIGTERM does not reach the app in {name}, or has no effect: start it in exec form (or with `exec` in"
            f" the shell), and let it act on SIGTERM{pod_stop.other_signal(basis)}"
        ),
        "C2": (
            "idle connections are closed under the balancer's hands: the app's keep-alive must be longer than the"
            f" balancer's idle timeout of {lasting(idle_ns_of(basis.run, basis.timeline))}: say"
            f" {math.ceil(idle_ns_of(basis.run, basis.timeline) / NS) + KEEP_ALIVE_MARGIN_S} s"
        ),
        "C7": (
            "streams outlast the balancer's idle timeout: raise it, or send something more often"
            if basis.run.stream
            else "requests outlast the balancer's idle timeout: raise it, or answer sooner"
        ),
        "C20": "the balancer limits how long a stream may last: lift that for streams, no field of the pods does it",
        "B9": (
            ""
            if basis.grace_s == 0
            else (
                "a pod was killed from outside (out of memory, evicted, node lost): no manifest line of the rollout"
                " fixes that"
            )
        ),
        "A8": "the new version does not start: there is no manifest line for that; see the pod's events",
        "E1": "the load host ran out of ports or descriptors: raise `ulimit -n` and ip_local_port_range there",
    }
    draft.warnings += pod_stop.fails_readiness(basis)
    draft.warnings += [
        elsewhere[found]
        for found in sorted((basis.ids | basis.beside) & elsewhere.keys())
        if elsewhere[found]
    ]
