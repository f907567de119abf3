"""Writes the access log.

Only requests that did not succeed are in it, as nginx's `access_log ... if=`, HAProxy's `option dontlog-normal` and
Envoy's filters do it: a run on the lab sends millions of others, and nobody asks for their pods.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from harness.lab.balancer.logs.lines import LINES, NS, Exchange, Try

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from harness.lab.balancer.families.family import Meaning
    from harness.lab.balancer.upstream import Upstream

WRITE_S = 0.25  # a line is on disk at most this long after its request ended


class AccessLog:
    """The log of one balancer; without a file name, nothing is written."""

    def __init__(self, file: str, family: str, loop: asyncio.AbstractEventLoop, *, tls: bool) -> None:
        self._path = Path(file) if file else None
        self._line = LINES[family]
        self._loop = loop
        self._tls = tls
        self._slots: dict[str, int] = {}
        self._lines: list[str] = []

    def tried(self, upstream: Upstream, status: int) -> Try:
        """Describe a target that was asked just now."""
        target = upstream.target
        host = f"[{target.address}]" if ":" in target.address else target.address
        address = f"{host}:{target.port}"
        slot = self._slots.setdefault(address, len(self._slots) + 1)
        return Try(address, slot, status, max(0.0, self._loop.time() - upstream.begun))

    def ended(
        self,
        head: bytes,
        client: tuple[str, int],
        began_s: float,
        status: int,
        sent: int,
        tries: Sequence[Try],
        meaning: Meaning | None = None,
        *,
        cut: bool = False,
        silent: bool = False,
        left: bool = False,
    ) -> None:
        """Log a request. `began_s`: on the loop's clock."""
        if self._path is None:
            return
        took_s = self._loop.time() - began_s
        line = self._line(
            Exchange(
                head=head,
                client=client,
                began_ns=time.time_ns() - round(took_s * NS),
                took_s=took_s,
                status=status,
                sent=sent,
                tries=tuple(tries),
                meaning=meaning,
                cut=cut,
                silent=silent,
                left=left,
                tls=self._tls,
            )
        )
        if not line:
            return
        if not self._lines:
            self._loop.call_later(WRITE_S, self.flush)
        self._lines.append(line)

    def flush(self) -> None:
        """Write what is buffered to disk."""
        lines, self._lines = self._lines, []
        if lines and self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write("".join(line + "\n" for line in lines))
