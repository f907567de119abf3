"""What is asked of the API server: raw reads, lists and watches, and the one change of a run."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

from harness.cluster.client.answers import Stream
from harness.cluster.client.connection import CONNECT_S, READ_S, Connection
from harness.cluster.client.forward import forwarded
from harness.cluster.client.resources import WORKLOADS

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from harness.cluster.client.resources import Resource

_RAW: dict[str, Any] = {"_preload_content": False, "_request_timeout": (CONNECT_S, READ_S)}
_SNAKE = {"Deployment": "deployment", "StatefulSet": "stateful_set", "DaemonSet": "daemon_set"}
_CORE = {"pods": "pod", "services": "service", "endpoints": "endpoints", "events": "event"}


class Api(Connection):
    """The requests that a run makes, over one connection."""

    def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        """Read one object. Raises ApiStatusError, ApiUnreachableError."""
        if not resource.group:
            call = getattr(self._core, f"read_namespaced_{_CORE[resource.plural]}")
            return self._json(lambda: call(name, namespace, **_RAW))
        return self._json(
            lambda: self._custom.get_namespaced_custom_object(
                resource.group, resource.version, namespace, resource.plural, name, **_RAW
            )
        )

    def list_all(self, resource: Resource, namespace: str, **selectors: str) -> dict[str, Any]:
        """List objects (`label_selector`, `field_selector`), whole. Raises ApiStatusError, ApiUnreachableError."""
        return self._json(lambda: self._listing(resource, namespace)(**selectors, **_RAW))

    def watch(
        self, resource: Resource, namespace: str, version: str, window_s: int, **selectors: str
    ) -> Stream:
        """Open a watch from a resourceVersion for `window_s` seconds, with bookmarks.

        Raises ApiStatusError (410 when the version is too old), ApiUnreachableError.
        """
        response = self._call(
            lambda: self._listing(resource, namespace)(
                watch=True,
                resource_version=version,
                allow_watch_bookmarks=True,
                timeout_seconds=window_s,
                _preload_content=False,
                _request_timeout=(CONNECT_S, window_s + 3.0),
                **selectors,
            )
        )
        return Stream(response)

    def patch(
        self,
        kind: str,
        namespace: str,
        name: str,
        patch: dict[str, Any],
        *,
        field_manager: str,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Patch a workload (strategic merge; of a custom resource, which knows none, JSON merge). Never sent twice.

        Raises ApiStatusError, ApiUnreachableError.
        """
        call = self._patching(kind, "" if kind in _SNAKE else "application/merge-patch+json")
        options: dict[str, Any] = {"field_manager": field_manager, **({"dry_run": "All"} if dry_run else {})}
        return self._json(lambda: call(name, namespace, patch, **options, **_RAW))

    def replace_spec(
        self,
        kind: str,
        namespace: str,
        name: str,
        spec: dict[str, Any],
        *,
        field_manager: str,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Make `spec` a workload's whole spec, by a JSON patch (RFC 6902): fields that it lacks go back to defaults.

        A patch needs no right beyond the one that each run has. Never sent twice. Raises ApiStatusError (422 where a
        field is immutable), ApiUnreachableError.
        """
        return self.json_patch(
            kind,
            namespace,
            name,
            [{"op": "replace", "path": "/spec", "value": spec}],
            field_manager=field_manager,
            dry_run=dry_run,
        )

    def json_patch(
        self,
        kind: str,
        namespace: str,
        name: str,
        operations: list[dict[str, Any]],
        *,
        field_manager: str,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Patch a workload by the operations of RFC 6902. Raises ApiStatusError, ApiUnreachableError."""
        # The client sends a list to apps/v1 as application/json-patch+json by itself.
        call = self._patching(kind, "" if kind in _SNAKE else "application/json-patch+json")
        options: dict[str, Any] = {"field_manager": field_manager, **({"dry_run": "All"} if dry_run else {})}
        return self._json(lambda: call(name, namespace, operations, **options, **_RAW))

    def apply(
        self,
        kind: str,
        namespace: str,
        name: str,
        manifest: dict[str, Any],
        *,
        field_manager: str,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Apply a workload's manifest (server-side, taking over conflicting fields). Never sent twice.

        Raises ApiStatusError, ApiUnreachableError.
        """
        options: dict[str, Any] = {
            "field_manager": field_manager,
            "force": True,
            **({"dry_run": "All"} if dry_run else {}),
        }
        call = self._patching(kind, "application/apply-patch+yaml")  # JSON is YAML
        return self._json(lambda: call(name, namespace, manifest, **options, **_RAW))

    def _patching(self, kind: str, content: str) -> Callable[..., Any]:
        """Return the call that patches a workload of this kind: name, namespace, body, options. `content`: its
        Content-Type, "" for the one that the client chooses.
        """
        call = self._patch_call(self._apps, self._custom, kind)
        if not content:
            return call
        method = self._apps.patch_namespaced_deployment
        if "_content_type" in inspect.signature(method).parameters:
            return functools.partial(call, _content_type=content)
        # Up to 36 the content type of one call cannot be chosen, but a client's default header wins.
        return self._patch_call(*self._sending(content), kind)

    @staticmethod
    def _patch_call(apps: Any, custom: Any, kind: str) -> Callable[..., Any]:
        if kind in _SNAKE:
            found: Callable[..., Any] = getattr(apps, f"patch_namespaced_{_SNAKE[kind]}")
            return found
        resource = WORKLOADS[kind]

        def patch(name: str, namespace: str, body: Any, **options: Any) -> Any:
            return custom.patch_namespaced_custom_object(
                resource.group, resource.version, namespace, resource.plural, name, body, **options
            )

        return patch

    def delete_pod(self, namespace: str, name: str, *, dry_run: bool = False) -> None:
        """Delete a pod, with its own grace period. Raises ApiStatusError, ApiUnreachableError."""
        options = {"dry_run": "All"} if dry_run else {}
        self._json(lambda: self._core.delete_namespaced_pod(name, namespace, **options, **_RAW))

    def evict_pod(self, namespace: str, name: str, version: str, *, dry_run: bool = False) -> None:
        """Evict a pod through the API that honours PodDisruptionBudgets; `version` is policy's, v1 or v1beta1.

        Raises ApiStatusError (429 when a budget does not allow it now), ApiUnreachableError.
        """
        body = {
            "apiVersion": f"policy/{version}",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": namespace},
        }
        options = {"dry_run": "All"} if dry_run else {}
        self._json(
            lambda: self._core.create_namespaced_pod_eviction(name, namespace, body, **options, **_RAW)
        )

    def create_job(self, namespace: str, job: dict[str, Any]) -> dict[str, Any]:
        """Create a Job. Never sent twice. Raises ApiStatusError, ApiUnreachableError."""
        return self._json(
            lambda: self._custom.create_namespaced_custom_object(
                "batch", "v1", namespace, "jobs", job, **_RAW
            )
        )

    def delete_job(self, namespace: str, name: str) -> None:
        """Delete a Job, its pods and what else belongs to it. Raises ApiStatusError, ApiUnreachableError."""
        options = {"propagationPolicy": "Background"}  # by default a Job leaves its pods behind
        self._json(
            lambda: self._custom.delete_namespaced_custom_object(
                "batch", "v1", namespace, "jobs", name, body=options, **_RAW
            )
        )

    def create_secret(self, namespace: str, secret: dict[str, Any]) -> None:
        """Create a Secret. Raises ApiStatusError, ApiUnreachableError."""
        self._json(lambda: self._core.create_namespaced_secret(namespace, secret, **_RAW))

    def forward(self, namespace: str, pod: str, port: int) -> socket.socket:
        """Connect to a port of a pod through the API server. The socket does not block.

        Raises ApiStatusError, ApiUnreachableError. A port where nothing listens shows only as the socket's end.
        """
        return forwarded(self._websocket(namespace, pod, port))

    def date(self) -> str:
        """Ask for the version and return the answer's Date header: the server's clock, in whole seconds."""
        response = self._call(lambda: self._versions.get_code(**_RAW))
        return str(response.headers.get("Date", ""))

    def version(self) -> str:
        """Return the server's gitVersion. Raises ApiStatusError, ApiUnreachableError."""
        return str(self._json(lambda: self._versions.get_code(**_RAW)).get("gitVersion", "unknown"))

    def groups(self) -> dict[str, list[str]]:
        """Return the API groups that the server has, with their versions."""
        listed = self._json(lambda: self._groups.get_api_versions(**_RAW))
        return {
            group["name"]: [v["version"] for v in group["versions"]] for group in listed.get("groups", [])
        }

    def allowed(self, verb: str, resource: Resource, namespace: str, name: str = "", sub: str = "") -> bool:
        """Ask the server whether we may (SelfSubjectAccessReview); `sub` is a subresource, as in pods/eviction."""
        attributes = {
            "verb": verb,
            "group": resource.group,
            "resource": resource.plural,
            "namespace": namespace,
        }
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {
                "resourceAttributes": attributes
                | ({"name": name} if name else {})
                | ({"subresource": sub} if sub else {})
            },
        }
        answer = self._json(
            lambda: self._custom.create_cluster_custom_object(
                "authorization.k8s.io", "v1", "selfsubjectaccessreviews", review, **_RAW
            )
        )
        return bool(answer.get("status", {}).get("allowed"))

    def _listing(self, resource: Resource, namespace: str) -> Callable[..., Any]:
        if not resource.group:
            call = getattr(self._core, f"list_namespaced_{_CORE[resource.plural]}")
            return lambda **kw: call(namespace, **kw)
        return lambda **kw: self._custom.list_namespaced_custom_object(
            resource.group, resource.version, namespace, resource.plural, **kw
        )
