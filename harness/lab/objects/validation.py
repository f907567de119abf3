"""Validation, for which the API server answers 422: pure functions from an object to a list of (field, error)."""

from __future__ import annotations

import re
import signal
from typing import Any

from harness.k8s.selectors import selected

_WORKLOADS = {"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Rollout"}
Causes = list[tuple[str, str]]

_SIGNALS = {s.name for s in signal.Signals} | {
    f"SIGRTM{way}{n}" for way in ("IN+", "AX-") for n in range(1, 16)
}
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_PERCENT = re.compile(r"^\d{1,3}%$")
_LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
    "and must start and end with an alphanumeric character"
)
_NAME_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    "and must start and end with an alphanumeric character"
)


def check(item: dict[str, Any], old: dict[str, Any] | None = None) -> Causes:
    """Check an object before it is stored; `old` is the object that it replaces, if any."""
    name = item.get("metadata", {}).get("name", "")
    causes: Causes = (
        [] if _NAME.fullmatch(name) else [("metadata.name", f'Invalid value: "{name}": {_NAME_RULE}')]
    )
    kind, spec = item.get("kind"), item.get("spec")
    if kind in {*_WORKLOADS, "Pod", "Service"} and not isinstance(spec, dict):
        return [*causes, ("spec", "Required value")]
    if kind in _WORKLOADS and isinstance(spec, dict):
        causes += _workload(spec)
        if old is not None and old["spec"].get("selector") != spec.get("selector"):
            causes.append(("spec.selector", "Invalid value: field is immutable"))
    if kind == "Deployment" and isinstance(spec, dict):
        causes += _strategy(spec)
    if kind == "Pod" and isinstance(spec, dict):
        causes += _pod_spec(spec, "spec")
    if kind == "Service" and isinstance(spec, dict):
        for n, port in enumerate(spec.get("ports") or ()):
            if not _is_port(port.get("port")):
                causes.append(
                    (
                        f"spec.ports[{n}].port",
                        f"Invalid value: {port.get('port')}: must be between 1 and 65535, inclusive",
                    )
                )
        if not spec.get("ports") and spec.get("type") != "ExternalName" and spec.get("clusterIP") != "None":
            causes.append(("spec.ports", "Required value"))
    return causes


def _is_port(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 65535


def _at_least(spec: dict[str, Any], key: str, path: str, least: int = 0) -> Causes:
    value = spec.get(key)
    if value is None:
        return []
    if not isinstance(value, int) or isinstance(value, bool):
        return [(f"{path}.{key}", f"Invalid value: {value!r}: must be an integer")]
    if value < least:
        return [(f"{path}.{key}", f"Invalid value: {value}: must be greater than or equal to {least}")]
    return []


def _workload(spec: dict[str, Any]) -> Causes:
    causes = _at_least(spec, "replicas", "spec") + _at_least(spec, "minReadySeconds", "spec")
    template = spec.get("template")
    selector = spec.get("selector")
    if not isinstance(selector, dict) or not (
        selector.get("matchLabels") or selector.get("matchExpressions")
    ):
        causes.append(("spec.selector", "Required value"))
    if not isinstance(template, dict):
        return [*causes, ("spec.template", "Required value")]
    have = template.get("metadata", {}).get("labels") or {}
    if isinstance(selector, dict) and not selected(selector, have):
        causes.append(
            (
                "spec.template.metadata.labels",
                f"Invalid value: {have}: `selector` does not match template `labels`",
            )
        )
    policy = template.get("spec", {}).get("restartPolicy", "Always")
    if policy != "Always":
        causes.append(
            ("spec.template.spec.restartPolicy", f'Unsupported value: "{policy}": supported values: "Always"')
        )
    return causes + _pod_spec(template.get("spec") or {}, "spec.template.spec")


def _strategy(spec: dict[str, Any]) -> Causes:
    causes = _at_least(spec, "revisionHistoryLimit", "spec") + _at_least(
        spec, "progressDeadlineSeconds", "spec"
    )
    if not causes and (spec.get("progressDeadlineSeconds") or 0) <= (spec.get("minReadySeconds") or 0):
        causes.append(("spec.progressDeadlineSeconds", "Invalid value: must be greater than minReadySeconds"))
    kind = spec.get("strategy", {}).get("type")
    rolling = spec.get("strategy", {}).get("rollingUpdate")
    if kind not in {"RollingUpdate", "Recreate"}:
        causes.append(
            (
                "spec.strategy",
                f'Unsupported value: "{kind}": supported values: "Recreate", "RollingUpdate"',
            )
        )
    elif kind == "Recreate" and rolling is not None:
        causes.append(
            (
                "spec.strategy.rollingUpdate",
                "Forbidden: may not be specified when strategy `type` is 'Recreate'",
            )
        )
    elif kind == "RollingUpdate" and isinstance(rolling, dict):
        for key in ("maxUnavailable", "maxSurge"):
            value = rolling.get(key)
            whole = isinstance(value, int) and not isinstance(value, bool) and value >= 0
            if not (whole or (isinstance(value, str) and _PERCENT.match(value))):
                field = f"spec.strategy.rollingUpdate.{key}"
                causes.append(
                    (field, f"Invalid value: {value!r}: must be a non-negative integer or a percentage")
                )
        if rolling.get("maxUnavailable") in {0, "0%"} and rolling.get("maxSurge") in {0, "0%"}:
            field = "spec.strategy.rollingUpdate.maxUnavailable"
            causes.append((field, "Invalid value: 0: may not be 0 when `maxSurge` is 0"))
    return causes


def _pod_spec(spec: dict[str, Any], path: str) -> Causes:
    causes: Causes = []
    if path != "spec" and spec.get("activeDeadlineSeconds") is not None:
        causes.append(
            (
                f"{path}.activeDeadlineSeconds",
                "Forbidden: activeDeadlineSeconds in ReplicaSet is not Supported",
            )
        )
    containers = spec.get("containers")
    if not isinstance(containers, list) or not containers:
        return [*causes, (f"{path}.containers", "Required value")]
    names = [container.get("name") for container in containers]
    for n, container in enumerate(containers):
        at = f"{path}.containers[{n}]"
        if container.get("name") in names[:n]:
            causes.append((f"{at}.name", f'Duplicate value: "{container.get("name")}"'))
        causes += _container(container, at)
        causes += _stop_signal(container, at, str((spec.get("os") or {}).get("name") or ""))
    return causes + _sidecars(spec, path)


def _container(container: dict[str, Any], at: str) -> Causes:
    causes: Causes = [
        (f"{at}.{key}", "Required value") for key in ("name", "image") if not container.get(key)
    ]
    name = container.get("name")
    if name and not (isinstance(name, str) and _LABEL.fullmatch(name)):  # it becomes part of a file name
        causes.append((f"{at}.name", f'Invalid value: "{name}": {_LABEL_RULE}'))
    for m, port in enumerate(container.get("ports") or ()):
        if not _is_port(port.get("containerPort")):
            causes.append(
                (f"{at}.ports[{m}].containerPort", "Invalid value: must be between 1 and 65535, inclusive")
            )
    for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
        if isinstance(container.get(probe), dict):
            causes += _probe(container[probe], f"{at}.{probe}", ready=probe == "readinessProbe")
    for hook in ("preStop", "postStart"):
        value = (container.get("lifecycle") or {}).get(hook)
        if isinstance(value, dict):
            causes += _one_of(value, ("exec", "httpGet", "tcpSocket", "sleep"), f"{at}.lifecycle.{hook}")
    return causes


def _stop_signal(container: dict[str, Any], at: str, system: str) -> Causes:
    """Check a stopSignal: which signals there are depends on the system, so the pod has to name it (KEP-4960)."""
    given = (container.get("lifecycle") or {}).get("stopSignal")
    field = f"{at}.lifecycle.stopSignal"
    if given is None:
        return []
    if not system:
        return [(field, "Forbidden: may not be set for containers with empty os.name")]
    known = {"SIGTERM", "SIGKILL"} if system == "windows" else _SIGNALS
    return [] if given in known else [(field, f'Unsupported value: "{given}"')]


def _sidecars(spec: dict[str, Any], path: str) -> Causes:
    """Check init containers: one may be restarted always, or not say so; probes and hooks are for the former
    (KEP-753).
    """
    causes: Causes = []
    for n, container in enumerate(spec.get("initContainers") or ()):
        policy = container.get("restartPolicy")
        if policy not in {None, "Always"}:
            at = f"{path}.initContainers[{n}].restartPolicy"
            causes.append((at, f'Unsupported value: "{policy}": supported values: "Always"'))
        if policy == "Always":
            causes += _container(container, f"{path}.initContainers[{n}]")
    return causes


def _probe(probe: dict[str, Any], path: str, *, ready: bool) -> Causes:
    causes = _at_least(probe, "initialDelaySeconds", path)
    for key in ("periodSeconds", "timeoutSeconds", "successThreshold", "failureThreshold"):
        causes += _at_least(probe, key, path, least=1)
    if not ready and probe.get("successThreshold", 1) != 1:
        causes.append((f"{path}.successThreshold", f"Invalid value: {probe['successThreshold']}: must be 1"))
    causes += _at_least(probe, "terminationGracePeriodSeconds", path, least=1)
    if ready and probe.get("terminationGracePeriodSeconds") is not None:
        field = f"{path}.terminationGracePeriodSeconds"
        causes.append((field, "Invalid value: must not be set for readinessProbes"))
    return causes + _one_of(probe, ("exec", "httpGet", "tcpSocket", "grpc"), path)


def _one_of(action: dict[str, Any], names: tuple[str, ...], path: str) -> Causes:
    given = [name for name in names if action.get(name) is not None]
    if not given:
        return [(path, "Required value: must specify a handler type")]
    return [(f"{path}.{name}", "Forbidden: may not specify more than 1 handler type") for name in given[1:]]
