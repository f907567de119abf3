"""truth.jsonl: each request that the lab lost, with its true cause (an id of docs/lab.md).

A line is {t_ns, wall_ns, request_id, method, status, cause, root, pod, stage, loss, began_ns, uses, saved}. `t_ns` is
CLOCK_MONOTONIC when the balancer noticed the loss (run.json has the same clock at the run's start), `began_ns` when the
request was sent to its target, accurate to a millisecond. `status` is 0 if the connection was cut, in the middle of
an answer or without HTTP. `cause` is the most specific id that applies; `root` differs if one fault hides behind
another: a POST is lost because nginx does not retry it (C9), and at the root because the pod had stopped listening
(B1). `saved`: nginx tried the next target, and the client noticed nothing. Nothing that judges a run reads this
file.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from harness.clock import NS
from harness.lab.balancer.group import TAIL
from harness.lab.balancer.profiles import CLIENT_LEFT, ERROR_STATUS, NO_TARGET, Loss
from harness.lab.kubelet.journal import LATER, LOSSES, TRUTH, Journal, PodLife, ProcessRun

if TYPE_CHECKING:
    from pathlib import Path

    from harness.model import LabPlan

Line = dict[str, Any]

NEAR_NS = NS // 4  # how much later the balancer may notice that a process ended or closed its connections
OTHER = "other"  # not on the list: the target's own error
_SHORT_HOOK_NS = NS // 2
_PLAIN = {CLIENT_LEFT: "E1", Loss.NO_DESCRIPTOR.value: "E1", Loss.DEREGISTERED.value: "C4"}


def write(directory: Path, journal: Journal, plan: LabPlan) -> None:
    """Join the balancer's losses with the lives of the pods, and write truth.jsonl."""
    losses = directory / LOSSES
    text = losses.read_text(encoding="utf-8") if losses.exists() else ""
    found = [json.loads(line) for line in text.splitlines()]
    lines = [
        answer(line, journal, plan)
        for line in found
        if line["what"] == "lost" and line["t_ns"] >= journal.up_ns
    ]
    (directory / TRUTH).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def answer(lost: Line, journal: Journal, plan: LabPlan) -> Line:
    """Return the line for one lost request."""
    life = journal.lives.get(lost.get("pod", ""))
    root = _root(lost, life, journal, plan)
    cause = root
    stopping = root in {"B1", "B2", "B3", "B4", "B5", "B6", "B7", "B9", "C1"}
    if plan.profile == "nginx" and plan.tries > 1 and stopping and not lost["saved"]:
        cause = "C9"
    elif plan.profile == "service" and stopping and not lost["listed"] and lost["uses"] > 1:
        cause = "C3"
    elif journal.published and root in {"A1", "B1", "C1"}:
        cause = "C19"
    first = ("t_ns", "wall_ns", "request_id", "method", "status")
    rest = {key: value for key, value in lost.items() if key not in {*first, "what"}}
    return {key: lost[key] for key in first} | {"cause": cause, "root": root} | rest


def _root(lost: Line, life: PodLife | None, journal: Journal, plan: LabPlan) -> str:
    loss, t_ns = lost["loss"], lost["t_ns"]
    if loss in _PLAIN:
        return _PLAIN[loss]
    if loss == NO_TARGET:
        return _nobody(t_ns, journal, plan)
    if life is None or not life.runs:
        return OTHER
    if loss in {ERROR_STATUS, Loss.IDLE_TIMEOUT.value}:
        slow = _slow(life, lost, journal) if loss == Loss.IDLE_TIMEOUT.value else OTHER
        return "A2" if _warming(life, lost["began_ns"]) else slow
    if loss in {Loss.CONNECT_TIMEOUT.value, Loss.UNREACHABLE.value}:
        return "C6" if all(run.ended_ns <= t_ns for run in life.runs) else OTHER
    return _refused(life, t_ns, journal) if loss == Loss.REFUSED.value else _broken(lost, life, journal)


def _slow(life: PodLife, lost: Line, journal: Journal) -> str:
    """Return why no answer came in time: too few pods with too few workers, or just a slow request."""
    short = any(
        sum(other.ready_at(t_ns) and other.deleted_ns > t_ns for other in journal.lives.values())
        < journal.replicas
        for t_ns in (lost["began_ns"], lost["t_ns"])
    )
    # Round robin never drains the queue that built up on the remaining pod: it lasts until the load ends.
    since = any(other.deleted_ns <= lost["t_ns"] for other in journal.lives.values())
    return "D2" if life.seconds("WORKERS") and (short or since) else "C7"


def _nobody(t_ns: int, journal: Journal, plan: LabPlan) -> str:
    """Return why the balancer had no target, judged when no pod was ready: the balancer may have learned that late."""
    late_ns = plan.lag_ns + TAIL * plan.lag_tail_ns + plan.registration_ns + plan.check_every_ns + NS
    lives = journal.lives.values()
    changes = [since for life in lives for since in (*(at for at, _ in life.ready), life.deleted_ns)]
    moments = sorted((at for at in changes if t_ns - late_ns < at < t_ns), reverse=True)
    empty = (
        at
        for at in (t_ns, *moments, t_ns - late_ns)
        if not any(life.ready_at(at) and life.deleted_ns > at for life in lives)
    )
    t_ns = next(empty, t_ns)
    if journal.strategy == "Recreate" and any(life.deleted_ns <= t_ns for life in lives):
        return "D3"
    there = [life for life in lives if life.deleted_ns > t_ns and life.runs]
    if any(life.ready_at(t_ns) for life in there):
        return "A7"  # the cluster has endpoints, but the balancer does not use them yet
    for life in there:
        run = _run(life, t_ns)
        if min(run.term_ns, run.ended_ns) <= t_ns or run is not life.runs[0]:
            return _crash(life, t_ns, journal)
    if any(any(ready for since, ready in life.ready if since <= t_ns) for life in there):
        return "D7"  # there are pods that were ready before and are not being deleted
    return "D1" if journal.replicas == 1 else "D9"


def _run(life: PodLife, t_ns: int) -> ProcessRun:
    """Return the process that ran at a time, or the last one before it."""
    return max((run for run in life.runs if run.started_ns <= t_ns), key=_begun, default=life.runs[0])


def _begun(run: ProcessRun) -> int:
    return run.started_ns


def _warming(life: PodLife, t_ns: int) -> bool:
    startup_s = life.seconds("STARTUP_DELAY") if "STARTUP_DELAY" in life.env else 2.0
    run = _run(life, t_ns)
    # It listened at the latest when it was first ready: Python may take long to start.
    ready_ns = min((since for since, ready in life.ready if ready and since >= run.started_ns), default=0)
    up_ns = max(run.started_ns + round(startup_s * NS), ready_ns) + round(life.seconds("WARMUP") * NS)
    return bool(life.seconds("WARMUP")) and t_ns <= up_ns + NS


def _refused(life: PodLife, t_ns: int, journal: Journal) -> str:
    run = _run(life, t_ns)
    if life.deleted_ns <= t_ns and min(run.term_ns, run.ended_ns) <= t_ns:
        return _stopping(life, run)
    if min(run.term_ns, run.ended_ns) <= t_ns or run is not life.runs[0]:
        return _crash(life, t_ns, journal)
    return "A1"  # it runs but does not listen yet


def _broken(lost: Line, life: PodLife, journal: Journal) -> str:
    """Return why an open connection ended in the middle of an exchange."""
    t_ns, began_ns = lost["t_ns"], lost["began_ns"]
    run = _run(life, t_ns)
    if run.ended_ns <= t_ns + NEAR_NS:
        if life.deleted_ns > run.ended_ns:
            return _crash(life, t_ns, journal)
        if run.kill_ns <= run.ended_ns:
            return _killed(life, run)
        if not life.grace_ns:
            return "B9"
        cut = began_ns <= min(run.term_ns, run.ended_ns) and life.env.get("ON_TERM") != "drain"
        return "B2" if cut else _stopping(life, run)
    if run.term_ns <= t_ns + NEAR_NS:  # it closes idle connections, and a request was just being sent on one
        return _stopping(life, run) if life.deleted_ns <= t_ns + NEAR_NS else _crash(life, t_ns, journal)
    return "C2" if lost["uses"] > 1 and life.seconds("KEEPALIVE") else OTHER


def _killed(life: PodLife, run: ProcessRun) -> str:
    if not life.grace_ns:
        return "B9"
    if life.hook_ns >= life.grace_ns or life.hook_failed_ns <= run.ended_ns + NEAR_NS:
        return "B5"
    return "B3" if life.env.get("ON_TERM") == "ignore" else "B4"


def _stopping(life: PodLife, run: ProcessRun) -> str:
    """Return why a stopping pod no longer took requests while some still arrived."""
    if not life.grace_ns:
        return "B9"
    if not life.hook:
        return "B1"
    quick = min(run.term_ns, run.ended_ns) - life.deleted_ns < _SHORT_HOOK_NS
    if life.hook_failed_ns != LATER and quick:
        return "B6"
    if life.hook == "sleep":
        return "B5" if life.hook_ns >= life.grace_ns else "C1"
    return "B7" if quick else "C1"


def _crash(life: PodLife, t_ns: int, journal: Journal) -> str:
    """Return why the process of a pod that was not deleted ended."""
    if life.unhealthy_ns <= t_ns + NEAR_NS:
        return "A4"
    revisions = {other.revision for other in journal.lives.values()}
    first = min(journal.lives.values(), key=_first_start).revision
    return "A8" if len(revisions) > 1 and life.revision != first else "B9"


def _first_start(life: PodLife) -> int:
    return min((run.started_ns for run in life.runs), default=LATER)
