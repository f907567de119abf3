"""All that is particular to Linux: that the whole of 127.0.0.0/8 is this host, and how a full backlog falls silent."""

from __future__ import annotations

import contextlib
import socket


def may_bind(address: str, port: int) -> bool:
    """Tell whether a listener could be bound there now. Elsewhere only 127.0.0.1 of 127.0.0.0/8 can be."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except (OSError, OverflowError):
            return False
    return True


def claim(address: str, port: int) -> socket.socket | None:
    """Listen there and keep it: nobody else can while the socket is open. None when somebody does already."""
    holder = socket.socket()
    try:
        holder.bind((address, port))
        holder.listen(1)
    except OSError:
        holder.close()
        return None
    return holder


class BlackholeAddress:
    """An address that answers nothing: a SYN to it is dropped, as one to a pod whose network is gone.

    A listener whose queue is full drops further SYNs (tcp_abort_on_overflow=0, the default). One connection
    that nobody accepts fills a backlog of 0.
    """

    def __init__(self, address: str, port: int) -> None:
        """Begin; raises OSError while somebody else listens there."""
        self._listener = socket.socket()
        self._filler = socket.socket()
        try:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind((address, port))
            self._listener.listen(0)
            self._filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                self._filler.connect((address, port))
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Give the address back: from now on it refuses."""
        self._filler.close()
        self._listener.close()
