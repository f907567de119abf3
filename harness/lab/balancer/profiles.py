"""Pure: how a target can fail, what that means to a balancer, and whether it asks another target.

families/ holds what each balancer then answers. Once the head has been passed on, a failure can no longer
become a status: the client's connection is cut, and the client sees a body that ends early. The profile `service`
is kube-proxy, no HTTP at all; see splice.py.
"""

from __future__ import annotations

import errno
from enum import Enum
from typing import TYPE_CHECKING

from harness.lab.balancer.families.family import Meaning, Retry

if TYPE_CHECKING:
    from harness.lab.balancer.families.family import Profile


CUT = 0  # instead of a status: the answer had begun, so the connection is cut


class Stage(Enum):
    """How far an exchange with a target got."""

    CONNECTING = "connecting"
    WAITING = "waiting"  # the request is being sent or was sent; the answer's head is not complete
    ANSWERING = "answering"  # the head has been passed on


class Loss(Enum):
    """How a target failed."""

    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    CONNECT_TIMEOUT = "connect_timeout"
    RESET = "reset"
    EOF = "eof"
    IDLE_TIMEOUT = "idle_timeout"
    MALFORMED = "malformed"
    DEREGISTERED = "deregistered"  # its deregistration delay ended before it answered
    NO_DESCRIPTOR = "no_descriptor"  # not the target's fault: the balancer ran out of descriptors or ports


# Logged as well, but not failures of a target.
NO_TARGET = "no_target"
CLIENT_LEFT = "client_left"
ERROR_STATUS = "error_status"  # the target's own answer, passed on


def connect_loss(code: int) -> Loss:
    """Return what an errno of connect() means."""
    if code == errno.ETIMEDOUT:
        return Loss.CONNECT_TIMEOUT
    if code in {errno.ECONNREFUSED, errno.ECONNRESET}:
        return Loss.REFUSED
    if code in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}:
        return Loss.NO_DESCRIPTOR
    return Loss.UNREACHABLE


def meaning(stage: Stage, loss: Loss) -> Meaning | None:
    """Return what a target's failure means to the balancer; None where an answer had begun, which can only be cut."""
    if stage is Stage.ANSWERING:
        return None
    if loss is Loss.CONNECT_TIMEOUT:
        return Meaning.CONNECT_TIMEOUT
    if loss is Loss.IDLE_TIMEOUT:
        return Meaning.NO_ANSWER
    if loss is Loss.MALFORMED:
        return Meaning.INVALID
    return Meaning.REFUSED if stage is Stage.CONNECTING and loss is not Loss.DEREGISTERED else Meaning.BROKEN


def may_retry(retries: Retry, head: bytes, stage: Stage, loss: Loss, *, posts: bool = False) -> bool:
    """Tell whether a balancer asks the next target, where `tries` is over 1. `posts`: nginx with `non_idempotent`.

    nginx's `proxy_next_upstream error timeout` does not send POST, LOCK and PATCH again once they have been sent;
    Envoy and HAProxy send nothing again that was sent, Caddy only a GET.
    """
    if stage is Stage.ANSWERING or loss in {Loss.MALFORMED, Loss.DEREGISTERED, Loss.NO_DESCRIPTOR}:
        return False
    if retries is Retry.NEVER or stage is Stage.CONNECTING:
        return retries is not Retry.NEVER
    if retries is Retry.IDEMPOTENT:
        return posts or not head.startswith((b"POST ", b"LOCK ", b"PATCH "))
    return retries is Retry.GET_TOO and head.startswith(b"GET ")


def asks_again(profile: Profile, head: bytes, stage: Stage, loss: Loss, *, reused: bool) -> bool:
    """Tell whether the same target is asked again over another connection (Go's http.Transport, shouldRetryRequest)."""
    broken = stage is Stage.WAITING and loss in {Loss.RESET, Loss.EOF}
    return (
        profile.asks_again
        and broken
        and reused
        and head.startswith((b"GET ", b"HEAD ", b"OPTIONS ", b"TRACE "))
    )


def pick(turn: int, targets: int) -> tuple[int, int]:
    """Round robin: return the target's index and the next turn. There may be fewer targets than at the last turn."""
    index = turn % targets
    return index, index + 1
