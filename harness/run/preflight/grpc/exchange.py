"""One call outside the load, with the load's own connections and TLS; and a message's bytes as gRPC frames them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from harness.clock import NS
from harness.load.dial import Dialler
from harness.load.request import prepare
from harness.load.single_request import call
from harness.load.wire.grpc import fault
from harness.model import Outcome

if TYPE_CHECKING:
    from harness.load.single_request import Reply
    from harness.model import LoadPlan, Target

ASK_NS = 15 * NS
_PREFIX = 5
_MOST = 16 << 20  # bytes of an answer
_LONGEST_TIMEOUT = 99_999_999  # a deadline has eight digits
_MS = NS // 1000
_GOOD = 200  # the HTTP status of all answers of gRPC
_OURS = frozenset({"content-type", "te", "grpc-timeout"})


@dataclass(frozen=True, slots=True)
class Said:
    """What came of one call. `code`: gRPC's name of its status, or what became of the request."""

    code: str
    messages: tuple[bytes, ...] = ()
    why: str = ""
    pod: str = ""
    answered: bool = False  # by a server of gRPC, whatever its status


async def once(plan: LoadPlan, target: Target, path: str, message: bytes, most: int = _MOST) -> Said:
    """Call another method of the target's server, on a new connection with the load's own settings."""
    parts = urlsplit(target.url)
    timeout_ns = min(plan.timeout_ns, ASK_NS)
    own = tuple((name, value) for name, value in target.headers if name.lower() not in _OURS)
    asked = replace(
        target,
        url=parts._replace(path=path, query="", fragment="").geturl(),
        headers=(*headers(timeout_ns), *own),
        body=framed(message),
    )
    dialler = Dialler(replace(plan, timeout_ns=timeout_ns))
    return _said(await call(dialler, prepare(0, asked), most))


def _said(reply: Reply) -> Said:
    attempt, reader = reply.attempt, reply.reader
    if attempt.outcome is not Outcome.RESPONSE or reader is None or reader.head is None:
        return Said(attempt.outcome.value if attempt.outcome else "", why=attempt.why)
    if reader.status != _GOOD:
        return Said(f"HTTP {reader.status}", why="an HTTP answer, not gRPC's")
    wrong = fault(reader.head.content_type, reader.grpc_status, "streaming")
    if wrong is None:
        return Said("OK", tuple(messages(bytes(reader.body))), pod=reader.pod, answered=True)
    outcome, words = wrong
    return Said(outcome.value, why=words, pod=reader.pod, answered=outcome is not Outcome.GRPC_ERROR)


def headers(timeout_ns: int) -> tuple[tuple[str, str], ...]:
    """Return what every call has, with its deadline."""
    return (("TE", "trailers"), ("Content-Type", "application/grpc"), ("grpc-timeout", deadline(timeout_ns)))


def deadline(timeout_ns: int) -> str:
    """Return a time as the header grpc-timeout has it."""
    milliseconds = max(1, timeout_ns // _MS)
    return f"{milliseconds}m" if milliseconds <= _LONGEST_TIMEOUT else f"{timeout_ns // NS}S"


def framed(message: bytes) -> bytes:
    """Return a message as it is sent: not compressed, with its length before it."""
    return b"\0" + len(message).to_bytes(4) + message


def messages(body: bytes) -> list[bytes]:
    """Return the messages in a body."""
    found, at = [], 0
    while at + _PREFIX <= len(body):
        end = at + _PREFIX + int.from_bytes(body[at + 1 : at + _PREFIX])
        found.append(body[at + _PREFIX : end])
        at = end
    return found
