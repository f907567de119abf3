"""The hot path: HTTP/1.1 on the sockets of one worker's slots. Send, read, classify, write a row.

All sockets are in one epoll set (sockets.py), which the event loop watches as a single descriptor. One plain loop
(`_batch`) serves the ready sockets. Its fast path: receive, look the bytes up among the responses parsed before, write
the row, send. Everything else, the slow path, is in methods. `ready` waits on the epoll set itself until the event loop
is needed, so a wake-up costs one system call. Wake-ups are the main cost at a low rate, because a processor that has
slept runs slowly at first.

No request is sent twice: `send` is called once per hit, and a hit that fails is over.
"""

from __future__ import annotations

from fcntl import ioctl
from select import EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP
from termios import FIONREAD
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from harness.load import failures
from harness.load.failures import ERROR, FIN, US, Ending
from harness.load.rows.writing import ROW, HitRows
from harness.load.wire import grpc, idle
from harness.load.wire.response import ResponseReader, next_reader
from harness.load.wire.slot import IDLE, READING, SENDING, WAITING, Slot
from harness.load.wire.sockets import BLOCKED, READ, READ_AND_WRITE, Sockets, unread
from harness.model import NEVER, LoadPlan, Outcome
from harness.recording.answers import NONE

if TYPE_CHECKING:
    from harness.load.wire.interface import Pacing, SlotOwner

_CLOSING = EPOLLRDHUP | EPOLLHUP | EPOLLERR
_FIRST_READ = 32 * 1024  # most responses are small; longer ones continue with big reads
_BIG_READ = 256 * 1024
_READS = 32  # in a row on one connection, so that one download does not starve the others


class Http1Wire(Sockets):
    """Sends the hits of one worker's slots over HTTP/1.1 (see Wire)."""

    def __init__(
        self, owner: SlotOwner, rows: HitRows, anchor_ns: int, plan: LoadPlan, pacing: Pacing
    ) -> None:
        super().__init__(anchor_ns, pacing)
        self._owner = owner
        self._rows = rows
        self._answers = rows.answers
        # Without a wait after a failed hit, the fast path may serve it.
        self._remember_failed = not plan.error_backoff
        names = dict.fromkeys(name.lower().encode("latin-1") for name in plan.pod_headers)
        self._pod_headers = {name: rank for rank, name in enumerate(names)}

    # --- the hot loop -------------------------------------------------------------------------------------

    def _batch(self, events: list[tuple[int, int]]) -> int:  # noqa: C901, PLR0912, PLR0915  calls are slow
        rows = self._rows
        if rows.offset >= rows.limit:
            rows.flush()
        buffer, pack, size = rows.buffer, ROW.pack_into, ROW.size
        by_fd, anchor, pacing = self._by_fd, self._anchor, self._pacing
        numbered, slow_path, target_cycle = pacing.numbered, pacing.slow_path, pacing.target_cycle
        free = pacing.free
        arrivals: Any = pacing.arrivals
        patience = arrivals.patience_ns if arrivals else 0
        now = 0
        for fd, event in events:
            slot = by_fd.get(fd)
            if slot is None:  # a watched descriptor, or a connection closed earlier in this batch
                self._watched.get(fd, _nothing)()
                continue
            if event != EPOLLIN or slot.state != WAITING:
                self._event(slot, event)
                continue
            receive = slot.fast_recv  # calling an attribute of a slot like a method is slower
            try:
                data = receive(_FIRST_READ)
            except BLOCKED:
                continue
            except OSError as error:
                self._broken(slot, error, self.now())
                continue
            now = monotonic_ns() - anchor
            prepared = slot.prepared
            kind = prepared.known.get(data)
            if kind is None:
                self._take(slot, data, now, closing=False)
                continue
            request = prepared.request
            hits = slot.hits
            pack(
                buffer, rows.offset, slot.seq, slot.ident, hits, slot.due, slot.sent, now, now,
                len(data), len(request), kind,
            )  # fmt: skip
            rows.offset += size
            slot.hits = hits + 1
            if slow_path:
                self._owner.hit_done(slot, now, failed=self._rows.failed(kind))
                continue
            due = now
            if free is not None:  # an open loop
                if free or not now - patience <= pacing.due_ns <= now:  # what is due is sent after this batch
                    if target_cycle is not None:
                        slot.prepared = next(target_cycle)
                    slot.state = IDLE
                    free.append(slot)
                    continue
                due = arrivals.next()  # a hit has waited for a slot
            if target_cycle is not None:
                slot.prepared = prepared = next(target_cycle)
                if prepared.origin != slot.origin:
                    self._owner.begin(slot, due)
                    continue
                request = prepared.request
            slot.due = due
            slot.sent = now
            slot.seq = seq = self.seq
            self.seq = seq + 1
            if numbered:
                if prepared.pieces:
                    request = (b"%012x" % seq).join(prepared.pieces)
                elif prepared.places:
                    request = prepared.template % ((seq,) * prepared.places)
            send = slot.send
            try:
                written = send(request)
            except OSError as error:
                if isinstance(error, BLOCKED):
                    self._wait_to_write(slot, memoryview(request))
                else:
                    self._unwritten(slot, error, memoryview(request))
                continue
            if written != len(request):
                self._wait_to_write(slot, memoryview(request)[written:])
        return now or self.now()

    def _event(self, slot: Slot, event: int) -> None:
        closing = bool(event & _CLOSING)
        if closing or event & EPOLLIN:
            try:
                data = slot.recv(_BIG_READ)
            except BLOCKED:
                pass  # a part of a TLS record, or one without data
            except OSError as error:
                self._broken(slot, error, self.now())
                return
            else:
                self._take(slot, data, self.now(), closing=closing)
        # An edge is reported once: what was reported together with the response's bytes is not reported again.
        if event & EPOLLOUT and slot.state == SENDING and slot.unsent is not None:
            self._write(slot, slot.unsent)

    def check_idle(self, slot: Slot) -> Ending | None:
        """Check whether anything came on an idle connection: it would be taken for the next response."""
        ioctl(slot.fd, FIONREAD, self._waiting)
        return idle.check(slot) if self._waiting[0] else None

    # --- reading ------------------------------------------------------------------------------------------

    def _unwritten(self, slot: Slot, error: OSError, rest: memoryview) -> None:
        """Handle a failed write. A server that stopped reading may still have responded, so read first."""
        slot.unsent = rest
        slot.write_error = error
        try:
            data = slot.recv(_BIG_READ)
        except OSError:
            data = b""
        if data:
            self._take(slot, data, self.now(), closing=True)
        else:
            self._broken(slot, error, self.now())

    def _take(self, slot: Slot, data: bytes, now: int, *, closing: bool) -> None:
        """Process bytes of a response; `data` is empty at the end of the stream."""
        if slot.state not in {SENDING, WAITING, READING}:
            if ending := idle.check(slot, data):
                self._owner.close(slot, ending, now)
            return
        if slot.first == NEVER and data:
            slot.first = now
            slot.reader = next_reader(
                slot.reader, self._pod_headers, head_request=slot.prepared.method == "HEAD"
            )
        if slot.state == WAITING:
            slot.state = READING
        reads = 0
        while not self._digest(slot, data, now, closing=closing):
            reads += 1
            if reads == _READS:
                self._rearm(slot)
                return
            try:
                data = slot.recv(_BIG_READ)
            except BLOCKED:
                return
            except OSError as error:
                self._broken(slot, error, self.now())
                return
            now = self.now()

    def _rearm(self, slot: Slot) -> None:
        self._epoll.modify(slot.fd, READ if slot.unsent is None else READ_AND_WRITE)

    def _digest(self, slot: Slot, data: bytes, now: int, *, closing: bool) -> bool:
        """Feed the parser; return whether the hit has ended."""
        response = slot.reader
        if not data or response is None:
            self._broken(slot, None, now)
            return True
        slot.bytes_in += len(data)
        response.feed(data)
        if response.fault:
            self._owner.hit_failed(slot, Outcome.PROTOCOL_ERROR, Ending(US, ERROR), now, response.fault)
        elif response.done:
            ending = self._ending(slot, response, closing=closing)
            self._complete(slot, response, ending, data if slot.bytes_in == len(data) else b"", now)
        return bool(response.fault) or response.done

    def _complete(
        self, slot: Slot, response: ResponseReader, ending: Ending | None, whole: bytes, now: int
    ) -> None:
        """Finish a complete response: write its row, and close the connection if it cannot be used again.

        `whole` holds the response's bytes if they came in one piece; only such responses are remembered.
        """
        prepared, status, pod, cut = slot.prepared, response.status, response.pod, response.until_close
        kind = self._rows.kind(status, Outcome.RESPONSE, pod, prepared.index, until_close=cut)
        failed = self._rows.failed(kind)
        if failed:
            kind = self._rows.kind(
                status, Outcome.RESPONSE, pod, prepared.index, until_close=cut, answer=self.answer(slot)
            )
        elif wrong := grpc.fault(response.content_type, response.grpc_status):
            outcome, words = wrong
            self._owner.keep_sample(outcome, words)
            failed = True
            kind = self._rows.kind(status, outcome, pod, prepared.index, answer=self.answer(slot))
        elif self._answers.looks:
            self._answers.good(prepared, slot.seq, response.begin, response.said)
        response.begin = b""
        self.row(slot, kind, now)
        slot.hits += 1
        if ending is not None:
            self._owner.close(slot, ending, now)
        elif not self._pacing.draining and (not failed or self._remember_failed):
            prepared.remember(whole, kind)
        slot.first, slot.bytes_in, slot.unsent = NEVER, 0, None
        self._owner.hit_done(slot, now, failed=failed)

    def _ending(self, slot: Slot, response: ResponseReader, *, closing: bool) -> Ending | None:
        """Return how the connection must end after a complete response; None if it can be used again.

        Bytes after it do not invalidate the response, whose length is known. But the connection cannot be used any
        more, because they could not be told from the next response.
        """
        if response.extra:
            return idle.after_response(response.next_status)
        if slot.unsent is not None or not response.keep_alive:
            return Ending(US, FIN)
        return idle.check(slot) if closing or unread(slot) else None

    def _broken(self, slot: Slot, error: OSError | None, now: int) -> None:
        """Handle the end of a connection; without an error, it ended in an orderly way."""
        answered = slot.first != NEVER
        unwritten = slot.write_error is not None and not answered
        error = failures.unmask(slot.write_error if unwritten else error, slot.sock)
        if slot.state not in {SENDING, WAITING, READING}:
            self._owner.close(slot, failures.closed(error), now)
        elif error is None and answered and slot.reader is not None and slot.reader.ended():
            self._complete(slot, slot.reader, failures.closed(None), b"", now)
        elif unwritten and error is not None:
            self._owner.hit_failed(slot, failures.unsent(error), failures.closed(error), now, error)
        else:
            outcome = failures.lost(error, answered=answered)
            self._owner.hit_failed(slot, outcome, failures.closed(error), now, error or "end of stream")

    def answer(self, slot: Slot) -> int:
        """Keep what the slot's failed answer said, and return its index; NONE if its head did not come."""
        reader = slot.reader
        if slot.first == NEVER or reader is None or not reader.begin:
            return NONE
        return self._answers.failed(
            slot.prepared, slot.seq, reader.status, reader.grpc_status or "", reader.begin, reader.said
        )

    def row(self, slot: Slot, kind: int, done_ns: int) -> None:
        """Write the row of the slot's hit, on the slow path."""
        out = (
            0
            if slot.sent == NEVER
            else len(slot.prepared.request) - (0 if slot.unsent is None else len(slot.unsent))
        )
        self._rows.add(
            slot.seq, slot.ident, slot.hits, slot.due, slot.sent, slot.first, done_ns, slot.bytes_in, out, kind
        )  # fmt: skip


def _nothing() -> None:
    """Do nothing about a connection that is closed already."""
