"""The sockets of one worker's slots over HTTP/1.1: attach them to a slot, write, close."""

from __future__ import annotations

import ssl
from fcntl import ioctl
from select import EPOLLET, EPOLLIN, EPOLLOUT, EPOLLRDHUP
from termios import FIONREAD
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from harness.load.wire.polling import Polling
from harness.load.wire.slot import READING, SENDING, WAITING, Slot
from harness.model import NEVER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from harness.load.request import PreparedRequest
    from harness.load.wire.interface import Pacing

BLOCKED = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
# Edge-triggered: what was reported once is not reported again, which saves the kernel work at each hit.
# So code that stops reading before a read blocks must call modify to be notified again.
READ = EPOLLIN | EPOLLRDHUP | EPOLLET
READ_AND_WRITE = READ | EPOLLOUT
_PIECE = 64 * 1024


class Sockets(Polling):
    """What HTTP/1.1 needs of a socket."""

    def __init__(self, anchor_ns: int, pacing: Pacing) -> None:
        super().__init__(anchor_ns, pacing)
        self._by_fd: dict[int, Slot] = {}

    def prepare(self, requests: Iterable[PreparedRequest]) -> None:
        """Do nothing: requests are prepared for HTTP/1.1."""

    def upkeep(self) -> None:
        """Do nothing once a second: only HTTP/2 has windows."""

    def attach(self, slot: Slot, sock: Any) -> None:
        """Give the slot this open connection."""
        slot.sock, slot.fd = sock, sock.fileno()
        if isinstance(sock, ssl.SSLSocket):
            # SSLSocket's methods check flags that are not used here, and then call the wrapped object, in C.
            # Calling that directly pays for the question asked after each read.
            wrapped = getattr(sock, "_sslobj", None) or sock
            slot.recv, slot.send = wrapped.read, wrapped.write
            slot.fast_recv = self._fast_recv_tls(slot)
        else:
            slot.recv, slot.send = sock.recv, sock.send
            slot.fast_recv = sock.recv
        slot.hits = 0
        self._by_fd[slot.fd] = slot
        self._epoll.register(slot.fd, READ)

    def detach(self, slot: Slot) -> None:
        """Close the slot's socket and forget it."""
        if slot.reader is not None:
            slot.reader.release()
            slot.reader = None
        self._by_fd.pop(slot.fd, None)
        self._epoll.unregister(slot.fd)
        slot.sock.close()
        slot.sock, slot.fd = None, -1
        slot.recv, slot.fast_recv, slot.send = bytes, bytes, len

    def _fast_recv_tls(self, slot: Slot) -> Callable[[int], bytes]:
        """Return how the fast path receives over TLS: only data that nothing follows.

        A read returns one record. If another one came with it, mostly the server's close, its edge has been used up:
        unless it is noticed now, before the next request is sent, that request times out. Asking by `ioctl` costs a
        third of a read.
        """
        read, fd, ask, which, waiting = slot.recv, slot.fd, ioctl, FIONREAD, self._waiting

        def receive(size: int) -> bytes:
            data = read(size)
            ask(fd, which, waiting)
            if waiting[0]:
                self._take(slot, data, self.now(), closing=True)
                raise BlockingIOError  # nothing is left for the fast path
            return data

        return receive

    def send(self, slot: Slot) -> None:
        """Send the slot's request: every hit is sent here, once, except on the fast path."""
        slot.seq = self.seq
        self.seq += 1
        slot.first, slot.bytes_in, slot.unsent, slot.write_error = NEVER, 0, None, None
        slot.state = WAITING
        prepared = slot.prepared
        if prepared.pieces:
            request = (b"%012x" % slot.seq).join(prepared.pieces)
        elif prepared.places:
            request = prepared.template % ((slot.seq,) * prepared.places)
        else:
            request = prepared.request
        slot.sent = monotonic_ns() - self._anchor
        rest: Any = request
        if len(request) <= _PIECE:
            try:
                written = slot.send(request)
            except BLOCKED:
                written = 0
            except OSError as error:
                self._unwritten(slot, error, memoryview(request))
                return
            if written == len(request):
                return
            rest = memoryview(request)[written:]
        self._write(slot, memoryview(rest))

    def _send_due(self, now: int) -> None:  # noqa: C901  calls are slow: this is `send` once more, for idle slots
        pacing, anchor = self._pacing, self._anchor
        arrivals, free = pacing.arrivals, pacing.free
        if arrivals is None or free is None:
            super()._send_due(now)
            return
        ask, which, waiting = ioctl, FIONREAD, self._waiting
        oldest = now - arrivals.patience_ns
        while free and (due := pacing.due_ns) <= now:
            slot = free[0]
            prepared = slot.prepared
            elsewhere = prepared.origin is not slot.origin and prepared.origin != slot.origin
            request = prepared.request
            if due < oldest or slot.sock is None or elsewhere or len(request) > _PIECE:
                arrivals.send_first(now)
                continue
            ask(slot.fd, which, waiting)
            if waiting[0]:  # something came while it was idle
                arrivals.send_first(now)
                continue
            free.popleft()
            slot.due = arrivals.next()
            slot.seq = seq = self.seq
            self.seq = seq + 1
            if prepared.pieces:
                request = (b"%012x" % seq).join(prepared.pieces)
            elif prepared.places:
                request = prepared.template % ((seq,) * prepared.places)
            slot.state = WAITING
            slot.sent = monotonic_ns() - anchor
            try:
                written = slot.send(request)
            except BLOCKED:
                written = 0
            except OSError as error:
                self._unwritten(slot, error, memoryview(request))
                continue
            if written != len(request):
                self._wait_to_write(slot, memoryview(request)[written:])
        if pacing.due_ns < oldest:
            arrivals.send(now)
        elif pacing.due_ns > now:
            arrivals.arm(now)

    def _write(self, slot: Slot, rest: memoryview) -> None:
        try:
            while rest:  # after it has blocked, TLS needs the same piece again, so cut pieces from the front
                rest = rest[slot.send(rest[:_PIECE]) :]
        except BLOCKED:
            self._wait_to_write(slot, rest)
            return
        except OSError as error:
            self._unwritten(slot, error, rest)
            return
        if slot.unsent is not None:
            slot.unsent = None
            self._epoll.modify(slot.fd, READ)
            slot.state = WAITING if slot.first == NEVER else READING

    def _wait_to_write(self, slot: Slot, rest: memoryview) -> None:
        if slot.unsent is None:
            self._epoll.modify(slot.fd, READ_AND_WRITE)
            slot.state = SENDING
        slot.unsent = rest

    def _unwritten(self, slot: Slot, error: OSError, rest: memoryview) -> None:
        """Handle a failed write; `rest` is what is left of the request."""
        raise NotImplementedError

    def _take(self, slot: Slot, data: bytes, now: int, *, closing: bool) -> None:
        """Process bytes of a response; `closing` if the connection may end after them."""
        raise NotImplementedError


def unread(slot: Slot) -> bool:
    """Return whether more TLS records may have come after what was read. Without TLS, an edge reports that."""
    return isinstance(slot.sock, ssl.SSLSocket) and (
        slot.sock.pending() > 0 or ioctl(slot.fd, FIONREAD, bytes(4)) != bytes(4)
    )
