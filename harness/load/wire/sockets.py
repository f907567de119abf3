"""The sockets of one worker's slots, in one epoll set: put under a slot, written to, watched, closed."""

from __future__ import annotations

import ssl
from array import array
from fcntl import ioctl
from select import EPOLLET, EPOLLIN, EPOLLOUT, EPOLLRDHUP, epoll
from termios import FIONREAD
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from harness.load.wire.slot import READING, SENDING, WAITING, Slot
from harness.model import NEVER

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.load.failures import Ending

BLOCKED = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
# Edges, not levels: what has been reported once is not looked at again, which saves the kernel a look per hit.
# So whoever stops reading before it blocks must have the set look again.
READ = EPOLLIN | EPOLLRDHUP | EPOLLET
READ_AND_WRITE = READ | EPOLLOUT
_PIECE = 64 * 1024


class Sockets:
    """All moments are on the run's clock, `anchor_ns` being its zero on the monotonic one."""

    def __init__(self, anchor_ns: int) -> None:
        self._anchor = anchor_ns
        self._by_fd: dict[int, Slot] = {}
        self._watched: dict[int, Callable[[], None]] = {}
        self._epoll = epoll()
        # Where the kernel puts how many bytes wait: made once and written to is cheapest.
        self._waiting = array("i", [0])
        self.seq = 0  # the next hit's

    def watch(self, fd: int, ready: Callable[[], None]) -> None:
        """Call `ready` whenever this descriptor is readable, with the same delay that responses meet."""
        self._watched[fd] = ready
        self._epoll.register(fd, EPOLLIN)

    def unwatch(self, fd: int) -> None:
        """Call nothing any more."""
        del self._watched[fd]
        self._epoll.unregister(fd)

    def fileno(self) -> int:
        """Return the descriptor to watch: readable when `ready` has something to do."""
        return self._epoll.fileno()

    def now(self) -> int:
        """Return the time on the run's clock."""
        return monotonic_ns() - self._anchor

    def take_seq(self) -> int:
        """Return the number of the next hit, and count it."""
        seq, self.seq = self.seq, self.seq + 1
        return seq

    def attach(self, slot: Slot, sock: Any) -> None:
        """Put an open connection under a slot."""
        slot.sock, slot.fd = sock, sock.fileno()
        if isinstance(sock, ssl.SSLSocket):
            # SSLSocket's methods look at flags that nobody here uses, and then call what it wraps, in C: that
            # pays for the question that is asked after each read.
            wrapped = getattr(sock, "_sslobj", None) or sock
            slot.recv, slot.send = wrapped.read, wrapped.write
            slot.fast_recv = self._of_records(slot)
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

    def _of_records(self, slot: Slot) -> Callable[[int], bytes]:
        """Return how the straight way receives under TLS: only what has nothing behind it.

        A read takes one record. What came along with it, a goodbye mostly, has had its edge: it is seen now, before
        the next request is sent after it, or not until that has timed out. `ioctl` asks at a third of a read's price.
        """
        read, fd, ask, which, waiting = slot.recv, slot.fd, ioctl, FIONREAD, self._waiting

        def receive(size: int) -> bytes:
            data = read(size)
            ask(fd, which, waiting)
            if waiting[0]:
                self._take(slot, data, self.now(), closing=True)
                raise BlockingIOError  # nothing is left for the straight way
            return data

        return receive

    def check_idle(self, slot: Slot) -> Ending | None:
        """Tell how a connection that has rested is to end before anything is sent on it; None: it is good."""
        del slot
        return None

    def send(self, slot: Slot) -> None:
        """Send the slot's request on its connection: the one place where a hit is sent, save the straight way."""
        slot.seq = self.seq
        self.seq += 1
        slot.first, slot.bytes_in, slot.unsent, slot.write_error = NEVER, 0, None, None
        slot.state = WAITING
        prepared = slot.prepared
        request = prepared.template % ((slot.seq,) * prepared.places) if prepared.places else prepared.request
        slot.sent = self.now()
        self._write(slot, memoryview(request))

    def _write(self, slot: Slot, rest: memoryview) -> None:
        try:
            while rest:  # TLS wants the same piece again after it has blocked: pieces are cut from the front
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
        """Give up writing; `rest` is what is left of the request."""
        raise NotImplementedError

    def _take(self, slot: Slot, data: bytes, now: int, *, closing: bool) -> None:
        """Take in bytes of a response; `closing` where the connection may be at its end behind them."""
        raise NotImplementedError


def unread(slot: Slot) -> bool:
    """Tell whether records may have come behind what was read: under TLS, for else an edge tells."""
    return isinstance(slot.sock, ssl.SSLSocket) and (
        slot.sock.pending() > 0 or ioctl(slot.fd, FIONREAD, bytes(4)) != bytes(4)
    )
