"""Which fields of a live object no person wrote: the server's bookkeeping, and the defaults that it fills in. Pure.

Paths are those of a flattened object, with the index or the name of a list's item in brackets. Defaults: Kubernetes'
pkg/apis/{core,apps}/v1/defaults.go.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ABSENT = "(absent)"

_FIELDS = (
    "status",
    "spec.restartAt",
    "spec.template.status",
    "spec.healthCheckNodePort",
    "spec.template.spec.serviceAccount",
)
_OF_METADATA = (
    "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp",
    "deletionGracePeriodSeconds", "managedFields", "selfLink", "ownerReferences", "finalizers", "generateName",
)  # fmt: skip
_METADATA = re.compile(rf"(?:^|\.)metadata\.(?:{'|'.join(_OF_METADATA)})(?:$|[.\[])")
_NOTES = re.compile(
    r"(?:^|\.)metadata\.annotations\.(?:"
    r"kubectl\.kubernetes\.io/(?:restartedAt|last-applied-configuration)$|"
    r"(?:deployment|autoscaling\.alpha|pv)\.kubernetes\.io/|"
    r"deprecated\.daemonset\.template\.generation$|cloud\.google\.com/neg-status$)"
)
_HASHES = re.compile(
    r"(?:^|\.)labels\.(?:(?:rollouts-)?pod-template-hash|controller-revision-hash|kubernetes\.io/metadata\.name)$"
)
_NODE_PORT = re.compile(r"^spec\.ports\[[^\]]*\]\.nodePort$")
_CLUSTER_IP = re.compile(r"^spec\.clusterIPs?$")
_IN_BRACKETS = re.compile(r"\[[^\]]*\]")

_PROBE = {
    "initialDelaySeconds": "0", "periodSeconds": "10", "timeoutSeconds": "1", "successThreshold": "1",
    "failureThreshold": "3", "httpGet.path": "/", "httpGet.scheme": "HTTP", "grpc.service": "",
}  # fmt: skip
_CONTAINER = {
    "resources": "{}", "securityContext": "{}", "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File", "ports.protocol": "TCP", "stdin": "False", "tty": "False",
    **{f"{probe}.{field}": value for probe in ("readinessProbe", "livenessProbe", "startupProbe")
       for field, value in _PROBE.items()},
    **{f"lifecycle.{hook}.httpGet.{field}": value for hook in ("preStop", "postStart")
       for field, value in (("path", "/"), ("scheme", "HTTP"))},
}  # fmt: skip
_POD = {
    "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler",
    "securityContext": "{}", "terminationGracePeriodSeconds": "30", "enableServiceLinks": "True",
    "serviceAccountName": "default", "hostNetwork": "False", "hostPID": "False", "hostIPC": "False",
    "shareProcessNamespace": "False", "priority": "0", "preemptionPolicy": "PreemptLowerPriority",
    **{f"volumes.{kind}.defaultMode": "420" for kind in ("configMap", "secret", "projected", "downwardAPI")},
    **{f"{where}.{field}": value for where in ("containers", "initContainers") for field, value in _CONTAINER.items()},
}  # fmt: skip
_WORKLOAD = {"revisionHistoryLimit": "10", "minReadySeconds": "0"}
_OF_KIND: dict[str, dict[str, str]] = {
    "Deployment": {
        **_WORKLOAD, "replicas": "1", "progressDeadlineSeconds": "600", "paused": "False",
        "strategy.type": "RollingUpdate",
        "strategy.rollingUpdate.maxSurge": "25%", "strategy.rollingUpdate.maxUnavailable": "25%",
    },
    "StatefulSet": {
        **_WORKLOAD, "replicas": "1", "podManagementPolicy": "OrderedReady", "updateStrategy.type": "RollingUpdate",
        "updateStrategy.rollingUpdate.partition": "0", "volumeClaimTemplates.spec.volumeMode": "Filesystem",
        "volumeClaimTemplates.apiVersion": "v1", "volumeClaimTemplates.kind": "PersistentVolumeClaim",
        "persistentVolumeClaimRetentionPolicy.whenDeleted": "Retain",
        "persistentVolumeClaimRetentionPolicy.whenScaled": "Retain",
    },
    "DaemonSet": {
        **_WORKLOAD, "updateStrategy.type": "RollingUpdate", "updateStrategy.rollingUpdate.maxUnavailable": "1",
        "updateStrategy.rollingUpdate.maxSurge": "0",
    },
    "Rollout": {**_WORKLOAD, "replicas": "1", "progressDeadlineSeconds": "600", "paused": "False"},
    "Service": {
        "type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
        "externalTrafficPolicy": "Cluster", "ports.protocol": "TCP", "ipFamilies": "IPv4",
        "ipFamilyPolicy": "SingleStack", "publishNotReadyAddresses": "False", "allocateLoadBalancerNodePorts": "True",
    },
    "PodDisruptionBudget": {"unhealthyPodEvictionPolicy": "IfHealthyBudget"},
    "HorizontalPodAutoscaler": {"minReplicas": "1"},
}  # fmt: skip


@lru_cache(4096)  # the same few hundred paths come back with every object
def by_the_server(path: str) -> bool:
    """Tell whether only the server (or a restart) writes this field."""
    return (
        any(path == field or path.startswith((f"{field}.", f"{field}[")) for field in _FIELDS)
        or bool(_METADATA.search(path) or _NOTES.search(path) or _HASHES.search(path))
        or bool(_NODE_PORT.match(path))
    )


def same(kind: str, path: str, old: Mapping[str, str], new: Mapping[str, str]) -> bool:
    """Tell whether a field is the same to a person on both sides, each a flattened object."""
    was, now = old.get(path, ABSENT), new.get(path, ABSENT)
    if was == now:
        return True
    if kind == "Service" and _CLUSTER_IP.match(path):
        return (was == "None") == (now == "None")  # any other is the server's choice
    if ABSENT not in {was, now}:
        return False
    given, fields = (now, new) if was == ABSENT else (was, old)
    if kind == "Service" and path.endswith(".targetPort"):
        return given == fields.get(f"{path.removesuffix('.targetPort')}.port")
    return given in _defaults(kind, path)


def _defaults(kind: str, path: str) -> tuple[str, ...]:
    plain = _IN_BRACKETS.sub("", path)
    of_pod = plain.removeprefix("spec." if kind == "Pod" else "spec.template.spec.")
    if of_pod != plain and of_pod.endswith("ontainers.imagePullPolicy"):
        return ("Always", "IfNotPresent")  # by the image's tag
    if of_pod != plain and of_pod in _POD:
        return (_POD[of_pod],)
    found = _OF_KIND.get(kind, {}).get(plain.removeprefix("spec."))
    return () if found is None else (found,)
