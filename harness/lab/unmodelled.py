"""Fields of a manifest that the lab ignores but that would matter on a real cluster. Pure.

What a container runs (image, command, volumes) is replaced by the sample app by design, so it is not listed.
"""

from __future__ import annotations

from typing import Any

from harness.k8s.hooks import first_sleep_s, only_sleeps

Object = dict[str, Any]

_DEPLOYMENT = {
    "replicas",
    "selector",
    "template",
    "strategy",
    "minReadySeconds",
    "revisionHistoryLimit",
    "progressDeadlineSeconds",
    "paused",
}
_ROLLOUT = _DEPLOYMENT - {"paused"} | {"restartAt"}
_ARGO = {
    "steps",
    "maxSurge",
    "maxUnavailable",
    "activeService",
    "previewService",
    "autoPromotionEnabled",
    "autoPromotionSeconds",
    "scaleDownDelaySeconds",
}
_REPLICA_SET = {"replicas", "selector", "template", "minReadySeconds"}
_SERVICE = {
    "selector",
    "ports",
    "type",
    "clusterIP",
    "clusterIPs",
    "publishNotReadyAddresses",
    "ipFamilies",
    "ipFamilyPolicy",
    "internalTrafficPolicy",
    "sessionAffinity",
    "externalTrafficPolicy",
    "allocateLoadBalancerNodePorts",
    "loadBalancerClass",
}
_POD = {
    "containers",
    "terminationGracePeriodSeconds",
    "restartPolicy",
    "initContainers",
    "nodeName",
    # no effect on processes on one host
    "volumes",
    "serviceAccountName",
    "serviceAccount",
    "automountServiceAccountToken",
    "imagePullSecrets",
    "securityContext",
    "dnsPolicy",
    "schedulerName",
    "enableServiceLinks",
    "tolerations",
    "nodeSelector",
    "shareProcessNamespace",
    "priorityClassName",
    "runtimeClassName",
    "os",
}
_STATEFUL_SET = {
    "replicas",
    "selector",
    "template",
    "updateStrategy",
    "podManagementPolicy",
    "minReadySeconds",
    "revisionHistoryLimit",
    "serviceName",
}
_DAEMON_SET = {"selector", "template", "updateStrategy", "minReadySeconds", "revisionHistoryLimit"}
_CONTAINER = {
    "name",
    "ports",
    "env",
    "envFrom",
    "readinessProbe",
    "livenessProbe",
    "startupProbe",
    "lifecycle",
    # parts of the image, which is not run
    "image",
    "imagePullPolicy",
    "command",
    "args",
    "workingDir",
    "volumeMounts",
    "volumeDevices",
    "securityContext",
    "resources",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "stdin",
    "tty",
}
_WHY = {
    "readinessGates": "assumed met",
    "affinity": "the lab is one node",
    "topologySpreadConstraints": "the lab is one node",
    "hostNetwork": "every pod has an address of its own",
    "activeDeadlineSeconds": "",
}


def unmodelled(item: Object) -> list[str]:
    """List what is not modelled in an object, one line each: the path, and what happens instead."""
    kind, spec = item["kind"], item.get("spec") or {}
    name = f"{kind} {item['metadata'].get('name', '')}"
    if kind == "Ingress":
        return [f"{name}: stored, without effect"]
    found: list[str] = []
    if kind == "Deployment":
        found = _beyond(spec, _DEPLOYMENT, "spec") + _pod(
            (spec.get("template") or {}).get("spec") or {}, "spec.template.spec"
        )
    elif kind == "Rollout":
        template = (spec.get("template") or {}).get("spec") or {}
        found = _beyond(spec, _ROLLOUT, "spec") + _argo(spec) + _pod(template, "spec.template.spec")
    elif kind in {"StatefulSet", "DaemonSet"}:
        known = _STATEFUL_SET if kind == "StatefulSet" else _DAEMON_SET
        template = (spec.get("template") or {}).get("spec") or {}
        found = _beyond(spec, known, "spec") + _pod(template, "spec.template.spec")
    elif kind == "ReplicaSet":
        found = _beyond(spec, _REPLICA_SET, "spec") + _pod(
            (spec.get("template") or {}).get("spec") or {}, "spec.template.spec"
        )
    elif kind == "Pod":
        found = _pod(spec, "spec")
    elif kind == "Service":
        found = _beyond(spec, _SERVICE, "spec") + _service(spec)
    return [f"{name}: {line}" for line in found]


def _argo(spec: Object) -> list[str]:
    """List what of a Rollout's strategy is not modelled."""
    strategy = spec.get("strategy") or {}
    part = "blueGreen" if strategy.get("blueGreen") is not None else "canary"
    given = strategy.get(part) or {}
    found = _beyond(given, _ARGO, f"spec.strategy.{part}")
    for number, step in enumerate(given.get("steps") or []):
        found += _beyond(step, {"setWeight", "pause"}, f"spec.strategy.{part}.steps[{number}]")
    return found


def _beyond(item: Object, known: set[str], path: str) -> list[str]:
    lines = []
    for key in item:
        if key not in known:
            why = _WHY.get(key, "")
            lines.append(f"{path}.{key}" + (f" ({why})" if why else ""))
    return lines


def _service(spec: Object) -> list[str]:
    lines = []
    for key, harmless in (
        ("sessionAffinity", "None"),
        ("internalTrafficPolicy", "Cluster"),
        ("externalTrafficPolicy", "Cluster"),
    ):
        if spec.get(key) not in {None, harmless}:
            lines.append(f"spec.{key}: {spec[key]} (treated as {harmless})")
    if len(spec.get("ports") or ()) > 1:
        lines.append("spec.ports[1:] (the balancer serves the first port only)")
    return lines


def _pod(spec: Object, path: str) -> list[str]:
    lines = _beyond(spec, _POD, path)
    for n, container in enumerate(spec.get("containers") or ()):
        lines += _container(container, f"{path}.containers[{n}]")
    for n, container in enumerate(spec.get("initContainers") or ()):
        at = f"{path}.initContainers[{n}]"
        if container.get("restartPolicy") != "Always":
            lines.append(f"{at} (assumed done)")
            continue
        lines.append(
            f"{at} (a native sidecar: it starts and ends in its order, but no request passes through it)"
        )
        lines += _container({k: v for k, v in container.items() if k != "restartPolicy"}, at)
    return lines


def _container(container: Object, path: str) -> list[str]:
    lines = _beyond(container, _CONTAINER, path)
    if (container.get("resources") or {}).get("limits"):
        lines.append(f"{path}.resources.limits (no limit is enforced)")
    lines += _probes(container, path)
    lifecycle = container.get("lifecycle") or {}
    for key in lifecycle:
        if key == "stopSignal":
            continue
        if key == "preStop":
            lines += _pre_stop(lifecycle[key] or {}, f"{path}.lifecycle.preStop")
        else:
            lines.append(f"{path}.lifecycle.{key}")
    for n, entry in enumerate(container.get("env") or ()):
        if "resourceFieldRef" in (entry.get("valueFrom") or {}):
            lines.append(f"{path}.env[{n}].valueFrom.resourceFieldRef (left unset)")
    return lines


def _probes(container: Object, path: str) -> list[str]:
    lines = []
    for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
        lines += [
            f"{path}.{probe}.{action} (passes when the port is open)"
            for action in ("exec", "grpc")
            if action in (container.get(probe) or {})
        ]
        if "host" in ((container.get(probe) or {}).get("httpGet") or {}):
            lines.append(f"{path}.{probe}.httpGet.host (the pod is probed)")
    return lines


def _pre_stop(action: Object, path: str) -> list[str]:
    if "exec" in action and not only_sleeps(action):
        seconds = first_sleep_s(action)
        what = (
            "only sleep is modelled: this hook ends at once"
            if seconds is None
            else f"only its sleep of {seconds:g} s is modelled"
        )
        return [f"{path}.exec ({what})"]
    return [f"{path}.tcpSocket (does nothing, as in Kubernetes)"] if "tcpSocket" in action else []
