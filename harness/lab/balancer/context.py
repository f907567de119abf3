"""What all connections of one balancer share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from harness.lab.balancer.families.family import Profile
    from harness.lab.balancer.group import Group
    from harness.lab.balancer.heads import Heads
    from harness.lab.balancer.logs.writing import AccessLog
    from harness.lab.balancer.losses import Losses


@dataclass(frozen=True, slots=True)
class Context:
    """The parts of a balancer that serve its connections."""

    loop: asyncio.AbstractEventLoop
    profile: Profile
    heads: Heads
    losses: Losses
    log: AccessLog
    group: Group
    client_idle_s: float
    tries: int  # how many targets a request may go to
    retry_posts: bool  # whether a POST that was sent may be sent again
