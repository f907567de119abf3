"""What is counted of one stream while it lives: messages, gaps, and the numbers that messages carry. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.model import NEVER

UNNUMBERED = -1
# A message that begins with a number, or a JSON object whose first member is its number.
_NUMBER = re.compile(rb'\s*(?:\{\s*"(?:id|seq)"\s*:\s*"?)?([0-9]{1,18})(?![0-9.\w-])')


def number_of(text: bytes) -> int:
    """Return the number at the beginning of a message, or UNNUMBERED."""
    found = _NUMBER.match(text)
    return int(found[1]) if found else UNNUMBERED


@dataclass(slots=True)
class Life:
    """One stream, from its handshake on. Moments are on the run's clock, in ns; NEVER if they have not come."""

    opened_ns: int  # when its request was sent
    handshake_ns: int  # when the head of the answer had come
    heard_ns: int  # the last bytes of any kind: a comment and a pong are signs of life, too
    first_ns: int = NEVER  # the first message
    last_ns: int = NEVER  # and the last one
    messages: int = 0
    gap_ns: int = 0  # the longest time from one message to the next
    first_id: int = UNNUMBERED
    last_id: int = UNNUMBERED
    jumps: int = 0  # numbers that did not follow on the one before
    missing: int = 0  # numbers that were skipped

    def message(self, number: int, now: int) -> None:
        """Count a message."""
        self.messages += 1
        if self.first_ns == NEVER:
            self.first_ns = now
        else:
            self.gap_ns = max(self.gap_ns, now - self.last_ns)
        self.last_ns = now
        if number == UNNUMBERED:
            return
        if self.first_id == UNNUMBERED:
            self.first_id = number
        elif number != self.last_id + 1:
            self.jumps += 1
            self.missing += max(0, number - self.last_id - 1)
        self.last_id = number
