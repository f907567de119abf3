"""The HTTP/2 connections of one worker's slots: attached, written, looked after, closed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.load import failures
from harness.load.failures import ERROR, GOAWAY, PEER, US, Ending
from harness.load.wire.h2.blocks import Blocks
from harness.load.wire.h2.frames import code_name
from harness.load.wire.h2.link import Link
from harness.load.wire.h2.requests import framed
from harness.load.wire.polling import Polling
from harness.load.wire.slot import READING, SENDING, WAITING, Slot
from harness.load.wire.sockets import BLOCKED, READ, READ_AND_WRITE
from harness.model import NEVER, LoadPlan, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.load.request import PreparedRequest
    from harness.load.wire.interface import Pacing, SlotOwner

_PIECE = 64 * 1024
GONE = Ending(PEER, GOAWAY)  # the end of a connection that the server has announced by GOAWAY


class Links(Polling):
    """The connections, and the sending half of the wire."""

    def __init__(self, owner: SlotOwner, anchor_ns: int, plan: LoadPlan, pacing: Pacing) -> None:
        super().__init__(anchor_ns, pacing)
        self._owner = owner
        self._alone = plan.streams == 1
        self._held: dict[Link, None] | None = (
            None  # while due hits are sent: connections with something to write
        )
        names = dict.fromkeys(name.lower().encode("latin-1") for name in plan.pod_headers)
        self._blocks = Blocks({name: rank for rank, name in enumerate(names)})
        self._links: dict[int, Link] = {}
        self._serving: Link | None = None  # what is sent on this one is written once its responses are served

    def prepare(self, requests: Iterable[PreparedRequest]) -> None:
        """Encode the requests as frames."""
        for prepared in requests:
            prepared.framed = framed(prepared)

    def attach(self, slot: Slot, sock: Any) -> None:
        """Give the slot this open connection, which other slots may have already."""
        fd = sock.fileno()
        link = self._links.get(fd)
        if link is None:
            link = self._links[fd] = Link(self._blocks, sock)
            self._epoll.register(fd, READ)
        link.slots.add(slot)
        slot.sock, slot.fd, slot.hits = sock, fd, 0

    def detach(self, slot: Slot) -> None:
        """Take its connection from the slot, whatever is in progress, and close it if no other slot has it."""
        link = self._links[slot.fd]
        link.retired = link.slow = True
        link.slots.discard(slot)
        if slot in link.queue:  # it was never sent, and takes its place in the order now
            link.queue.remove(slot)
            slot.seq, slot.sent = self.take_seq(), NEVER
        number = next((number for number, holder in link.inflight.items() if holder is slot), None)
        if number is not None:
            blocked = 0 if link.slots else len(link.unsent)
            slot.bytes_out = max(0, slot.bytes_out - blocked - link.unsent_of(number))
        if not link.slots:
            del self._links[slot.fd]
            self._epoll.unregister(slot.fd)
            link.close()
        elif number is not None:
            link.cancel(number)
            if not link.serving and not link.over:
                self._flush(link)
        slot.sock, slot.fd, slot.reader = None, -1, None

    def check_idle(self, slot: Slot) -> Ending | None:
        """Return how a connection that was idle must be closed before anything is sent on it; None if it is good."""
        link = self._links[slot.fd]
        if link.serving:
            return None
        if link.anything_waiting():
            self._take(link, link.read(), self.now())
        if slot.sock is None:
            return None
        if link.fault:
            return Ending(US, ERROR)
        if link.over:
            return failures.closed(link.error)
        return GONE if link.last_stream is not None and link.next > 1 else None

    def upkeep(self) -> None:
        """Open windows again, and see to what waits on connections that get no more hits. Called once a second."""
        for link in list(self._links.values()):
            link.upkeep()
            if link.queue and not link.open_for_more:
                self._start_queued(link, self.now())
                continue
            self._settle(link)
            if link.out and link.next > 1:
                self._flush(link)

    def _settle(self, link: Link) -> None:
        link.slow = link.over or bool(link.unsent or link.queue) or not link.quick

    def send(self, slot: Slot) -> None:
        """Send the slot's request: every hit is sent here, once, except on the fast path."""
        link = self._links[slot.fd]
        slot.first, slot.bytes_in, slot.bytes_out, slot.reader = NEVER, 0, 0, None
        slot.sent = self.now()
        if link.next > 1 and not link.open_for_more:  # the slot has not left it yet, and nothing is lost
            self._owner.close(slot, GONE, slot.sent)
            self._owner.begin(slot, slot.due)
        elif link.last_stream is not None:  # the server ended it before anything was sent on it
            slot.seq, slot.sent = self.take_seq(), NEVER
            self._owner.hit_failed(slot, Outcome.H2_GOAWAY, GONE, self.now(), goaway(link))
        elif link.queue or len(link.inflight) >= link.max_streams:
            link.queue.append(slot)
            link.slow = True
            slot.state = SENDING
        else:
            self._start(link, slot)
            if self._held is not None:
                self._held[link] = None
            elif not link.serving:
                self._flush(link)

    def _send_due(self, now: int) -> None:
        self._held = {}
        super()._send_due(now)
        held, self._held = self._held, None
        for link in held:
            self._flush(link)

    def _start(self, link: Link, slot: Slot) -> None:
        slot.seq = self.take_seq()
        slot.hits = link.next >> 1
        slot.state = WAITING
        slot.bytes_out = link.open(slot, slot.seq)

    def _start_queued(self, link: Link, now: int) -> None:
        """Send what waits for a stream, as far as the server allows; if it never will, use another connection."""
        while link.queue and link.open_for_more and len(link.inflight) < link.max_streams:
            slot = link.queue.pop(0)
            slot.sent = self.now()
            self._start(link, slot)
        if not link.open_for_more:
            self._send_elsewhere(link, GONE, now)

    def _send_elsewhere(self, link: Link, ending: Ending, now: int) -> None:
        """Let the slots whose requests were never sent use another connection."""
        queue, link.queue = link.queue, []
        for slot in queue:
            self._owner.close(slot, ending, now)
            self._owner.begin(slot, slot.due)

    def _flush(self, link: Link) -> None:
        """Write what is in `out`."""
        if link.sock is None:
            return
        data = link.unsent + b"".join(link.out)
        link.out.clear()
        if link.unsent:
            link.unsent = data
        elif data:
            self._write(link, memoryview(data))
        self._settle(link)

    def _write(self, link: Link, rest: memoryview) -> None:
        try:
            while rest:  # after it has blocked, TLS needs the same piece again, so cut pieces from the front
                rest = rest[link.send(rest[:_PIECE]) :]
        except BLOCKED:
            self._wait_to_write(link, rest)
            return
        except OSError as error:
            self._unwritten(link, error, rest)
            return
        if link.unsent:
            link.unsent = b""
            self._epoll.modify(link.fd, READ)
        self._mark_sending(link)

    def _wait_to_write(self, link: Link, rest: memoryview) -> None:
        if not link.unsent:
            self._epoll.modify(link.fd, READ_AND_WRITE)
        link.unsent = bytes(rest)
        link.slow = True
        self._mark_sending(link)

    def _mark_sending(self, link: Link) -> None:
        """Say of each hit whether its request is written. Of a blocked connection, nobody is asked which ones are."""
        for number, holder in link.inflight.items():
            slot: Any = holder
            if link.unsent or link.unsent_of(number):
                slot.state = SENDING
            elif slot.state == SENDING:
                slot.state = WAITING if slot.first == NEVER else READING

    def _unwritten(self, link: Link, error: OSError, rest: memoryview) -> None:
        """Handle a failed write. A server that stopped reading may still have responded, so read first."""
        link.unsent = bytes(rest)
        self._mark_sending(link)
        link.write_error = error
        data = link.read()
        link.end(link.error or error)
        self._take(link, data, self.now())

    def _take(self, link: Link, data: bytes, now: int) -> None:
        """Process bytes that came on a connection, and its end."""
        raise NotImplementedError


def goaway(link: Link) -> str:
    """Return what a server's GOAWAY said, as text."""
    return f"GOAWAY, last stream {link.last_stream}, code {code_name(link.gone_code)}"
