"""Sends the one change of a run until it is made, or for 30 s: repeated only when it is certain that it was not
made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio
import anyio.to_thread

from harness.clock import NS
from harness.cluster.client.answers import ApiUnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.run.change.tools import Tools

T = TypeVar("T")

TRY_FOR_NS = 30 * NS
EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Sent(Generic[T]):
    """What became of a change: when it was sent, and the answer, or what was found instead of a lost one."""

    sent_ns: int
    answer: T


class UnknownError(Exception):
    """The answer was lost, and nobody could say whether the change was made. `sent_ns` is when it was sent."""

    def __init__(self, sent_ns: int, error: ApiUnreachableError) -> None:
        super().__init__(str(error))
        self.sent_ns = sent_ns


async def send(tools: Tools, once: Callable[[], T], found: Callable[[], T | None]) -> Sent[T]:
    """Send a change with `once`. `found` looks whether it was made: its answer then, None where it was not.

    Raises ApiUnreachableError when no connection came about in 30 s: then it was not sent. Raises UnknownError when
    its answer was lost and the server could not be asked since. Any other ClusterError is the server's refusal.
    """
    begun_ns = tools.clock.now_ns()
    lost: UnknownError | None = None  # the answer to the last one that may have arrived
    said = False
    while True:
        sent_ns = tools.clock.now_ns()
        try:
            if lost is not None:
                answer = await anyio.to_thread.run_sync(found)
                if answer is not None:
                    tools.say("the change was made, although its answer was lost")
                    return Sent(lost.sent_ns, answer)
                tools.say("the change was not made: sending it again")
                lost, sent_ns = None, tools.clock.now_ns()
            return Sent(sent_ns, await anyio.to_thread.run_sync(once))
        except ApiUnreachableError as error:
            if tools.dry_run:
                raise
            if lost is None and not error.unsent:
                lost = UnknownError(sent_ns, error)
                tools.log.note(f"the answer to the change was lost ({error})")
            if tools.interrupted() or tools.clock.now_ns() - begun_ns > TRY_FOR_NS:
                if lost is not None:
                    raise lost from None
                raise
            if not said:
                how = "looking whether it was made" if lost else "nothing was sent"
                tools.say(f"{error}: {how}; trying for {TRY_FOR_NS // NS} s while the load goes on")
                said = True
        await anyio.sleep(EVERY_S)
