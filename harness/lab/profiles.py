"""Pure: which balancer the lab's one pretends to be, and what it answers when a target fails it.

`alb`: an AWS Application Load Balancer (user guide, "Troubleshoot your Application Load Balancers"):
502 = the target refused or reset the connection, closed it while a request was outstanding, or sent what is no HTTP;
503 = the target group has no registered targets; 504 = no connection within the connect timeout (10 s), or no byte from
the target within the idle timeout (60 s); 408 = the client did not send its request within the idle timeout. It passes the
target's own Server field on; its own answers say `Server: awselb/2.0`.

`nginx`: nginx as ingress-nginx sets it up, with `proxy_next_upstream off`: 502 = error while connecting, sending or reading the
head; 504 = proxy_connect_timeout or proxy_read_timeout; 503 = the Service has no endpoint. It hides the target's Server and Date
(proxy_hide_header's defaults), so every answer says `Server: nginx`; its own have <center>nginx</center> in the body.

Neither ever sends a request twice. Once the head has been passed on, a failure can no longer become a status: the client's
connection is cut, and the client sees a body that ends early.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

CUT = 0  # in place of a status: the answer had begun, so the connection is cut

_REASONS = {
    400: "Bad Request",
    408: "Request Time-out",
    502: "Bad Gateway",
    503: "Service Temporarily Unavailable",
    504: "Gateway Time-out",
}


class Stage(Enum):
    """How far an exchange with a target had come."""

    CONNECTING = "connecting"
    WAITING = "waiting"  # sent, or being sent; the whole head of the answer is not here yet
    ANSWERING = "answering"  # the head has been passed on


class Loss(Enum):
    """What the target did, or did not do."""

    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    CONNECT_TIMEOUT = "connect_timeout"
    RESET = "reset"
    EOF = "eof"
    IDLE_TIMEOUT = "idle_timeout"
    MALFORMED = "malformed"


def classify(stage: Stage, loss: Loss) -> int:
    """Return the status that the client is given for a failure of the target, or CUT."""
    if stage is Stage.ANSWERING:
        return CUT
    return 504 if loss in {Loss.CONNECT_TIMEOUT, Loss.IDLE_TIMEOUT} else 502


def pick(turn: int, targets: int) -> tuple[int, int]:
    """Round robin: return (which of so many targets, the next turn). Targets may have become fewer since the last turn."""
    index = turn % targets
    return index, index + 1


@dataclass(frozen=True, slots=True)
class Profile:
    """What differs between the balancers that the lab knows."""

    name: str
    server: bytes  # the Server line of its own answers
    passes_server: bool  # whether the target's Server and Date reach the client
    signature: str  # in the body of its own answers
    client_idle_ns: int | None  # before it closes an idle client connection; None: the idle timeout

    @property
    def drop(self) -> frozenset[bytes]:
        """Names of the fields of a target's answer that the client does not get to see."""
        return frozenset() if self.passes_server else frozenset({b"server", b"date"})

    def page(self, status: int) -> tuple[bytes, bytes]:
        """Return head and body of an answer of its own; the head wants Date, Connection and an empty line after it."""
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
        name="alb", server=b"Server: awselb/2.0\r\n", passes_server=True, signature="", client_idle_ns=None
    ),
    "nginx": Profile(
        name="nginx",
        server=b"Server: nginx\r\n",
        passes_server=False,
        signature="<hr><center>nginx</center>",
        client_idle_ns=75_000_000_000,  # keepalive_timeout
    ),
}
