"""Messages between parent and worker: one JSON object per line, over the worker's standard input and output.

To the worker: its assignment, once, and then commands: {"do": "start", "at_ns"}, {"do": "baseline"}, {"do": "lull"},
{"do": "resume"} and {"do": "finish", "drain_ns"}. From the worker: objects with one of the keys ready, late_ns, counts,
health, sample, failure, ended. Header values and bodies appear in the assignment and nowhere else.
"""

from __future__ import annotations

import dataclasses
import json
from base64 import b64decode, b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from harness.clock import Clock
from harness.model import NEVER, LiveCounts, LoadPlan, Target

if TYPE_CHECKING:
    from collections.abc import Iterable

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Assignment:
    """The part of the load that one worker does."""

    worker: int
    slots: tuple[int, ...]  # numbered over all workers
    plan: LoadPlan
    clock: Clock
    directory: Path
    workers: int = 1  # how many there are in all


def assignments(plan: LoadPlan, clock: Clock, directory: Path) -> list[Assignment]:
    """Divide the slots as evenly as possible; every worker gets at least one."""
    workers = max(1, min(plan.workers, plan.concurrency))
    of = [
        tuple(
            connection * plan.streams + stream
            for connection in range(worker, plan.concurrency, workers)
            for stream in range(plan.streams)
        )
        for worker in range(workers)
    ]
    return [Assignment(worker, slots, plan, clock, directory, workers) for worker, slots in enumerate(of)]


def encode(assignment: Assignment) -> dict[str, Any]:
    """Make an assignment fit for JSON."""
    plan = dataclasses.asdict(assignment.plan)
    for target in plan["targets"]:
        target["body"] = b64encode(target["body"]).decode()
    return {
        "worker": assignment.worker,
        "slots": assignment.slots,
        "plan": plan,
        "clock": dataclasses.asdict(assignment.clock),
        "directory": str(assignment.directory),
        "workers": assignment.workers,
    }


def decode(line: dict[str, Any]) -> Assignment:
    """Read an assignment back."""
    plan = dict(line["plan"])
    plan["targets"] = tuple(
        Target(
            t["url"], t["method"], tuple((n, v) for n, v in t["headers"]), b64decode(t["body"]), t["weight"]
        )
        for t in plan["targets"]
    )
    plan["expect"] = tuple((low, high) for low, high in plan["expect"])
    plan["resolve"] = tuple((host, port, address) for host, port, address in plan["resolve"])
    plan["pod_headers"] = tuple(plan["pod_headers"])
    return Assignment(
        line["worker"],
        tuple(line["slots"]),
        LoadPlan(**plan),
        Clock(**line["clock"]),
        Path(line["directory"]),
        line["workers"],
    )


def line(message: dict[str, Any]) -> bytes:
    """Encode one message."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def counts(message: dict[str, Any]) -> LiveCounts:
    """Read counts back: JSON turns the statuses and the latencies' steps into text."""
    numbered = {name: {int(key): n for key, n in message[name].items()} for name in ("statuses", "latencies")}
    return LiveCounts(**{**message, **numbered})


def total(parts: list[LiveCounts]) -> LiveCounts:
    """Add up the counts of several workers."""
    return LiveCounts(
        t_ns=max((part.t_ns for part in parts), default=0),
        started=sum(part.started for part in parts),
        completed=sum(part.completed for part in parts),
        failed=sum(part.failed for part in parts),
        in_flight=sum(part.in_flight for part in parts),
        last_failed_ns=max((part.last_failed_ns for part in parts), default=NEVER),
        statuses=_summed(part.statuses for part in parts),
        outcomes=_summed(part.outcomes for part in parts),
        latencies=_summed(part.latencies for part in parts),
    )


def _summed(parts: Iterable[dict[K, int]]) -> dict[K, int]:
    found: dict[K, int] = {}
    for part in parts:
        for key, n in part.items():
            found[key] = found.get(key, 0) + n
    return found
