"""What a manifest alone says about rollouts: one table of rules that other checkers do not have.

kube-score, kube-linter and polaris know probes and strategies; none of them reads preStop or the grace period. Each rule
looks at one workload and what stands around it, and gives the place in the manifest and what is wrong there.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.clock import NS
from harness.judge.lifeline import hook_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Object = dict[str, Any]
SHELLS = frozenset({"sh", "bash", "ash", "dash", "zsh", "ksh"})
SHELL_LESS = re.compile(r"distroless|(^|/)scratch|chainguard|cgr\.dev|/static[:@-]", re.IGNORECASE)
PROBES = ("readinessProbe", "livenessProbe", "startupProbe")
HANDLERS = ("httpGet", "tcpSocket", "exec", "grpc")


@dataclass(frozen=True, slots=True)
class Look:
    """One workload as it stands in a manifest, with the objects that concern its pods."""

    workload: Object
    services: tuple[Object, ...] = ()
    ingresses: tuple[Object, ...] = ()
    budgets: tuple[Object, ...] = ()
    scalers: tuple[Object, ...] = ()

    @property
    def spec(self) -> Object:
        """The workload's spec."""
        found: Object = self.workload.get("spec") or {}
        return found

    @property
    def pod(self) -> Object:
        """The pod's spec in its template."""
        found: Object = (self.spec.get("template") or {}).get("spec") or {}
        return found

    @property
    def containers(self) -> list[Object]:
        """The containers."""
        return list(self.pod.get("containers") or [])

    @property
    def serving(self) -> Object:
        """The container that serves: the first with a port, else the first."""
        return next((c for c in self.containers if c.get("ports")), (self.containers or [{}])[0])

    @property
    def grace_s(self) -> int:
        """The grace period, in seconds."""
        grace = self.pod.get("terminationGracePeriodSeconds")
        return 30 if grace is None else int(grace)

    @property
    def replicas(self) -> int:
        """How many are wanted; 1 where the manifest does not say. A DaemonSet has no such number."""
        count = self.spec.get("replicas")
        return 1 if count is None else int(count)

    @property
    def rolling(self) -> Object:
        """The numbers of a rolling update."""
        found: Object = self.strategy.get("rollingUpdate") or {}
        return found

    @property
    def strategy(self) -> Object:
        """The update strategy, under whichever name the kind has for it."""
        found: Object = self.spec.get("strategy") or self.spec.get("updateStrategy") or {}
        return found


@dataclass(frozen=True, slots=True)
class LintRule:
    """One row. `causes`: what it leads to, by id; `shown`: whether a rollout under load would show that.

    severity: error (requests will be lost) | warning (they may be) | info (worth knowing). `check` yields (path, message).
    """

    id: str
    severity: str
    reason: str
    source: str
    causes: frozenset[str]
    check: Callable[[Look], Iterator[tuple[str, str]]]
    shown: bool = True


_POD = "spec.template.spec"


def _at(container: Object, field: str) -> str:
    return f"{_POD}.containers[{container.get('name', '?')}].{field}"


def _hook(container: Object) -> Object:
    found: Object = (container.get("lifecycle") or {}).get("preStop") or {}
    return found


def _hook_s(container: Object) -> float | None:
    """Return how long the hook sleeps; 0 without one, None where it cannot be read."""
    hook = _hook(container)
    if not hook:
        return 0.0
    length = hook_ns(hook)
    return None if length is None else length / NS


def _handler(probe: Mapping[str, Any]) -> dict[str, Any]:
    return {kind: probe[kind] for kind in HANDLERS if kind in probe}


def _rounded(value: object, replicas: int, *, up: bool) -> int:
    """Return a number or a percentage of replicas; maxUnavailable rounds down, maxSurge up."""
    text = str(value)
    if not text.endswith("%"):
        return int(text) if text.isdigit() else 0
    share = replicas * float(text[:-1] or 0) / 100
    return math.ceil(share) if up else math.floor(share)


def _readiness_missing(look: Look) -> Iterator[tuple[str, str]]:
    if look.services and not any(c.get("readinessProbe") for c in look.containers):
        yield (
            _at(look.serving, "readinessProbe"),
            "there is none: pods take requests as soon as their container runs",
        )


def _readiness_is_liveness(look: Look) -> Iterator[tuple[str, str]]:
    for container in look.containers:
        ready, live = container.get("readinessProbe"), container.get("livenessProbe")
        if ready and live and _handler(ready) == _handler(live):
            yield (
                _at(container, "readinessProbe"),
                "asks the same as the livenessProbe: what should only take a pod out of traffic also restarts it",
            )


def _probe_port(look: Look) -> Iterator[tuple[str, str]]:
    for container in look.containers:
        ports = container.get("ports") or []
        known = {p.get("containerPort") for p in ports} | {p.get("name") for p in ports}
        for name in PROBES:
            probe = container.get(name) or {}
            port = (probe.get("httpGet") or probe.get("tcpSocket") or {}).get("port")
            if isinstance(port, str) and port not in known and not port.isdigit():
                yield (
                    _at(container, name),
                    f"probes the port {port!r}, and no port of the container has that name",
                )
            elif ports and port is not None and not isinstance(port, str) and port not in known:
                yield (
                    _at(container, name),
                    f"probes port {port}, which the container does not declare ({', '.join(str(p.get('containerPort')) for p in ports)})",
                )


def _service_port(look: Look) -> Iterator[tuple[str, str]]:
    declared = [p for c in look.containers for p in c.get("ports") or []]
    known = {p.get("containerPort") for p in declared} | {p.get("name") for p in declared}
    for service in look.services:
        for port in (service.get("spec") or {}).get("ports") or []:
            target = port.get("targetPort", port.get("port"))
            if declared and target not in known:
                yield (
                    f"Service {service['metadata'].get('name')} spec.ports.targetPort",
                    f"{target} is no declared port of the pods",
                )


def _hook_outlasts(look: Look) -> Iterator[tuple[str, str]]:
    for container in look.containers:
        hook_s = _hook_s(container)
        if hook_s and hook_s >= look.grace_s:
            yield (
                _at(container, "lifecycle.preStop"),
                f"sleeps {hook_s:g} s, and the grace period of {look.grace_s} s began before it: SIGKILL comes first",
            )


def _grace_left(look: Look) -> Iterator[tuple[str, str]]:
    for container in look.containers:
        hook_s = _hook_s(container)
        if hook_s and 0 < look.grace_s - hook_s < 5:
            yield (
                f"{_POD}.terminationGracePeriodSeconds",
                f"{look.grace_s} leaves {look.grace_s - hook_s:g} s after a preStop of {hook_s:g} s: requests that take longer are cut",
            )


def _hook_missing(look: Look) -> Iterator[tuple[str, str]]:
    if look.services and not _hook(look.serving):
        yield (
            _at(look.serving, "lifecycle.preStop"),
            "there is none: SIGTERM comes while balancers still send requests",
        )


def _hook_shell(look: Look) -> Iterator[tuple[str, str]]:
    for container in look.containers:
        command = (_hook(container).get("exec") or {}).get("command") or []
        image = str(container.get("image") or "")
        if command and SHELL_LESS.search(image):
            yield (
                _at(container, "lifecycle.preStop.exec"),
                f"runs {command[0]}, which the image {image} does not seem to have: the hook fails and SIGTERM comes at once",
            )


def _hook_unknown(look: Look) -> Iterator[tuple[str, str]]:
    for container in look.containers:
        if _hook(container) and _hook_s(container) is None:
            yield (
                _at(container, "lifecycle.preStop"),
                f"is no plain sleep ({next(iter(_hook(container)))}): if it ends early it protects nothing",
            )


def _min_ready(look: Look) -> Iterator[tuple[str, str]]:
    seconds = int(look.spec.get("minReadySeconds") or 0)
    if seconds:
        yield (
            "spec.minReadySeconds",
            f"{seconds} delays only when a pod counts as available; requests come as soon as it is ready",
        )


def _few_replicas(look: Look) -> Iterator[tuple[str, str]]:
    if look.workload.get("kind") != "Deployment" or look.strategy.get("type") == "Recreate":
        return
    value = look.rolling.get("maxUnavailable", "25%")
    lost = _rounded(value, look.replicas, up=False)
    if lost and lost * 3 >= look.replicas:
        yield (
            "spec.strategy.rollingUpdate.maxUnavailable",
            f"{value} lets {lost} of {look.replicas} pods go before a new one serves",
        )


def _single(look: Look) -> Iterator[tuple[str, str]]:
    if look.workload.get("kind") != "DaemonSet" and look.replicas == 1 and not look.scalers:
        yield (
            "spec.replicas",
            "1: the only endpoint is exchanged, and there is nothing to fall back on meanwhile",
        )


def _recreate(look: Look) -> Iterator[tuple[str, str]]:
    if look.strategy.get("type") == "Recreate":
        yield "spec.strategy.type", "Recreate ends all old pods before a new one is made"


def _on_delete(look: Look) -> Iterator[tuple[str, str]]:
    if look.strategy.get("type") == "OnDelete":
        yield "spec.updateStrategy.type", "OnDelete: a rollout waits until somebody deletes pods"


def _budget(look: Look) -> Iterator[tuple[str, str]]:
    for budget in look.budgets:
        spec = budget.get("spec") or {}
        name = f"PodDisruptionBudget {budget['metadata'].get('name')}"
        least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
        blocks = (least is not None and _rounded(least, look.replicas, up=True) >= look.replicas) or (
            most is not None and _rounded(most, look.replicas, up=True) == 0
        )
        if blocks:
            yield name, "allows no pod to be evicted: it blocks every drain of a node"
        yield name, "limits drains of nodes; a rolling update takes no notice of it"


def _gates(look: Look) -> Iterator[tuple[str, str]]:
    for ingress in look.ingresses:
        notes = (ingress.get("metadata") or {}).get("annotations") or {}
        alb = (ingress.get("spec") or {}).get("ingressClassName") == "alb" or notes.get(
            "kubernetes.io/ingress.class"
        ) == "alb"
        if (
            alb
            and notes.get("alb.ingress.kubernetes.io/target-type") == "ip"
            and not look.pod.get("readinessGates")
        ):
            yield (
                f"{_POD}.readinessGates",
                "none: old pods may go before the ALB knows new ones (label the namespace elbv2.k8s.aws/pod-readiness-gate-inject=enabled, then look at the pods)",
            )


def _deregistration(look: Look) -> Iterator[tuple[str, str]]:
    for ingress in look.ingresses:
        notes = (ingress.get("metadata") or {}).get("annotations") or {}
        told = re.search(
            r"deregistration_delay\.timeout_seconds=(\d+)",
            str(notes.get("alb.ingress.kubernetes.io/target-group-attributes", "")),
        )
        if told and int(told[1]) < 10:
            yield (
                f"Ingress {ingress['metadata'].get('name')} deregistration_delay",
                f"{told[1]} s: requests that take longer are cut when their target is drained",
            )


def _local_policy(look: Look) -> Iterator[tuple[str, str]]:
    for service in look.services:
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


def _affinity(look: Look) -> Iterator[tuple[str, str]]:
    for service in look.services:
        if (service.get("spec") or {}).get("sessionAffinity") == "ClientIP":
            yield (
                f"Service {service['metadata'].get('name')} spec.sessionAffinity",
                "ClientIP: a client stays with its pod until the rules change, and loses all its requests meanwhile",
            )


def _not_ready(look: Look) -> Iterator[tuple[str, str]]:
    for service in look.services:
        if (service.get("spec") or {}).get("publishNotReadyAddresses"):
            yield (
                f"Service {service['metadata'].get('name')} spec.publishNotReadyAddresses",
                "true: pods are sent requests before they are ready and while they end",
            )


def _shell(look: Look) -> Iterator[tuple[str, str]]:
    for container in look.containers:
        words = [str(word) for word in [*(container.get("command") or []), *(container.get("args") or [])]]
        if len(words) >= 3 and words[0].rpartition("/")[2] in SHELLS and words[1] in {"-c", "-ec", "-lc"}:
            last = re.split(r"[;&|\n]+", words[2].strip().rstrip(";"))[-1].strip()
            if not last.startswith("exec "):
                yield (
                    _at(container, "command"),
                    f"a shell is process 1 and does not pass SIGTERM on: write `exec {last[:40]}`",
                )


def _host_port(look: Look) -> Iterator[tuple[str, str]]:
    for container in look.containers:
        if any(port.get("hostPort") for port in container.get("ports") or []):
            yield (
                _at(container, "ports.hostPort"),
                "a new pod cannot start on a node before the old one has left it",
            )


def _liveness(look: Look) -> Iterator[tuple[str, str]]:
    for container in look.containers:
        live = container.get("livenessProbe")
        if live and not container.get("startupProbe"):
            allowed = int(live.get("initialDelaySeconds") or 0) + int(
                live.get("failureThreshold") or 3
            ) * int(live.get("periodSeconds") or 10)
            if allowed < 30:
                yield (
                    _at(container, "livenessProbe"),
                    f"kills a container that has not started within {allowed} s; a startupProbe would wait",
                )


def _deadline(look: Look) -> Iterator[tuple[str, str]]:
    deadline, least = look.spec.get("progressDeadlineSeconds"), int(look.spec.get("minReadySeconds") or 0)
    if deadline is not None and int(deadline) <= least:
        yield (
            "spec.progressDeadlineSeconds",
            f"{deadline} is not longer than minReadySeconds ({least}): every rollout counts as failed",
        )


def _grace_zero(look: Look) -> Iterator[tuple[str, str]]:
    if look.grace_s == 0:
        yield f"{_POD}.terminationGracePeriodSeconds", "0: pods are killed at once, and no hook runs"


def _grace_balancer(look: Look) -> Iterator[tuple[str, str]]:
    if look.ingresses and look.grace_s > 60:
        yield (
            f"{_POD}.terminationGracePeriodSeconds",
            f"{look.grace_s} is longer than the 60 s after which an ALB gives an idle request up; no documentation asks for less, a run can tell",
        )


def _scaler(look: Look) -> Iterator[tuple[str, str]]:
    for scaler in look.scalers:
        yield (
            f"HorizontalPodAutoscaler {scaler['metadata'].get('name')}",
            "may scale down during a rollout: pods then end that the rollout did not end",
        )


def _no_retry(look: Look) -> Iterator[tuple[str, str]]:
    for ingress in look.ingresses:
        notes = (ingress.get("metadata") or {}).get("annotations") or {}
        if str(notes.get("nginx.ingress.kubernetes.io/service-upstream")).lower() == "true":
            yield (
                f"Ingress {ingress['metadata'].get('name')} service-upstream",
                "true: nginx knows one address only, and tries no other when it fails",
            )


_LIFECYCLE = "kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination"
_PROBES = "kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/"
_HOOKS = "kubernetes.io/docs/concepts/containers/container-lifecycle-hooks/"
_DEPLOY = "kubernetes.io/docs/concepts/workloads/controllers/deployment/"
_LBC = "kubernetes-sigs.github.io/aws-load-balancer-controller"


def _rule(
    id_: str,
    severity: str,
    check: Callable[[Look], Iterator[tuple[str, str]]],
    causes: str,
    reason: str,
    source: str,
    *,
    shown: bool = True,
) -> LintRule:
    return LintRule(id_, severity, reason, source, frozenset(causes.split()), check, shown)


LINT: tuple[LintRule, ...] = (
    _rule("readiness-missing", "error", _readiness_missing, "A1", "without a probe the state is Success from the start", _PROBES),
    _rule("prestop-missing", "warning", _hook_missing, "B1 C6", "SIGTERM and the removal of the endpoint run side by side; nobody waits for the slower one", _LIFECYCLE),
    _rule("prestop-outlasts-grace", "error", _hook_outlasts, "B5", "the grace period starts before preStop", _LIFECYCLE),
    _rule("grace-too-tight", "warning", _grace_left, "B4 B5", "what preStop leaves of the grace period is all that requests in flight get", _LIFECYCLE),
    _rule("prestop-needs-shell", "error", _hook_shell, "B6", "a hook that cannot run is as good as none; preStop.sleep (1.30) needs no shell", _HOOKS),
    _rule("prestop-not-a-sleep", "info", _hook_unknown, "B7", "a hook that returns early is as good as none", _HOOKS),
    _rule("grace-zero", "error", _grace_zero, "B9 B2", "at grace 0 the kubelet kills at once", _LIFECYCLE),
    _rule("shell-is-process-1", "warning", _shell, "B3", "SIGTERM goes to process 1, and a shell does not pass it on", _LIFECYCLE),
    _rule("probe-port-not-served", "error", _probe_port, "A8", "a probe of a port where nothing listens never succeeds", _PROBES),
    _rule("service-port-not-served", "warning", _service_port, "A8", "requests go to a port where nothing may listen", "kubernetes.io/docs/concepts/services-networking/service/"),
    _rule("readiness-is-liveness", "warning", _readiness_is_liveness, "D7 A4", "a pod that is slow under load should leave the endpoints, and not be restarted", _PROBES),
    _rule("liveness-before-start", "warning", _liveness, "A4", "a start that takes longer than the liveness probe allows never ends", _PROBES),
    _rule("min-ready-seconds", "info", _min_ready, "A3", "it delays Available, not the endpoints (kubernetes#103121)", _DEPLOY, shown=False),
    _rule("recreate", "error", _recreate, "D3", "there is no pod between the old ones and the new ones", _DEPLOY),
    _rule("on-delete", "info", _on_delete, "", "nothing is replaced by itself", "kubernetes.io/docs/concepts/workloads/controllers/statefulset/", shown=False),
    _rule("max-unavailable-few-replicas", "warning", _few_replicas, "D2 D9", "capacity falls before it rises", _DEPLOY),
    _rule("single-replica", "warning", _single, "D1 D9", "the exchange of the only endpoint is a race", _DEPLOY),
    _rule("deadline-too-short", "error", _deadline, "A8", "progressDeadlineSeconds must exceed minReadySeconds", _DEPLOY),
    _rule("budget", "info", _budget, "D4", "Deployment and StatefulSet controllers are not limited by budgets", "kubernetes.io/docs/concepts/workloads/pods/disruptions/", shown=False),
    _rule("readiness-gate-missing", "warning", _gates, "A7", "while targets are only initial or draining the ALB has none", f"{_LBC}/latest/deploy/pod_readiness_gate/"),
    _rule("deregistration-delay-short", "warning", _deregistration, "C4", "a deregistered target that still answers is cut off", "docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html"),
    _rule("local-traffic-policy", "warning", _local_policy, "C13 C18", "a node without a pod is a hole until somebody notices", "KEP-1669", shown=False),
    _rule("session-affinity", "warning", _affinity, "C17", "a stuck client loses everything", "kubernetes.io/docs/reference/networking/virtual-ips/#session-affinity", shown=False),
    _rule("publish-not-ready", "error", _not_ready, "C19", "readiness is then of no consequence", "kubernetes.io/docs/reference/kubernetes-api/service-resources/service-v1/"),
    _rule("host-port", "warning", _host_port, "D6", "two pods cannot share a port of a node", "kubernetes.io/docs/concepts/configuration/overview/"),
    _rule("autoscaler", "info", _scaler, "D8", "label what it did, or pin it for the run", "kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/", shown=False),
    _rule("no-next-upstream", "warning", _no_retry, "C9", "with one address there is no next one", "kubernetes.github.io/ingress-nginx", shown=False),
    _rule("grace-over-balancer-timeout", "info", _grace_balancer, "", "a rule of thumb that no vendor states", "a hypothesis to test, no rule", shown=False),
)  # fmt: skip
