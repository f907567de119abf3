"""When a slot of a closed loop holds its breath: to hear whether its connection brings what nobody has asked for. Pure.

A slot that sends at once takes whatever comes next for the answer. A server that answers twice, or whose answers are one
behind, is heard only where no request is out. So now and then one slot rests for a moment between two hits. Together these
rests take at most a thousandth of the load.
"""

from __future__ import annotations

_TURNS = 4
REST_NS = 10_000_000
_SHARE = 1000


class Listening:
    """Of the slots of one worker, told each second; `due` while a slot is to rest: ask `until_ns` after each hit then.

    Not always after the first one: which hit that is may hang on what the server does, and always be one of its good ones.
    """

    def __init__(self, slots: int) -> None:
        # In seconds: as often as the share allows, at most each second. Without slots: never.
        self._every = max(1, -(-REST_NS * _SHARE // (slots * 1_000_000_000))) if slots else 0
        self._seconds = 0
        self._rests = self._pass_over = 0
        self.due = False

    def second(self) -> None:
        """Count a second."""
        self._seconds += 1
        if self._every and self._seconds % self._every == 0:
            self.due = True
            self._pass_over = self._rests % _TURNS
            self._rests += 1

    def until_ns(self, now_ns: int) -> int:
        """Take the rest that is due, or pass this hit over: say until when its slot rests."""
        self.due = self._pass_over > 0
        self._pass_over -= 1
        return now_ns if self.due else now_ns + REST_NS
