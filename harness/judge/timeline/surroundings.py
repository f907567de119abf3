"""What stands around the pods and bears on causes: the strategy, the Service, how the balancer is known to act."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.k8s.gateway import ROUTES, backends_of, rules_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.model import RunRecord
    from harness.recording.read import Recording


@dataclass(frozen=True, slots=True)
class Surroundings:
    """As things were before the trigger.

    `strategy` is RollingUpdate | Recreate | OnDelete | "". `published`: a Service publishes addresses that are not
    ready. `retries`: the balancer asks the next pod when one fails, and not for a method that is not idempotent.
    `scaled`: an autoscaler may change the number of pods. `methods`: of the targets, by index.
    """

    strategy: str = ""
    published: bool = False
    retries: bool = False
    scaled: bool = False
    min_ready_s: int = 0
    methods: tuple[str, ...] = ()


def surroundings(recording: Recording) -> Surroundings:
    """Read them from a recording's manifests."""
    objects = recording.manifests("before")
    run = recording.run
    workload = _workload(recording, objects)
    spec = workload.get("spec") or {}
    return Surroundings(
        strategy=str((spec.get("strategy") or spec.get("updateStrategy") or {}).get("type") or ""),
        published=any(map(_publishes, objects)),
        retries=_lab_retries(run) if run.cluster and run.cluster.lab else any(map(_retries, objects)),
        scaled=any(item.get("kind") == "HorizontalPodAutoscaler" for item in objects),
        min_ready_s=int(spec.get("minReadySeconds") or 0),
        methods=tuple(str(target.get("method", "GET")).upper() for target in run.targets),
    )


def live_pods(recording: Recording) -> list[dict[str, Any]]:
    """Return each pod that a run saw, as it was first seen: with what webhooks had added to its template."""
    seen: dict[str, dict[str, Any]] = {}
    for event in recording.events():
        if event.kind == "Pod" and event.change != "DELETED" and event.object.get("spec"):
            seen.setdefault(event.uid, {**event.object, "kind": "Pod"})
    return list(seen.values())


def services(objects: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Return the Services among objects: first those that an Ingress or a route sends to, for they carry what comes
    from outside.
    """
    known = [dict(item) for item in objects]
    asked = {name for item in known if item.get("kind") == "Ingress" for name in backends(item)}
    asked |= {one.name for item in known if item.get("kind") in ROUTES for rule in rules_of(item)
              for one in backends_of(item, rule)}  # fmt: skip
    found = [item for item in known if _is_service(item)]
    return tuple(sorted(found, key=lambda item: (item.get("metadata") or {}).get("name") not in asked))


def _is_service(item: dict[str, Any]) -> bool:
    return item.get("kind") == "Service" or (not item.get("kind") and "selector" in (item.get("spec") or {}))


def backends(ingress: Mapping[str, Any]) -> set[str]:
    """Return the names of the Services that an Ingress sends to."""
    spec = ingress.get("spec") or {}
    found = [spec.get("defaultBackend") or spec.get("backend") or {}]
    found += [
        path.get("backend") or {}
        for rule in spec.get("rules") or []
        for path in (rule.get("http") or {}).get("paths") or []
    ]
    return {str((b.get("service") or {}).get("name") or b.get("serviceName") or "") for b in found} - {""}


def _publishes(item: dict[str, Any]) -> bool:
    return bool((item.get("spec") or {}).get("publishNotReadyAddresses"))


def _lab_retries(run: RunRecord) -> bool:
    part = run.scenario.get("lab") or {}
    return part.get("profile") == "nginx" and int(part.get("tries") or 1) > 1 and not part.get("retry_posts")


def _retries(item: dict[str, Any]) -> bool:
    """Whether an Ingress is ingress-nginx's, with the retries that it has by default: error and timeout, 3 tries,
    idempotent methods.
    """
    if item.get("kind") != "Ingress":
        return False
    notes = (item.get("metadata") or {}).get("annotations") or {}
    spec = item.get("spec") or {}
    kind = str(spec.get("ingressClassName") or notes.get("kubernetes.io/ingress.class") or "")
    prefix = "nginx.ingress.kubernetes.io/"
    when = str(notes.get(f"{prefix}proxy-next-upstream", "error timeout"))
    alone = str(notes.get(f"{prefix}service-upstream", "")).lower() == "true"
    return "nginx" in kind and not alone and "off" not in when.split() and "non_idempotent" not in when


def _workload(recording: Recording, objects: list[dict[str, Any]]) -> dict[str, Any]:
    cluster = recording.run.cluster
    if cluster is None:
        return {}
    found = [item for item in objects if item.get("kind", cluster.kind) == cluster.kind] or [
        event.object for event in recording.events() if event.kind == cluster.kind
    ]
    named = (item for item in found if (item.get("metadata") or {}).get("name") == cluster.name)
    return next(named, {})
