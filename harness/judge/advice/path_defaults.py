"""How long traffic is known to come to a pod that has left the endpoints, by what stands in front of it.

Used where a run could not measure it. ALB with ip targets: field reports of 25 s needed and 5 s not enough
(aws-load-balancer-controller issue 1064). ingress-nginx: it syncs each second, with reports of over 3 s with many
Ingresses (its issue 6079). These are values to begin with: measure again, then tighten.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.clock import NS
from harness.judge.timeline.targets import delay_s, drain_begins_ns, draining_ns
from harness.judge.wording import lasting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.judge.balancers.known import Seen
    from harness.judge.timeline.timeline import Timeline
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


def of_targets(timeline: Timeline) -> PathDefault | None:
    """Return what AWS target groups that were watched need: as long as targets were seen to drain.

    Where a run ended first, it is the deregistration delay after the moment at which draining was seen. None where no
    old pod's target was seen to drain.
    """
    olds = [pod for pod in timeline.pods if pod.old and drain_begins_ns(pod) is not None]
    delay = delay_s(timeline.target_groups)
    if not olds or delay is None:
        return None
    begins = max(drain_begins_ns(pod) or 0 for pod in olds)
    ends = [draining_ns(pod) for pod in olds]
    if None in ends:
        seconds = math.ceil(begins / NS) + delay
        said = f"its deregistration delay is {delay} s, and targets drained up to {lasting(begins)} after the deletion"
    else:
        longest = max(end or 0 for end in ends)
        seconds = math.ceil(longest / NS)
        said = f"its targets were gone up to {lasting(longest)} after the deletion"
    return PathDefault("an AWS target group", seconds, said)


def idle_ns_of(run: RunRecord, timeline: Timeline | None = None) -> int:
    """Return how long the balancer keeps an idle connection to a pod, as far as that is known."""
    if run.cluster is not None and run.cluster.lab:
        return int((run.scenario.get("lab") or {}).get("idle_timeout") or IDLE_NS)
    said = [one.idle_timeout_s for one in timeline.target_groups if one.idle_timeout_s] if timeline else []
    return max(said) * NS if said else IDLE_NS


def _words(item: Mapping[str, Any]) -> str:
    """Return class and annotations of an Ingress or a Service; other objects say nothing of the path."""
    if item.get("kind") not in {"Ingress", "Service", "TargetGroupBinding", ""}:
        return ""
    annotations = (item.get("metadata") or {}).get("annotations") or {}
    noted = [f"{key} {value}" for key, value in annotations.items()]
    return " ".join([*noted, str((item.get("spec") or {}).get("ingressClassName") or "")])
