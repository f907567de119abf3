"""A fleet's pods in a cluster: created, reached, looked after, and removed again whatever happens."""

from __future__ import annotations

import secrets as randomness
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from harness.cluster.client.resources import PODS
from harness.errors import ClusterError, UsageError
from harness.fleet.frames import PORT
from harness.fleet.job import job, of_the_job, secret
from harness.fleet.members import Member, connected
from harness.fleet.podstates import Standing, standing

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable, Sequence

    from harness.cluster.client.api import Api
    from harness.fleet.job import Wanted
    from harness.fleet.keys import Keys

AUTO, DIRECT, FORWARD = "auto", "direct", "port-forward"
WAYS = (AUTO, DIRECT, FORWARD)
STARTED_S = 300.0  # for pulling the image and finding nodes
_MOST_FORWARDED = 200  # pods that are reached through the API server
_ASK_S = 1.0
_DIAL_S = 3.0
_REFUSED_S = 20.0  # addresses that refuse for longer are not our pods'


def new_name() -> str:
    """Return a name for a fleet that no other has."""
    return f"zdtest-load-{randomness.token_hex(4)}"


@dataclass
class JobPods:
    """The pods of one Job; a members.Host. `way`: how they are reached, AUTO until the first of them was."""

    api: Api
    wanted: Wanted
    say: Callable[[str], None]
    way: str = AUTO
    _first_s: float = field(default=0.0, init=False)  # when a pod's address refused first
    _asked_s: float = field(default=-_ASK_S, init=False)
    _known: dict[str, Standing] = field(default_factory=dict, init=False)

    async def members(self) -> Sequence[Member]:
        """Return the pods, once all of them run. Raises UsageError that says what keeps them from it."""
        until, told = anyio.current_time() + STARTED_S, ""
        while True:
            found = await self._pods()
            running = sorted(name for name, one in found.items() if one.running)
            if len(running) == self.wanted.pods:
                return [Member(name, found[name].node, (found[name].address, PORT)) for name in running]
            ended = next((f"pod {name}: {one.ended}" for name, one in found.items() if one.ended), "")
            stuck = sorted({one.waits_for for one in found.values() if one.waits_for})
            why = ended or "; ".join(stuck) or "the Job has not created them all"
            if any(one.without_image for one in found.values()):
                why += f"; the image is {self.wanted.image}: say --worker-image"
                until = 0
            if ended or anyio.current_time() > until:
                raise UsageError(
                    f"{len(running)} of {self.wanted.pods} load pods run in namespace {self.wanted.namespace}: {why}"
                )
            if why != told:
                told = why
                self.say(f"waiting for the load's pods: {len(running)} of {self.wanted.pods} run; {why}")
            await anyio.sleep(_ASK_S)

    async def dial(self, member: Member) -> socket.socket:
        """Connect to a pod. Raises OSError while it cannot be reached."""
        if self.way != FORWARD:
            try:
                with anyio.fail_after(_DIAL_S):
                    sock = await connected(member.address)
                    self.way = DIRECT  # from now on: what follows is no matter of the way
                    return sock
            except (
                ConnectionRefusedError
            ):  # it is there, and Python is still starting; or somebody else is there
                self._first_s = self._first_s or anyio.current_time()
                if self.way == DIRECT or anyio.current_time() - self._first_s < _REFUSED_S:
                    raise
            except OSError:
                if self.way == DIRECT:
                    raise
            if self.wanted.pods > _MOST_FORWARDED:
                raise UsageError(
                    f"the pods' addresses cannot be reached from here, and {self.wanted.pods} are too many to go "
                    f"through the API server ({_MOST_FORWARDED}): run zdtest in the cluster"
                )
            self.way = FORWARD
            self.say(
                "the pods' addresses cannot be reached from here: going through the API server (port-forward)"
            )
        try:
            with anyio.fail_after(2 * _DIAL_S):
                return await anyio.to_thread.run_sync(
                    self.api.forward, self.wanted.namespace, member.name, PORT, abandon_on_cancel=True
                )
        except ClusterError as error:
            raise OSError(str(error)) from None

    async def fate(self, member: Member) -> str:
        """Say why a pod runs no more; "" if it does, or nobody knows."""
        try:
            found = await self._pods()
        except ClusterError:  # the API server may be away; the pods go on
            return ""
        if member.name not in found:
            return "it was deleted"
        return found[member.name].ended

    async def _pods(self) -> dict[str, Standing]:
        """Ask for the pods, at most once a second: all links ask when a node goes."""
        now_s = anyio.current_time()
        if now_s - self._asked_s >= _ASK_S:
            self._asked_s = now_s
            wanted = self.wanted
            listed = await anyio.to_thread.run_sync(
                lambda: self.api.list_all(PODS, wanted.namespace, label_selector=of_the_job(wanted.name))
            )
            self._known = {pod["metadata"]["name"]: standing(pod) for pod in listed.get("items") or []}
        return self._known


@asynccontextmanager
async def hosted(
    api: Api, wanted: Wanted, keys: Keys, say: Callable[[str], None], way: str = AUTO
) -> AsyncIterator[JobPods]:
    """Have the pods while the context lasts. Raises UsageError if they may not, or cannot, be created."""
    made: dict[str, Any] = {}

    def create() -> None:
        made.update(api.create_job(wanted.namespace, job(wanted)))
        api.create_secret(wanted.namespace, secret(wanted, keys.secret(), made["metadata"]["uid"]))

    def remove() -> None:
        with suppress(ClusterError):  # it goes by its ttlSecondsAfterFinished
            api.delete_job(wanted.namespace, wanted.name)

    try:
        with anyio.CancelScope(shield=True):  # what was created must be known, to be removed
            try:
                await anyio.to_thread.run_sync(create)
            except ClusterError as error:
                raise UsageError(f"cannot create the load's pods in {wanted.namespace}: {error}") from None
        say(f"created job/{wanted.name} in namespace {wanted.namespace}: {wanted.pods} pods send the load")
        yield JobPods(api, wanted, say, way)
    finally:
        if made:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(remove)
