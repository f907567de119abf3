"""Pure: what differs between the balancers, as data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Meaning(Enum):
    """Why a balancer answers for itself."""

    NOBODY = "nobody"  # there is no target
    REFUSED = "refused"
    CONNECT_TIMEOUT = "connect_timeout"
    BROKEN = "broken"  # the target closed or reset the connection before it answered
    INVALID = "invalid"  # the target's answer is not HTTP
    NO_ANSWER = "no_answer"  # none in time
    BAD_REQUEST = "bad_request"  # the client's request is not HTTP
    SLOW_REQUEST = "slow_request"  # the client did not send all of it in time


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the balancer's own. `head` still needs its end (Profile.own_end) and the empty line."""

    status: int
    head: bytes
    body: bytes
    closes: bool = False  # it says that it closes the client's connection, and does
    # Only for the first request of a client's connection; a later one gets no answer: the connection is closed.
    first_only: bool = False


class Retry(Enum):
    """What may be sent to another target, where `tries` is over 1."""

    NEVER = "never"
    CONNECTING = "connecting"  # what had not been sent yet
    GET_TOO = "get_too"  # that, and a GET whatever happened
    IDEMPOTENT = "idempotent"  # that, and all but POST, LOCK and PATCH


@dataclass(frozen=True, slots=True)
class Profile:
    """What differs between the balancers.

    `end` and `own_end` are the last lines of a head that is passed on, and of one of its own. {date} is replaced by a
    Date field (none where the target's own is passed on), {close} for a Connection field where the connection is
    closed, {connection} for keep-alive or close.
    """

    name: str
    replies: Mapping[Meaning, Reply]
    end: str
    own_end: str
    traces: bool = False  # it adds X-Amzn-Trace-Id to requests
    drop: frozenset[bytes] = (
        frozenset()
    )  # fields of a target's answer that the client does not see, in lower case
    server: bytes = b""  # its Server field, on answers whose target sends none
    lower: bool = False  # names of fields are passed on in lower case
    times: bool = False  # good answers carry x-envoy-upstream-service-time
    client_left: int = 499  # the status in its log for a client that went away
    client_idle_ns: int | None = None  # before it closes an idle client connection; None: the idle timeout
    cut_after_s: float = 0.0  # how long it waits before it cuts an answer off that ended early
    retries: Retry = Retry.NEVER
    asks_again: bool = False  # a reused connection that breaks before the answer is replaced by a new one

    def page(self, status: int) -> tuple[bytes, bytes]:
        """Return head and body of its answer with this status."""
        reply = next(reply for reply in self.replies.values() if reply.status == status)
        return reply.head, reply.body
