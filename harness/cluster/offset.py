"""How far is the API server's clock from ours? Its Date header, in whole seconds, gives bounds. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple

from harness.clock import NS

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Reading:
    """One answer: our wall clock when we sent and when it had come, and its Date header."""

    sent_ns: int
    received_ns: int
    date: str


class OffsetBounds(NamedTuple):
    """The least and the greatest offset (server minus us) that is still possible."""

    low_ns: int
    high_ns: int


def bounds(readings: Iterable[Reading]) -> OffsetBounds | None:
    """Return the offsets that all readings allow; None when they contradict each other.

    The server read its clock between our sending and our receiving, and cut it off to whole seconds: so
    Date - received <= offset < Date + 1 s - sent. A contradiction is a clock that stepped, or two servers.
    """
    low, high = None, None
    for reading in readings:
        try:
            date = round(parsedate_to_datetime(reading.date).timestamp()) * NS
        except (ValueError, TypeError, OverflowError):
            continue  # a proxy before the API server may write anything, or nothing
        at_least, below = date - reading.received_ns, date + NS - reading.sent_ns
        low = at_least if low is None else max(low, at_least)
        high = below if high is None else min(high, below)
    if low is None or high is None or low > high:
        return None
    return OffsetBounds(low, high)


def next_send_ns(now_ns: int, known: OffsetBounds | None, round_trip_ns: int) -> int:
    """Say when to ask again, so that the server's second turns in the middle of what is still possible."""
    if known is None:
        return now_ns
    middle = (known.low_ns + known.high_ns) // 2
    server_now = now_ns + middle
    return now_ns + (-server_now % NS) - round_trip_ns // 2
