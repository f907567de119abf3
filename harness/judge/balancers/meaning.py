"""What a failed request can mean, whoever said it. A closed list; a set of meanings is their sum.

A status of gRPC means what the HTTP status of the same sense does, unless the server itself says more: balancers that
speak gRPC answer a call with UNAVAILABLE and their usual words as grpc-message, where they would answer a request
with a 502 or 503 and the words as a page.
"""

from __future__ import annotations

from enum import IntFlag
from typing import TYPE_CHECKING

from harness.model import Outcome

if TYPE_CHECKING:
    from harness.recording.answers import Answer


class Meaning(IntFlag):
    """What became of a request. Several together: one of them, and what was recorded cannot tell which."""

    NOBODY = 1  # there was no endpoint to send it to
    REFUSED = 2  # not taken: the connection was refused, or closed before the request could be sent
    CONNECT_TIMEOUT = 4  # silent to SYN
    BROKEN_FRESH = 8  # sent on a fresh connection to the pod, which broke before the answer
    BROKEN_REUSED = 16  # the same on a connection that had carried requests before
    CUT = 32  # the answer had begun
    NO_ANSWER = 64  # the pod took it, and gave no answer in time
    APP = 128  # the application's own error
    APP_UNAVAILABLE = 256  # the application itself said 502 or 503
    BALANCER = 512  # the balancer's own doing: it closed the client's connection, or was not there
    LIMITED = 1024  # too many requests, or a quota
    UNKNOWN = 2048


NONE = Meaning(0)
BROKEN = Meaning.BROKEN_FRESH | Meaning.BROKEN_REUSED
TIMED_OUT = Meaning.CONNECT_TIMEOUT | Meaning.NO_ANSWER
# All that the way to a pod can do to a request.
OF_A_POD = Meaning.REFUSED | BROKEN | Meaning.CUT | TIMED_OUT

WORDS = {
    Meaning.NOBODY: "no endpoint",
    Meaning.REFUSED: "connection refused",
    Meaning.CONNECT_TIMEOUT: "connect timeout",
    Meaning.BROKEN_FRESH: "broken before the answer, on a fresh connection",
    Meaning.BROKEN_REUSED: "broken before the answer, on a reused connection",
    Meaning.CUT: "cut within the answer",
    Meaning.NO_ANSWER: "no answer in time",
    Meaning.APP: "the application's own error",
    Meaning.APP_UNAVAILABLE: "the application's own 502 or 503",
    Meaning.BALANCER: "the balancer's own doing",
    Meaning.LIMITED: "too many requests, or a quota",
    Meaning.UNKNOWN: "unknown",
}


def in_words(meanings: Meaning) -> str:
    """Say a set of meanings, as `connection refused, or connect timeout`."""
    return ", or ".join(WORDS[one] for one in Meaning if one & meanings)


# google/rpc/code.proto has these pairs.
GRPC_STATUS: dict[Outcome, int] = {
    Outcome.GRPC_CANCELLED: 499,
    Outcome.GRPC_UNKNOWN: 500,
    Outcome.GRPC_INVALID_ARGUMENT: 400,
    Outcome.GRPC_DEADLINE_EXCEEDED: 504,
    Outcome.GRPC_NOT_FOUND: 404,
    Outcome.GRPC_ALREADY_EXISTS: 409,
    Outcome.GRPC_PERMISSION_DENIED: 403,
    Outcome.GRPC_RESOURCE_EXHAUSTED: 429,
    Outcome.GRPC_FAILED_PRECONDITION: 400,
    Outcome.GRPC_ABORTED: 409,
    Outcome.GRPC_OUT_OF_RANGE: 400,
    Outcome.GRPC_UNIMPLEMENTED: 501,
    Outcome.GRPC_INTERNAL: 500,
    Outcome.GRPC_UNAVAILABLE: 503,
    Outcome.GRPC_DATA_LOSS: 500,
    Outcome.GRPC_UNAUTHENTICATED: 401,
}
# What servers say of a call that they break off, in lower case.
_BROKEN_OFF = (
    "cancelling all calls",  # gRPC's C core, so grpcio too: stopped, and the grace that it was given is over
    "server shutdownnow",  # grpc-java
)
_CANCELLED, _DEADLINE = "1", "4"


def server_says(answer: Answer | None) -> Meaning:
    """Return what a server of gRPC says itself of why it gave no good answer; NONE if it does not, or is none."""
    if answer is None or not answer.header("grpc-status"):
        return NONE
    message = answer.header("grpc-message").lower()
    if any(words in message for words in _BROKEN_OFF):
        return BROKEN
    # Only clients cancel calls, and this one has not. So does a server that stops to calls that it has not begun to
    # handle (grpcio), and an app that passes on what somebody behind it said.
    if answer.header("grpc-status") == _CANCELLED:
        return BROKEN | Meaning.APP
    # The server gives up at the client's deadline; an app may also pass on that of somebody behind it.
    return Meaning.NO_ANSWER | Meaning.APP if answer.header("grpc-status") == _DEADLINE else NONE
