"""Lint of preStop against what a balancer's annotations and BackendConfigs say that it takes to let a pod go.

Each check yields (place in the manifest, what is wrong there). Only what a manifest says is held against it, but for
the other half of a pair (an interval, and a threshold), which is taken by its default. A target that is a node
(target-type instance) does not go with a pod.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.judge.lint.workload_view import LBC, LintRule, hook_length_s, in_container, rule
from harness.k8s.hooks import pre_stop

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.judge.lint.workload_view import Object, WorkloadView

ALB = "alb.ingress.kubernetes.io/"
NLB = "service.beta.kubernetes.io/aws-load-balancer-"
_GKE = ("cloud.google.com/backend-config", "beta.cloud.google.com/backend-config")
_DELAY = re.compile(r"deregistration_delay\.timeout_seconds=(\d+)")
# (interval, unhealthy threshold): the controllers' defaults; of a classic ELB, 6.
_ALB_CHECK = (15, 2)
_NLB_CHECK = (10, 3)
_GKE_CHECK = (15, 2)


class Said(NamedTuple):
    """Seconds that a balancer takes, and where that is said."""

    seconds: int
    where: str
    how: str


def named_configs(services: Iterable[Object]) -> set[str]:
    """Return the names of the BackendConfigs that Services name, for all ports or for some."""
    names: set[str] = set()
    for service in services:
        for key in _GKE:
            try:
                given = json.loads(str(_notes(service).get(key, "null")))
            except (ValueError, RecursionError):
                continue
            if isinstance(given, dict):
                names |= {name for name in (given.get("default"),) if isinstance(name, str)}
                ports = given.get("ports")
                names |= {str(name) for name in ports.values()} if isinstance(ports, dict) else set()
    return names


def _delays(view: WorkloadView) -> Iterator[Said]:
    for item in (*view.ingresses, *view.services):
        notes = _notes(item)
        if "instance" in {notes.get(f"{ALB}target-type"), notes.get(f"{NLB}nlb-target-type")}:
            continue
        for key in (f"{ALB}target-group-attributes", f"{NLB}target-group-attributes"):
            if found := _DELAY.search(str(notes.get(key, ""))):
                yield Said(int(found[1]), _place(item), f"a deregistration delay of {found[1]} s")
    for config in view.backend_configs:
        seconds = _number(_part(config, "connectionDraining").get("drainingTimeoutSec"))
        if seconds:
            yield Said(seconds, _place(config), f"a connectionDraining of {seconds} s")


def _checks(view: WorkloadView) -> Iterator[Said]:
    for item in (*view.ingresses, *view.services):
        notes = _notes(item)
        yield from _check(
            item,
            notes.get(f"{ALB}healthcheck-interval-seconds"),
            notes.get(f"{ALB}unhealthy-threshold-count"),
            _ALB_CHECK,
        )
        yield from _check(
            item,
            notes.get(f"{NLB}healthcheck-interval"),
            notes.get(f"{NLB}healthcheck-unhealthy-threshold"),
            _NLB_CHECK,
        )
    for config in view.backend_configs:
        check = _part(config, "healthCheck")
        yield from _check(config, check.get("checkIntervalSec"), check.get("unhealthyThreshold"), _GKE_CHECK)


def _check(item: Object, interval: Any, threshold: Any, usual: tuple[int, int]) -> Iterator[Said]:
    every, times = _number(interval), _number(threshold)
    if every or times:
        every, times = every or usual[0], times or usual[1]
        yield Said(
            every * times,
            _place(item),
            f"a health check every {every} s, and {times} failed ones to give a target up",
        )


def _outlasted(view: WorkloadView, said: Iterator[Said]) -> Iterator[tuple[str, str]]:
    """Yield the longest of what is said, where the serving container's preStop is shorter. Without a hook, prestop-
    missing says it.
    """
    longest = max(said, default=None)
    hook_s = hook_length_s(view.serving)
    if (
        view.takes_requests
        and pre_stop(view.serving)
        and longest
        and hook_s is not None
        and hook_s < longest.seconds
    ):
        yield (
            in_container(view.serving, "lifecycle.preStop"),
            (
                f"lasts {hook_s:g} s, and {longest.where} says {longest.how}: for {longest.seconds} s requests may"
                " still come"
            ),
        )


def _before_delay(view: WorkloadView) -> Iterator[tuple[str, str]]:
    yield from _outlasted(view, _delays(view))


def _before_check(view: WorkloadView) -> Iterator[tuple[str, str]]:
    yield from _outlasted(view, _checks(view))


def _notes(item: Object) -> Object:
    return (item.get("metadata") or {}).get("annotations") or {}


def _place(item: Object) -> str:
    return f"{item.get('kind') or 'Service'} {(item.get('metadata') or {}).get('name', '?')}"


def _part(config: Object, name: str) -> Object:
    """Return a part of a BackendConfig's spec. Its kind is not Kubernetes' own, so nobody has checked its shape."""
    spec = config.get("spec")
    found = spec.get(name) if isinstance(spec, dict) else None
    return found if isinstance(found, dict) else {}


def _number(value: Any) -> int:
    """Return a whole number of seconds or times up to a day's; 0 for anything else."""
    text = str(value)
    return int(text) if re.fullmatch(r"\d{1,5}", text, re.ASCII) else 0


OF_BALANCERS: tuple[LintRule, ...] = (
    rule("prestop-before-deregistration", "warning", _before_delay, "B1 C1 C5 C6",
         ("a pod that ends before its target is drained leaves requests to nobody (open-vsx.org#12422: 25 s"
          " against 30 s)"),
         f"{LBC}/latest/guide/ingress/annotations/#target-group-attributes"),
    rule("prestop-before-health-check", "warning", _before_check, "B1 C1 C6",
         "where only its own check tells a balancer that a pod goes, that takes interval x threshold",
         f"{LBC}/latest/guide/ingress/annotations/#health-check"),
)  # fmt: skip
