"""Reads and checks Kubernetes manifests from files; an error is one line."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from harness.errors import UsageError
from harness.k8s.selectors import service_selects
from harness.lab.objects import defaults, validation
from harness.lab.objects.resources import BY_KIND
from harness.lab.unmodelled import unmodelled
from harness.scenario import yamltext

if TYPE_CHECKING:
    from collections.abc import Iterator

Object = dict[str, Any]

# In the order in which they are created: what others refer to comes first.
_ORDER = (
    "Namespace",
    "ConfigMap",
    "Secret",
    "ServiceAccount",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "Service",
    "PodDisruptionBudget",
    "Ingress",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "Rollout",
    "ReplicaSet",
    "Pod",
)

_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Rollout")


@dataclass(frozen=True, slots=True)
class Manifests:
    """What a lab runs. The balancer serves `service` in `namespace`."""

    items: tuple[Object, ...]
    service: str
    namespace: str
    notes: tuple[str, ...]  # what is not modelled, a line each


def load(files: tuple[str, ...]) -> Manifests:
    """Read and check manifests. Raises UsageError: one line, with file and line."""
    found = [(place, item) for file in files for place, item in _documents(Path(file))]
    unknown = [
        f"{item['kind']} ({item['apiVersion']}) at {place}" for place, item in found if not _known(item)
    ]
    if unknown:
        raise UsageError(f"the lab cannot run {', '.join(unknown)}; it supports {', '.join(_ORDER)}")
    seen: dict[tuple[str, str, str], str] = {}
    for place, item in found:
        _check(place, item)
        metadata = item["metadata"]
        key = (item["kind"], metadata.get("namespace", "default"), metadata["name"])
        if key in seen:
            raise UsageError(f"{place}: {item['kind']} {metadata['name']} is defined already, at {seen[key]}")
        seen[key] = place
    items = [item for _, item in found]
    where = ", ".join(files) or "no file"
    service = _front(items, where)
    items.sort(key=lambda item: _ORDER.index(item["kind"]))
    notes = tuple(f"not modelled: {line}" for item in items for line in unmodelled(item))
    metadata = service["metadata"]
    return Manifests(tuple(items), metadata["name"], metadata.get("namespace", "default"), notes)


def _documents(path: Path) -> Iterator[tuple[str, Object]]:
    """Yield (file:line, object) for each document of a file, and for each member of a List."""
    try:
        text = yamltext.read_text(path)
    except FileNotFoundError:
        raise UsageError(f"{path}: no such manifest") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error
    try:
        loader = yamltext.Loader(text)
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: malformed YAML: {yamltext.problem(error)[1]}") from error
    try:
        while loader.check_node():
            node = loader.get_node()
            if node is None:
                continue
            place = f"{path}:{node.start_mark.line + 1}"
            value = loader.construct_document(node)
            for item in (
                value.get("items") or ()
                if isinstance(value, dict) and value.get("kind") == "List"
                else (value,)
            ):
                if item is not None:
                    yield place, _object(place, item)
    except yaml.YAMLError as error:
        line, problem = yamltext.problem(error)
        raise UsageError(f"{path}:{line or 1}: malformed YAML: {problem}") from error
    finally:
        loader.dispose()


def _object(place: str, item: Any) -> Object:
    if not isinstance(item, dict):
        raise UsageError(f"{place}: a manifest must be a mapping, not {type(item).__name__}")
    for field in ("apiVersion", "kind"):
        if not isinstance(item.get(field), str):
            raise UsageError(f"{place}: {field} is missing")
    if not isinstance(item.get("metadata"), dict) or not isinstance(item["metadata"].get("name"), str):
        raise UsageError(f"{place}: metadata.name of this {item['kind']} is missing")
    return item


def _known(item: Object) -> bool:
    return item["kind"] in _ORDER and BY_KIND[item["kind"]].api_version == item["apiVersion"]


def _check(place: str, item: Object) -> None:
    """Refuse what the API server would refuse."""
    filled = copy.deepcopy(item)
    try:
        defaults.fill(filled)
        causes = validation.check(filled)
    except (AttributeError, TypeError, KeyError) as error:
        raise UsageError(f"{place}: {item['kind']} {item['metadata']['name']}: malformed: {error}") from error
    if causes:
        field, what = causes[0]
        more = f" (and {len(causes) - 1} more)" if len(causes) > 1 else ""
        raise UsageError(f"{place}: {item['kind']} {item['metadata']['name']}: {field}: {what}{more}")


def _front(items: list[Object], where: str) -> Object:
    """Return the balancer's Service: one that selects a workload's pods, preferably one that an Ingress names."""
    deployments = [item for item in items if item["kind"] in _WORKLOADS]
    if not deployments:
        raise UsageError(
            f"there is no {', '.join(_WORKLOADS[:-1])} or {_WORKLOADS[-1]} in {where}: the lab has nothing to roll out"
        )
    matching = [
        item
        for item in items
        if item["kind"] == "Service" and any(_selects(item, deployment) for deployment in deployments)
    ]
    if not matching:
        names = ", ".join(f"{item['kind']} {item['metadata']['name']}" for item in deployments)
        raise UsageError(
            f"no Service in {where} selects the pods of {names}: the lab has nothing to send requests to"
        )
    wanted = str([item.get("spec") for item in items if item["kind"] == "Ingress"])
    named = [item for item in matching if f"'service': {{'name': '{item['metadata']['name']}'" in wanted]
    return (named or matching)[0]


def _selects(service: Object, deployment: Object) -> bool:
    labels = deployment["spec"]["template"]["metadata"].get("labels") or {}
    same = service["metadata"].get("namespace", "default") == deployment["metadata"].get(
        "namespace", "default"
    )
    return same and service_selects(service, labels)
