"""What depends on Linux: all of 127.0.0.0/8 is this host, and a full backlog drops SYNs."""

from __future__ import annotations

import contextlib
import socket


def may_bind(address: str, port: int) -> bool:
    """Tell whether a listener could bind there now. On other systems only 127.0.0.1 of 127.0.0.0/8 works."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except (OSError, OverflowError):
            return False
    return True


def claim(address: str, port: int) -> socket.socket | None:
    """Listen there, so that nobody else can while the socket is open; None if somebody already does."""
    holder = socket.socket()
    try:
        holder.bind((address, port))
        holder.listen(1)
    except OSError:
        holder.close()
        return None
    return holder


class BlackholeAddress:
    """An address that drops every SYN, like that of a pod whose network is gone.

    A listener whose queue is full drops further SYNs (tcp_abort_on_overflow=0, the default). With a backlog of 0, one
    connection that is not accepted fills it.
    """

    def __init__(self, address: str, port: int) -> None:
        """Start dropping SYNs. Raises OSError if another process listens there."""
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
        """Release the address: from now on it refuses."""
        self._filler.close()
        self._listener.close()
