"""What we say on a WebSocket: the answers that the protocol asks for, pings, and the messages of --message."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from harness.load.streams.held import OPEN
from harness.load.streams.websocket import Frames
from harness.model import NEVER

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.load.streams.held import Held
    from harness.model import LoadPlan


class Speaking:
    """Speaks on the WebSockets of one worker's slots. On other streams there is nothing to say."""

    def __init__(self, plan: LoadPlan, now: Callable[[], int]) -> None:
        self._message = plan.message.encode()
        self._every_ns = plan.every_ns
        self._now = now

    def say(self, slot: Held) -> None:
        """Send what the frames have to say: a pong, the answer to a close frame, a message."""
        feed = slot.talk.feed_ if slot.talk is not None else None
        if isinstance(feed, Frames) and slot.link is not None:
            data = feed.to_send()
            slot.bytes_out += len(data)
            slot.link.send(data)

    def ping(self, slot: Held, now: int) -> None:
        """Ask for a pong."""
        slot.pinged = now
        if slot.talk is not None and isinstance(slot.talk.feed_, Frames):
            slot.talk.feed_.ping()
            self.say(slot)

    def begin(self, slot: Held, share: float) -> None:
        """Begin to send messages, after this share of the time between two of them."""
        self._in(slot, share * self._every_ns)

    def _in(self, slot: Held, delay_ns: float) -> None:
        loop = asyncio.get_running_loop()
        slot.sender = loop.call_later(delay_ns / 1e9, self._send, slot)

    def _send(self, slot: Held) -> None:
        if slot.state == OPEN and slot.talk is not None and isinstance(slot.talk.feed_, Frames):
            slot.talk.feed_.message(self._message)
            if slot.asked == NEVER:
                slot.asked = self._now()
            self.say(slot)
            self._in(slot, self._every_ns)
