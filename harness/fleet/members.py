"""A pod of a fleet, and what the collector asks of the place where the pods are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anyio.abc import ByteStream


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

    async def dial(self, member: Member) -> ByteStream:
        """Open a connection to a pod. Raises OSError while it cannot be reached."""

    async def fate(self, member: Member) -> str:
        """Say why a pod runs no more; "" if it does, or nobody knows."""
