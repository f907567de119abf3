"""The only door to the `kubernetes` package.

Credentials, raw lists and watches, the one patch. Objects are dicts: the package's typed models refuse real
objects (an Event with `eventTime: null`, to name one), and differ between its versions. `CustomObjectsApi`
serves every group by name and version, so an old server's beta APIs need no classes of their own.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import urllib3
import yaml
from kubernetes import client, config
from kubernetes.config.config_exception import ConfigException

from harness.errors import ClusterError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CONNECT_S = 3.0
READ_S = 15.0
_SNAKE = {"Deployment": "deployment", "StatefulSet": "stateful_set", "DaemonSet": "daemon_set"}
_CORE = {"pods": "pod", "services": "service", "endpoints": "endpoints", "events": "event"}


class ApiStatusError(ClusterError):
    """The API server answered with an error. `code` is its HTTP status, `reason` Kubernetes' own word."""

    def __init__(self, code: int, reason: str, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message or reason or f"HTTP {code}")
        self.code = code
        self.reason = reason
        self.retry_after_s = retry_after_s  # what a 429 or 503 asks for


class ApiUnreachableError(ClusterError):
    """The API server could not be reached, or went silent."""


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
}


class Stream:
    """An open watch: JSON lines as they arrive."""

    def __init__(self, response: Any) -> None:
        self._response = response

    def lines(self) -> Iterator[bytes]:
        """Yield one line per change. Raises ApiUnreachableError when the connection breaks or falls silent."""
        rest = b""
        try:
            for chunk in self._response.stream(amt=None, decode_content=False):
                *whole, rest = (rest + chunk).split(b"\n")
                yield from whole
        except (urllib3.exceptions.HTTPError, OSError, AttributeError, ValueError) as error:
            # AttributeError and ValueError are what urllib3 gives for a socket shut by another thread.
            raise ApiUnreachableError(_brief(error)) from error

    def close(self) -> None:
        """Shut the socket, so that a thread that waits in `lines` wakes at once. May be called from any thread."""
        for name in ("connection", "_connection"):
            sock = getattr(getattr(self._response, name, None), "sock", None)
            if sock is not None:
                with contextlib.suppress(OSError):
                    sock.shutdown(2)
                return


class Api:
    """One connection to one cluster, as one user."""

    def __init__(self, configuration: Any, context: str, namespace: str, user: str) -> None:
        configuration.retries = False  # we decide what to try again
        configuration.connection_pool_maxsize = 16  # five watches, and room beside them
        self._client: Any = client.ApiClient(configuration)
        self._custom: Any = client.CustomObjectsApi(self._client)
        self._core: Any = client.CoreV1Api(self._client)
        self._apps: Any = client.AppsV1Api(self._client)
        self.server: str = configuration.host
        self.context = context
        self.namespace = namespace
        self.user = user

    @classmethod
    def connect(cls, kubeconfig: str | None, context: str | None) -> Api:
        """Read credentials: a kubeconfig where there is one, else those of the pod we run in.

        Raises UsageError with one line when there are none, or they cannot be read.
        """
        configuration = client.Configuration()
        if kubeconfig is None and context is None and _in_cluster() and not _kubeconfig_paths(None):
            try:
                config.load_incluster_config(client_configuration=configuration)
            except ConfigException as error:
                raise UsageError(f"in-cluster credentials cannot be read: {error}") from None
            return cls(configuration, "in-cluster", _own_namespace(), "the pod's service account")
        file = _kubeconfig(kubeconfig)
        chosen = _choose_context(file, context)
        try:
            with _logged_errors() as complaints:
                config.load_kube_config(
                    config_file=file, context=chosen["name"], client_configuration=configuration
                )
        except (ConfigException, OSError, ValueError, TypeError, KeyError) as error:
            raise UsageError(
                f"the context {chosen['name']!r} of {file} cannot be used: {_brief(error)}"
            ) from None
        if complaints:
            # The package only logs that a credential plugin failed, and would go on as nobody.
            raise UsageError(f"the credentials of context {chosen['name']!r} cannot be had: {complaints[0]}")
        body = chosen.get("context") or {}
        namespace, user = str(body.get("namespace") or "default"), str(body.get("user") or "")
        return cls(configuration, str(chosen["name"]), namespace, user)

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
        """Patch a workload (strategic merge). Never sent twice. Raises ApiStatusError, ApiUnreachableError."""
        call = getattr(self._apps, f"patch_namespaced_{_SNAKE[kind]}")
        options: dict[str, Any] = {"field_manager": field_manager, **({"dry_run": "All"} if dry_run else {})}
        return self._json(lambda: call(name, namespace, patch, **options, **_RAW))

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
        content = "application/apply-patch+yaml"  # JSON is YAML
        call = getattr(self._apps, f"patch_namespaced_{_SNAKE[kind]}")
        if "_content_type" in inspect.signature(call).parameters:
            return self._json(
                lambda: call(name, namespace, manifest, _content_type=content, **options, **_RAW)
            )
        # Up to 36 the content type of one call cannot be chosen, but a client's default header wins.
        applier: Any = client.ApiClient(self._client.configuration)
        applier.set_default_header("Content-Type", content)
        call = getattr(client.AppsV1Api(applier), f"patch_namespaced_{_SNAKE[kind]}")
        return self._json(lambda: call(name, namespace, manifest, **options, **_RAW))

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

    def date(self) -> str:
        """Ask for the version and return the answer's Date header: the server's clock, in whole seconds."""
        response = self._call(lambda: client.VersionApi(self._client).get_code(**_RAW))
        return str(response.headers.get("Date", ""))

    def version(self) -> str:
        """Return the server's gitVersion. Raises ApiStatusError, ApiUnreachableError."""
        return str(
            self._json(lambda: client.VersionApi(self._client).get_code(**_RAW)).get("gitVersion", "unknown")
        )

    def groups(self) -> dict[str, list[str]]:
        """Return the API groups that the server has, with their versions."""
        listed = self._json(lambda: client.ApisApi(self._client).get_api_versions(**_RAW))
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

    def _json(self, call: Callable[[], Any]) -> dict[str, Any]:
        response = self._call(call)
        try:
            data = json.loads(response.data)
        except (ValueError, urllib3.exceptions.HTTPError) as error:
            raise ApiUnreachableError(
                f"{self.server} did not answer as a Kubernetes API server: {_brief(error)}"
            ) from None
        if not isinstance(data, dict):
            raise ApiUnreachableError(f"{self.server} did not answer as a Kubernetes API server")
        return data

    def _call(self, call: Callable[[], Any]) -> Any:
        try:
            response = call()
        except client.ApiException as error:
            raise _status_error(error.status, error.body, error.headers) from None
        except (urllib3.exceptions.HTTPError, OSError, ConfigException) as error:
            raise ApiUnreachableError(f"{self.server}: {_brief(error)}") from None
        if response.status >= 400:
            raise _status_error(response.status, response.data, response.headers)
        return response


@contextlib.contextmanager
def _logged_errors() -> Iterator[list[str]]:
    """Collect what is logged as an error meanwhile, instead of showing it."""
    caught: list[str] = []

    class Catch(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            caught.append(" ".join(record.getMessage().split()))

    handler, root = Catch(logging.ERROR), logging.getLogger()
    root.addHandler(handler)
    try:
        yield caught
    finally:
        root.removeHandler(handler)


_RAW: dict[str, Any] = {"_preload_content": False, "_request_timeout": (CONNECT_S, READ_S)}


def _status_error(code: int | None, body: Any, headers: Any) -> ApiStatusError:
    try:
        status = json.loads(body or b"{}")
    except ValueError:
        status = {}
    if not isinstance(status, dict):
        status = {}
    wait = str((headers or {}).get("Retry-After") or "0")
    return ApiStatusError(
        int(code or 0),
        str(status.get("reason") or ""),
        " ".join(str(status.get("message") or "").split()),
        float(wait) if wait.isdigit() else 0.0,
    )


def _brief(error: BaseException) -> str:
    """Tell the innermost cause in a few words: urllib3 wraps and wraps."""
    while isinstance(getattr(error, "reason", None), BaseException):
        error = error.reason  # type: ignore[attr-defined]
    text = " ".join(str(error).split())
    if ": " in text and text.startswith(("<", "HTTPSConnection", "HTTPConnection")):
        text = text.split(": ", 1)[1]
    return text[:200] or type(error).__name__


def _in_cluster() -> bool:
    return "KUBERNETES_SERVICE_HOST" in os.environ


def _kubeconfig_paths(given: str | None) -> list[str]:
    named = [given] if given else [p for p in os.environ.get("KUBECONFIG", "").split(os.pathsep) if p]
    candidates = named or [str(Path.home() / ".kube" / "config")]
    return [str(Path(p).expanduser()) for p in candidates if Path(p).expanduser().is_file()]


def _kubeconfig(given: str | None) -> str:
    """Return the kubeconfig files to read, as the package takes them. Raises UsageError when there is none."""
    found = _kubeconfig_paths(given)
    if not found:
        wanted = given or os.environ.get("KUBECONFIG") or "~/.kube/config"
        raise UsageError(f"no kubeconfig at {wanted}; give --kubeconfig FILE, or --lab for the embedded lab")
    return os.pathsep.join(found)


def _choose_context(file: str, context: str | None) -> dict[str, Any]:
    """Return the context of this name, or the current one. Raises UsageError that names those there are."""
    try:
        contexts, current = config.list_kube_config_contexts(config_file=file)
    except (ConfigException, OSError, ValueError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise UsageError(f"the kubeconfig {file} cannot be read: {_brief(error)}") from None
    names = sorted(str(item["name"]) for item in contexts)
    if context is not None and context not in names:
        raise UsageError(f"no context {context!r} in {file}; there are: {', '.join(names) or 'none'}")
    chosen: dict[str, Any] | None = next((item for item in contexts if item["name"] == context), current)
    if not chosen:
        raise UsageError(
            f"the kubeconfig {file} has no current context; give --context, one of: {', '.join(names)}"
        )
    return chosen


def _own_namespace() -> str:
    try:
        return (
            Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
            .read_text(encoding="utf-8")
            .strip()
        )
    except OSError:
        return "default"
