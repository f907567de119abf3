"""Reads manifests from files, and refuses in one line what the API server would refuse."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from harness import typedpaths
from harness.cli.manifests.customs import CUSTOM
from harness.errors import UsageError
from harness.k8s import schema
from harness.scenario import yamltext
from harness.scenario.places import written

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from harness.scenario.places import Written

Object = dict[str, Any]

# The kinds that lint reads; other kinds are not checked.
_VERSIONS = {
    "Deployment": "apps/v1",
    "StatefulSet": "apps/v1",
    "DaemonSet": "apps/v1",
    "Service": "v1",
    "Ingress": "networking.k8s.io/v1",
    "PodDisruptionBudget": "policy/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "Rollout": "argoproj.io/v1alpha1",
    "HTTPRoute": "gateway.networking.k8s.io/v1",
    "GRPCRoute": "gateway.networking.k8s.io/v1",
}
_CUSTOM_ONLY = frozenset(CUSTOM) - {"HorizontalPodAutoscaler"}  # no list of all their fields is known here
_SHARES = ("maxUnavailable", "maxSurge", "minAvailable")
_SHARE = re.compile(r"\d+%?")
_LONGEST = 60  # characters of a value in a message
# Fields whose value may be secret, and keys of an object that say that it may contain a secret.
_PRIVATE = re.compile(
    r"\.(?:env|args|httpHeaders)\b|command\[|annotations|volumeAttributes|options|[Dd]ata\b"
)
_WITHIN = re.compile(
    r"\"(?:value|env|args|command|annotations|httpHeaders|\w*[Dd]ata)\"|\s(?!\"|[\d\[{]|null|true|false)"
)


def from_files(path: Path) -> list[Object]:
    """Read every object of a file or folder, and of Lists in them. Other YAML is skipped.

    Raises UsageError, one line with file, object and field, when one cannot be understood.
    """
    return [item for file in _files(path) for item in from_text(_read(file), str(file))]


def from_text(text: str, name: str) -> list[Object]:
    """Read every object of a text, as `from_files` does; `name` is for messages."""
    return [item for _, item in _kept(text, name)]


def with_places(path: Path) -> list[tuple[Object, Written | None]]:
    """Read every object, as `from_files` does, and tell where each is written, if that is known."""
    found: list[tuple[Object, Written | None]] = []
    for file in _files(path):
        text = _read(file)
        kept = list(_kept(text, str(file)))
        places = list(written(text, str(file)))
        found += [(item, places[number] if number < len(places) else None) for number, item in kept]
    return found


def _files(path: Path) -> list[Path]:
    if not typedpaths.is_dir(path):
        return [path]
    return sorted(
        p for p in path.rglob("*") if p.suffix in {".yaml", ".yml", ".json"} and yamltext.is_file(p)
    )


def _read(file: Path) -> str:
    try:
        return yamltext.read_text(file)
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{file} cannot be read: {error}") from None


def _kept(text: str, name: str) -> Iterator[tuple[int, Object]]:
    """Yield each object that is checked, and which of all objects of the text it is."""
    for number, item in enumerate(_objects(text, name)):
        if bad := malformed(item):
            more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
            raise UsageError(f"{name}: {_name(item)}: {bad[0]}{more}")
        if isinstance(item.get("metadata"), dict):
            yield number, item


def malformed(item: Object) -> list[str]:
    """Return a line, with the field's path, for each value that the API server would refuse."""
    kind = item.get("kind")
    if not isinstance(kind, str) or kind not in _VERSIONS:
        return []
    if not isinstance(item.get("metadata"), dict):
        # A chart's values may contain `kind`, too; only with an apiVersion is it meant to be an object.
        return ["metadata: it is missing, or no object"] if "apiVersion" in item else []
    try:
        wrong = schema.wrong_types(item, _described(kind))
    except (RecursionError, ValueError):
        return ["it contains itself"]
    if wrong or kind in {"Service", "Ingress", *CUSTOM} - {"Rollout"}:
        return [_shown(line) for line in wrong]
    return [*_wrong_shares(item), *_wrong_selector(item)]


def strange_fields(items: Iterable[Object]) -> Iterator[str]:
    """Yield a line for each field that Kubernetes does not have: mostly typos, which it ignores without a word."""
    for item in items:
        kind = item.get("kind")
        if not isinstance(kind, str) or kind not in _VERSIONS or kind in _CUSTOM_ONLY:
            continue
        if item.get("apiVersion") == _VERSIONS[kind]:
            for path in schema.unknown_fields(item, schema.root(_VERSIONS[kind], kind)):
                yield f"{_name(item)}: {path}: Kubernetes has no such field, as far as is known here: a typing error?"


def _described(kind: str) -> schema.Node:
    return CUSTOM.get(kind) or schema.root(_VERSIONS[kind], kind)


def _objects(text: str, name: str) -> Iterator[Object]:
    try:
        documents = list(yamltext.load_all(text))
    except yaml.YAMLError as error:
        line, problem = yamltext.problem(error)
        raise UsageError(f"{name}{f':{line}' if line else ''}: malformed YAML: {problem}") from None
    for document in documents:
        items = [document]
        if isinstance(document, dict) and str(document.get("kind", "")).endswith("List"):
            items = document.get("items") or []
            if not isinstance(items, list):
                raise UsageError(f"{name}: {document['kind']}: items: it must be an array")
        yield from (item for item in items if isinstance(item, dict))


def _name(item: Object) -> str:
    metadata = item.get("metadata")
    return f"{item['kind']}/{metadata.get('name', '?') if isinstance(metadata, dict) else '?'}"


def _shown(line: str) -> str:
    """Shorten a value for a message, and hide one that may be secret."""
    path, _, said = line.partition(": ")
    value, _, wanted = said.rpartition(" is not ")
    if _PRIVATE.search(path) or _WITHIN.search(value):
        value = "it"
    elif len(value) > _LONGEST:
        value = f"{value[:_LONGEST]}..."
    return f"{path}: {value} is not {wanted}"


def _wrong_shares(item: Object) -> Iterator[str]:
    spec = item.get("spec") or {}
    at = {"Deployment": "spec.strategy.rollingUpdate", "PodDisruptionBudget": "spec"}.get(
        item["kind"], "spec.updateStrategy.rollingUpdate"
    )
    part = spec
    for field in at.split(".")[1:]:
        part = part.get(field) or {}
    for name in _SHARES:
        value = part.get(name)
        if isinstance(value, str) and not _SHARE.fullmatch(value):
            yield f"{at}.{name}: {value!r} is neither a number nor a percentage"


def _wrong_selector(item: Object) -> Iterator[str]:
    """Yield the labels that a workload's selector wants and its own pods lack. A patch may have only one of the two."""
    spec = item.get("spec") or {}
    wanted = (spec.get("selector") or {}).get("matchLabels")
    template = spec.get("template") or {}
    labels = (template.get("metadata") or {}).get("labels") or {}
    if template and isinstance(wanted, dict):
        for key, value in wanted.items():
            if labels.get(key) != value:
                yield f"spec.selector.matchLabels: {key}: {value} is not among spec.template.metadata.labels"
