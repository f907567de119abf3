"""Which protocol a worker speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.load.wire.http1 import Http1Wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.load.rows.writing import HitRows
    from harness.load.wire.interface import Pacing, SlotOwner, Wire
    from harness.model import LoadPlan


def wire_of(plan: LoadPlan) -> Callable[[SlotOwner, HitRows, int, LoadPlan, Pacing], Wire]:
    """Choose the protocol. hpack is imported only for HTTP/2, because it costs start-up time and memory."""
    if plan.http2:
        from harness.load.wire.http2 import Http2Wire  # noqa: PLC0415

        return Http2Wire
    return Http1Wire
