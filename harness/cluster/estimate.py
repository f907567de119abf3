"""How long will a rollout take? Pure arithmetic on the manifest, said before it starts."""

from __future__ import annotations

import math
from typing import Any

NS = 1_000_000_000
CONTAINER_START_S = 2.0  # image there, sandbox made, process up: a guess, said as one
EXIT_S = 1.0


def rounded(value: object, replicas: int, *, up: bool) -> int:
    """Read maxSurge or maxUnavailable: percentages round up for surge, down for unavailable (Deployment docs)."""
    if isinstance(value, str) and value.endswith("%"):
        share = int(value[:-1]) * replicas / 100
        return math.ceil(share) if up else math.floor(share)
    return int(str(value))


def rollout_ns(kind: str, workload: dict[str, Any]) -> int:
    """Estimate a whole replacement of all pods, the last one's end included, in nanoseconds."""
    spec = workload.get("spec") or {}
    template = (spec.get("template") or {}).get("spec") or {}
    start, stop = _start_s(template) + float(spec.get("minReadySeconds") or 0), _stop_s(template)
    replicas = int(spec.get("replicas") or (workload.get("status") or {}).get("desiredNumberScheduled") or 1)
    if kind == "Deployment":
        update = (spec.get("strategy") or {}).get("rollingUpdate") or {}
        surge = rounded(update.get("maxSurge", "25%"), replicas, up=True)
        away = rounded(update.get("maxUnavailable", "25%"), replicas, up=False)
        batch = max(1, surge + away)
        # With surge a new pod starts while the old one still ends: only the last one's end is waited for.
        return round((math.ceil(replicas / batch) * start + stop) * NS)
    update = (spec.get("updateStrategy") or {}).get("rollingUpdate") or {}
    batch = max(1, rounded(update.get("maxUnavailable", 1), replicas, up=False))
    return round(math.ceil(replicas / batch) * (start + stop) * NS)


def _start_s(template: dict[str, Any]) -> float:
    waits = [0.0]
    for container in template.get("containers") or []:
        probe = container.get("readinessProbe") or container.get("startupProbe") or {}
        if probe:
            period, times = float(probe.get("periodSeconds") or 10), int(probe.get("successThreshold") or 1)
            waits.append(float(probe.get("initialDelaySeconds") or 0) + period * times)
    return CONTAINER_START_S + max(waits)


def _stop_s(template: dict[str, Any]) -> float:
    grace = float(template.get("terminationGracePeriodSeconds") or 30)
    return min(grace, max([_hook_s(c) for c in template.get("containers") or []] or [0.0]) + EXIT_S)


def _hook_s(container: dict[str, Any]) -> float:
    hook = (container.get("lifecycle") or {}).get("preStop") or {}
    if "sleep" in hook:
        return float(hook["sleep"].get("seconds") or 0)
    words = " ".join((hook.get("exec") or {}).get("command") or []).split()
    number = (
        words[words.index("sleep") + 1] if "sleep" in words and words.index("sleep") + 1 < len(words) else "0"
    )
    return float(number) if number.replace(".", "", 1).isdigit() else 0.0
