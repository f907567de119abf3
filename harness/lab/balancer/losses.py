"""The log of lost requests: losses.jsonl, one line of JSON for each request that failed.

The lab joins these lines with the lives of its pods into truth.jsonl (truth.py). Times are CLOCK_MONOTONIC in
nanoseconds, which all processes of a host share; the wall clock is logged as well.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from harness.clock import NS
from harness.lab.balancer.profiles import Loss, Stage

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

    from harness.lab.balancer.upstream import UpstreamTarget

WRITE_S = 0.25  # a line is on disk at most this long after its event
_REQUEST_ID = re.compile(rb"\r\nx-request-id:[ \t]*([^\r\n]*)", re.IGNORECASE)


class Exchange(Protocol):
    """What is logged about the connection that a request was on. Seconds, on the loop's clock."""

    target: UpstreamTarget
    begun: float  # when the request was sent
    rested: float  # how long the connection had been idle before that
    uses: int  # requests on it, this one included


class Losses:
    """Writes the log; without a file name, nothing."""

    def __init__(self, file: str, loop: asyncio.AbstractEventLoop) -> None:
        self._path = Path(file) if file else None
        self._loop = loop
        self._lines: list[dict[str, Any]] = []

    def lost(
        self,
        head: bytes,
        status: int,
        loss: Loss | str,
        stage: Stage | None = None,
        upstream: Exchange | None = None,
        *,
        saved: bool = False,
    ) -> None:
        """Log a request's status (0: its answer was cut off), and why. `saved`: it was sent to another target."""
        if self._path is None:
            return
        request_id = _REQUEST_ID.search(head)
        line = {
            "what": "lost",
            "request_id": request_id[1].decode("latin-1").strip() if request_id else None,
            "method": head[: head.find(b" ")].decode("latin-1"),
            "status": status,
            "loss": loss.value if isinstance(loss, Loss) else loss,
            "stage": stage.value if stage else None,
            "saved": saved,
        }
        if upstream is not None:
            line |= {
                "pod": upstream.target.pod,
                "began_ns": round(upstream.begun * NS),
                "uses": upstream.uses,  # 1: the first request on its connection
                "rested_ns": round(upstream.rested * NS) if upstream.uses > 1 else 0,
                "listed": upstream.target.live,  # still a target at that moment
            }
        self._add(line)

    def endpoints(self, pods: Iterable[str]) -> None:
        """Log which pods get requests from now on."""
        self._add({"what": "endpoints", "pods": list(pods)})

    def _add(self, line: dict[str, Any]) -> None:
        if self._path is None:
            return
        if not self._lines:
            self._loop.call_later(WRITE_S, self.flush)
        self._lines.append({"t_ns": time.monotonic_ns(), "wall_ns": time.time_ns(), **line})

    def flush(self) -> None:
        """Write what is buffered to disk."""
        lines, self._lines = self._lines, []
        if lines and self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write("".join(json.dumps(line) + "\n" for line in lines))
