"""Manifests -> findings; and after a run, which of them it confirmed, refuted, or did not test.

kube-score, kube-linter and polaris know probes and strategies; none of them reads preStop or the grace period. Each
rule looks at one workload and what stands around it, and gives the place in the manifest and what is wrong there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.judge.lint.balancers import OF_BALANCERS, named_configs
from harness.judge.lint.gateways import OF_GATEWAYS
from harness.judge.lint.paths import OF_PATHS
from harness.judge.lint.pods import OF_PODS
from harness.judge.lint.rollouts import OF_ROLLOUTS
from harness.judge.lint.today import OF_TODAY
from harness.judge.lint.workload_view import WorkloadView
from harness.judge.timeline.surroundings import backends, services
from harness.k8s import argo
from harness.k8s.gateway import ROUTES, services_of
from harness.k8s.selectors import budget_selects, labels_match, service_selects
from harness.model import Grade

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from harness.judge.causes.causes import Cause

Object = dict[str, Any]
KINDS = ("Deployment", "StatefulSet", "DaemonSet", "Rollout")
CONFIRMED, REFUTED, UNTESTED = "confirmed", "refuted", "untested"
SEVERITIES = ("error", "warning", "info")
_UNCHECKED = "readinessProbe and preStop were not asked for (give its Service too, if it has one)"


LINT = (*OF_PODS, *OF_TODAY, *OF_ROLLOUTS, *OF_PATHS, *OF_BALANCERS, *OF_GATEWAYS)


@dataclass(frozen=True, slots=True)
class LintFinding:
    """One thing that a manifest says. `status` is "" without a run."""

    rule: str
    severity: str
    object: str  # "Deployment/web"
    path: str
    message: str
    reason: str
    source: str
    status: str = ""


def lint(objects: Iterable[Mapping[str, Any]]) -> tuple[LintFinding, ...]:
    """Check every workload among the objects, the gravest first. Kinds that it knows nothing of are passed over.

    Pods among them are live ones: they tell what was added to their template.
    """
    return tuple(found for _, found in with_workload(objects))


def with_workload(objects: Iterable[Mapping[str, Any]]) -> tuple[tuple[int, LintFinding], ...]:
    """Do the same, and tell with each finding which of the objects is its workload, counted from 0."""
    known = [dict(item) for item in objects]
    found: list[tuple[int, LintFinding]] = []
    for number, item in enumerate(known):
        if not _is_workload(item):
            continue
        view, name = workload_view(item, known), _name(item)
        for rule in LINT:
            found += [
                (number, LintFinding(rule.id, rule.severity, name, path, message, rule.reason, rule.source))
                for path, message in rule.check(view)
            ]
    return tuple(sorted(found, key=lambda each: SEVERITIES.index(each[1].severity)))


def assumptions(objects: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Say in a line for each workload without a Service whether it was taken to serve requests, and why."""
    known = [dict(item) for item in objects]
    given = ", ".join(str((item.get("metadata") or {}).get("name", "?")) for item in services(known))
    lines = []
    for item in known:
        if not _is_workload(item):
            continue
        view = workload_view(item, known)
        if view.services:
            continue
        name = view.serving.get("name", "?")
        if view.takes_requests:
            port = view.ports[0].get("containerPort")
            said = f"no Service was given: it is assumed to serve requests, for container {name} declares port {port}"
        elif view.alone:
            said = f"no Service was given, and container {name} declares no port for requests: {_UNCHECKED}"
        else:
            said = f"none of the Services given ({given}) selects its pods: {_UNCHECKED}"
        lines.append(f"{_name(item)}: {said}")
    return tuple(lines)


def _is_workload(item: Object) -> bool:
    """Tell whether lint knows this workload. Others than Argo have a Rollout, too, and one of Argo's may have its
    template in a Deployment, which is looked at by itself.
    """
    if item.get("kind") != argo.KIND:
        return item.get("kind") in KINDS
    ours = str(item.get("apiVersion") or argo.GROUP).startswith(f"{argo.GROUP}")
    return ours and bool((item.get("spec") or {}).get("template"))


def _name(item: Object) -> str:
    return f"{item['kind']}/{(item.get('metadata') or {}).get('name', '?')}"


def workload_view(workload: Object, objects: Sequence[Object]) -> WorkloadView:
    """Find what concerns a workload's pods: Services that select them, Ingresses to those, budgets, autoscalers."""
    meta = workload.get("metadata") or {}
    template = (workload.get("spec") or {}).get("template") or {}
    labels = (template.get("metadata") or {}).get("labels") or {}
    near = [
        item
        for item in objects
        if (item.get("metadata") or {}).get("namespace", meta.get("namespace")) == meta.get("namespace")
        or not meta.get("namespace")
    ]
    chosen = tuple(s for s in services(near) if service_selects(s, labels))
    names = {s["metadata"].get("name") for s in chosen}
    configs = named_configs(chosen)
    return WorkloadView(
        workload=workload,
        services=chosen,
        alone=not services(objects),
        ingresses=tuple(i for i in near if i.get("kind") == "Ingress" and names & backends(i)),
        routes=tuple(
            i
            for i in objects
            if i.get("kind") in ROUTES and names & services_of(i, str(meta.get("namespace") or ""))
        ),
        budgets=tuple(
            b for b in near if b.get("kind") == "PodDisruptionBudget" and budget_selects(b, labels)
        ),
        scalers=tuple(
            s
            for s in near
            if s.get("kind") == "HorizontalPodAutoscaler"
            and ((s.get("spec") or {}).get("scaleTargetRef") or {}).get("name") == meta.get("name")
        ),
        pods=tuple(i for i in near if i.get("kind") == "Pod" and _made_of(i, labels)),
        backend_configs=tuple(
            i
            for i in near
            if i.get("kind") == "BackendConfig" and (i.get("metadata") or {}).get("name") in configs
        ),
    )


def _made_of(pod: Object, labels: Mapping[str, str]) -> bool:
    """Tell whether a live pod has the template's labels, and what rules look at in its proper shape."""
    own, spec = (pod.get("metadata") or {}).get("labels"), pod.get("spec")
    if not (isinstance(own, dict) and isinstance(spec, dict) and labels_match(labels, own)):
        return False
    gates = spec.get("readinessGates") or []
    return isinstance(gates, list) and all(isinstance(gate, dict) for gate in gates)


def marked(
    findings: Iterable[LintFinding],
    causes: Sequence[Cause],
    grade: Grade,
    *,
    covered: bool,
    advised: Mapping[str, str],
) -> tuple[LintFinding, ...]:
    """Mark each finding by what a run showed.

    Confirmed: what it leads to was among the causes. Refuted: the rollout was covered to its end and judged, would have
    shown it, and did not. Untested: all else. One run refutes for this load and this rollout only.

    `advised` is what the run's advice sets, by path: a confirmed finding cites it.
    """
    ids = {name for cause in causes if cause.the_rollouts for name in cause.ids}
    judged = covered and grade is not Grade.INCONCLUSIVE
    return tuple(
        _citing(replace(found, status=_status(found.rule, ids, judged=judged)), advised) for found in findings
    )


def _citing(found: LintFinding, advised: Mapping[str, str]) -> LintFinding:
    values = [value for path, value in advised.items() if f"{found.path}.".startswith(f"{path}.")]
    if found.status != CONFIRMED or not values:
        return found
    return replace(found, message=f"{found.message}; advised: {values[0]}")


def _status(rule_id: str, ids: Collection[str], *, judged: bool) -> str:
    rule = next(rule for rule in LINT if rule.id == rule_id)
    if rule.causes & set(ids):
        return CONFIRMED
    return REFUTED if judged and rule.shown else UNTESTED
