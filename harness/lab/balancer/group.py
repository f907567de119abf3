"""The balancer's target group: which target gets the next request, and when a pod becomes a target.

The rules are an ALB's (user guide, "Target groups" and "Health checks"). A new target is *initial* until it is
registered and has passed one health check. After `unhealthy` failed checks in a row it gets no requests until
`healthy` checks in a row have passed. If no target is healthy, the unhealthy ones get all requests ("fails open").
A deregistered target gets no new requests; those still open after the deregistration delay are answered with 502.
Without health checks a target is healthy as soon as it is registered.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.lab.balancer.profiles import pick
from harness.lab.balancer.upstream import UpstreamTarget
from harness.lab.checks import http_get

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Collection

    from harness.lab.balancer.losses import Losses

TAIL = 8  # a random lag is at most this many times its mean


@dataclass(frozen=True, slots=True)
class Rules:
    """How long things take, in seconds; 0 for what is switched off."""

    connect_s: float = 10.0
    idle_s: float = 60.0
    lag_s: float = 0.0
    lag_tail_s: float = 0.0  # mean of the random part of each change's lag (exponential)
    seed: int = 0
    registration_s: float = 0.0
    deregistration_s: float = 0.0  # 0: no limit
    check_every_s: float = 0.0
    check_timeout_s: float = 5.0
    check_path: str = "/"
    healthy: int = 5
    unhealthy: int = 2


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address and port of a pod."""

    address: str
    port: int
    pod: str = ""


class Member:
    """A target and its health."""

    def __init__(self, group: Group, target: UpstreamTarget, *, settled: bool = False) -> None:
        self.target = target
        self.state = "healthy" if settled else "initial"  # healthy | unhealthy | initial
        self._group = group
        self._run = 0  # checks in a row that contradict the state
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        if settled and group.rules.check_every_s:
            self._timer = group.loop.call_later(group.rules.check_every_s, self._registered)
        elif not settled and (group.rules.registration_s or group.rules.check_every_s):
            self._timer = group.loop.call_later(group.rules.registration_s, self._registered)
        else:
            self.state = "healthy"

    def _registered(self) -> None:
        if self._group.rules.check_every_s:
            self._task = self._group.loop.create_task(self._check())
        else:
            self._become("healthy")

    async def _check(self) -> None:
        target, rules = self.target, self._group.rules
        good, _ = await http_get(
            "check", target.address, target.port, {"path": rules.check_path}, rules.check_timeout_s
        )
        if not target.live:
            return
        self._timer = self._group.loop.call_later(rules.check_every_s, self._registered)
        if self.state == "initial":
            if good:
                self._become("healthy")
            return
        self._run = 0 if good == (self.state == "healthy") else self._run + 1
        if self._run >= (rules.unhealthy if self.state == "healthy" else rules.healthy):
            self._run = 0
            self._become("healthy" if good else "unhealthy")

    def _become(self, state: str) -> None:
        self.state = state
        self._group.arrange()

    def end(self) -> None:
        """Deregister the target."""
        if self._timer:
            self._timer.cancel()
        self.target.remove()
        if self._group.rules.deregistration_s:
            self._group.loop.call_later(self._group.rules.deregistration_s, self.target.expire)


class Group:
    """The targets, and the rotation among them."""

    def __init__(
        self,
        rules: Rules,
        loop: asyncio.AbstractEventLoop,
        losses: Losses,
        arranged: Callable[[], None] = lambda: None,
    ) -> None:
        self.rules = rules
        self.loop = loop
        self._losses = losses
        self._arranged = arranged  # called when the targets in rotation may have changed
        self._members: dict[Endpoint, Member] = {}
        self.turns: list[UpstreamTarget] = []
        self._turn = 0
        self._last_due = 0.0
        self._random = random.Random(rules.seed)  # noqa: S311  no secret: the same seed draws the same lags

    def change(self, endpoints: tuple[Endpoint, ...], *, settled: bool = False) -> None:
        """Take the current endpoints, to be applied after the lag. A change never overtakes an earlier one.

        `settled`: they become healthy targets at once.
        """
        if settled:
            self.apply(endpoints, settled=True)
            return
        lag_s = self.rules.lag_s
        if self.rules.lag_tail_s:
            lag_s += self.rules.lag_tail_s * min(self._random.expovariate(1), TAIL)
        if not lag_s:
            self.apply(endpoints)
            return
        self._last_due = max(self._last_due, self.loop.time() + lag_s)
        self.loop.call_at(self._last_due, self.apply, endpoints)

    def apply(self, endpoints: tuple[Endpoint, ...], *, settled: bool = False) -> None:
        """Make these the targets."""
        rules = self.rules
        for gone in self._members.keys() - set(endpoints):
            self._members.pop(gone).end()
        for new in endpoints:
            if new not in self._members:
                target = UpstreamTarget(
                    self.loop, new.address, new.port, new.pod, rules.connect_s, rules.idle_s
                )
                self._members[new] = Member(self, target, settled=settled)
        self.arrange()

    def arrange(self) -> None:
        """Recompute which targets are in rotation."""
        members = self._members.values()
        healthy = [member.target for member in members if member.state == "healthy"]
        turns = healthy or [member.target for member in members if member.state == "unhealthy"]
        if [t.pod for t in turns] != [t.pod for t in self.turns]:
            self._losses.endpoints(target.pod for target in turns)
        self.turns = turns
        self._arranged()

    def pick(self) -> UpstreamTarget | None:
        """Return the next target in rotation, or None if there is none."""
        if not self.turns:
            return None
        index, self._turn = pick(self._turn, len(self.turns))
        return self.turns[index]

    def another(self, tried: Collection[UpstreamTarget]) -> UpstreamTarget | None:
        """Return the next target in rotation that was not tried, or None."""
        for _ in self.turns:
            target = self.pick()
            if target not in tried:
                return target
        return None
