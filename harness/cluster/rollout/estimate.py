"""How long will a rollout take? An estimate from the manifest, announced before it starts. Pure."""

from __future__ import annotations

import math
from typing import Any

from harness.clock import NS
from harness.k8s import argo
from harness.k8s.amounts import amount
from harness.k8s.hooks import first_sleep_s, grace_s, last_sleep_ns, pre_stop

CONTAINER_START_S = 2.0  # image there, sandbox made, process up: a guess
EXIT_S = 1.0


def rollout_ns(kind: str, workload: dict[str, Any], trigger: str = "") -> int:
    """Estimate a whole replacement of all pods, the last one's end included, in nanoseconds.

    `trigger` is its kind: an Argo Rollout restarts otherwise than it is updated.
    """
    spec = workload.get("spec") or {}
    template = (spec.get("template") or {}).get("spec") or {}
    start, stop = _start_s(template) + float(spec.get("minReadySeconds") or 0), _stop_s(template)
    replicas = int(spec.get("replicas") or (workload.get("status") or {}).get("desiredNumberScheduled") or 1)
    if kind == argo.KIND:
        return round(_argo_s(spec, replicas, start, stop, restarts=trigger == "restart") * NS)
    if kind == "Deployment":
        update = (spec.get("strategy") or {}).get("rollingUpdate") or {}
        surge = amount(update.get("maxSurge", "25%"), replicas, up=True)
        away = amount(update.get("maxUnavailable", "25%"), replicas, up=False)
        batch = max(1, surge + away)
        # With surge a new pod starts while the old one still ends: only the last one's end is waited for.
        return round((math.ceil(replicas / batch) * start + stop) * NS)
    update = (spec.get("updateStrategy") or {}).get("rollingUpdate") or {}
    batch = max(1, amount(update.get("maxUnavailable", 1), replicas, up=False))
    return round(math.ceil(replicas / batch) * (start + stop) * NS)


def _argo_s(spec: dict[str, Any], replicas: int, start: float, stop: float, *, restarts: bool) -> float:
    """Estimate an Argo Rollout, in seconds.

    A restart ends old pods before there are new ones. An update takes all timed pauses, and keeps old pods for a while
    after a switch. A pause without a duration takes as long as somebody takes.
    """
    strategy = spec.get("strategy") or {}
    part = strategy.get("blueGreen") or strategy.get("canary") or {}
    away = max(1, amount(part.get("maxUnavailable", "25%"), replicas, up=False))
    if restarts:
        return math.ceil(replicas / away) * (start + stop)
    kept = argo.scale_down_s(spec)
    if strategy.get("blueGreen") is not None:
        wait = (
            float(part.get("autoPromotionSeconds") or 0)
            if part.get("autoPromotionEnabled") is not False
            else 0.0
        )
        return start + wait + kept + stop
    surge = amount(part.get("maxSurge", "25%"), replicas, up=True)
    return math.ceil(replicas / max(1, surge + away)) * start + argo.pauses_s(spec) + kept + stop


def _start_s(template: dict[str, Any]) -> float:
    waits = [0.0]
    for container in template.get("containers") or []:
        probe = container.get("readinessProbe") or container.get("startupProbe") or {}
        if probe:
            period, times = float(probe.get("periodSeconds") or 10), int(probe.get("successThreshold") or 1)
            waits.append(float(probe.get("initialDelaySeconds") or 0) + period * times)
    return CONTAINER_START_S + max(waits)


def _stop_s(template: dict[str, Any]) -> float:
    return min(
        grace_s(template), max([_hook_s(c) for c in template.get("containers") or []] or [0.0]) + EXIT_S
    )


def _hook_s(container: dict[str, Any]) -> float:
    hook = pre_stop(container)
    return max(first_sleep_s(hook) or 0.0, (last_sleep_ns(hook) or 0) / NS)
