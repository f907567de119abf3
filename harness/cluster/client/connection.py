"""The only door to the `kubernetes` package: credentials, the connection, and its errors as ours.

Objects are dicts: the package's typed models refuse real objects (an Event with `eventTime: null`, for one) and differ
between its versions. `CustomObjectsApi` serves every group by name and version, so beta APIs need no classes.
"""

from __future__ import annotations

import json
import os
import threading
import time
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

import urllib3
import websocket
import yaml
from kubernetes import client, config
from kubernetes.config.config_exception import ConfigException
from kubernetes.stream import ws_client

from harness import masking
from harness.cluster.client.answers import (
    ApiStatusError,
    ApiUnreachableError,
    brief,
    never_sent,
    status_error,
)
from harness.cluster.client.credentials import (
    in_cluster,
    kubeconfig_files,
    kubeconfig_paths,
    logged_errors,
    own_namespace,
    proxy_url_of,
)
from harness.cluster.client.proxies import proxy_for
from harness.errors import UsageError
from harness.model import IN_CLUSTER

if TYPE_CHECKING:
    from collections.abc import Callable

CONNECT_S = 3.0
READ_S = 15.0


class Connection:
    """One connection to one cluster, as one user."""

    def __init__(
        self,
        load: Callable[[Any], None],
        context: str,
        namespace: str,
        user: str,
        proxy_url: str | None = None,
    ) -> None:
        configuration = client.Configuration()
        load(configuration)
        _send_through(configuration, proxy_url)
        configuration.retries = False  # we decide what to try again
        configuration.connection_pool_maxsize = 16  # five watches, and room beside them
        self._load, self._proxy_url = load, proxy_url
        self._renewing = threading.Lock()
        self._renewed_at = time.monotonic()
        try:
            self._client: Any = client.ApiClient(configuration)
        except (urllib3.exceptions.HTTPError, ImportError) as error:
            # SOCKS needs a package of its own, and only its first use shows that it is missing.
            raise UsageError(f"{configuration.host}: its proxy cannot be used: {brief(error)}") from None
        self._custom: Any = client.CustomObjectsApi(self._client)
        self._core: Any = client.CoreV1Api(self._client)
        self._apps: Any = client.AppsV1Api(self._client)
        self._groups: Any = client.ApisApi(self._client)
        self._versions: Any = client.VersionApi(self._client)
        self.server: str = masking.url(configuration.host)  # it may hold a user and a password
        self.context = context
        self.namespace = namespace
        self.user = user

    @classmethod
    def connect(cls, kubeconfig: str | None, context: str | None) -> Self:
        """Read credentials: a kubeconfig where there is one, else those of the pod we run in.

        Raises UsageError with one line when there are none, or they cannot be read.
        """
        if kubeconfig is None and context is None and in_cluster() and not kubeconfig_paths(None):
            return cls(_load_of_the_pod, IN_CLUSTER, own_namespace(), "the pod's service account")
        file = kubeconfig_files(kubeconfig)
        chosen = _choose_context(file, context)
        name, body = str(chosen["name"]), chosen.get("context") or {}

        def load(configuration: Any) -> None:
            _load_of_a_file(file, name, configuration)

        proxy_url = proxy_url_of(file, str(body.get("cluster") or ""))
        where = str(body.get("namespace") or "default")
        return cls(load, name, where, str(body.get("user") or ""), proxy_url)

    def _sending(self, content_type: str) -> tuple[Any, Any]:
        """Return the apps API, and that of custom objects, of a client whose default Content-Type is this one."""
        other: Any = client.ApiClient(self._client.configuration)
        other.set_default_header("Content-Type", content_type)
        return client.AppsV1Api(other), client.CustomObjectsApi(other)

    def _websocket(self, namespace: str, pod: str, port: int) -> Any:
        """Open a WebSocket to a port of a pod. Raises ApiStatusError, ApiUnreachableError.

        Beside the package's API classes, which turn every request of a client into a WebSocket meanwhile.
        """
        configuration = self._client.configuration
        headers = {"sec-websocket-protocol": "v4.channel.k8s.io"}
        headers |= {one["key"].lower(): one["value"] for one in configuration.auth_settings().values()}
        path = f"/api/v1/namespaces/{quote(namespace)}/pods/{quote(pod)}/portforward"
        url = ws_client.get_websocket_url(configuration.host + path, [("ports", port)])
        try:
            return ws_client.create_websocket(configuration, url, headers)
        except websocket.WebSocketBadStatusException as error:
            raise status_error(error.status_code, error.resp_body, error.resp_headers) from None
        except (websocket.WebSocketException, OSError) as error:
            raise ApiUnreachableError(f"{self.server}: {brief(error)}") from None

    def _json(self, call: Callable[[], Any]) -> dict[str, Any]:
        response = self._call(call)
        try:
            data = json.loads(response.data)
        except (ValueError, urllib3.exceptions.HTTPError) as error:
            raise ApiUnreachableError(
                f"{self.server} did not answer as a Kubernetes API server: {brief(error)}"
            ) from None
        if not isinstance(data, dict):
            raise ApiUnreachableError(f"{self.server} did not answer as a Kubernetes API server")
        return data

    def _call(self, call: Callable[[], Any]) -> Any:
        """Ask once, and once more with fresh credentials if the old ones were refused: a refused request did
        nothing.
        """
        asked = time.monotonic()
        try:
            return self._ask(call)
        except ApiStatusError as error:
            if error.code != 401 or not self._renew(asked):
                raise
        return self._ask(call)

    def _ask(self, call: Callable[[], Any]) -> Any:
        try:
            response = call()
        except client.ApiException as error:
            if not error.status:  # so the package says that TLS failed: no answer came
                cause = error.__context__ or error
                raise ApiUnreachableError(
                    f"{self.server}: {brief(cause)}", unsent=never_sent(cause)
                ) from None
            raise status_error(error.status, error.body, error.headers) from None
        except (urllib3.exceptions.HTTPError, OSError, ConfigException) as error:
            raise ApiUnreachableError(f"{self.server}: {brief(error)}", unsent=never_sent(error)) from None
        if response.status >= 400:
            raise status_error(response.status, response.data, response.headers)
        return response

    def _renew(self, asked: float) -> bool:
        """Read the credentials anew, as kubectl does after a 401; tell whether it is worth asking again.

        The package renews an expired token itself if it knows when it expires. A revoked token, or a plugin that gives
        no expiry, shows only in the refusal. Raises ApiStatusError 401 when there are no new credentials.
        """
        with self._renewing:
            if asked < self._renewed_at:  # another thread has done it meanwhile
                return True
            fresh, configuration = client.Configuration(), self._client.configuration
            try:
                self._load(fresh)
            except UsageError as error:
                raise ApiStatusError(401, "Unauthorized", str(error)) from None
            before = (dict(configuration.api_key), configuration.cert_file)
            configuration.api_key = fresh.api_key
            configuration.refresh_api_key_hook = fresh.refresh_api_key_hook
            if (
                fresh.cert_file != configuration.cert_file
            ):  # a client certificate is read by the connections' pool
                configuration.cert_file, configuration.key_file = fresh.cert_file, fresh.key_file
                _send_through(
                    configuration, self._proxy_url
                )  # a renewed token may have set it as the file has it
                self._client.rest_client = type(self._client.rest_client)(configuration)
            self._renewed_at = time.monotonic()
            return before != (dict(configuration.api_key), configuration.cert_file)


def _send_through(configuration: Any, proxy_url: str | None) -> None:
    """Set which proxy leads to the server. Raises UsageError when it is none that can be used."""
    proxy = proxy_for(configuration.host, proxy_url, os.environ)
    configuration.no_proxy = ""  # it has been decided
    configuration.proxy = proxy and proxy.url
    login = proxy and proxy.login
    configuration.proxy_headers = urllib3.make_headers(proxy_basic_auth=login) if login else None


def _load_of_the_pod(configuration: Any) -> None:
    try:
        config.load_incluster_config(client_configuration=configuration)
    except ConfigException as error:
        raise UsageError(f"in-cluster credentials cannot be read: {masking.prose(str(error))}") from None


def _load_of_a_file(file: str, context: str, configuration: Any) -> None:
    try:
        with logged_errors() as complaints:
            config.load_kube_config(config_file=file, context=context, client_configuration=configuration)
    except (ConfigException, OSError, ValueError, TypeError, KeyError) as error:
        raise UsageError(f"the context {context!r} of {file} cannot be used: {brief(error)}") from None
    if complaints:
        # The package only logs that a credential plugin failed, and would go on as nobody.
        raise UsageError(
            f"the credentials of context {context!r} cannot be had: {masking.prose(complaints[0])}"
        )


def _choose_context(file: str, context: str | None) -> dict[str, Any]:
    """Return the context of this name, or the current one. Raises UsageError that names those there are."""
    try:
        contexts, current = config.list_kube_config_contexts(config_file=file)
    except (ConfigException, OSError, ValueError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise UsageError(f"the kubeconfig {file} cannot be read: {brief(error)}") from None
    names = sorted(str(item["name"]) for item in contexts)
    if context is not None and context not in names:
        raise UsageError(f"no context {context!r} in {file}; there are: {', '.join(names) or 'none'}")
    chosen: dict[str, Any] | None = next((item for item in contexts if item["name"] == context), current)
    if not chosen:
        raise UsageError(
            f"the kubeconfig {file} has no current context; give --context, one of: {', '.join(names)}"
        )
    return chosen
