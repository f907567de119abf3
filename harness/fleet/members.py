"""A pod of a fleet, and what the collector asks of the place where the pods are."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


async def connected(address: tuple[str, int]) -> socket.socket:
    """Connect to an address. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(*address, type=socket.SOCK_STREAM)
    sock = socket.socket(found[0][0], socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, found[0][4])
    except BaseException:
        sock.close()
        raise
    return sock


@dataclass(frozen=True, slots=True)
class Member:
    """One pod, by its name; `address` is where it listens."""

    name: str
    node: str = ""
    address: tuple[str, int] = ("", 0)

    def __str__(self) -> str:
        return f"pod {self.name}" + (f" on node {self.node}" if self.node else "")


class Host(Protocol):
    """Where the pods are: a cluster, or a test's own machine."""

    async def members(self) -> Sequence[Member]:
        """Return the pods, once all of them run. Raises UsageError that says what keeps them from it."""

    async def dial(self, member: Member) -> socket.socket:
        """Connect to a pod; the socket does not block. Raises OSError while the pod cannot be reached."""

    async def fate(self, member: Member) -> str:
        """Say why a pod runs no more; "" if it does, or nobody knows."""
