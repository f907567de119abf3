"""Lint of what stands around the pods: Services, Ingresses, budgets, autoscalers. Each check yields (place in the
manifest, what is wrong there).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.judge.lint.workload_view import (
    LBC,
    POD,
    LintRule,
    rule,
)
from harness.judge.wording import count
from harness.k8s.amounts import amount

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.judge.lint.workload_view import Object, WorkloadView


def _service_port(view: WorkloadView) -> Iterator[tuple[str, str]]:
    declared = [p for c in [*view.containers, *view.sidecars] for p in c.get("ports") or []]
    known = {p.get("containerPort") for p in declared} | {p.get("name") for p in declared}
    for service in view.services:
        for port in (service.get("spec") or {}).get("ports") or []:
            target = port.get("targetPort", port.get("port"))
            if declared and target not in known:
                yield (
                    f"Service {service['metadata'].get('name')} spec.ports.targetPort",
                    f"{target} is not a port that the pods declare",
                )


def _gates(view: WorkloadView) -> Iterator[tuple[str, str]]:
    for ingress in view.ingresses:
        notes = (ingress.get("metadata") or {}).get("annotations") or {}
        alb = (ingress.get("spec") or {}).get("ingressClassName") == "alb" or notes.get(
            "kubernetes.io/ingress.class"
        ) == "alb"
        by_address = notes.get("alb.ingress.kubernetes.io/target-type") == "ip"
        if not (alb and by_address) or view.pod.get("readinessGates"):
            continue
        # A webhook adds the gate when a pod is made, and lets the pod through without it where it fails.
        without = [pod for pod in view.pods if not pod["spec"].get("readinessGates")]
        if view.pods and not without:
            continue
        who = f"{len(without)} of {count(len(view.pods), 'live pod')} have none" if view.pods else "none"
        yield (
            f"{POD}.readinessGates",
            (
                f"{who}: old pods may go before the ALB knows new ones (label the namespace"
                " elbv2.k8s.aws/pod-readiness-gate-inject=enabled, then look at the pods)"
            ),
        )


def _deregistration(view: WorkloadView) -> Iterator[tuple[str, str]]:
    for ingress in view.ingresses:
        notes = (ingress.get("metadata") or {}).get("annotations") or {}
        delay = re.search(
            r"deregistration_delay\.timeout_seconds=(\d+)",
            str(notes.get("alb.ingress.kubernetes.io/target-group-attributes", "")),
        )
        if delay and int(delay[1]) < 10:
            yield (
                f"Ingress {ingress['metadata'].get('name')} deregistration_delay",
                f"{delay[1]} s: requests that take longer are cut when their target is drained",
            )


def _local_policy(view: WorkloadView) -> Iterator[tuple[str, str]]:
    for service in view.services:
        spec, name = service.get("spec") or {}, service["metadata"].get("name")
        if spec.get("externalTrafficPolicy") == "Local":
            yield (
                f"Service {name} spec.externalTrafficPolicy",
                "Local: when the last pod of a node goes, the balancer sends to that node until its own check fails",
            )
        if spec.get("internalTrafficPolicy") == "Local":
            yield (
                f"Service {name} spec.internalTrafficPolicy",
                "Local: when the only pod of a node goes, clients on that node have none",
            )


def _affinity(view: WorkloadView) -> Iterator[tuple[str, str]]:
    for service in view.services:
        if (service.get("spec") or {}).get("sessionAffinity") == "ClientIP":
            yield (
                f"Service {service['metadata'].get('name')} spec.sessionAffinity",
                (
                    f"ClientIP: a client stays with its pod{_stays(service)}, also while it ends, and loses all its"
                    " requests meanwhile"
                ),
            )


def _stays(service: Object) -> str:
    """Say for how long, where the manifest does."""
    config = ((service.get("spec") or {}).get("sessionAffinityConfig") or {}).get("clientIP") or {}
    seconds = config.get("timeoutSeconds")
    return f" until it has sent nothing for {seconds} s" if seconds else " until the rules change"


def _not_ready(view: WorkloadView) -> Iterator[tuple[str, str]]:
    for service in view.services:
        if (service.get("spec") or {}).get("publishNotReadyAddresses"):
            yield (
                f"Service {service['metadata'].get('name')} spec.publishNotReadyAddresses",
                "true: pods are sent requests before they are ready and while they end",
            )


def _grace_balancer(view: WorkloadView) -> Iterator[tuple[str, str]]:
    if view.ingresses and view.grace_s > 60:
        yield (
            f"{POD}.terminationGracePeriodSeconds",
            (
                f"{view.grace_s} is longer than the 60 s after which an ALB gives an idle request up; no"
                " documentation asks for less, a run can tell"
            ),
        )


def _no_retry(view: WorkloadView) -> Iterator[tuple[str, str]]:
    for ingress in view.ingresses:
        notes = (ingress.get("metadata") or {}).get("annotations") or {}
        if str(notes.get("nginx.ingress.kubernetes.io/service-upstream")).lower() == "true":
            yield (
                f"Ingress {ingress['metadata'].get('name')} service-upstream",
                "true: nginx knows one address only, and tries no other when it fails",
            )


def _scaler(view: WorkloadView) -> Iterator[tuple[str, str]]:
    for scaler in view.scalers:
        yield (
            f"HorizontalPodAutoscaler {scaler['metadata'].get('name')}",
            "may scale down during a rollout: pods then end that the rollout did not end",
        )


def _budget(view: WorkloadView) -> Iterator[tuple[str, str]]:
    for budget in view.budgets:
        spec = budget.get("spec") or {}
        name = f"PodDisruptionBudget {budget['metadata'].get('name')}"
        least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
        blocks = (least is not None and amount(least, view.replicas, up=True) >= view.replicas) or (
            most is not None and amount(most, view.replicas, up=True) == 0
        )
        if blocks:
            yield name, "allows no pod to be evicted: it blocks every drain of a node"
        yield name, "limits drains of nodes; a rolling update takes no notice of it"


OF_PATHS: tuple[LintRule, ...] = (
    rule("service-port-not-served", "warning", _service_port, "A8",
         "requests go to a port where nothing may listen", "kubernetes.io/docs/concepts/services-networking/service/"),
    rule("budget", "info", _budget, "D4",
         "Deployment and StatefulSet controllers are not limited by budgets",
         "kubernetes.io/docs/concepts/workloads/pods/disruptions/", shown=False),
    rule("readiness-gate-missing", "warning", _gates, "A7",
         "while targets are only initial or draining the ALB has none", f"{LBC}/latest/deploy/pod_readiness_gate/"),
    rule("deregistration-delay-short", "warning", _deregistration, "C4",
         "a deregistered target that still answers is cut off",
         "docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html"),
    rule("local-traffic-policy", "warning", _local_policy, "C13 C18",
         "a node without a pod is a hole until somebody notices", "KEP-1669", shown=False),
    rule("session-affinity", "warning", _affinity, "C17",
         "a stuck client loses everything",
         "kubernetes.io/docs/reference/networking/virtual-ips/#session-affinity", shown=False),
    rule("publish-not-ready", "error", _not_ready, "C19",
         "readiness is then of no consequence",
         "kubernetes.io/docs/reference/kubernetes-api/service-resources/service-v1/"),
    rule("autoscaler", "info", _scaler, "D8",
         "label what it did, or pin it for the run",
         "kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/", shown=False),
    rule("no-next-upstream", "warning", _no_retry, "C9",
         "with one address there is no next one", "kubernetes.github.io/ingress-nginx", shown=False),
    rule("grace-over-balancer-timeout", "info", _grace_balancer, "",
         "a rule of thumb that no vendor states", "a hypothesis to test, no rule", shown=False),
)  # fmt: skip
