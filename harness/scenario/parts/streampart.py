"""The part of zdtest.yaml that is about streams: connections that are held open instead of requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pydantic

from harness.clock import NS
from harness.scenario.values import DurationNs, Strict

if TYPE_CHECKING:
    from harness.scenario.schema import LoadPart, TargetPart

_LEAST_NS = NS // 100
_SCHEMES = ("ws://", "wss://")


class StreamPart(Strict):
    """Hold a stream in each slot instead of sending requests. docs/streams.md says what is counted and judged."""

    kind: Literal["websocket", "http"] = "http"
    """`http`: server-sent events, or any other response that stays open, recognised by its Content-Type."""
    message: str | None = None
    """A text message to send on each WebSocket; it never reaches a recording. The next message is its answer."""
    every: DurationNs = NS
    """Time from one such message to the next."""
    expect_every: DurationNs = 0
    """A stream without a message for longer than this has stalled, which is a failure. 0: only one without any byte for
    `target.timeout` has.
    """
    ping: DurationNs = 20 * NS
    """Time between two pings on a WebSocket. One that is silent for twice as long is dead. 0: none."""
    back_within: DurationNs = 10 * NS
    """How soon after its loss a stream must be back, by the first message on the new one."""

    @pydantic.model_validator(mode="after")
    def _sensible(self) -> StreamPart:
        if self.message is not None and self.kind != "websocket":
            raise ValueError("a message can be sent on a WebSocket only; drop it, or use a ws:// URL")
        if self.message is not None and self.every < _LEAST_NS:
            raise ValueError("every must be at least 10ms")
        return self


def websocket_by_its_url(fields: Any) -> Any:
    """Add the part to a scenario whose URL is a WebSocket's and that has none."""
    target = fields.get("target") if isinstance(fields, dict) else None
    url = target.get("url") if isinstance(target, dict) else None
    if isinstance(url, str) and url.startswith(_SCHEMES) and fields.get("stream") is None:
        return {**fields, "stream": {"kind": "websocket"}}
    return fields


def check_stream(stream: StreamPart | None, load: LoadPart, target: TargetPart) -> None:
    """Refuse what makes no sense for streams. Raises ValueError."""
    if stream is None:
        return
    if stream.kind == "http" and (target.url or "").startswith(_SCHEMES):
        raise ValueError("a ws:// URL is for a WebSocket; use stream.kind: websocket, or an http:// URL")
    others = {
        "rate": load.rate is not None, "lull": load.lull, "mix": load.mix, "targets": load.targets,
        "keepalive: false": not load.keepalive, "conn_max_hits": load.conn_max_hits,
        "conn_max_age": load.conn_max_age, "http2": target.http2, "body": target.body or target.body_file,
        f"method {target.method}": target.method != "GET",
    }  # fmt: skip
    if other := next((name for name, given in others.items() if given), ""):
        raise ValueError(f"a stream is opened by one GET and stays open; drop {other}, or stream")
