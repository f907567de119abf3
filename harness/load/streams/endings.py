"""How a stream ended: announced by the server, cut, or given up by us. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from harness.load import failures
from harness.load.failures import ERROR, FIN, PEER, TIMEOUT, US, Ending
from harness.load.streams.websocket import is_announced
from harness.model import NEVER, Outcome

if TYPE_CHECKING:
    from harness.load.streams.conversation import Conversation
    from harness.load.streams.life import Life
    from harness.model import LoadPlan


class End(NamedTuple):
    """The end of a stream. `bad`: the outcome of one that was not ended in an orderly way; None of one that was."""

    ending: Ending
    how: str
    bad: Outcome | None = None


SILENT = End(Ending(US, TIMEOUT), "silent", Outcome.READ_TIMEOUT_BODY)
OVER = End(Ending(US, failures.END), "over")


def said(talk: Conversation) -> End | None:
    """Return how the stream has ended by what came on it; None if it goes on."""
    if talk.fault:
        return End(Ending(US, ERROR), "error", Outcome.PROTOCOL_ERROR)
    if talk.code:
        bad = None if is_announced(talk.code) else Outcome.EOF_MID_RESPONSE
        return End(Ending(PEER, FIN), "close", bad)
    return End(Ending(PEER, FIN), "end") if talk.done else None


def lost(error: OSError | None, *, whole: bool) -> End:
    """Return how the stream has ended, now that its connection has. `whole`: its body was complete by then."""
    ending = failures.closed(error)
    if whole:
        return End(ending, "end")
    return End(ending, "eof" if ending.how == FIN else "reset", failures.lost(error, answered=True))


def is_silent(life: Life, now: int, silent_ns: int, plan: LoadPlan) -> bool:
    """Whether nothing has come for `silent_ns`, or no message for as long as the plan allows."""
    since = life.handshake_ns if life.last_ns == NEVER else life.last_ns
    return now - life.heard_ns > silent_ns or 0 < plan.expect_every_ns < now - since
