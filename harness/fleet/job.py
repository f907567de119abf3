"""The objects that a fleet is in a cluster: one Job and one Secret. Pure: no client, no clock.

No operator, no CRD, no volume that outlives a pod. The Secret belongs to the Job, and the pods do too, so with the Job
everything goes. A Job that nobody deletes, because zdtest was killed, ends when its pods notice the silence, and goes
by its ttlSecondsAfterFinished.
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.fleet.frames import PORT

if TYPE_CHECKING:
    from collections.abc import Mapping

Object = dict[str, Any]

KEYS = "/etc/zdtest/keys"  # where the Secret is mounted
_INDEXED = (1, 24)  # completionMode is stable from here on
_OUTLIVES_S = 600  # what a Job may last beyond the run: the cluster ends it then, whatever happened
_KEPT_S = 300  # a finished Job that nobody deleted
_GRACE_S = 60  # for what has been recorded, when a pod is asked to go
# A sidecar would be part of what is measured, and keep the pod from ending. By name: Istio, Linkerd, Consul, Kuma.
_NO_MESH = {
    "sidecar.istio.io/inject": "false",
    "linkerd.io/inject": "disabled",
    "consul.hashicorp.com/connect-inject": "false",
    "kuma.io/sidecar-injection": "disabled",
}
# Nodes are not emptied for the sake of order while the load lasts: Cluster Autoscaler, Karpenter.
_NOT_MOVED = {
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    "karpenter.sh/do-not-disrupt": "true",
}
_HOSTNAME = "kubernetes.io/hostname"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A fleet as a run wants it. `run` is the run's name; `away_from` are the labels of the target's pods."""

    name: str
    namespace: str
    run: str
    pods: int
    workers: int  # processes in each pod
    image: str
    longest_s: int  # of the run
    server: str = ""  # the API server's gitVersion
    away_from: Mapping[str, str] = field(default_factory=dict)
    template: Object = field(default_factory=dict)  # laid over the pods' own


def job(wanted: Wanted) -> Object:
    """Return the Job."""
    spec: Object = {
        "parallelism": wanted.pods,
        "completions": wanted.pods,
        "backoffLimit": 0,  # a pod that is lost cannot be replaced: its part of the load is over
        "activeDeadlineSeconds": wanted.longest_s + _OUTLIVES_S,
        "ttlSecondsAfterFinished": _KEPT_S,
        "template": laid_over(_template(wanted), wanted.template),
    }
    if version(wanted.server) >= _INDEXED:
        spec["completionMode"] = "Indexed"
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": wanted.name, "namespace": wanted.namespace, "labels": labels(wanted)},
        "spec": spec,
    }


def secret(wanted: Wanted, files: Mapping[str, bytes], uid: str) -> Object:
    """Return the Secret with the keys; it belongs to the Job with this uid and goes with it."""
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": wanted.name, "uid": uid}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {
            "name": wanted.name,
            "namespace": wanted.namespace,
            "labels": labels(wanted),
            "ownerReferences": [owner],
        },
        "data": {name: b64encode(content).decode() for name, content in files.items()},
    }


def labels(wanted: Wanted) -> dict[str, str]:
    """Return the labels of everything that belongs to a fleet."""
    return {
        "app.kubernetes.io/name": "zdtest",
        "app.kubernetes.io/component": "load",
        "zdtest/run": re.sub(r"[^A-Za-z0-9_.-]", "-", wanted.run)[:63].strip("-_."),
    }


def of_the_job(name: str) -> str:
    """Return the selector of a Job's pods."""
    return f"job-name={name}"


def version(server: str) -> tuple[int, int]:
    """Return major and minor of a gitVersion ("v1.24.3-eks-1"); (0, 0) if it has none."""
    found = re.match(r"v?(\d+)\.(\d+)", server)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def laid_over(below: Any, above: Any) -> Any:
    """Lay a part of a manifest over another, as kustomize does: null removes, named items of a list are merged.

    Items of a list are the same if they have the same name, or mountPath; other lists are replaced.
    """
    if isinstance(below, dict) and isinstance(above, dict):
        merged = {**below, **{key: laid_over(below.get(key), value) for key, value in above.items()}}
        return {key: value for key, value in merged.items() if value is not None}
    if isinstance(below, list) and isinstance(above, list) and above:
        for key in ("mountPath", "name"):
            if all(isinstance(item, dict) and key in item for item in [*below, *above]):
                return _items(below, above, key)
    return above


def _items(below: list[Object], above: list[Object], key: str) -> list[Object]:
    found = {item[key]: item for item in below}
    for item in above:
        found[item[key]] = laid_over(found.get(item[key], {}), item)
    return list(found.values())


def _template(wanted: Wanted) -> Object:
    mesh = {"sidecar.istio.io/inject": "false"}  # newer Istios read the label
    return {
        "metadata": {"labels": labels(wanted) | mesh, "annotations": _NO_MESH | _NOT_MOVED},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": _GRACE_S,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "runAsGroup": 10001,
                "fsGroup": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "affinity": {
                "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": _apart(wanted)}
            },
            "containers": [_container(wanted)],
            "volumes": [
                # Read by the group, which fsGroup is.
                {"name": "keys", "secret": {"secretName": wanted.name, "defaultMode": 0o440}},
                {"name": "tmp", "emptyDir": {}},
            ],
        },
    }


def _container(wanted: Wanted) -> Object:
    return {
        "name": "zdtest",
        "image": wanted.image,
        "command": ["python", "-m", "harness.fleet.pod", KEYS],
        "terminationMessagePolicy": "FallbackToLogsOnError",  # in its status: takes no right to logs
        "ports": [{"name": "collector", "containerPort": PORT}],
        "resources": {
            "requests": {"cpu": f"{250 * wanted.workers}m", "memory": f"{128 + 128 * wanted.workers}Mi"},
            # A worker process uses one CPU at most, and what follows them a part of one.
            "limits": {"cpu": str(wanted.workers + 1), "memory": f"{512 + 512 * wanted.workers}Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "keys", "mountPath": KEYS, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  of the container: rows on their way
        ],
    }


def _apart(wanted: Wanted) -> list[Object]:
    """Prefer nodes without the target's pods, for the load must not take their CPU, and then nodes of one's own."""
    own = {"app.kubernetes.io/name": "zdtest", "app.kubernetes.io/component": "load"}
    far = [(100, dict(wanted.away_from))] if wanted.away_from else []
    return [
        {
            "weight": weight,
            "podAffinityTerm": {"topologyKey": _HOSTNAME, "labelSelector": {"matchLabels": matching}},
        }
        for weight, matching in [*far, (50, own)]
    ]
