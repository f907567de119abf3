"""Which wire the slots of a plan send on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.load.http1 import Wire

if TYPE_CHECKING:
    from harness.model import LoadPlan


def wire_of(plan: LoadPlan) -> type[Wire]:
    """Choose what sends. Nothing of httpx is loaded where HTTP/1.1 is spoken: it costs start-up and memory."""
    if not plan.http2:
        return Wire
    from harness.load.http2 import Http2Wire  # noqa: PLC0415

    return Http2Wire  # type: ignore[return-value]  # it takes and gives the same calls, over another wire
