"""What a failed request can mean, whoever said it. A closed list; a set of meanings is their sum."""

from __future__ import annotations

from enum import IntFlag


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
