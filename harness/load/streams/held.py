"""A slot that holds a stream: where it is, its connection, and what it waits for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.load.rows.writing import Opening
from harness.model import NEVER

if TYPE_CHECKING:
    import asyncio

    from harness.load.request import PreparedRequest
    from harness.load.streams.conversation import Conversation
    from harness.load.streams.life import Life
    from harness.load.streams.link import Link

# Where a slot is: waiting to connect, connecting, waiting for the head of the answer, holding a stream.
RESTING, DIALLING, SHAKING, OPEN, ENDED = range(5)


@dataclass(frozen=True, slots=True)
class Back:
    """How a slot got its stream back: which one it had lost, when, by how many tries, and what refused the others."""

    conn: int = -1  # of the stream that was lost
    lost_ns: int = -1
    tries: int = 1  # the one that worked included
    refused: str = ""  # "502, 502, connect_refused"


@dataclass(slots=True, eq=False)
class Held:
    """One of the N streams."""

    index: int  # over all workers
    prepared: PreparedRequest
    state: int = RESTING
    # the connection
    link: Link | None = None
    talk: Conversation | None = None
    life: Life | None = None
    conn: int = NEVER
    ident: int = 0
    opening: Opening = field(default_factory=Opening)
    hits: int = 0  # rows written for it
    seq: int = NEVER  # of its handshake
    due: int = NEVER
    sent: int = NEVER
    first: int = NEVER
    bytes_in: int = 0  # since its last row
    bytes_out: int = 0
    noted: int = NEVER  # when its last row was written
    asked: int = NEVER  # when we sent a message that nothing has answered yet
    pinged: int = NEVER
    # across connections
    kind: str = "websocket"  # of the last stream
    last_id: bytes = b""
    retry_ns: int = 0
    lost: tuple[int, int] = (-1, NEVER)  # conn of the stream that was lost, and when
    refused: list[str] = field(default_factory=list)  # how the tries since then ended
    timer: asyncio.TimerHandle | None = None
    sender: asyncio.TimerHandle | None = None
    task: asyncio.Task[None] | None = None

    def back(self) -> Back:
        """Return how the slot got its stream back, now that it has one."""
        conn, lost_ns = self.lost
        return Back(conn, lost_ns, len(self.refused) + 1, ", ".join(self.refused))

    def begin(self, now: int) -> None:
        """Forget the connection before, and begin a new one."""
        self.link = self.talk = self.life = None
        self.conn = self.sent = self.first = self.asked = NEVER
        self.seq = NEVER
        self.ident = self.hits = self.bytes_in = self.bytes_out = 0
        self.opening = Opening()
        self.due = now
