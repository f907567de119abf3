"""What a connection may bring while no request is out on it, and what that makes of the connection.

RFC 9112 (9.2): such bytes are the answer to nothing, least of all to the request that is sent next, and the connection
ends. An orderly end at rest is none of a request's business. Two things more are legal or usual there: empty lines, which
mean nothing, and a 408 with which some servers and balancers say goodbye to a connection that was idle for too long.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.load import failures
from harness.load.failures import ERROR, FIN, PEER, UNASKED, US, Ending
from harness.load.wire.sockets import BLOCKED

if TYPE_CHECKING:
    from harness.load.wire.slot import Slot

GOODBYE = 408
_READ = 256 * 1024
_GOODBYE = re.compile(rb"\s*HTTP/1\.[01] 408[ \r\n]")
_ANSWER = re.compile(rb"\s*HTTP/")


def unasked(data: bytes) -> Ending | None:
    """Name the end of a connection that brought these bytes at rest; None where they mean nothing."""
    if not data.strip(b"\r\n"):
        return None
    if _GOODBYE.match(data):
        return Ending(PEER, FIN)
    return Ending(US, UNASKED if _ANSWER.match(data) else ERROR)


def behind(status: int) -> Ending:
    """Name the same where the bytes came right behind an answer: what status they began with, 0 for no answer."""
    if status == GOODBYE:
        return Ending(PEER, FIN)
    return Ending(US, UNASKED if status else ERROR)


def listen(slot: Slot, data: bytes | None = None) -> Ending | None:
    """Read what there is of a connection at rest (after `data`, if that has been read); None while it is good."""
    while True:
        if data is None:
            try:
                data = slot.recv(_READ)
            except BLOCKED:
                return None
            except OSError as error:
                return failures.closed(failures.unmask(error, slot.sock))
        ending = unasked(data) if data else Ending(PEER, FIN)
        if ending is not None:
            return ending
        data = None
