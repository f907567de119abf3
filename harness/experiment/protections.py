"""The protections of a manifest, and the manifest without each of them. Pure.

What "off" means is what a manifest without a thought for it has, or, where Kubernetes' default would change nothing
at the given size, the mildest value that does.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.k8s.hooks import pre_stop
from harness.k8s.serving import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Object = dict[str, Any]

ALL = "everything on"
SHORT_GRACE_S = 1
SHORT_KEEP_ALIVE_S = "0.3"


@dataclass(frozen=True, slots=True)
class Without:
    """A manifest that lacks one protection. `about` says what was changed."""

    name: str
    about: str
    document: Object


def without_each(document: Object) -> tuple[tuple[Without, ...], tuple[str, ...]]:
    """Return the manifest without each of its protections, one at a time, and a line for each that it never had.

    The environment's ON_TERM and KEEPALIVE are the sample app's; of any other app nothing is known.
    """
    found, lacking = [], []
    for name, off in _PROTECTIONS.items():
        changed = copy.deepcopy(document)
        about = off(changed)
        if about:
            found.append(Without(name, about, changed))
        else:
            lacking.append(f"{name}: the manifest has none to switch off")
    return tuple(found), tuple(lacking)


def _pod(document: Object) -> Object:
    spec: Object = document["spec"]["template"]["spec"]
    return spec


def _no_probe(document: Object) -> str:
    container = serving(_pod(document))
    return "no readinessProbe" if container.pop("readinessProbe", None) else ""


def _no_pre_stop(document: Object) -> str:
    container = serving(_pod(document))
    if not pre_stop(container):
        return ""
    del container["lifecycle"]["preStop"]
    if not container["lifecycle"]:
        del container["lifecycle"]
    return "no preStop"


def _no_grace(document: Object) -> str:
    pod = _pod(document)
    had = pod.get("terminationGracePeriodSeconds")
    had = 30 if had is None else had
    if had <= SHORT_GRACE_S:
        return ""
    pod["terminationGracePeriodSeconds"] = SHORT_GRACE_S
    return f"terminationGracePeriodSeconds {SHORT_GRACE_S} instead of {had}"


def _no_drain(document: Object) -> str:
    for variable in _variables(document, "ON_TERM"):
        if variable.get("value") == "drain":
            variable["value"] = "exit"
            return "the app exits at once on SIGTERM (ON_TERM=exit)"
    return ""


def _no_surge(document: Object) -> str:
    spec = document["spec"]
    field = "strategy" if document.get("kind") == "Deployment" else "updateStrategy"
    strategy = spec.get(field) or {}
    rolling = strategy.get("rollingUpdate") or {}
    had = rolling.get("maxUnavailable", "25%")
    if document.get("kind") == "Deployment":
        if strategy.get("type", "RollingUpdate") != "RollingUpdate" or (
            had == 1 and rolling.get("maxSurge") == 0
        ):
            return ""
        spec[field] = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}
        return f"maxUnavailable 1 and maxSurge 0 instead of {had} and {rolling.get('maxSurge', '25%')}"
    return ""  # the others have no surge to lose: an old pod always goes first


def _short_keep_alive(document: Object) -> str:
    for variable in _variables(document, "KEEPALIVE"):
        had = str(variable.get("value", "0"))
        if had not in {"", SHORT_KEEP_ALIVE_S}:
            variable["value"] = SHORT_KEEP_ALIVE_S
            return f"the app closes idle connections after {SHORT_KEEP_ALIVE_S} s (before the balancer), not {had} s"
    return ""


def _no_min_ready(document: Object) -> str:
    had = document["spec"].pop("minReadySeconds", 0)
    return f"minReadySeconds 0 instead of {had}" if had else ""


def _variables(document: Object, name: str) -> Iterator[Object]:
    for variable in serving(_pod(document)).get("env") or ():
        if variable.get("name") == name:
            yield variable


_PROTECTIONS: dict[str, Callable[[Object], str]] = {
    "readinessProbe": _no_probe,
    "preStop": _no_pre_stop,
    "grace period": _no_grace,
    "drain": _no_drain,
    "maxUnavailable": _no_surge,
    "keep-alive order": _short_keep_alive,
    "minReadySeconds": _no_min_ready,
}
