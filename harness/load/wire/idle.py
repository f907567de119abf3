"""What may arrive on an idle connection, and what becomes of the connection then.

RFC 9112 (9.2): bytes that arrive while no request is out respond to nothing, and least of all to the next request; the
connection must be closed. An orderly close of an idle connection is not a failed request. Two more things are legal
or usual: empty lines, which mean nothing, and a 408, with which some servers and balancers close a connection that
was idle for too long.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.load import failures
from harness.load.failures import ERROR, FIN, PEER, UNASKED, US, Ending
from harness.load.wire.sockets import BLOCKED

if TYPE_CHECKING:
    from harness.load.wire.slot import Slot

TIMEOUT_STATUS = 408
_READ = 256 * 1024
_TIMEOUT = re.compile(rb"\s*HTTP/1\.[01] 408[ \r\n]")
_ANSWER = re.compile(rb"\s*HTTP/")


def unsolicited(data: bytes) -> Ending | None:
    """Return how a connection must end that brought these bytes while idle; None if they mean nothing."""
    if not data.strip(b"\r\n"):
        return None
    if _TIMEOUT.match(data):
        return Ending(PEER, FIN)
    return Ending(US, UNASKED if _ANSWER.match(data) else ERROR)


def after_response(status: int) -> Ending:
    """Return the same for bytes right after a response: `status` is what they began with, 0 if it was no response."""
    if status == TIMEOUT_STATUS:
        return Ending(PEER, FIN)
    return Ending(US, UNASKED if status else ERROR)


def check(slot: Slot, data: bytes | None = None) -> Ending | None:
    """Read what has come on an idle connection (after `data`, if that was read already); None if it is still good."""
    while True:
        if data is None:
            try:
                data = slot.recv(_READ)
            except BLOCKED:
                return None
            except OSError as error:
                return failures.closed(failures.unmask(error, slot.sock))
        ending = unsolicited(data) if data else Ending(PEER, FIN)
        if ending is not None:
            return ending
        data = None
