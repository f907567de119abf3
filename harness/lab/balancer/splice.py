"""The profile `service`, which imitates kube-proxy: no HTTP, each client connection is spliced to one pod.

A connection stays with its pod until one side closes it, even after the pod has left the endpoints (conntrack keeps
established flows). If a pod refuses, resets or closes, the client sees that.
One difference from the real thing: there the client's SYN reaches the pod, here our listener has accepted it. So a
pod that refuses shows as a reset right after the connect, and a silent one as a connection on which nothing
arrives. A Service without endpoints does refuse: the listener is closed while there are none.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from typing import TYPE_CHECKING

from harness.lab.balancer.bytestream import HIGH_WATER, ByteStream
from harness.lab.balancer.profiles import CUT, Loss, Stage, connect_loss

if TYPE_CHECKING:
    import asyncio

    from harness.lab.balancer.context import Context
    from harness.lab.balancer.upstream import UpstreamTarget

_RESET = struct.pack("ii", 1, 0)
_ENOUGH = 2048  # bytes of a request that are kept, for its head


class Splice:
    """A client connection and the connection to its pod. It is a losses.Exchange."""

    def __init__(self, context: Context, sock: socket.socket) -> None:
        self._context = context
        self.loop = context.loop
        self.begun = self.active = self.loop.time()
        self.rested = 0.0
        self.uses = 0
        self._asked = False  # the last bytes went to the pod: a request may be in flight
        self._answering = False
        self._head = b""
        self._client_sock = sock
        self._client: ByteStream | None = None
        self._pod: ByteStream | None = None
        self._timer: asyncio.TimerHandle | None = None
        target = context.group.pick()
        if target is None:  # the listener is about to be closed
            self._reset(sock)
            return
        self.target: UpstreamTarget = target
        self._connect()

    def _connect(self) -> None:
        target = self.target
        try:
            self._pod_sock = sock = socket.socket(
                socket.AF_INET6 if ":" in target.address else socket.AF_INET
            )
        except OSError as error:
            self._refused(error.errno or errno.EMFILE)
            return
        sock.setblocking(False)
        code = sock.connect_ex((target.address, target.port))
        if code in {0, errno.EINPROGRESS}:
            self._timer = self.loop.call_later(target.connect_s, self._refused, errno.ETIMEDOUT)
            self.loop.add_writer(sock, self._connected)
        else:
            self._refused(code)

    def _refused(self, code: int) -> None:
        self._context.losses.lost(self._peek(), CUT, connect_loss(code), Stage.CONNECTING, self)
        self._end_connecting()
        self._reset(self._client_sock)

    def _peek(self) -> bytes:
        """Return what the client has sent so far."""
        try:
            return self._client_sock.recv(_ENOUGH, socket.MSG_PEEK)
        except OSError:
            return b""

    def _end_connecting(self) -> None:
        if self._timer:
            self._timer.cancel()
        if hasattr(self, "_pod_sock"):
            self.loop.remove_writer(self._pod_sock)
            if self._pod is None:
                self._pod_sock.close()

    def _connected(self) -> None:
        code = self._pod_sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._refused(code)
            return
        if self._timer:
            self._timer.cancel()
        self.loop.remove_writer(self._pod_sock)
        self._client = ByteStream(self.loop, self._client_sock, _Side(self, to_pod=True))
        self._pod = ByteStream(self.loop, self._pod_sock, _Side(self, to_pod=False))

    @staticmethod
    def _reset(sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        sock.close()

    def carry(self, data: bytes, *, to_pod: bool) -> bool:
        """Pass bytes on."""
        client, pod = self._client, self._pod
        assert client is not None  # noqa: S101  for mypy: both streams are created together
        assert pod is not None  # noqa: S101
        if to_pod and not self._asked:
            now = self.loop.time()
            self.rested, self.begun = now - self.active, now
            self.uses += 1
            self._head = data[:_ENOUGH]
        self.active = self.loop.time()
        self._asked, self._answering = to_pod, not to_pod
        here, there = (client, pod) if to_pod else (pod, client)
        there.write(data)
        if there.queued > HIGH_WATER:
            here.pause()
        return False

    def room(self, *, to_pod: bool) -> None:
        """Continue reading: the other side has taken what was queued for it."""
        other = self._pod if to_pod else self._client
        if other:
            other.resume()

    def over(self, error: OSError | None, *, by_client: bool) -> None:
        """Close the other side as this one was closed: a FIN for a FIN, a reset for a reset."""
        if self._asked and not by_client:
            loss = Loss.RESET if error else Loss.EOF
            self._context.losses.lost(self._head, CUT, loss, Stage.WAITING, self)
        other = self._pod if by_client else self._client
        if other is None:
            return
        if error:
            other.abort()
        else:
            other.finish()


class _Side:
    """The owner of one of a splice's two streams."""

    __slots__ = ("_splice", "_to_pod")

    def __init__(self, splice: Splice, *, to_pod: bool) -> None:
        self._splice, self._to_pod = splice, to_pod

    def received(self, data: bytes) -> bool:
        """See bytestream.Owner."""
        return self._splice.carry(data, to_pod=self._to_pod)

    def lost(self, error: OSError | None) -> None:
        """See bytestream.Owner."""
        self._splice.over(error, by_client=self._to_pod)

    def drained(self) -> None:
        """See bytestream.Owner."""
        self._splice.room(to_pod=self._to_pod)
