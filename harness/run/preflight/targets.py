"""Which AWS target groups a run records, and who polls them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from harness.cluster.targets.door import Door, TargetsError
from harness.cluster.targets.health import arns_of, name_of, region_of
from harness.cluster.targets.polling import Polled, poll

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from harness.clock import Clock
    from harness.model import ClusterEvent

AUTO = "auto"


def wanted(
    asked: Iterable[str], around: Iterable[Mapping[str, Any]]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the ARNs to poll, and what there is to note. `auto` stands for those that TargetGroupBindings name."""
    given = tuple(asked)
    found = tuple(arn for arn in given if arn != AUTO)
    if AUTO not in given:
        return found, ()
    bound = arns_of(one for one in around if one.get("kind") == "TargetGroupBinding")
    if not bound:
        return found, ("no TargetGroupBinding names a target group of these Services: none is recorded",)
    return tuple(dict.fromkeys((*found, *bound))), ()


async def keep_targets(
    groups: Sequence[Polled], clock: Clock, keep: Callable[[ClusterEvent], None], note: Callable[[str], None]
) -> None:
    """Record the states of all of these groups' targets, until cancelled."""
    async with anyio.create_task_group() as tasks:
        for group in groups:
            tasks.start_soon(poll, group, clock, keep, note)


def opened(arns: Iterable[str], note: Callable[[str], None]) -> list[Polled]:
    """Return what is to be polled. Raises UsageError where the AWS SDK is missing; what AWS refuses is noted."""
    doors: dict[str, Door] = {}
    found = []
    for arn in arns:
        region = region_of(arn)
        try:
            doors[region] = doors.get(region) or Door(region)
        except TargetsError as error:
            note(f"target group {name_of(arn)} is not recorded: {error}")
            continue
        found.append(Polled(arn, doors[region]))
    return found
