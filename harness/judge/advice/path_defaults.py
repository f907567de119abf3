"""How long traffic is known to come to a pod that has left the endpoints, by what stands in front of it.

Used where a run could not measure it. ALB with ip targets: field reports of 25 s needed and 5 s not enough
(aws-load-balancer-controller issue 1064). ingress-nginx: it syncs each second, with reports of over 3 s with many
Ingresses (its issue 6079). These are values to begin with: measure again, then tighten.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.clock import NS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.judge.balancers.known import Seen
    from harness.model import RunRecord


@dataclass(frozen=True, slots=True)
class PathDefault:
    """A preStop in whole seconds that the path is known to need, which path that is, and how that is known ("": the lab
    says so, or nothing does).
    """

    path: str
    seconds: int
    evidence: str = ""

    @property
    def named(self) -> str:
        """Return the path with its evidence."""
        return f"{self.path} ({self.evidence})" if self.evidence else self.path


ALB = PathDefault("an ALB with ip targets", 30)
NGINX = PathDefault("nginx", 10)
SERVICE = PathDefault("a Service's own proxying", 5)
# An ALB's idle timeout and ingress-nginx's upstream_keepalive_timeout, where nobody changed them.
IDLE_NS = 60 * NS
UNKNOWN = PathDefault("an unknown balancer", 30)
ENVOY = PathDefault("Envoy", 10)
# By the balancer's name (harness/model.py). What CloudFront needs is what its origin needs.
_BY_NAME = {
    "alb": ALB,
    "nginx": NGINX,
    "ingress-nginx": NGINX,
    "service": SERVICE,
    "none": SERVICE,
    "envoy": ENVOY,
    "istio-envoy": ENVOY,
    "haproxy": PathDefault("HAProxy", 10),
    "caddy": PathDefault("Caddy", 10),
    "traefik": PathDefault("Traefik", 10),
    "apache": PathDefault("Apache", 10),
    "google": PathDefault("Google's load balancer", 30),
}


def default_of(
    run: RunRecord, objects: Sequence[Mapping[str, Any]], seen: Sequence[Seen] = ()
) -> PathDefault:
    """Tell the path: from `--balancer`, the lab's profile, Ingresses and Services among the recorded manifests, or the
    balancers that were recognised (`seen`, the client's side first), in this order.
    """
    said = str(run.scenario.get("balancer") or "")
    if said in _BY_NAME:
        return replace(_BY_NAME[said], evidence="--balancer")
    if run.cluster is not None and run.cluster.lab:
        profile = str((run.scenario.get("lab") or {}).get("profile", "alb"))
        return _BY_NAME.get(profile, ALB)
    words = " ".join(_words(item) for item in objects).lower()
    if "alb" in words.split() or "elbv2.k8s.aws" in words or "load-balancer-type" in words:
        return replace(ALB, evidence="by the manifests")
    if "nginx" in words:
        return replace(NGINX, evidence="by the manifests")
    # Of several in a row, the one nearest to the pods has to hear that one has gone.
    known = [one for one in seen if one.name in _BY_NAME]
    return replace(_BY_NAME[known[-1].name], evidence=known[-1].evidence) if known else UNKNOWN


def idle_ns_of(run: RunRecord) -> int:
    """Return how long the balancer keeps an idle connection to a pod, as far as that is known."""
    if run.cluster is not None and run.cluster.lab:
        return int((run.scenario.get("lab") or {}).get("idle_timeout") or IDLE_NS)
    return IDLE_NS


def _words(item: Mapping[str, Any]) -> str:
    """Return class and annotations of an Ingress or a Service; other objects say nothing of the path."""
    if item.get("kind") not in {"Ingress", "Service", "TargetGroupBinding", ""}:
        return ""
    annotations = (item.get("metadata") or {}).get("annotations") or {}
    noted = [f"{key} {value}" for key, value in annotations.items()]
    return " ".join([*noted, str((item.get("spec") or {}).get("ingressClassName") or "")])
