"""Polls target groups while a run goes on. Whatever AWS refuses is said once, and the run goes on without it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from harness.cluster.targets.door import TargetsError
from harness.cluster.targets.health import by_address, changes, group_event, name_of, states

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.clock import Clock
    from harness.cluster.targets.door import Door
    from harness.model import ClusterEvent

EVERY_S = 2.0
SLOWEST_S = 16.0  # between two polls, where AWS asks for fewer
MOST_FAILURES = 5  # one after the other: then a group is given up


@dataclass(frozen=True, slots=True)
class Polled:
    """One target group, and who is asked about it."""

    arn: str
    door: Door


async def poll(
    group: Polled,
    clock: Clock,
    keep: Callable[[ClusterEvent], None],
    note: Callable[[str], None],
    every_s: float = EVERY_S,
) -> None:
    """Keep the group's settings and each change of a target's state, until cancelled or given up."""
    name, failures, wait_s, before, asked_before_ns = name_of(group.arn), 0, every_s, None, 0
    try:
        described = await anyio.to_thread.run_sync(group.door.group, group.arn, abandon_on_cancel=True)
    except TargetsError as error:
        note(f"target group {name} is not recorded: {error}")
        return
    keep(group_event(group.arn, described, clock.now_ns()))
    if not by_address(described):
        note(f"target group {name} has nodes as targets, not pods: their states are not recorded")
        return
    while True:
        asked_ns = clock.now_ns()
        try:
            health = await anyio.to_thread.run_sync(group.door.health, group.arn, abandon_on_cancel=True)
        except TargetsError as error:
            failures += 1
            if failures == 1:
                note(f"target group {name} could not be asked: {error}; trying again")
            if failures >= MOST_FAILURES:
                note(f"target group {name} is no longer recorded: {error}")
                return
            wait_s = min(2 * wait_s, SLOWEST_S) if error.throttled else wait_s
        else:
            failures, now = 0, states(health)
            for event in changes(name, before, now, clock.now_ns(), asked_before_ns):
                keep(event)
            before, asked_before_ns = now, asked_ns
        await anyio.sleep(wait_s)
