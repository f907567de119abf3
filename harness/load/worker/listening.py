"""When a slot of a closed loop pauses, to find out whether unsolicited responses come on its connection. Pure.

A slot that sends again at once takes whatever comes next for the response. A server that responds twice, or whose
responses are one behind, is noticed only while no request is out. So now and then one slot pauses between two hits.
Together these pauses take at most a thousandth of the load.
"""

from __future__ import annotations

_TURNS = 4
PAUSE_NS = 10_000_000
_SHARE = 1000


class Listening:
    """The pauses of one worker's slots. While one is `due`, ask `until_ns` after each hit.

    The pause does not always follow the first hit asked about: the server's behaviour may decide which hit that is, and
    it could always be a good one.
    """

    def __init__(self, slots: int) -> None:
        # Seconds between two pauses: as few as the share allows, at least one. Without slots: never.
        self._every = max(1, -(-PAUSE_NS * _SHARE // (slots * 1_000_000_000))) if slots else 0
        self._seconds = 0
        self._pauses = self._pass_over = 0
        self.due = False

    def second(self) -> None:
        """Count a second. Called once per second."""
        self._seconds += 1
        if self._every and self._seconds % self._every == 0:
            self.due = True
            self._pass_over = self._pauses % _TURNS
            self._pauses += 1

    def until_ns(self, now_ns: int) -> int:
        """Return until when the slot of this hit pauses; that is now if this hit is passed over."""
        self.due = self._pass_over > 0
        self._pass_over -= 1
        return now_ns if self.due else now_ns + PAUSE_NS
