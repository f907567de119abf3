"""Which annotations a recording keeps whole, and how much of what kubelets and others wrote. Pure.

An annotation may hold anything: whole manifests with the values of variables (kapp, Rancher, kubectl apply), snippets
of configuration with passwords in them, command lines. So a value is kept only if its meaning is known and the judge,
lint or the advice reads it, or if it says which change was made. Of all others only the name is kept.
"""

from __future__ import annotations

import re
from typing import Any

from harness import masking

_WHOLE = frozenset(
    {
        "kubectl.kubernetes.io/restartedAt",
        "kubectl.kubernetes.io/default-container",
        "deprecated.daemonset.template.generation",
        "controller.kubernetes.io/pod-deletion-cost",
        "endpoints.kubernetes.io/last-change-trigger-time",
        "kubernetes.io/ingress.class",
        "cloud.google.com/neg",
        "networking.gke.io/load-balancer-type",
    }
)
_OURS = ("deployment.kubernetes.io/", "zdtest.dev/")  # revisions and sizes; a run's own mark
_CHECK = r"(?:health-?check|health-probe|check)[\w.-]*"
# How a balancer follows the endpoints, how long it waits, whom it asks next. Never who may come in, nor free text.
_OF_BALANCERS = {
    "alb.ingress.kubernetes.io/": (
        rf"target-type|target-group-attributes|load-balancer-attributes|{_CHECK}|success-codes|"
        r"(?:un)?healthy-threshold-count|backend-protocol(?:-version)?|scheme|ip-address-type|group\.(?:name|order)"
    ),
    "elbv2.k8s.aws/": r"pod-readiness-gate-inject|[\w.-]*status",
    "service.beta.kubernetes.io/": (
        r"(?:aws|azure|do|oci|ibm|gcp)[\w-]*load-?balancer-(?:type|scheme|internal|nlb-target-type|attributes|"
        r"target-group-attributes|backend-protocol|proxy-protocol|connection-[\w-]+|tcp-idle-timeout|"
        rf"cross-zone[\w-]*|{_CHECK})"
    ),
    "nginx.ingress.kubernetes.io/": (
        r"proxy-(?:connect|read|send)-timeout|proxy-next-upstream(?:-tries|-timeout)?|service-upstream|"
        r"upstream-hash-by|upstream-(?:fail-timeout|max-fails)|backend-protocol|load-balance|affinity(?:-mode)?|"
        r"proxy-(?:request-)?buffering|proxy-body-size|proxy-http-version|canary|canary-weight"
    ),
    "nginx.org/": (
        r"lb-method|max-(?:fails|conns)|fail-timeout|keepalive|proxy-(?:connect|read|send)-timeout|slow-start|"
        rf"use-cluster-ip|{_CHECK}"
    ),
    "haproxy.org/": rf"timeout-[\w-]+|{_CHECK}|load-balance|pod-maxconn|scale-server-slots|standalone-backend",
    "haproxy-ingress.github.io/": (
        rf"timeout-[\w-]+|{_CHECK}|backend-check-interval|balance-algorithm|drain-support[\w-]*|slots-[\w-]+|"
        r"initial-weight|maxconn-server|service-upstream|backend-protocol|affinity"
    ),
    "traefik.ingress.kubernetes.io/": (
        r"router\.entrypoints|service\.(?:nativelb|serversscheme|passhostheader)|affinity"
    ),
}
_SIMPLE = re.compile(
    r"[\w.,:;=/ %*+-]{0,300}", re.ASCII
)  # no JSON, no quotes, no lines, nothing before an @, no query


def known_annotations(given: dict[str, Any]) -> dict[str, str]:
    """Return all annotations by name, with the value of those alone that are known to hold no secret."""
    return {
        name: str(value) if _passes(name, str(value)) else masking.HIDDEN for name, value in given.items()
    }


def _passes(name: str, value: str) -> bool:
    if name in _WHOLE or name.startswith(_OURS):
        return True
    prefix, slash, setting = name.partition("/")
    known = _OF_BALANCERS.get(prefix + slash)
    if known is None or not re.fullmatch(known, setting):
        return False
    return bool(_SIMPLE.fullmatch(value)) and masking.prose(value) == value


def writers(obj: dict[str, Any]) -> dict[str, Any]:
    """Return who wrote to an object, and when each last did (metadata.managedFields); not which fields."""
    names = ("manager", "operation", "time", "subresource")
    entries = [
        {name: masking.prose(str(entry[name])) for name in names if entry.get(name)}
        for entry in (obj.get("metadata") or {}).get("managedFields") or []
    ]
    return {"managedFields": entries} if entries else {}


_PROBE = re.compile(
    r"(Readiness|Liveness|Startup) probe (failed|errored(?: and resulted in \w+ state)?|warning)\b:?\s*",
    re.DOTALL,
)
# What the kubelet itself says of a probe; all else is what the probe's command printed.
_OF_THE_KUBELET = re.compile(
    r"HTTP probe failed|Get \"|dial tcp|command timed out|command \S.* timed out|service unhealthy \(responded|"
    r"rpc error: |timeout: (?:failed to connect service|health rpc)|context deadline exceeded|probe timed out|"
    r"Probe terminated redirects",
    re.DOTALL,
)
_COMMAND = re.compile(r"command \S.{0,2000} timed out", re.DOTALL)
_EXIT = re.compile(r"(?:exited with|exit(?: status| code)?:?) (\d{1,3})\b")
_WHY = (
    "executable file not found",
    "no such file or directory",
    "not found",
    "permission denied",
    "context deadline exceeded",
    "timed out",
    "connection refused",
    "connection reset by peer",
    "no such host",
)


def event_message(reason: str, message: str) -> str:
    """Return what may be written down of an Event's message: not what a probe or a hook printed, nor their words."""
    if "Hook" in reason or "lifecycle hook" in message:
        return _how_it_failed(message)
    probe = _PROBE.match(message)
    if probe and not _OF_THE_KUBELET.match(message, probe.end()):
        return f"{probe[0].rstrip()} {masking.HIDDEN}" if message[probe.end() :].strip() else message
    return masking.prose(_COMMAND.sub("command timed out", message))


def _how_it_failed(message: str) -> str:
    """Keep how something could not run: an exit code, and the words for a program that is not there."""
    known = [f"exit code {found}" for found in dict.fromkeys(_EXIT.findall(message))]
    for words in _WHY:
        if words in message and not any(words in earlier for earlier in known):
            known.append(words)
    kind = re.match(r"\w+(?: lifecycle hook|Hook)? ?(?:failed)?", message)
    return ": ".join(part for part in ((kind[0].strip() if kind else ""), ", ".join(known)) if part)


# What the kubelet and registries say of images; of a container that cannot start, the words may be its command's.
_OF_IMAGES = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError",
     "RegistryUnavailable"}
)  # fmt: skip
_PLAIN = frozenset({"CrashLoopBackOff", "CreateContainerConfigError", "ContainerCreating", "PodInitializing"})


def container_status(status: dict[str, Any]) -> dict[str, Any]:
    """Return a container's status without what its process left as its last words (its log, as a rule)."""
    kept = dict(status)
    for name in ("state", "lastState"):
        if kept.get(name):
            kept[name] = {kind: _state(kind, state) for kind, state in kept[name].items()}
    return kept


def _state(kind: str, state: Any) -> Any:
    if not isinstance(state, dict) or not state.get("message"):
        return state
    if kind == "waiting" and state.get("reason") in _OF_IMAGES | _PLAIN:
        return {**state, "message": masking.prose(str(state["message"]))}
    kept = {name: value for name, value in state.items() if name != "message"}
    return kept if kind == "terminated" else {**kept, "message": _how_it_failed(str(state["message"]))}
