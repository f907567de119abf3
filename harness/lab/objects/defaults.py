"""Default values, as the API server of Kubernetes fills them in. The functions change their argument."""

from __future__ import annotations

from typing import Any

_PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}


def fill(item: dict[str, Any]) -> None:
    """Fill in the defaults of one object. Kinds without defaults stay as they are."""
    kind = item.get("kind")
    if kind == "Deployment":
        _deployment(item.setdefault("spec", {}))
    elif kind in {"StatefulSet", "DaemonSet"}:
        _numbered(item.setdefault("spec", {}), kind)
    elif kind == "Rollout":  # a custom resource: nobody fills in its template
        item.setdefault("spec", {}).setdefault("replicas", 1)
    elif kind == "ReplicaSet":
        spec = item.setdefault("spec", {})
        spec.setdefault("replicas", 1)
        _template(spec)
    elif kind == "Pod":
        pod_spec(item.setdefault("spec", {}))
    elif kind == "Service":
        _service(item.setdefault("spec", {}))
    elif kind == "Secret":
        item.setdefault("type", "Opaque")
    elif kind in {"RoleBinding", "ClusterRoleBinding"}:
        _binding(item)
    elif kind == "Namespace":
        item.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
        item.setdefault("metadata", {}).setdefault("labels", {})["kubernetes.io/metadata.name"] = item[
            "metadata"
        ].get("name", "")


def _binding(item: dict[str, Any]) -> None:
    group = "rbac.authorization.k8s.io"
    item.setdefault("roleRef", {}).setdefault("apiGroup", group)
    for subject in item.get("subjects") or ():
        if subject.get("kind") != "ServiceAccount":
            subject.setdefault("apiGroup", group)


def initial_status(item: dict[str, Any], taken: set[str]) -> None:
    """Set a new object's first status, whatever the client sent; a Service also gets an address that is not `taken`."""
    kind = item["kind"]
    if kind == "Pod":
        item["status"] = {"phase": "Pending", "qosClass": "BestEffort"}
    elif kind == "Namespace":
        item["status"] = {"phase": "Active"}
    elif kind == "Service":
        item["status"] = {"loadBalancer": {}}
        if item.get("spec", {}).get("type") != "ExternalName":
            free = (f"10.96.{n // 256}.{n % 256}" for n in range(1, 65536))
            item["spec"].setdefault("clusterIP", next(ip for ip in free if ip not in taken))
            item["spec"].setdefault("clusterIPs", [item["spec"]["clusterIP"]])
    elif kind in {"ReplicaSet", "StatefulSet"}:
        item["status"] = {"replicas": 0}
    elif kind == "DaemonSet":
        counters = (
            "currentNumberScheduled",
            "numberMisscheduled",
            "desiredNumberScheduled",
            "numberReady",
        )
        item["status"] = dict.fromkeys(counters, 0)
    elif kind in {"Deployment", "Ingress", "PodDisruptionBudget", "Rollout"}:
        item["status"] = {}


def _deployment(spec: dict[str, Any]) -> None:
    for key, value in (("replicas", 1), ("revisionHistoryLimit", 10), ("progressDeadlineSeconds", 600)):
        if spec.get(key) is None:
            spec[key] = value
    strategy = spec.get("strategy")
    if not isinstance(strategy, dict):
        strategy = spec["strategy"] = {}
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.get("rollingUpdate")
        if not isinstance(rolling, dict):
            rolling = strategy["rollingUpdate"] = {}
        for key in ("maxUnavailable", "maxSurge"):
            if rolling.get(key) is None:
                rolling[key] = "25%"
    _template(spec)


def _numbered(spec: dict[str, Any], kind: str) -> None:
    """Fill in a StatefulSet's or a DaemonSet's spec."""
    spec.setdefault("revisionHistoryLimit", 10)
    strategy = spec.setdefault("updateStrategy", {})
    rolling = strategy.setdefault("type", "RollingUpdate") == "RollingUpdate"
    if kind == "StatefulSet":
        spec.setdefault("replicas", 1)
        spec.setdefault("podManagementPolicy", "OrderedReady")
        if rolling:
            strategy.setdefault("rollingUpdate", {}).setdefault("partition", 0)
    elif rolling:
        numbers = strategy.setdefault("rollingUpdate", {})
        numbers.setdefault("maxUnavailable", 1)
        numbers.setdefault("maxSurge", 0)
    _template(spec)


def _template(spec: dict[str, Any]) -> None:
    template = spec.get("template")
    if isinstance(template, dict):
        metadata = template.get("metadata")
        if not isinstance(metadata, dict):
            template["metadata"] = metadata = {}
        metadata.setdefault("creationTimestamp", None)
        pod_spec(template.setdefault("spec", {}))


def pod_spec(spec: dict[str, Any]) -> None:
    """Fill in the defaults of a pod's spec."""
    if spec.get("terminationGracePeriodSeconds") is None:
        spec["terminationGracePeriodSeconds"] = 30
    for key, value in (
        ("restartPolicy", "Always"),
        ("dnsPolicy", "ClusterFirst"),
        ("schedulerName", "default-scheduler"),
        ("securityContext", {}),
    ):
        spec.setdefault(key, value)
    for container in [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]:
        if isinstance(container, dict):
            _container(container)


def _container(container: dict[str, Any]) -> None:
    image = str(container.get("image", ""))
    tag = image.rpartition("/")[2].partition(":")[2]
    container.setdefault(
        "imagePullPolicy", "Always" if tag in {"", "latest"} and "@" not in image else "IfNotPresent"
    )
    container.setdefault("resources", {})
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    for port in container.get("ports") or ():
        port.setdefault("protocol", "TCP")
    for name in ("readinessProbe", "livenessProbe", "startupProbe"):
        if isinstance(container.get(name), dict):
            for key, value in _PROBE.items():
                container[name].setdefault(key, value)
            _http(container[name])
    for hook in (container.get("lifecycle") or {}).values():
        if isinstance(hook, dict):
            _http(hook)


def _http(action: dict[str, Any]) -> None:
    if isinstance(action.get("httpGet"), dict):
        action["httpGet"].setdefault("path", "/")
        action["httpGet"].setdefault("scheme", "HTTP")


def _service(spec: dict[str, Any]) -> None:
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    spec.setdefault("internalTrafficPolicy", "Cluster")
    for key, value in (("ipFamilies", ["IPv4"]), ("ipFamilyPolicy", "SingleStack")):
        spec.setdefault(key, value)
    for port in spec.get("ports") or ():
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port"))
