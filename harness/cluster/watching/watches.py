"""What a run watches of the cluster."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.cluster.client import resources
from harness.k8s import argo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from harness.cluster.client.resources import Resource
    from harness.model import ClusterFacts

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Watched:
    """What to watch: one resource, narrowed by selectors and by `keep`. `kind` is what events are recorded as."""

    resource: Resource
    kind: str
    namespace: str
    selectors: dict[str, str] = field(default_factory=dict)
    keep: Callable[[dict[str, Any]], bool] = lambda _: True
    skip_first_list: bool = False  # old Events are no news


def watches(
    facts: ClusterFacts, slices: Resource, selector: str, scalers: Iterable[str], *, events: bool
) -> tuple[Watched, ...]:
    """Say what to watch of a workload: itself, its pods, its endpoints, and Events about it and its autoscalers."""
    namespace, name = facts.namespace, facts.name
    names = frozenset({name, *scalers})
    found = [
        Watched(
            resources.WORKLOADS[facts.kind],
            facts.kind,
            namespace,
            {"field_selector": f"metadata.name={name}"},
        ),
        Watched(resources.PODS, "Pod", namespace, {"label_selector": selector}),
    ]
    if facts.kind in {"Deployment", argo.KIND}:
        found.append(Watched(resources.REPLICASETS, "ReplicaSet", namespace, {"label_selector": selector}))
    if facts.services and slices.kind == "Endpoints":
        found.append(
            Watched(
                slices, "EndpointSlice", namespace, keep=lambda obj: obj["metadata"]["name"] in facts.services
            )
        )
    elif facts.services:
        chosen = f"kubernetes.io/service-name in ({','.join(facts.services)})"
        found.append(Watched(slices, "EndpointSlice", namespace, {"label_selector": chosen}))
    if events:
        found.append(
            Watched(
                resources.EVENTS,
                "Event",
                namespace,
                keep=lambda obj: _concerns(obj, names),
                skip_first_list=True,
            )
        )
    return tuple(found)


def _concerns(event: Object, names: frozenset[str]) -> bool:
    """Whether an Event is about one of these, or about something of theirs: a pod's name begins with its workload's."""
    about = str((event.get("involvedObject") or {}).get("name") or "")
    return any(about == name or about.startswith(f"{name}-") for name in names)
