"""What a lint rule is, and what it looks at: one workload as a manifest has it, with all that stands around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.clock import NS
from harness.k8s.hooks import grace_s, last_sleep_ns, pre_stop
from harness.k8s.serving import native_sidecars, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Object = dict[str, Any]
HANDLERS = ("httpGet", "tcpSocket", "exec", "grpc")
POD = "spec.template.spec"
# Where reasons come from.
LIFECYCLE = "kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination"
PROBES_DOC = "kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/"
HOOKS = "kubernetes.io/docs/concepts/containers/container-lifecycle-hooks/"
DEPLOY = "kubernetes.io/docs/concepts/workloads/controllers/deployment/"
SIDECARS_DOC = "kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/"
LBC = "kubernetes-sigs.github.io/aws-load-balancer-controller"


@dataclass(frozen=True, slots=True)
class WorkloadView:
    """One workload as it stands in a manifest, with the objects that concern its pods."""

    workload: Object
    services: tuple[Object, ...] = ()
    ingresses: tuple[Object, ...] = ()
    routes: tuple[Object, ...] = ()  # the Gateway API's
    budgets: tuple[Object, ...] = ()
    scalers: tuple[Object, ...] = ()
    pods: tuple[Object, ...] = ()  # live ones, where some were seen: a webhook may have added to the template
    backend_configs: tuple[Object, ...] = ()  # GKE's, which the Services name
    alone: bool = False  # no Service at all was given with it: what serves is only to be guessed

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
    def sidecars(self) -> list[Object]:
        """The native sidecars: init containers that are restarted always, so that they run beside the containers."""
        return native_sidecars(self.pod)

    @property
    def serving(self) -> Object:
        """The container that takes the Services' requests."""
        return serving(self.pod, self.services)

    @property
    def ports(self) -> list[Object]:
        """The ports that the serving container declares for requests. One for metrics is asked by a scraper, which
        can wait.
        """
        return [p for p in self.serving.get("ports") or [] if "metrics" not in str(p.get("name", ""))]

    @property
    def takes_requests(self) -> bool:
        """Whether requests come to its pods: a Service selects them, or none was given and there is a port for
        requests.
        """
        return bool(self.services) or (self.alone and bool(self.ports))

    @property
    def grace_s(self) -> int:
        """The grace period, in seconds."""
        return grace_s(self.pod)

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
        """The update strategy, under the name that the kind has for it."""
        name = "strategy" if self.workload.get("kind") == "Deployment" else "updateStrategy"
        found: Object = self.spec.get(name) or {}
        return found


@dataclass(frozen=True, slots=True)
class LintRule:
    """One row. `causes`: what it leads to, by id; `shown`: whether a rollout under load would show that.

    severity: error (requests will be lost) | warning (they may be) | info (worth knowing). `check` yields (path,
    message).
    """

    id: str
    severity: str
    reason: str
    source: str
    causes: frozenset[str]
    check: Callable[[WorkloadView], Iterator[tuple[str, str]]]
    shown: bool = True


def rule(
    id_: str,
    severity: str,
    check: Callable[[WorkloadView], Iterator[tuple[str, str]]],
    causes: str,
    reason: str,
    source: str,
    *,
    shown: bool = True,
) -> LintRule:
    """Make a row; `causes` are ids with spaces between."""
    return LintRule(id_, severity, reason, source, frozenset(causes.split()), check, shown)


def in_container(container: Object, field: str) -> str:
    """Return the place of a field of a container."""
    return f"{POD}.containers[{container.get('name', '?')}].{field}"


def in_sidecar(container: Object, field: str) -> str:
    """Return the place of a field of a native sidecar."""
    return f"{POD}.initContainers[{container.get('name', '?')}].{field}"


def hook_length_s(container: Object) -> float | None:
    """Return how long the hook sleeps; 0 without one, None where it cannot be read."""
    found = pre_stop(container)
    if not found:
        return 0.0
    length = last_sleep_ns(found)
    return None if length is None else length / NS


def handler(probe: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a probe asks for, without its timing."""
    return {kind: probe[kind] for kind in HANDLERS if kind in probe}
