"""Lint of the pods' template: probes, hooks, the grace period, process 1. Each check yields (place in the manifest,
what is wrong there).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness import masking
from harness.judge.lint.workload_view import (
    HOOKS,
    LIFECYCLE,
    POD,
    PROBES_DOC,
    LintRule,
    handler,
    hook_length_s,
    in_container,
    rule,
)
from harness.k8s.hooks import pre_stop
from harness.k8s.images import has_shell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.judge.lint.workload_view import Object, WorkloadView

PROBES = ("readinessProbe", "livenessProbe", "startupProbe")


def _readiness_missing(view: WorkloadView) -> Iterator[tuple[str, str]]:
    if not view.takes_requests or view.serving.get("readinessProbe"):
        return
    # A pod is ready when all that are probed are, which says nothing of the one that is not.
    others = [str(c.get("name", "?")) for c in view.containers if c.get("readinessProbe")]
    yield (
        in_container(view.serving, "readinessProbe"),
        (
            f"there is none: pods take requests as soon as {' and '.join(others)} can, whether this container listens"
            " or not"
            if others
            else "there is none: pods take requests as soon as their container runs"
        ),
    )


def _readiness_is_liveness(view: WorkloadView) -> Iterator[tuple[str, str]]:
    for container in view.containers:
        ready, live = container.get("readinessProbe"), container.get("livenessProbe")
        if not (ready and live) or masking.HIDDEN in str(handler(ready)):  # what is hidden may differ
            continue
        if handler(ready) == handler(live):
            yield (
                in_container(container, "readinessProbe"),
                "asks the same as the livenessProbe: what should only take a pod out of traffic also restarts it",
            )


def _probe_port(view: WorkloadView) -> Iterator[tuple[str, str]]:
    for container in view.containers:
        known = {p.get("name") for p in container.get("ports") or []}
        for name in PROBES:
            port = _probed(container, name)
            if isinstance(port, str) and port not in known and not port.isdigit():
                yield (
                    in_container(container, name),
                    f"probes the port {port!r}, and no port of the container has that name",
                )


def _probe_undeclared(view: WorkloadView) -> Iterator[tuple[str, str]]:
    # Declaring a port is voluntary, and sidecars are seldom declared in full: only a guess, and only where requests go.
    known = [port.get("containerPort") for port in view.serving.get("ports") or []]
    for name in PROBES:
        port = _probed(view.serving, name)
        if known and port is not None and not isinstance(port, str) and port not in known:
            yield (
                in_container(view.serving, name),
                (
                    f"probes port {port}, which is not among the ports that the container declares"
                    f" ({', '.join(map(str, known))})"
                ),
            )


def _probed(container: Object, probe: str) -> int | str | None:
    """Return the port that a probe asks."""
    found = container.get(probe) or {}
    port: int | str | None = (found.get("httpGet") or found.get("tcpSocket") or {}).get("port")
    return port


def _hook_outlasts(view: WorkloadView) -> Iterator[tuple[str, str]]:
    for container in view.containers:
        hook_s = hook_length_s(container)
        if hook_s and hook_s >= view.grace_s:
            yield (
                in_container(container, "lifecycle.preStop"),
                f"sleeps {hook_s:g} s, and the grace period of {view.grace_s} s began before it: SIGKILL comes first",
            )


def _grace_left(view: WorkloadView) -> Iterator[tuple[str, str]]:
    for container in view.containers:
        hook_s = hook_length_s(container)
        if hook_s and 0 < view.grace_s - hook_s < 5:
            yield (
                f"{POD}.terminationGracePeriodSeconds",
                (
                    f"{view.grace_s} leaves {view.grace_s - hook_s:g} s after a preStop of {hook_s:g} s: requests"
                    " that take longer are cut"
                ),
            )


def _hook_missing(view: WorkloadView) -> Iterator[tuple[str, str]]:
    if view.takes_requests and not pre_stop(view.serving):
        yield (
            in_container(view.serving, "lifecycle.preStop"),
            "there is none: SIGTERM comes while balancers still send requests",
        )


def _hook_shell(view: WorkloadView) -> Iterator[tuple[str, str]]:
    for container in view.containers:
        command = (pre_stop(container).get("exec") or {}).get("command") or []
        image = str(container.get("image") or "")
        if command and not has_shell(image):
            yield (
                in_container(container, "lifecycle.preStop.exec"),
                (
                    f"runs {command[0]}, which the image {image} does not seem to have: the hook fails and SIGTERM"
                    " comes at once"
                ),
            )


def _hook_unknown(view: WorkloadView) -> Iterator[tuple[str, str]]:
    for container in view.containers:
        if pre_stop(container) and hook_length_s(container) is None:
            yield (
                in_container(container, "lifecycle.preStop"),
                f"is not a plain sleep ({next(iter(pre_stop(container)))}): if it ends early it protects nothing",
            )


def _shell(view: WorkloadView) -> Iterator[tuple[str, str]]:
    for container in view.containers:
        words = [str(word) for word in [*(container.get("command") or []), *(container.get("args") or [])]]
        if (
            len(words) >= 3
            and words[0].rpartition("/")[2] in masking.SHELLS
            and words[1] in {"-c", "-ec", "-lc"}
        ):
            last = re.split(r"[;&|\n]+", words[2].strip().rstrip(";"))[-1].strip()
            if not last.startswith("exec "):
                yield (
                    in_container(container, "command"),
                    f"a shell is process 1 and does not pass SIGTERM on: write `exec {masking.script(last)[:40]}`",
                )


def _liveness(view: WorkloadView) -> Iterator[tuple[str, str]]:
    for container in view.containers:
        live = container.get("livenessProbe")
        if live and not container.get("startupProbe"):
            allowed = int(live.get("initialDelaySeconds") or 0) + int(
                live.get("failureThreshold") or 3
            ) * int(live.get("periodSeconds") or 10)
            if allowed < 30:
                yield (
                    in_container(container, "livenessProbe"),
                    f"kills a container that has not started within {allowed} s; a startupProbe would wait",
                )


def _grace_zero(view: WorkloadView) -> Iterator[tuple[str, str]]:
    if view.grace_s == 0:
        yield f"{POD}.terminationGracePeriodSeconds", "0: pods are killed at once, and no hook runs"


def _host_port(view: WorkloadView) -> Iterator[tuple[str, str]]:
    for container in view.containers:
        if any(port.get("hostPort") for port in container.get("ports") or []):
            yield (
                in_container(container, "ports.hostPort"),
                "a new pod cannot start on a node before the old one has left it",
            )


OF_PODS: tuple[LintRule, ...] = (
    rule("readiness-missing", "error", _readiness_missing, "A1",
         "without a probe the state is Success from the start", PROBES_DOC),
    rule("prestop-missing", "warning", _hook_missing, "B1 C6",
         "SIGTERM and the removal of the endpoint run side by side; nobody waits for the slower one", LIFECYCLE),
    rule("prestop-outlasts-grace", "error", _hook_outlasts, "B5", "the grace period starts before preStop", LIFECYCLE),
    rule("grace-too-tight", "warning", _grace_left, "B4 B5",
         "what preStop leaves of the grace period is all that requests in flight get", LIFECYCLE),
    rule("prestop-needs-shell", "error", _hook_shell, "B6",
         "a hook that cannot run is as good as none; preStop.sleep (1.30) needs no shell", HOOKS),
    rule("prestop-not-a-sleep", "info", _hook_unknown, "B7", "a hook that returns early is as good as none", HOOKS),
    rule("grace-zero", "error", _grace_zero, "B9 B2", "at grace 0 the kubelet kills at once", LIFECYCLE),
    rule("shell-is-process-1", "warning", _shell, "B3",
         "SIGTERM goes to process 1, and a shell does not pass it on", LIFECYCLE),
    rule("probe-port-not-served", "error", _probe_port, "A8",
         "a probe of a port that is not found never succeeds", PROBES_DOC),
    rule("probe-port-undeclared", "warning", _probe_undeclared, "A8",
         "declaring a port is voluntary, so it may be right; where nothing listens a probe never succeeds", PROBES_DOC),
    rule("readiness-is-liveness", "warning", _readiness_is_liveness, "D7 A4",
         "a pod that is slow under load should leave the endpoints, and not be restarted", PROBES_DOC),
    rule("liveness-before-start", "warning", _liveness, "A4",
         "a start that takes longer than the liveness probe allows never ends", PROBES_DOC),
    rule("host-port", "warning", _host_port, "D6",
         "two pods cannot share a port of a node", "kubernetes.io/docs/concepts/configuration/overview/"),
)  # fmt: skip
