"""What fixes the start of a pod: a readinessProbe that asks for what requests need, a startupProbe that waits."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from harness import masking
from harness.clock import NS
from harness.judge.timeline.targets import registration_ns
from harness.judge.wording import count, lasting

if TYPE_CHECKING:
    from harness.judge.advice.draft import Basis, Draft

START_FLOOR_S = 300  # what a startupProbe allows for, at the least
REGISTRATION_TIMES = 2  # the longest time that was seen from Ready to the first good answer


def readiness(basis: Basis, draft: Draft) -> None:
    """A1, A2: a pod must not count as ready before it serves."""
    probe = basis.container.get("readinessProbe")
    if probe and "A2" not in basis.ids:
        return
    if not probe and not basis.failed:
        draft.warnings.append(
            f"there is no readinessProbe{_where(basis)}: this rollout lost nothing by it, but pods take requests as"
            " soon as their container runs"
        )
        return
    listen = basis.measured.listen
    listen_s = listen.max_ns / NS if listen else 0.0
    check, how = _check(basis, draft)
    p99_s = basis.measured.tail.p99_ns / NS if basis.measured.tail else 0.0
    fields = {
        **{kind: None for kind in ("httpGet", "tcpSocket", "exec", "grpc") if probe and probe.get(kind)},
        **check,
        "periodSeconds": (
            min(max(math.ceil(listen_s / 2), 1), 10) if not probe else int(probe.get("periodSeconds", 10))
        ),
        "timeoutSeconds": min(max(math.ceil(2 * p99_s), 1), 10),
    }
    if probe:
        bad = max((pod.bad_until_ns or 0 for pod in basis.measured.pods), default=0)
        evidence = (
            f"new pods gave bad answers up to {lasting(bad)} after their start, though they were ready"
            if bad
            else "new pods gave bad answers though they were ready"
        )
        reason = "the probe must ask for what requests need, so that it fails while they would"
    else:
        evidence = (
            f"pods took up to {lasting(listen.max_ns)} from their start to their first good answer"
            if listen
            else "no readiness was ever asked for"
        )
        reason = "a pod without a readinessProbe is sent requests before it listens"
    draft.values["readiness"] = how
    draft.container("readinessProbe", fields, how, reason, evidence)


def _where(basis: Basis) -> str:
    """Name the container where there are others, which may have what this one lacks."""
    several = len(basis.pod.get("containers") or []) > 1
    return f" in {basis.container.get('name', '?')}" if several else ""


def _check(basis: Basis, draft: Draft) -> tuple[dict[str, Any], str]:
    """Return what to probe: the path that the load asked for, where a kubelet can ask for it too."""
    target = basis.run.targets[0] if basis.run.targets else {}
    part = basis.run.scenario.get("target") or {}
    port = basis.port
    if port is None:
        draft.warnings.append("no port is declared in the manifest: 8080 in the probe is a guess; correct it")
        port = 8080
    simple = str(target.get("method", "GET")).upper() == "GET" and not part.get("headers")
    good = all(low >= 200 and high < 400 for low, high in basis.run.expect)
    if simple and good:
        url = urlsplit(str(target.get("url") or "/"))
        path = url.path or "/"
        asked = f"the probe asks for {path}, as the load did"
        if masking.HIDDEN in url.query:
            asked += f" but without its query (?{url.query}), whose values a recording does not keep"
        elif url.query:
            path += f"?{url.query}"
            asked = f"the probe asks for {path}, as the load did"
        draft.warnings.append(f"{asked}; a path of its own that needs the same dependencies is better")
        return {"httpGet": {"path": path, "port": port}}, f"httpGet {path} on {port}"
    draft.warnings.append(
        "the probe only opens a connection, for a kubelet cannot send what the load sent; a path that tells readiness"
        " is better"
    )
    return {"tcpSocket": {"port": port}}, f"tcpSocket {port}"


def startup(basis: Basis, draft: Draft) -> None:
    """A4: liveness must wait for the start."""
    liveness = basis.container.get("livenessProbe")
    if "A4" not in basis.ids or not liveness or basis.container.get("startupProbe"):
        return
    listen = basis.measured.listen
    allowed = int(liveness.get("initialDelaySeconds", 0)) + int(liveness.get("failureThreshold", 3)) * int(
        liveness.get("periodSeconds", 10)
    )
    need_s = max(math.ceil(2 * listen.max_ns / NS) if listen else 0, 3 * allowed, START_FLOOR_S)
    fields = {kind: liveness[kind] for kind in ("httpGet", "tcpSocket", "exec", "grpc") if liveness.get(kind)}
    if masking.HIDDEN in str(fields):
        port = (liveness.get("httpGet") or {}).get("port") or basis.port
        draft.warnings.append(
            "the startupProbe is to ask what the livenessProbe asks, of which a recording keeps no values: "
            + ("it only opens a connection; correct it" if port else "write it yourself")
        )
        if not port:
            return
        fields = {"tcpSocket": {"port": port}}
    fields |= {"periodSeconds": 2, "failureThreshold": math.ceil(need_s / 2)}
    draft.values["startup"] = f"up to {need_s} s to start"
    draft.container(
        "startupProbe",
        fields,
        f"up to {need_s} s to start",
        "the livenessProbe killed pods that were still starting; it waits for a startupProbe. How long a start takes"
        " could not be seen, for it was cut short: a probe that waits for long costs nothing, unless a start hangs",
        f"it allows {allowed} s, and new pods were restarted"
        f" {count(sum(pod.restarts for pod in basis.timeline.pods if not pod.old), 'time')}",
    )


def registration(basis: Basis, draft: Draft) -> None:
    """A7: a rollout must not go faster than the balancer takes in new pods."""
    serve = basis.measured.serve
    if "A7" not in basis.ids or serve is None:
        return
    lags = [lag for pod in basis.timeline.pods if not pod.old and (lag := registration_ns(pod)) is not None]
    slowest = max([serve.max_ns, *lags])
    told = f"; targets were healthy up to {lasting(max(lags))} after Ready" if lags else ""
    seconds = math.ceil(REGISTRATION_TIMES * slowest / NS)
    if int((basis.workload.get("spec") or {}).get("minReadySeconds") or 0) >= seconds:
        return
    draft.values["min_ready"] = str(seconds)
    draft.workload(
        "minReadySeconds",
        seconds,
        str(seconds),
        "the next old pod must not go before the balancer sends to the new one: twice the longest that was seen, for"
        " a health check comes at any time of its interval. A readiness gate of the balancer does it without a guess",
        f"from Ready to the first good answer: up to {lasting(serve.max_ns)} ({count(serve.count, 'pod')}){told}",
    )
