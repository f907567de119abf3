"""The API resources that we use, by group, version and plural."""

from __future__ import annotations

from dataclasses import dataclass

from harness.k8s import argo


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of the API; `group` is "" for the core group."""

    kind: str
    group: str
    version: str
    plural: str

    @property
    def api(self) -> str:
        """The apiVersion of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version


PODS = Resource("Pod", "", "v1", "pods")
SERVICES = Resource("Service", "", "v1", "services")
ENDPOINTS = Resource("Endpoints", "", "v1", "endpoints")
EVENTS = Resource("Event", "", "v1", "events")
REPLICASETS = Resource("ReplicaSet", "apps", "v1", "replicasets")
WORKLOADS = {
    "Deployment": Resource("Deployment", "apps", "v1", "deployments"),
    "StatefulSet": Resource("StatefulSet", "apps", "v1", "statefulsets"),
    "DaemonSet": Resource("DaemonSet", "apps", "v1", "daemonsets"),
    argo.KIND: Resource(argo.KIND, argo.GROUP, argo.VERSION, argo.PLURAL),
}
