"""Options of streams, which override the scenario's part of that name."""

from __future__ import annotations

from typing import Any

import click


def stream_options() -> list[Any]:
    """Return them, in the order in which they are shown."""
    return [
        click.option(
            "--stream",
            is_flag=True,
            help=(
                "Hold a stream on each connection: server-sent events or a response that stays open; "
                "a ws:// or wss:// URL is a WebSocket."
            ),
        ),
        click.option("--message", metavar="TEXT", help="Send TEXT on each WebSocket.  [nothing]"),
        click.option("--every", metavar="TIME", help="Time between two such messages.  [1s]"),
        click.option(
            "--expect-every",
            metavar="TIME",
            help="A stream without a message for longer than this has stalled.  [only one without a byte for -t]",
        ),
        click.option("--ping", metavar="TIME", help="Time between two pings on a WebSocket; 0: none.  [20s]"),
        click.option(
            "--back-within",
            metavar="TIME",
            help="How soon after its loss a stream must be back, by its first message.  [10s]",
        ),
    ]


def stream_flags(url: str, options: dict[str, Any]) -> dict[str, Any]:
    """Turn those that were given, and a ws:// or wss:// URL, into scenario fields."""
    names = ("message", "every", "expect_every", "ping", "back_within")
    flags = {f"stream.{name}": options[name] for name in names if options[name] is not None}
    if url.partition("://")[0].lower() in {"ws", "wss"}:
        flags["stream.kind"] = "websocket"
    elif options["stream"]:
        flags["stream.kind"] = "http"
    return flags
