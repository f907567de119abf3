"""A container's environment, as a kubelet builds it: env, envFrom, references, $(NAME)."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Object = dict[str, Any]

# What the sample app (app.py) reads, besides the name, address and port from the kubelet. A process gets only these
# of its container's environment: others could run code, as LD_PRELOAD does, and a manifest must never run code here.
APP_VARIABLES = frozenset(
    {
        "CLOSE_LATE",
        "CRASH_AFTER",
        "FLAP_EVERY",
        "FLAP_FOR",
        "KEEPALIVE",
        "ON_TERM",
        "PORT",
        "SLOW_EVERY",
        "SLOW_MS",
        "STARTUP_DELAY",
        "STREAM_CODE",
        "STREAM_EVERY_MS",
        "STREAM_ON_TERM",
        "STREAM_RETRY_MS",
        "STREAM_SPREAD",
        "TERM_DELAY",
        "WARMUP",
        "WARMUP_MS",
        "WORKERS",
        "WORK_MS",
    }
)

_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")


class MissingError(Exception):
    """A ConfigMap, Secret or key that a container needs does not exist. The message is the kubelet's."""


def environment(
    container: Object, pod: Object, ip: str, host_ip: str, find: Callable[[str, str], Object | None]
) -> dict[str, str]:
    """Return the variables. `find(kind, name)` looks in the pod's namespace. Raises MissingError."""
    result: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        prefix = source.get("prefix", "")
        for kind, key in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
            if key in source:
                values = _data(kind, source[key], find)
                result |= {prefix + name: value for name, value in values.items()}
    for entry in container.get("env") or ():
        if "valueFrom" in entry:
            value = _from(entry["valueFrom"], pod, ip, host_ip, find)
            if value is not None:
                result[entry["name"]] = value
        else:
            result[entry["name"]] = _expanded(str(entry.get("value", "")), result)
    return result


def _expanded(text: str, known: dict[str, str]) -> str:
    return _REFERENCE.sub(lambda m: "$" if m[0] == "$$" else known.get(m[1], m[0]), text)


def _data(kind: str, reference: Object, find: Callable[[str, str], Object | None]) -> dict[str, str]:
    found = find(kind, reference.get("name", ""))
    if found is None:
        if reference.get("optional"):
            return {}
        raise MissingError(f'{kind.lower()} "{reference.get("name", "")}" not found')
    values = {key: str(value) for key, value in (found.get("data") or {}).items()}
    if kind == "Secret":
        values = {key: base64.b64decode(value).decode("utf-8", "replace") for key, value in values.items()}
        values |= {key: str(value) for key, value in (found.get("stringData") or {}).items()}
    return values


def _from(
    source: Object, pod: Object, ip: str, host_ip: str, find: Callable[[str, str], Object | None]
) -> str | None:
    for kind, key in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
        if key in source:
            reference = source[key]
            values = _data(kind, reference, find)
            if reference["key"] not in values and not reference.get("optional"):
                raise MissingError(
                    f"couldn't find key {reference['key']} in {kind}"
                    f" {pod['metadata']['namespace']}/{reference['name']}"
                )
            return values.get(reference["key"])
    path = (source.get("fieldRef") or {}).get("fieldPath", "")
    if path in {"status.podIP", "status.podIPs"}:
        return ip
    if path in {"status.hostIP", "status.hostIPs"}:
        return host_ip
    if found := re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path):
        return str((pod["metadata"].get(found[1]) or {}).get(found[2], ""))
    value: Any = pod
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return None if value is None else str(value)
