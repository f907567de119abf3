"""Pure: the balancers that the lab can imitate, and what each answers when a target fails.

`alb`: an AWS Application Load Balancer (user guide, "Troubleshoot your Application Load Balancers"):
502 = the target refused or reset the connection, closed it while a request was outstanding, or sent invalid HTTP;
503 = the target group has no registered targets; 504 = no connection within the connect timeout (10 s), or no byte from
the target within the idle timeout (60 s); 408 = the client did not send its request within the idle timeout. It passes the
target's Server field on; its own answers have `Server: awselb/2.0`.

`nginx`: nginx as ingress-nginx configures it, with `proxy_next_upstream off` unless `tries` is over 1: 502 = an error while
connecting, sending or reading the head; 504 = proxy_connect_timeout or proxy_read_timeout; 503 = the Service has no endpoint.
It hides the target's Server and Date (proxy_hide_header's defaults), so every answer has `Server: nginx`; its own have
<center>nginx</center> in the body.

`service`: kube-proxy, no HTTP at all; see splice.py.

An ALB never sends a request twice; nginx does if so configured. Once the head has been passed on, a failure can no longer
become a status: the client's connection is cut, and the client sees a body that ends early.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from enum import Enum

CUT = 0  # instead of a status: the answer had begun, so the connection is cut

_REASONS = {
    400: "Bad Request",
    408: "Request Time-out",
    502: "Bad Gateway",
    503: "Service Temporarily Unavailable",
    504: "Gateway Time-out",
}


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


def classify(stage: Stage, loss: Loss) -> int:
    """Return the status that the client gets when a target fails, or CUT."""
    if stage is Stage.ANSWERING:
        return CUT
    return 504 if loss in {Loss.CONNECT_TIMEOUT, Loss.IDLE_TIMEOUT} else 502


def may_retry(head: bytes, stage: Stage, loss: Loss, *, posts: bool = False) -> bool:
    """Tell whether nginx's `proxy_next_upstream error timeout` tries the next target. `posts`: with `non_idempotent`.

    POST, LOCK and PATCH are not retried once they have been sent (nginx: proxy_next_upstream).
    """
    if stage is Stage.ANSWERING or loss in {Loss.MALFORMED, Loss.DEREGISTERED, Loss.NO_DESCRIPTOR}:
        return False
    return stage is Stage.CONNECTING or posts or not head.startswith((b"POST ", b"LOCK ", b"PATCH "))


def pick(turn: int, targets: int) -> tuple[int, int]:
    """Round robin: return the index of the target and the next turn. There may be fewer targets than at the last turn."""
    index = turn % targets
    return index, index + 1


@dataclass(frozen=True, slots=True)
class Profile:
    """What differs between the balancers."""

    name: str
    server: bytes  # the Server line of its own answers
    traces: bool  # whether it adds X-Amzn-Trace-Id to requests
    passes_server: bool  # whether the target's Server and Date reach the client
    signature: str  # in the body of its own answers
    client_left: int  # the status in its log for a client that went away
    client_idle_ns: int | None  # before it closes an idle client connection; None: the idle timeout

    @property
    def drop(self) -> frozenset[bytes]:
        """Names of the fields of a target's answer that are hidden from the client."""
        return frozenset() if self.passes_server else frozenset({b"server", b"date"})

    def page(self, status: int) -> tuple[bytes, bytes]:
        """Return head and body of an error page; the head still needs Date, Connection and the empty line."""
        title = f"{status} {_REASONS[status]}"
        body = "\r\n".join(
            (
                "<html>",
                f"<head><title>{title}</title></head>",
                "<body>",
                f"<center><h1>{title}</h1></center>",
                *([self.signature] if self.signature else []),
                "</body>",
                "</html>",
                "",
            )
        ).encode()
        head = f"HTTP/1.1 {title}\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n".encode()
        return head + self.server, body


PROFILES = {
    "alb": Profile(
        name="alb",
        server=b"Server: awselb/2.0\r\n",
        traces=True,
        passes_server=True,
        signature="",
        client_left=460,
        client_idle_ns=None,
    ),
    "nginx": Profile(
        name="nginx",
        server=b"Server: nginx\r\n",
        traces=False,
        passes_server=False,
        signature="<hr><center>nginx</center>",
        client_left=499,
        client_idle_ns=75_000_000_000,  # keepalive_timeout
    ),
}
