"""From what a run measured to a patch of the live manifest: every value computed, every margin said.

The patch is a strategic merge patch, as `kubectl patch --patch-file` takes it. Nothing is advised that the run gives no
reason for. What no manifest can mend (an app that does not drain, a keep-alive that is too short) becomes a warning.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from harness.clock import NS
from harness.judge.floors import Floor, floor_of
from harness.judge.wording import count, lasting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.judge.causes import Cause
    from harness.judge.lifeline import Lifeline
    from harness.judge.measured import Measured
    from harness.judge.summary import Numbers
    from harness.judge.timeline import Timeline
    from harness.model import RunRecord

LAG_MARGIN_S = 2  # on top of the longest reach that was measured
GRACE_MARGIN_S = 5  # on top of preStop and the longest request
TIGHT_NS = NS  # less than this to spare is too little
NATIVE_SLEEP = (1, 30)  # preStop.sleep is there by default from this version on (KEP-3960)
_SHELL_LESS = re.compile(r"distroless|scratch|chainguard|cgr\.dev|/static[:@-]|busyboxless", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Line:
    """One setting that the patch changes, why, and what of the run says so."""

    path: str
    value: str
    reason: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Advice:
    """What to change. `patch` is empty when there is nothing to; `warnings` are what it cannot mend, or what to check."""

    kind: str
    namespace: str
    name: str
    patch: dict[str, Any] = field(default_factory=dict)
    lines: tuple[Line, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """All that the advice is computed from."""

    run: RunRecord
    timeline: Timeline
    numbers: Numbers
    measured: Measured
    ids: frozenset[str]  # of the causes that count against the rollout
    workload: Mapping[str, Any]  # its manifest, as it was before
    objects: Sequence[Mapping[str, Any]]
    failed: bool

    @property
    def pod(self) -> Mapping[str, Any]:
        """The pod's spec in the workload's template."""
        spec: Mapping[str, Any] = ((self.workload.get("spec") or {}).get("template") or {}).get("spec") or {}
        return spec

    @property
    def container(self) -> Mapping[str, Any]:
        """The container that serves: the first with a port, else the first."""
        containers = self.pod.get("containers") or [{}]
        found: Mapping[str, Any] = next((c for c in containers if c.get("ports")), containers[0])
        return found

    @property
    def tail_s(self) -> int:
        """The longest request, in whole seconds; at least that when some were cut."""
        tail = self.measured.tail
        return math.ceil(max(tail.max_ns, tail.cut_ns) / NS) if tail else 0

    @property
    def drains(self) -> bool:
        """Whether the app was seen to answer after SIGTERM what it had before it."""
        return any(pod.drains for pod in self.measured.pods) and "B2" not in self.ids


def advise(
    run: RunRecord,
    timeline: Timeline,
    numbers: Numbers,
    measured: Measured | None,
    causes: Sequence[Cause],
    objects: Sequence[Mapping[str, Any]],
) -> Advice | None:
    """Compute the advice; None for a run without a rollout or without its workload's manifest."""
    cluster = run.cluster
    if cluster is None or measured is None or not timeline.triggered:
        return None
    workload = next(
        (
            item
            for item in objects
            if item.get("kind", cluster.kind) in {cluster.kind, ""}
            and (item.get("metadata") or {}).get("name") == cluster.name
            and ((item.get("spec") or {}).get("template"))
        ),
        None,
    )
    if workload is None:
        return None
    against = [cause for cause in causes if cause.the_rollouts]
    case = Case(
        run=run,
        timeline=timeline,
        numbers=numbers,
        measured=measured,
        ids=frozenset(name for cause in against for name in cause.ids),
        workload=workload,
        objects=objects,
        failed=bool(against),
    )
    draft = _Draft(case)
    _probe(case, draft)
    _startup(case, draft)
    _stop(case, draft)
    _strategy(case, draft)
    _elsewhere(case, draft)
    return Advice(
        cluster.kind,
        cluster.namespace,
        cluster.name,
        draft.whole(),
        tuple(draft.lines),
        tuple(draft.warnings),
    )


class _Draft:
    """A patch in the making."""

    def __init__(self, case: Case) -> None:
        self._container = str(case.container.get("name") or "")
        self._of_container: dict[str, Any] = {}
        self._of_pod: dict[str, Any] = {}
        self._of_workload: dict[str, Any] = {}
        self.lines: list[Line] = []
        self.warnings: list[str] = []

    def container(self, field_: str, value: dict[str, Any], told: str, reason: str, evidence: str) -> None:
        self._of_container[field_] = value
        path = f"spec.template.spec.containers[{self._container}].{field_}"
        self.lines.append(Line(path, told, reason, evidence))

    def pod(self, field_: str, value: Any, reason: str, evidence: str) -> None:
        self._of_pod[field_] = value
        self.lines.append(Line(f"spec.template.spec.{field_}", str(value), reason, evidence))

    def workload(self, field_: str, value: Any, told: str, reason: str, evidence: str) -> None:
        self._of_workload[field_] = value
        self.lines.append(Line(f"spec.{field_}", told, reason, evidence))

    def whole(self) -> dict[str, Any]:
        pod = dict(self._of_pod)
        if self._of_container:
            pod["containers"] = [{"name": self._container, **self._of_container}]
        spec = dict(self._of_workload)
        if pod:
            spec["template"] = {"spec": pod}
        return {"spec": spec} if spec else {}


# --- the start ----------------------------------------------------------------------------------------------


def _probe(case: Case, draft: _Draft) -> None:
    probe = case.container.get("readinessProbe")
    if probe and "A2" not in case.ids:
        return
    if not probe and not case.failed:
        draft.warnings.append(
            "there is no readinessProbe: this rollout lost nothing by it, but pods take requests as soon as their container runs"
        )
        return
    listen = case.measured.listen
    listen_s = listen.max_ns / NS if listen else 0.0
    check, how = _check(case, draft)
    p99_s = case.measured.tail.p99_ns / NS if case.measured.tail else 0.0
    fields = {
        **{kind: None for kind in ("httpGet", "tcpSocket", "exec", "grpc") if probe and probe.get(kind)},
        **check,
        "periodSeconds": min(max(math.ceil(listen_s / 2), 1), 10)
        if not probe
        else int(probe.get("periodSeconds", 10)),
        "timeoutSeconds": min(max(math.ceil(2 * p99_s), 1), 10),
    }
    if probe:
        bad = max((pod.bad_until_ns or 0 for pod in case.measured.pods), default=0)
        told = (
            f"new pods gave bad answers up to {lasting(bad)} after their start, though they were ready"
            if bad
            else "new pods gave bad answers though they were ready"
        )
        reason = "the probe must ask for what requests need, so that it fails while they would"
    else:
        told = (
            f"pods took up to {lasting(listen.max_ns)} from their start to their first good answer"
            if listen
            else "no readiness was ever asked for"
        )
        reason = "a pod without a readinessProbe is sent requests before it listens"
    draft.container("readinessProbe", fields, how, reason, told)


def _check(case: Case, draft: _Draft) -> tuple[dict[str, Any], str]:
    """Return what to probe: the path that the load asked for, where a kubelet can ask for it too."""
    target = case.run.targets[0] if case.run.targets else {}
    part = case.run.scenario.get("target") or {}
    ports = [port.get("containerPort") for port in case.container.get("ports") or []]
    port = next((port for port in ports if port), None) or _service_port(case)
    if port is None:
        draft.warnings.append("no port is declared in the manifest: 8080 in the probe is a guess; correct it")
        port = 8080
    simple = str(target.get("method", "GET")).upper() == "GET" and not part.get("headers")
    good = all(low >= 200 and high < 400 for low, high in case.run.expect)
    if simple and good:
        url = urlsplit(str(target.get("url") or "/"))
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        draft.warnings.append(
            f"the probe asks for {path}, as the load did; a path of its own that needs the same dependencies is better"
        )
        return {"httpGet": {"path": path, "port": port}}, f"httpGet {path} on {port}"
    draft.warnings.append(
        "the probe only opens a connection, for a kubelet cannot send what the load sent; a path that tells readiness is better"
    )
    return {"tcpSocket": {"port": port}}, f"tcpSocket {port}"


def _service_port(case: Case) -> Any:
    for item in case.objects:
        for port in (item.get("spec") or {}).get("ports") or []:
            if "targetPort" in port or "port" in port:
                return port.get("targetPort", port.get("port"))
    return None


def _startup(case: Case, draft: _Draft) -> None:
    """A4: liveness must wait for the start."""
    liveness = case.container.get("livenessProbe")
    if "A4" not in case.ids or not liveness or case.container.get("startupProbe"):
        return
    listen = case.measured.listen
    allowed = int(liveness.get("initialDelaySeconds", 0)) + int(liveness.get("failureThreshold", 3)) * int(
        liveness.get("periodSeconds", 10)
    )
    need_s = max(math.ceil(2 * listen.max_ns / NS) if listen else 0, 3 * allowed)
    fields = {kind: liveness[kind] for kind in ("httpGet", "tcpSocket", "exec", "grpc") if liveness.get(kind)}
    fields |= {"periodSeconds": 2, "failureThreshold": math.ceil(need_s / 2)}
    draft.container(
        "startupProbe",
        fields,
        f"up to {need_s} s to start",
        "the livenessProbe killed pods that were still starting; it waits for a startupProbe",
        f"it allows {allowed} s, and new pods were restarted {count(sum(pod.restarts for pod in case.timeline.pods if not pod.old), 'time')}",
    )


# --- the stop -----------------------------------------------------------------------------------------------


def _stop(case: Case, draft: _Draft) -> None:
    hook = _hook(case.container)
    olds = [pod for pod in case.timeline.pods if pod.old]
    hook_s = _hook_s(olds) if hook else 0
    wanted = _wanted_hook(case, hook_s)
    if wanted is not None and hook and hook_s is None:
        draft.warnings.append(
            f"the preStop that is there ({next(iter(hook))}) is not a plain sleep and stays: make it last at least {wanted[0]} s"
        )
        hook_s = wanted[0]
    elif wanted is not None:
        _put_hook(case, draft, hook, *wanted)
        hook_s = wanted[0]
    _put_grace(case, draft, hook_s or 0)


def _wanted_hook(case: Case, hook_s: int | None) -> tuple[int, str, str] | None:
    """Return how long preStop must last, why, and what says so; None when nothing need change."""
    reach = case.measured.reach
    struck = bool(case.ids & {"B1", "C1", "B6", "B7", "C6", "B2", "C3", "D1"})
    exposed = case.failed and hook_s == 0  # what the start lost may have hidden what the stop would
    left_ns = (hook_s or 0) * NS - reach.max_ns if reach else None
    tight = bool(hook_s and left_ns is not None and left_ns < TIGHT_NS)
    if not (struck or exposed or tight):
        return None
    flight_s = 0 if case.drains or case.tail_s <= 1 else case.tail_s  # the margin covers a second
    flight = (
        ""
        if case.drains or not flight_s
        else f" + {flight_s} s for requests in flight (the app was not seen to drain)"
    )
    if reach is None or reach.at_least:
        floor: Floor = floor_of(case.run, case.objects)
        late_s = math.ceil(_last_failed_ns(case) / NS)
        base_s = max(floor.seconds, late_s + LAG_MARGIN_S)
        seen = f"at least {lasting(reach.max_ns)}" if reach else "unknown"
        why = (
            f"{floor.seconds} s is the floor known for {floor.path}"
            if base_s == floor.seconds
            else f"the last such failure began {late_s} s after a deletion, + {LAG_MARGIN_S} s margin"
        )
        return (
            base_s + flight_s,
            f"requests still come when a pod goes; for how long could not be measured, so {why}{flight}: measure again, then tighten",
            f"from the deletion to the last request received: {seen} (the app stopped listening before traffic stopped)",
        )
    reach_s = math.ceil(reach.max_ns / NS)
    return (
        reach_s + LAG_MARGIN_S + flight_s,
        f"requests still come when a pod goes: the longest that was measured, rounded up to {reach_s} s, + {LAG_MARGIN_S} s margin{flight}",
        f"the last request reached a pod {lasting(reach.max_ns)} after its deletion ({count(reach.count, 'pod')})",
    )


def _last_failed_ns(case: Case) -> int:
    """Return how long after a deletion the last hit that fits it began, in a set or not; 0 without any."""
    return max((pod.late_failure_ns or 0 for pod in case.measured.pods), default=0)


def _put_hook(
    case: Case, draft: _Draft, hook: Mapping[str, Any], seconds: int, reason: str, evidence: str
) -> None:
    version = server_version(case.run.cluster.version if case.run.cluster else "")
    if version >= NATIVE_SLEEP:
        action: dict[str, Any] = {"sleep": {"seconds": seconds}}
        told = f"sleep {seconds} s"
    else:
        action = {"exec": {"command": ["/bin/sh", "-c", f"sleep {seconds}"]}}
        told = f"exec sleep {seconds}"
        image = str(case.container.get("image") or "")
        if "B6" in case.ids or _SHELL_LESS.search(image):
            draft.warnings.append(
                f"the image {image} seems to have no shell, and this server has no preStop.sleep (Kubernetes 1.30): this hook will fail; "
                "put a `sleep` into the image, or let the app itself wait after SIGTERM"
            )
    gone = {kind: None for kind in hook if kind not in action}
    draft.container("lifecycle", {"preStop": {**gone, **action}}, f"preStop {told}", reason, evidence)


def _put_grace(case: Case, draft: _Draft, hook_s: int) -> None:
    grace_s = int(case.pod.get("terminationGracePeriodSeconds", 30))
    need_s = hook_s + case.tail_s + GRACE_MARGIN_S
    cut = bool(case.ids & {"B4", "B5"})
    if grace_s >= need_s or (
        not cut and hook_s == (_hook_s(case.timeline.pods) or 0) and not _near_grace(case, grace_s)
    ):
        return
    tail = case.measured.tail
    took = "no request was measured"
    if tail is not None:
        took = f"the longest request took {lasting(max(tail.max_ns, tail.cut_ns))}" + (
            " or more: it was cut" if tail.cut_ns > tail.max_ns else ""
        )
    draft.pod(
        "terminationGracePeriodSeconds",
        need_s,
        f"preStop {hook_s} s + the longest request {case.tail_s} s + {GRACE_MARGIN_S} s margin; the clock starts before preStop",
        f"{took}; the grace period was {grace_s} s",
    )


def _near_grace(case: Case, grace_s: int) -> bool:
    slowest = case.measured.exit
    return bool(slowest and slowest.max_ns > grace_s * NS - TIGHT_NS)


# --- the rest -----------------------------------------------------------------------------------------------


def _strategy(case: Case, draft: _Draft) -> None:
    cluster = case.run.cluster
    if cluster is None or cluster.kind != "Deployment" or not case.ids & {"D2", "D3", "D9", "D1"}:
        return
    strategy = (case.workload.get("spec") or {}).get("strategy") or {}
    rolling = strategy.get("rollingUpdate") or {}
    if strategy.get("type") != "Recreate" and str(rolling.get("maxUnavailable", "25%")) in {"0", "0%"}:
        return
    capacity = case.measured.capacity
    draft.workload(
        "strategy",
        {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "RollingUpdate, maxUnavailable 0, maxSurge 1",
        "a new pod must serve before an old one goes",
        f"at the least {capacity.least_serving} of {count(capacity.replicas, 'pod')} were serving"
        if capacity
        else "no pod was left",
    )
    if capacity is not None and capacity.replicas < 2:
        draft.warnings.append("one replica leaves nothing to fall back on: run at least 2")


def _elsewhere(case: Case, draft: _Draft) -> None:
    """Name what a patch cannot mend."""
    name = str(case.container.get("name") or "")
    told = {
        "B2": f"the app in {name} ends with requests in flight: let it finish them after SIGTERM; until then the preStop above covers them",
        "B3": f"SIGTERM does not reach the app in {name}, or has no effect: start it in exec form (or with `exec` in the shell), and let it act on SIGTERM",
        "C2": "idle connections are closed under the balancer's hands: the app's keep-alive must be longer than the balancer's idle timeout",
        "C7": "requests outlast the balancer's idle timeout: raise it, or answer sooner",
        "B9": "a pod was killed from outside (out of memory, evicted, node lost): no manifest line of the rollout mends that",
        "A8": "the new version does not start: there is no manifest line for that; see the pod's events",
        "E1": "the load host ran out of ports or descriptors: raise `ulimit -n` and ip_local_port_range there",
    }
    draft.warnings += [told[found] for found in sorted(case.ids & told.keys())]


def server_version(text: str) -> tuple[int, int]:
    """Read "v1.33.0+x" as (1, 33); (0, 0) when it cannot be read."""
    match = re.match(r"v?(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _hook(container: Mapping[str, Any]) -> Mapping[str, Any]:
    hook: Mapping[str, Any] = (container.get("lifecycle") or {}).get("preStop") or {}
    return hook


def _hook_s(pods: Sequence[Lifeline]) -> int | None:
    """Return how long the old pods' hook lasts; 0 without a hook, None where it cannot be read."""
    specs = [pod.spec for pod in pods if pod.old]
    if any(spec.pre_stop and spec.pre_stop_ns is None for spec in specs):
        return None
    return math.floor(max((spec.pre_stop_ns or 0 for spec in specs), default=0) / NS)
