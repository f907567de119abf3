"""The official client, for any API server: one call, whatever it answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kubernetes import config
from kubernetes.client import ApiException

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Object = dict[str, Any]

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"
READ_S = 150.0  # longer than any watch of ours may be silent
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


@dataclass(frozen=True)
class Answer:
    """A status code, and the body as JSON (as text if it is not JSON)."""

    code: int
    body: Any

    @property
    def rv(self) -> str:
        return str(self.body["metadata"]["resourceVersion"])

    def refused(self, code: int, reason: str) -> str:
        """Assert that this is a refusal of that kind; return its message."""
        assert (self.code, self.body.get("kind"), self.body.get("reason")) == (code, "Status", reason), self
        assert self.body["status"] == "Failure"
        assert self.body["code"] == code
        return str(self.body["message"])

    def good(self, code: int = 200) -> Any:
        assert self.code == code, self
        return self.body


@dataclass(frozen=True)
class Refused:
    """The response behind the error that an older package makes of an answer that is not 2xx."""

    status: int
    data: bytes

    def release_conn(self) -> None:
        pass


class Server:
    """An API server behind a kubeconfig."""

    def __init__(self, kubeconfig: str) -> None:
        self.kubeconfig = kubeconfig
        self._api: Any = config.new_client_from_config(kubeconfig)
        self._api.configuration.retries = False
        groups = self("GET", "/apis").good()["groups"]
        self.versions = {group["name"]: [v["version"] for v in group["versions"]] for group in groups}
        self.namespace = "default"

    def close(self) -> None:
        self._api.close()

    def _open(
        self, method: str, path: str, body: Any, content_type: str, accept: str, query: dict[str, str]
    ) -> Any:
        headers = {"Accept": accept, "Content-Type": content_type, "User-Agent": "contract/1.0"}
        auth, seconds = ["BearerToken"], (5, READ_S)
        if hasattr(self._api, "param_serialize"):  # of newer packages
            request = self._api.param_serialize(
                method,
                path,
                query_params=list(query.items()),
                header_params=headers,
                body=body,
                auth_settings=auth,
            )
            return self._api.call_api(*request, _request_timeout=seconds).response
        try:
            return self._api.call_api(
                path,
                method,
                query_params=list(query.items()),
                header_params=headers,
                body=body,
                auth_settings=auth,
                _return_http_data_only=True,
                _preload_content=False,
                _request_timeout=seconds,
            )
        except ApiException as error:
            said: Any = error.body or b""
            return Refused(error.status, said.encode() if isinstance(said, str) else said)

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        accept: str = "application/json",
        **query: Any,
    ) -> Answer:
        """Ask once; `query` values are written as they are, True as `true`."""
        texts = {
            key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in query.items()
        }
        response = self._open(method, path, body, content_type, accept, texts)
        data = response.data
        response.release_conn()
        try:
            return Answer(response.status, json.loads(data))
        except ValueError:
            return Answer(response.status, data.decode())

    def watch(
        self, path: str, *, seconds: int = 5, accept: str = "application/json", **query: Any
    ) -> Iterator[Object]:
        """Yield the events of one watch until its window ends."""
        texts = {
            key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in query.items()
        }
        texts |= {"watch": "true", "timeoutSeconds": str(seconds)}
        response = self._open("GET", path, None, "application/json", accept, texts)
        try:
            rest = b""
            for chunk in response.stream(amt=None, decode_content=False):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from (json.loads(line) for line in lines)
            assert not rest
        finally:
            response.close()

    def path(self, plural: str, name: str = "", part: str = "") -> str:
        """Return the path of a resource in the test's namespace, of the newest version that is served."""
        group = GROUPS[plural]
        start = f"/apis/{group}/{self.version(group)}" if group else "/api/v1"
        steps = [start, "namespaces", self.namespace, plural, name, part]
        return "/".join(step for step in steps if step)

    def version(self, group: str) -> str:
        """Return the newest served version of a group: v1 before v1beta1."""
        versions: list[str] = self.versions[group]
        return min(versions, key=lambda version: (version != "v1", version))

    def until(self, path: str, holds: Callable[[Object], Any], seconds: float = 40) -> Object:
        """Follow an object until a condition holds."""
        import time

        end = time.monotonic() + seconds
        while time.monotonic() < end:
            answer = self("GET", path)
            if answer.code == 200 and holds(answer.body):
                found: Object = answer.body
                return found
            time.sleep(0.05)
        raise AssertionError(f"did not come in {seconds} s: {answer}")

    def until_gone(self, path: str, seconds: float = 40) -> None:
        import time

        end = time.monotonic() + seconds
        while (answer := self("GET", path)).code != 404:
            assert time.monotonic() < end, answer
            time.sleep(0.05)


GROUPS = {
    "configmaps": "",
    "pods": "",
    "services": "",
    "endpoints": "",
    "events": "",
    "secrets": "",
    "serviceaccounts": "",
    "deployments": "apps",
    "replicasets": "apps",
    "statefulsets": "apps",
    "daemonsets": "apps",
    "controllerrevisions": "apps",
    "endpointslices": "discovery.k8s.io",
    "poddisruptionbudgets": "policy",
    "roles": "rbac.authorization.k8s.io",
    "rolebindings": "rbac.authorization.k8s.io",
}


def config_map(name: str, labels: dict[str, str] | None = None, **data: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, **({"labels": labels} if labels else {})},
        "data": data,
    }


def pod_spec(**more: Any) -> Object:
    """A pod that runs on a real node without a registry: it sleeps, and takes no SIGTERM."""
    container = {
        "name": "main",
        "image": "docker.io/local/box:1",
        "imagePullPolicy": "Never",
        "command": ["sleep", "3600"],
    }
    return {"containers": [container], "terminationGracePeriodSeconds": 1, **more}


def deployment(name: str, replicas: int = 0, **spec: Any) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod_spec()},
            **spec,
        },
    }
