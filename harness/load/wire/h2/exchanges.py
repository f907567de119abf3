"""What becomes of the hits on HTTP/2 connections, off the fast path: answered, malformed, reset, left out, cut."""

from __future__ import annotations

from select import EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP
from typing import TYPE_CHECKING, Any

from harness.load import failures
from harness.load.failures import ERROR, FIN, US, Ending
from harness.load.wire import grpc
from harness.load.wire.h2 import frames
from harness.load.wire.h2.connection import BEGUN, ENDED
from harness.load.wire.h2.frames import HEAD, answer_end, code_name
from harness.load.wire.h2.links import GONE, Links, goaway
from harness.load.wire.slot import IDLE, READING, SENDING, WAITING, Slot
from harness.load.wire.sockets import READ, READ_AND_WRITE
from harness.model import NEVER, LoadPlan, Outcome
from harness.recording.answers import NONE

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.load.answers import Said
    from harness.load.rows.writing import HitRows
    from harness.load.wire.h2.link import Link
    from harness.load.wire.h2.response import StreamReader
    from harness.load.wire.interface import Pacing, SlotOwner

_CLOSING = EPOLLRDHUP | EPOLLHUP | EPOLLERR
# What stands for a stream's number in a response that is looked up. It is longer than a number, so a response has as
# many numbers in place of marks as it is shorter than its key.
MARK = b"\xff\xffh2\xff"


class Exchanges(Links):
    """The receiving half of the wire, frame by frame."""

    def __init__(
        self, owner: SlotOwner, rows: HitRows, anchor_ns: int, plan: LoadPlan, pacing: Pacing
    ) -> None:
        super().__init__(owner, anchor_ns, plan, pacing)
        self._rows = rows
        self._answers = rows.answers
        # Without a wait after a failed hit, the fast path may serve it.
        self._remember_failed = not plan.error_backoff
        self._asked = plan.grpc

    def _event(self, link: Link, event: int) -> None:
        if event & (EPOLLIN | _CLOSING):
            data = link.read()
            if data or link.over:
                self._take(link, data, self.now())
        if event & EPOLLOUT and link.unsent and link.sock is not None:
            self._write(link, memoryview(link.unsent))
            self._settle(link)

    def _take(self, link: Link, data: bytes, now: int) -> None:
        """Process bytes that came on a connection, and its end."""
        whole = wholes(data) if link.quick else {}
        link.serving = True
        for number, holder, what in link.feed(data):
            slot: Any = holder
            if what == BEGUN:
                slot.first = now
                slot.state = READING if slot.state == WAITING else slot.state
            elif what == ENDED:
                self._ended(link, slot, whole.get(number, (b"", 0, 0)), now)
            else:
                self._reset(link, slot, what, now)
        self._left_out(link, now)
        if link.queue:
            self._start_queued(link, now)
        link.serving = False
        if link.fault:
            self._breach(link, now)
        if link.over:
            self._broken(link, now)
        if link.sock is not None:
            if link.exhausted:
                self._epoll.modify(link.fd, READ if not link.unsent else READ_AND_WRITE)
            self._flush(link)

    def _ended(self, link: Link, slot: Slot, whole: tuple[bytes, int, int], now: int) -> None:
        """Finish a hit whose response has ended, or is malformed."""
        reader: StreamReader = slot.reader
        if reader.fault:
            outcome = Outcome.EOF_MID_RESPONSE if reader.short else Outcome.PROTOCOL_ERROR
            self._owner.hit_failed(slot, outcome, Ending(US, ERROR), now, reader.fault)
            return
        prepared, status, pod = slot.prepared, reader.status, reader.pod
        kind = self._rows.kind(status, Outcome.RESPONSE, pod, prepared.index)
        failed = self._rows.failed(kind)
        content_type = reader.head.content_type if reader.head else ""
        if failed:
            kind = self._rows.kind(status, Outcome.RESPONSE, pod, prepared.index, answer=self.answer(slot))
        elif wrong := grpc.fault(content_type, reader.grpc_status, self._asked, reader.size, reader.body):
            outcome, words = wrong
            self._owner.keep_sample(outcome, words)
            failed = True
            kind = self._rows.kind(status, outcome, pod, prepared.index, answer=self.answer(slot))
        elif self._answers.looks:
            self._answers.good(prepared, slot.seq, reader.raw(), self._said(slot))
        if whole[1] and not self._pacing.draining and (not failed or self._remember_failed):
            key, size, flow = whole
            prepared.remember(key, (kind, size, flow))
        self._go_on(link, slot, kind, now, failed=failed)

    def _reset(self, link: Link, slot: Slot, code: int, now: int) -> None:
        """Finish a hit whose stream the server has reset. The connection lives on."""
        answered = slot.first != NEVER
        outcome = Outcome.H2_RESET_MID_RESPONSE if answered else Outcome.H2_RESET_BEFORE_RESPONSE
        if code == frames.REFUSED_STREAM:
            outcome = Outcome.H2_REFUSED_STREAM
        self._owner.keep_sample(outcome, f"RST_STREAM, code {code_name(code)}")
        status, pod = slot.head()
        kind = self._rows.kind(status, outcome, pod, slot.prepared.index, answer=self.answer(slot))
        self._go_on(link, slot, kind, now, failed=True)

    def _go_on(self, link: Link, slot: Slot, kind: int, now: int, *, failed: bool) -> None:
        self.row(slot, kind, now)
        slot.hits += 1
        if (
            not link.open_for_more
        ):  # the server has asked to close the connection, as HTTP/1.1 does in a header
            self._owner.close(slot, GONE if link.last_stream is not None else Ending(US, FIN), now)
        slot.first, slot.bytes_in, slot.reader = NEVER, 0, None
        self._owner.hit_done(slot, now, failed=failed)

    def _left_out(self, link: Link, now: int) -> None:
        """After GOAWAY: end the hits that the server will not answer, and the connection if it is idle."""
        if link.last_stream is None or link.sock is None:
            return
        for number, holder in list(link.inflight.items()):
            if int.from_bytes(number) > link.last_stream:
                slot: Any = link.inflight.pop(number, holder)
                self._owner.hit_failed(slot, Outcome.H2_GOAWAY, GONE, now, goaway(link))
        if not link.inflight:
            self._close(link, GONE, now)

    def _breach(self, link: Link, now: int) -> None:
        """End a connection whose server has broken the protocol."""
        link.say_goodbye()
        for number, holder in list(link.inflight.items()):
            slot: Any = link.inflight.pop(number, holder)
            self._owner.hit_failed(slot, Outcome.PROTOCOL_ERROR, Ending(US, ERROR), now, link.fault)
        self._close(link, Ending(US, ERROR), now)

    def _broken(self, link: Link, now: int) -> None:
        """Handle the end of a connection; without an error, it ended in an orderly way."""
        error = failures.unmask(link.write_error or link.error, link.sock) if link.sock else None
        ending = GONE if error is None and link.last_stream is not None else failures.closed(error)
        rest = len(link.unsent)
        for number, holder in reversed(
            link.inflight.items()
        ):  # the last requests are the last in what blocked
            unsent: Any = holder
            part = min(rest, unsent.bytes_out)
            rest -= part
            unsent.bytes_out = max(0, unsent.bytes_out - part - link.unsent_of(number))
        for number, holder in list(link.inflight.items()):
            slot: Any = link.inflight.pop(number, holder)
            answered = slot.first != NEVER
            if link.last_stream is not None and link.gone_code:
                self._owner.hit_failed(slot, Outcome.H2_GOAWAY, GONE, now, goaway(link))
            elif (
                link.write_error is not None and error is not None and slot.state == SENDING and not answered
            ):
                self._owner.hit_failed(slot, failures.unsent(error), ending, now, error)
            else:
                outcome = failures.lost(error, answered=answered)
                self._owner.hit_failed(slot, outcome, ending, now, error or "end of stream")
        self._close(link, ending, now)

    def _close(self, link: Link, ending: Ending, now: int) -> None:
        """Close a connection on which no hit is in flight."""
        self._send_elsewhere(link, ending, now)
        for slot in list(link.slots):
            if link.sock is not None and slot.state == IDLE:
                self._owner.close(slot, ending, now)

    def answer(self, slot: Slot) -> int:
        """Keep what the slot's failed answer said, and return its index; NONE if its head did not come."""
        reader: StreamReader | None = slot.reader
        if reader is None or reader.head is None:
            return NONE
        return self._answers.failed(
            slot.prepared, slot.seq, reader.status, reader.grpc_status or "", reader.raw(), self._said(slot)
        )

    def _said(self, slot: Slot) -> Callable[[], Said]:
        link, reader = self._links.get(slot.fd), slot.reader
        closes = link is not None and not link.open_for_more
        return lambda: reader.said(closes=closes)

    def row(self, slot: Slot, kind: int, done_ns: int) -> None:
        """Write the row of the slot's hit. Its bytes are those of the frames on its stream."""
        self._rows.add(
            slot.seq, slot.ident, slot.hits, slot.due, slot.sent, slot.first, done_ns, slot.bytes_in,
            0 if slot.sent == NEVER else slot.bytes_out, kind,
        )  # fmt: skip


def wholes(data: bytes) -> dict[bytes, tuple[bytes, int, int]]:
    """Return the responses in these bytes that may be looked up from now on: stream -> key, size, bytes of DATA."""
    found: dict[bytes, tuple[bytes, int, int]] = {}
    at = 0
    while at < len(data):
        end, count, content = answer_end(data, at)
        if not count:
            break
        number = data[at + 5 : at + HEAD]
        key = data[at:end].replace(number, MARK)
        if key.count(MARK) == count == len(key) - (end - at):
            found[number] = key, end - at, content
        at = end
    return found
