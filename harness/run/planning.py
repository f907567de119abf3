"""Turns a resolved scenario into the plan of its load."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.model import IN_CLUSTER, POD_HEADERS, LoadPlan
from harness.scenario.parts.streampart import StreamPart

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.model import Target
    from harness.scenario.resolve import Resolved

_PROXIES = frozenset({"http_proxy", "https_proxy", "all_proxy"})


def load_plan(resolved: Resolved, targets: tuple[Target, ...], ca_file: str | None) -> LoadPlan:
    """Put together what the load generator is asked to do; `ca_file` is the lab's, where the scenario names none."""
    part = resolved.scenario

    def file(name: str | None) -> str | None:
        return None if name is None else str(resolved.base / name)

    stream = part.stream or StreamPart()
    return LoadPlan(
        targets=targets,
        concurrency=part.load.concurrency,
        workers=part.load.workers,
        timeout_ns=part.target.timeout,
        expect=part.good_statuses,
        insecure=part.target.insecure,
        ca_file=file(part.target.cacert) or ca_file,
        cert_file=file(part.target.cert),
        key_file=file(part.target.key),
        servername=part.target.servername,
        tls_min=part.target.tls_min,
        resolve=part.target.resolve,
        error_backoff=part.load.error_backoff,
        rate=part.load.rate,
        ramp_ns=part.load.ramp,
        keepalive=part.load.keepalive,
        conn_max_hits=part.load.conn_max_hits,
        conn_max_age_ns=part.load.conn_max_age,
        trace_headers=part.load.trace_headers,
        http2=part.target.http2,
        streams=part.target.streams,
        pod_headers=(part.target.pod_header,) if part.target.pod_header else POD_HEADERS,
        stream=part.stream is not None,
        websocket=stream.kind == "websocket",
        message=stream.message or "",
        every_ns=stream.every,
        expect_every_ns=stream.expect_every,
        ping_ns=stream.ping,
    )


def origin(environ: Mapping[str, str], context: str | None, *, from_pods: bool = False) -> str:
    """Return where a load is sent from, by this process or by pods, as one of model.ORIGINS; "" where it is unknown.

    `context` is that of the connection to the cluster, None for a run without one. A pod that uses a kubeconfig may be
    in another cluster than the workload.
    """
    if from_pods:
        return "cluster"
    if "KUBERNETES_SERVICE_HOST" not in environ:
        return "local"
    return "cluster" if context in {None, IN_CLUSTER} else ""


def ignored_proxies(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Say that a proxy in the environment takes no part, where there is one."""
    names = sorted(name for name in environ if name.lower() in _PROXIES and environ[name])
    if not names:
        return ()
    return (f"the proxy in {' and '.join(names)} is ignored: requests go straight to the target",)
