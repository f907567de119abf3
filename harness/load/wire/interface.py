"""What a worker and its wire ask of each other: calls as protocols, and the one record that the hot loop reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Iterable, Iterator

    from harness.load.failures import Ending
    from harness.load.request import PreparedRequest
    from harness.load.wire.slot import Slot
    from harness.model import Outcome

NOTHING_DUE = 1 << 62  # later than any time


@dataclass(slots=True, eq=False)
class Pacing:
    """What a wire must know about the pacing of its slots. The worker writes it; the wire only reads it.

    Plain fields, because the hot loop reads them: a call for each would cost time at every hit.
    """

    numbered: bool = False  # requests contain ids, which are made from the hit's number
    slow_path: bool = False  # ask the slots' owner after every hit, instead of sending the next one at once
    target_cycle: Iterator[PreparedRequest] | None = None  # with several targets: which one is next
    # In an open loop: when the next hit is due, who knows of those after it, and the slots that may send it.
    due_ns: int = NOTHING_DUE
    arrivals: DueHits | None = None
    free: deque[Slot] | None = None  # None if the arrivals alone may use them
    draining: bool = False  # send no new hits
    opening: int = 0  # connections being opened; the event loop must run for these,
    timers: int = 0  # for slots that wait on one of its timers,
    wanted_ns: int = 0  # and at this time for anything else


class DueHits(Protocol):
    """The hits of an open loop, in the order in which they are due. `Pacing.due_ns` is the first one's time."""

    patience_ns: int  # a hit that waits longer for a slot is not sent
    ticking: bool  # the timer expires by itself, again and again, so `arm` need not be called

    def next(self) -> int:
        """Go on to the next hit, and return when the first one was due."""

    def send_first(self, now_ns: int) -> None:
        """Send the first hit on the first free slot, by way of the slots' owner, or drop it."""

    def send(self, now_ns: int) -> None:
        """Do so with all that is due, as long as slots are free."""

    def arm(self, now_ns: int) -> None:
        """Be woken up when the next hit is due."""


class SlotOwner(Protocol):
    """Decides what a slot does when a hit or a connection has ended."""

    def begin(self, slot: Slot, due_ns: int) -> None:
        """Begin the slot's next hit, on its connection or on a new one."""

    def hit_done(self, slot: Slot, now: int, *, failed: bool) -> None:
        """Schedule the slot's next hit. The row of this one has been written."""

    def hit_failed(
        self, slot: Slot, outcome: Outcome, ending: Ending, now: int, error: BaseException | str
    ) -> None:
        """Write the hit's row, and close the connection it failed on."""

    def connect_failed(self, slot: Slot, outcome: Outcome, now: int) -> None:
        """Write the row of a hit whose connection did not open, and schedule the next one."""

    def close(self, slot: Slot, ending: Ending, now: int) -> None:
        """Close the connection and write its row."""

    def row(self, slot: Slot, outcome: Outcome, done_ns: int) -> None:
        """Write the row of a hit that got no complete response."""

    def keep_sample(self, outcome: Outcome, error: BaseException | str) -> None:
        """Keep the text of the first error of each outcome."""

    def sample(self, outcome: Outcome) -> str:
        """Return that text; "" if there is none."""


class Wire(Protocol):
    """Sends the hits of one worker's slots and reads the responses. It reports to a SlotOwner."""

    def fileno(self) -> int:
        """Return the descriptor that is readable when `ready` has work to do."""

    def ready(self) -> None:
        """Serve everything that is ready; called by the event loop."""

    def watch(self, fd: int, ready: Callable[[], None], *, edge: bool = False) -> None:
        """Call `ready` whenever this descriptor is readable, with the same delay as responses have.

        `edge`: once each time that it becomes readable, though nobody reads it.
        """

    def unwatch(self, fd: int) -> None:
        """Stop watching this descriptor."""

    def leave(self) -> None:
        """Close that descriptor; nothing is watched any more."""

    def now(self) -> int:
        """Return the time on the run's clock."""

    def take_seq(self) -> int:
        """Return the number of the next hit, and count it."""

    def attach(self, slot: Slot, sock: Any) -> None:
        """Give the slot this open connection, which other slots may have already."""

    def detach(self, slot: Slot) -> None:
        """Take its connection from the slot, whatever is in progress, and close it if no other slot has it."""

    def prepare(self, requests: Iterable[PreparedRequest]) -> None:
        """Put the requests into the protocol's own form. Called once, before anything is sent."""

    def upkeep(self) -> None:
        """Do what is to be done once a second."""

    def check_idle(self, slot: Slot) -> Ending | None:
        """Return how a connection that was idle must be closed before anything is sent on it; None if it is good."""

    def send(self, slot: Slot) -> None:
        """Send the slot's request: every hit is sent here, once, except on the fast path."""

    def answer(self, slot: Slot) -> int:
        """Keep what the slot's failed answer said, and return its index; NONE if its head did not come."""

    def row(self, slot: Slot, kind: int, done_ns: int) -> None:
        """Write the row of the slot's hit."""
