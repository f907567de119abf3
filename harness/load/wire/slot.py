"""A slot: one of the N places of a fixed concurrency."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.load.rows.writing import Opening
from harness.model import NEVER, Outcome

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from harness.load.dial import Address
    from harness.load.request import Origin, PreparedRequest

# The states of a slot.
IDLE, DIALLING, SENDING, WAITING, READING, PROBING, ENDED = range(7)
# The states in which a hit can time out, with its outcome and a text.
TIMED_OUT = {
    SENDING: (Outcome.WRITE_TIMEOUT, "timed out writing"),
    WAITING: (Outcome.READ_TIMEOUT_HEADERS, "timed out before the response"),
    READING: (Outcome.READ_TIMEOUT_BODY, "timed out in the response"),
}


@dataclass(slots=True, eq=False)
class Slot:
    """One of the N places, with its current hit and its current connection.

    `first`, `bytes_in` and `unsent` have their defaults (NEVER, 0, None) whenever the slot is WAITING, so the fast
    path need not touch them.
    """

    index: int  # over all workers
    prepared: PreparedRequest
    state: int = IDLE
    # the hit
    seq: int = NEVER
    due: int = NEVER
    sent: int = NEVER
    first: int = NEVER
    bytes_in: int = 0
    unsent: memoryview | None = None
    write_error: OSError | None = None
    bytes_out: int = 0  # of the request; only HTTP/2 counts here
    reader: Any = None  # a ResponseReader or, over HTTP/2, a StreamReader
    held: tuple[Outcome, int] | None = (
        None  # outcome and time of a failed hit, while a probe decides whether it was a race
    )
    # the connection
    sock: Any = None  # socket.socket or ssl.SSLSocket
    fd: int = -1
    recv: Callable[[int], bytes] = bytes
    fast_recv: Callable[[int], bytes] = bytes  # recv, as the fast path calls it
    send: Callable[[Any], int] = len
    conn: int = NEVER
    ident: int = 0
    hits: int = 0
    last_hit: int = 0  # close the connection after this many hits; 0: no limit
    old_at: int = 0  # close the connection after this time; 0: no limit
    origin: Origin | None = None
    address: Address | None = None
    opening: Opening = field(default_factory=Opening)
    # across hits
    failed_connects: int = 0
    timer: asyncio.TimerHandle | None = None
    task: asyncio.Task[None] | None = None

    def head(self) -> tuple[int, str]:
        """Return status and pod of the response; 0 and "" if its head has not come."""
        if self.first == NEVER or self.reader is None:
            return 0, ""
        return self.reader.status, self.reader.pod
