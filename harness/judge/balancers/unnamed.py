"""No balancer at all, and one that nothing names.

Without one, nobody has words for what happened: the client's own connection went to the pod. Where the balancer is
unknown, a status means whatever any family means by it.
"""

from __future__ import annotations

from harness.judge.balancers.family import UNANSWERED, Failure, Family, own_answer, quota
from harness.judge.balancers.meaning import BROKEN, OF_A_POD, TIMED_OUT, Meaning, server_says
from harness.model import Outcome

_NOT_TAKEN = {
    Outcome.CONNECT_RESET: Meaning.REFUSED,
    Outcome.TLS_HANDSHAKE: Meaning.REFUSED,
    # Closed before the request could be sent, or as it was.
    Outcome.WRITE_RESET: Meaning.REFUSED,
    Outcome.WRITE_BROKEN_PIPE: Meaning.REFUSED,
    Outcome.IDLE_CLOSE_RACE: Meaning.REFUSED,
    Outcome.CONNECT_TIMEOUT: Meaning.CONNECT_TIMEOUT,
    Outcome.CONNECT_UNREACHABLE: Meaning.CONNECT_TIMEOUT,
    Outcome.CONNECT_FAIL: Meaning.CONNECT_TIMEOUT,
    Outcome.TLS_TIMEOUT: TIMED_OUT,
    Outcome.H2_GOAWAY: BROKEN,
    Outcome.H2_REFUSED_STREAM: Meaning.REFUSED,
    Outcome.CONNECT_REFUSED: Meaning.NOBODY
    | Meaning.REFUSED,  # kube-proxy rejects where there is no endpoint
}
_BROKEN = (Outcome.RESET_BEFORE_RESPONSE, Outcome.EOF_BEFORE_RESPONSE)


class Direct(Family):
    """Straight to pods, or through kube-proxy, which has no words."""

    __slots__ = ()

    def meaning(self, failure: Failure) -> Meaning:
        """Return what one failure means where a connection leads to a pod."""
        return straight(failure)


class Unknown(Family):
    """A balancer, or none: nothing tells."""

    __slots__ = ()

    def meaning(self, failure: Failure) -> Meaning:
        """Return what one failure may mean: straight from the pod, or by way of any balancer."""
        if failure.outcome is Outcome.RESPONSE:
            found: Meaning = Family.meaning(self, failure)
            return found
        closed = failure.outcome in {
            *_BROKEN,
            Outcome.IDLE_CLOSE_RACE,
            Outcome.WRITE_RESET,
            Outcome.WRITE_BROKEN_PIPE,
        }
        own = (
            Meaning.BALANCER
            if closed or UNANSWERED.get(failure.outcome, Meaning(0)) & Meaning.BALANCER
            else Meaning(0)
        )
        return straight(failure) | own  # fmt: skip


def straight(failure: Failure) -> Meaning:
    """Return what a failure means on a connection that leads to a pod."""
    if failure.outcome is Outcome.RESPONSE:
        return Meaning.LIMITED if failure.status == 429 else _said_by_app(failure)
    if failure.outcome in _BROKEN:
        return Meaning.BROKEN_REUSED if failure.reused else Meaning.BROKEN_FRESH
    return _NOT_TAKEN.get(failure.outcome) or UNANSWERED.get(failure.outcome, Meaning.UNKNOWN)


def _said_by_app(failure: Failure) -> Meaning:
    said = server_says(failure.answer) or quota(failure.status, failure.answer)
    return said or own_answer(failure.status)


DIRECT = Direct(name="none", title="none: straight to the pods")
UNKNOWN = Unknown(
    name="unknown",
    title="unknown",
    statuses={
        502: Meaning.REFUSED | TIMED_OUT | BROKEN | Meaning.APP_UNAVAILABLE,
        503: Meaning.NOBODY | (OF_A_POD & ~(Meaning.CUT | Meaning.NO_ANSWER)) | Meaning.APP_UNAVAILABLE,
        504: TIMED_OUT,
    },
    closes_after_error=True,
    gate=True,
    deregisters=True,
)
