"""Addresses of pods: which address and port each one gets, and how its address behaves after it is gone."""

from __future__ import annotations

import asyncio
import random
import socket
from typing import TYPE_CHECKING

from harness.lab.kubelet import linux

if TYPE_CHECKING:
    from harness.lab.objects.store import Object

SILENT_S = 60.0  # how long a dead pod's address drops SYNs: longer than any balancer tries it
_KUBELET_PORT = 10250


class Addresses:
    """Allocates 127.a.b.2 to 127.a.b.254, one per pod; 127.a.b.1 is the node, and a listener there reserves the block.

    Where only 127.0.0.1 exists (not Linux), every pod gets that and a free port, which its endpoint shows.
    """

    def __init__(self) -> None:
        self._node: socket.socket | None = None
        self._prefix = ""
        for _ in range(50):
            prefix = f"127.{random.randint(16, 250)}.{random.randint(1, 250)}"  # noqa: S311  no secret
            self._node = linux.claim(f"{prefix}.1", _KUBELET_PORT)
            if self._node is not None:
                self._prefix = prefix
                break
        self._next = 2
        self._taken: set[str] = set()
        self._ports: dict[str, dict[int, int]] = {}  # pod uid -> wanted port -> actual port
        self._at: dict[str, str] = {}  # pod uid -> its address
        self._closed: dict[
            str, dict[int, socket.socket]
        ] = {}  # pod uid -> port -> a bound socket that refuses in its place
        self._blackholes: set[linux.BlackholeAddress] = set()

    @property
    def node(self) -> str:
        """The node's own address."""
        return f"{self._prefix}.1" if self._prefix else "127.0.0.1"

    def allocate(self) -> str:
        """Return an address for a new pod."""
        if not self._prefix:
            return "127.0.0.1"
        for _ in range(253):
            last, self._next = self._next, self._next + 1 if self._next < 254 else 2
            address = f"{self._prefix}.{last}"
            if address not in self._taken:
                self._taken.add(address)
                return address
        raise RuntimeError(f"all 253 pod addresses of {self._prefix}.0/24 are in use")

    def bind(self, uid: str, address: str, wanted: int) -> int:
        """Return the port for a process to listen on: the wanted one if it can be bound, else a free one.

        0 asks for any port.
        """
        port = wanted
        if wanted == 0 or address == "127.0.0.1" or not linux.may_bind(address, wanted):
            with socket.socket() as free:
                free.bind((address, 0))
                port = free.getsockname()[1]
        self._at[uid] = address
        self._ports.setdefault(uid, {})[wanted or port] = port
        return port

    def mapped(self, pod: Object, port: int) -> int:
        """Return the port to connect to for a pod's port. A port on which nothing of the pod listens refuses.

        Such a port is replaced if another process of this machine listens on it at all addresses: that one must not be
        reachable through a pod.
        """
        uid = pod["metadata"]["uid"]
        if uid not in self._ports:
            return port
        if port in self._ports[uid]:
            return self._ports[uid][port]
        closed = self._closed.setdefault(uid, {})
        if port not in closed:
            if linux.may_bind(self._at[uid], port):
                return port
            closed[port] = socket.socket()
            closed[port].bind((self._at[uid], 0))  # bound but not listening, so it refuses
        return int(closed[port].getsockname()[1])

    def blackhole(self, uid: str, address: str) -> None:
        """Make a dead pod's ports drop SYNs, and free its address after a while."""
        blackholes: list[linux.BlackholeAddress] = []
        self._forget(uid)
        for port in self._ports.pop(uid, {}).values():
            try:
                blackholes.append(linux.BlackholeAddress(address, port))
            except OSError:
                continue  # in use by another process by now (only with 127.0.0.1): leave it
        self._blackholes.update(blackholes)

        def free() -> None:
            for blackhole in blackholes:
                blackhole.close()
                self._blackholes.discard(blackhole)
            self._taken.discard(address)

        asyncio.get_running_loop().call_later(SILENT_S, free)

    def _forget(self, uid: str) -> None:
        self._at.pop(uid, None)
        for held in self._closed.pop(uid, {}).values():
            held.close()

    def close(self) -> None:
        """Release everything."""
        for uid in list(self._closed):
            self._forget(uid)
        for blackhole in self._blackholes:
            blackhole.close()
        self._blackholes.clear()
        if self._node is not None:
            self._node.close()
