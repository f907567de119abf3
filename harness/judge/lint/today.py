"""Lint of what Kubernetes has had since 1.28: stopSignal, native sidecars, grace periods of probes, resizes in place.

Each check yields (place in the manifest, what is wrong there). Sources of the rules of order: pkg/kubelet/kuberuntime
(killContainer, newTerminationOrdering) and KEP-753; of stopSignal: KEP-4960.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.judge.lint.workload_view import (
    LIFECYCLE,
    POD,
    PROBES_DOC,
    SIDECARS_DOC,
    LintRule,
    hook_length_s,
    in_container,
    in_sidecar,
    rule,
)
from harness.k8s.hooks import pre_stop, stop_signal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.judge.lint.workload_view import Object, WorkloadView

LEFT_S = 10  # of the grace period: 5 s for the requests in flight, and as much for the sidecars after them
# Containers through which requests go, by the names that meshes give them.
_PROXIES = frozenset(
    {"consul-connect-envoy-sidecar", "consul-dataplane", "envoy", "envoy-sidecar", "istio-proxy", "kuma-sidecar",
     "linkerd-proxy"}
)  # fmt: skip
# The signal after which a server still answers what it has begun, where SIGTERM ends it at once.
_GRACEFUL = {"nginx": "SIGQUIT", "openresty": "SIGQUIT", "httpd": "SIGWINCH", "php-fpm": "SIGQUIT"}
_AT_ONCE = {"SIGTERM", "SIGINT"}
_KEP_4960 = "KEP-4960 (alpha from 1.33, feature gate ContainerStopSignals)"
_FILE = re.compile(r"/[\w./-]+")


def _signals(view: WorkloadView) -> list[tuple[str, Object, str]]:
    found = [(in_container(c, "lifecycle.stopSignal"), c, stop_signal(c)) for c in view.containers]
    found += [(in_sidecar(c, "lifecycle.stopSignal"), c, stop_signal(c)) for c in view.sidecars]
    return [row for row in found if row[2]]


def _signal_without_os(view: WorkloadView) -> Iterator[tuple[str, str]]:
    system = str((view.pod.get("os") or {}).get("name") or "")
    for path, _, signal in _signals(view):
        if not system:
            yield path, f"{signal}, but spec.os.name is not set: the API server refuses the pod"
        elif system == "windows" and signal not in {"SIGTERM", "SIGKILL"}:
            yield path, f"{signal}: on Windows only SIGTERM and SIGKILL are allowed"


def _signal_cuts(view: WorkloadView) -> Iterator[tuple[str, str]]:
    for path, container, signal in _signals(view):
        name = str(container.get("image") or "").rpartition("/")[2].partition("@")[0].partition(":")[0]
        graceful = _GRACEFUL.get(name, "")
        if signal == "SIGKILL":
            yield path, "SIGKILL: the app is ended at once, with all its requests"
        elif graceful and signal in _AT_ONCE:
            yield path, f"{signal} ends {name} with its requests in flight; {graceful} lets it finish them"


def _signal_gated(view: WorkloadView) -> Iterator[tuple[str, str]]:
    for path, _, signal in _signals(view):
        if not view.pods:  # live pods' objects show whether the server kept it
            yield (
                path,
                (
                    f"{signal}: before 1.37 a server drops the field unless its feature gate is on, and the image's"
                    " own signal is sent; look at the live pods"
                ),
            )


def _proxy_beside(view: WorkloadView) -> Iterator[tuple[str, str]]:
    app_s = hook_length_s(view.serving)
    for container in view.containers:
        own_s = hook_length_s(container)
        if (
            container is view.serving
            or container.get("name") not in _PROXIES
            or app_s is None
            or own_s is None
        ):
            continue
        if own_s < max(app_s, 1):
            after = f"after {own_s:g} s" if own_s else "at once"
            name = view.serving.get("name", "?")
            still = f"the requests of {name} go through it" + (f" for {app_s:g} s" if app_s else "")
            yield (
                in_container(container, "lifecycle.preStop"),
                (
                    f"the proxy gets SIGTERM {after}, and {still}: as a native sidecar (an init container with"
                    " restartPolicy Always) it ends last"
                ),
            )


def _sidecar_grace(view: WorkloadView) -> Iterator[tuple[str, str]]:
    longest_s = max((hook_length_s(c) or 0 for c in view.containers), default=0)
    left_s = view.grace_s - longest_s
    if view.sidecars and longest_s and 5 <= left_s < LEFT_S:  # below that, grace-too-tight says it
        names = " and ".join(str(c.get("name", "?")) for c in view.sidecars)
        yield (
            f"{POD}.terminationGracePeriodSeconds",
            (
                f"{view.grace_s} leaves {left_s:g} s after a preStop of {longest_s:g} s, and {names} ends only after"
                " the containers, with what they leave of that"
            ),
        )


def _sidecar_hook(view: WorkloadView) -> Iterator[tuple[str, str]]:
    for container in view.sidecars:
        hook = pre_stop(container)
        if hook and hook_length_s(container) is None:
            yield (
                in_sidecar(container, "lifecycle.preStop"),
                (
                    f"({next(iter(hook))}) runs as soon as the pod is deleted, beside the containers' hooks; only"
                    " SIGTERM waits for them: what it drains is gone while requests still come"
                ),
            )


def _probe_grace(view: WorkloadView) -> Iterator[tuple[str, str]]:
    for container in view.containers:
        hook_s = hook_length_s(container)
        for name in ("livenessProbe", "startupProbe"):
            seconds = (container.get(name) or {}).get("terminationGracePeriodSeconds")
            if seconds is not None and hook_s and hook_s >= int(seconds):
                yield (
                    in_container(container, f"{name}.terminationGracePeriodSeconds"),
                    (
                        f"{seconds}: a restart by this probe gives {seconds} s, of which preStop alone takes"
                        f" {hook_s:g} s"
                    ),
                )


def _probe_grace_of_readiness(view: WorkloadView) -> Iterator[tuple[str, str]]:
    for container in view.containers:
        if (container.get("readinessProbe") or {}).get("terminationGracePeriodSeconds") is not None:
            yield (
                in_container(container, "readinessProbe.terminationGracePeriodSeconds"),
                "a readinessProbe kills nothing: the API server refuses the pod",
            )


def _resize_restarts(view: WorkloadView) -> Iterator[tuple[str, str]]:
    for container in view.containers:
        for policy in container.get("resizePolicy") or []:
            if policy.get("restartPolicy") == "RestartContainer":
                yield (
                    in_container(container, "resizePolicy"),
                    (
                        f"a resize of {policy.get('resourceName', '?')} restarts the container in its pod, which"
                        " stays an endpoint: no new pod takes over before"
                    ),
                )


def _sleep_zero(view: WorkloadView) -> Iterator[tuple[str, str]]:
    for container in view.containers:
        sleep = pre_stop(container).get("sleep")
        if isinstance(sleep, dict) and not sleep.get("seconds"):
            yield (
                in_container(container, "lifecycle.preStop.sleep"),
                "0 s holds nothing off, and a server before 1.33 refuses it",
            )


def _readiness_fails(view: WorkloadView) -> Iterator[tuple[str, str]]:
    """Seen where the hook removes or makes the very file that the probe looks at."""
    for container in view.containers:
        probe = _words((container.get("readinessProbe") or {}).get("exec"))
        hook = _words(pre_stop(container).get("exec"))
        shared = set(_FILE.findall(probe)) & set(_FILE.findall(hook))
        named = sorted(
            file
            for file in shared
            if re.search(rf"\b(?:rm|unlink|touch|mv)\b[^;&|]*{re.escape(file)}(?![\w./-])", hook)
        )
        if named:
            why = (
                "Kubernetes takes the pod out anyway, and requests fall back on it only while it stays ready"
            )
            yield (
                in_container(container, "lifecycle.preStop.exec"),
                f"changes {named[0]}, by which the readinessProbe fails from then on: {why}",
            )


def _words(action: Object | None) -> str:
    return " ".join(str(word) for word in (action or {}).get("command") or [])


OF_TODAY: tuple[LintRule, ...] = (
    rule("stop-signal-without-os", "error", _signal_without_os, "A8",
         "which signals there are depends on the system", _KEP_4960, shown=False),
    rule("stop-signal-cuts", "warning", _signal_cuts, "B2", "a signal may mean to end at once", LIFECYCLE),
    rule("stop-signal-gated", "info", _signal_gated, "",
         "a field behind a feature gate is dropped in silence", _KEP_4960, shown=False),
    rule("prestop-sleep-zero", "warning", _sleep_zero, "B1 C6",
         "a zero may be written from 1.33 on, to say that there is no waiting (KEP-4818)", LIFECYCLE),
    rule("readiness-fails-on-stop", "info", _readiness_fails, "",
         "terminating pods that are still ready are the fallback where no other pod is (1.28)",
         "KEP-1669", shown=False),
    rule("proxy-ends-first", "warning", _proxy_beside, "",
         "containers of a pod get SIGTERM in no fixed order, native sidecars after all others (1.29)",
         SIDECARS_DOC, shown=False),
    rule("sidecar-grace-tight", "warning", _sidecar_grace, "B4",
         ("native sidecars get SIGTERM when the last container has ended, in reverse order, within the same"
          " grace period"),
         SIDECARS_DOC),
    rule("sidecar-hook-early", "warning", _sidecar_hook, "",
         "a native sidecar's preStop does not wait for the containers", SIDECARS_DOC, shown=False),
    rule("probe-grace-short", "warning", _probe_grace, "A4 B5",
         "a probe's own grace period takes the place of the pod's when the probe kills (1.28)", PROBES_DOC),
    rule("probe-grace-on-readiness", "error", _probe_grace_of_readiness, "A8",
         "only liveness and startup probes kill", PROBES_DOC, shown=False),
    rule("resize-restarts", "info", _resize_restarts, "",
         "a resize in place (1.35) replaces no pod", "KEP-1287", shown=False),
)  # fmt: skip
