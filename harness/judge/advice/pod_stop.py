"""What mends the end of a pod: a preStop as long as traffic still comes, a grace period as long as all of it takes."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from harness.clock import NS
from harness.judge.advice.path_defaults import Floor, floor_of
from harness.judge.wording import count, lasting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.judge.advice.draft import Case, Draft
    from harness.judge.timeline.lifeline import Lifeline

LAG_MARGIN_S = 2  # on top of the longest reach that was measured
GRACE_MARGIN_S = 5  # on top of preStop and the longest request
TIGHT_NS = NS  # less than this to spare is too little
NATIVE_SLEEP = (1, 30)  # preStop.sleep is there by default from this version on (KEP-3960)
_SHELL_LESS = re.compile(r"distroless|scratch|chainguard|cgr\.dev|/static[:@-]|busyboxless", re.IGNORECASE)


def stop(case: Case, draft: Draft) -> None:
    """Set preStop and the grace period, where they are too short."""
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
    struck = bool(case.ids & {"B1", "C1", "B6", "B7", "C6", "B2", "C3", "C9", "D1"})
    struck |= "B9" in case.ids and case.grace_s == 0  # no hook runs then, whatever the manifest says
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
    case: Case, draft: Draft, hook: Mapping[str, Any], seconds: int, reason: str, evidence: str
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


def _put_grace(case: Case, draft: Draft, hook_s: int) -> None:
    grace_s = case.grace_s
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
