"""The slots of a worker: when a hit begins, which connection it uses, and what follows when it has ended."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

from harness.load import failures
from harness.load.failures import END, FIN, LIMIT, PEER, TIMEOUT, US, Ending
from harness.load.wire.interface import Pacing
from harness.load.wire.slot import DIALLING, ENDED, IDLE, PROBING, READING, SENDING, TIMED_OUT, WAITING, Slot
from harness.load.worker.arrivals import Arrivals
from harness.load.worker.connections import Limits
from harness.load.worker.listening import Listening
from harness.load.worker.pacer import turns
from harness.load.worker.protocol import wire_of
from harness.load.worker.sharing import connections_of
from harness.model import NEVER, LoadPlan, Outcome
from harness.recording.answers import NONE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.load.dial import Dialler
    from harness.load.request import PreparedRequest
    from harness.load.rows.writing import ConnectionRows, HitRows
    from harness.load.worker.pacer import ClosedLoop, FixedRate

_IN_FLIGHT = frozenset({DIALLING, SENDING, WAITING, READING, PROBING})
_TIMER_NS = 1_000_000


class Slots:
    """All slots of one worker. Their wire reports to this class (see SlotOwner)."""

    def __init__(
        self, plan: LoadPlan, indices: Sequence[int], requests: Sequence[PreparedRequest],
        pacer: ClosedLoop, dialler: Dialler, rows: HitRows, connections: ConnectionRows, anchor_ns: int,
        schedule: FixedRate | None = None,
    ) -> None:  # fmt: skip
        self._timeout_ns = plan.timeout_ns
        self._pacer = pacer
        self._rows = rows
        self._anchor = anchor_ns
        self._limits = Limits(plan, indices[0] if indices else 0)
        self._pacing = Pacing(
            numbered=any(prepared.places for prepared in requests), slow_path=self._limits.any
        )
        self._wire = wire_of(plan)(self, rows, anchor_ns, plan, self._pacing)
        self._wire.prepare(requests)
        # Descriptors that are watched like these are served with the same delay as responses.
        self.watch, self.unwatch = self._wire.watch, self._wire.unwatch
        self._listening = Listening(0 if plan.http2 else len(indices))
        self._streams = plan.streams
        asyncio.get_running_loop().add_reader(self._wire.fileno(), self._wire.ready)
        self._connections = connections_of(plan.streams)(
            self, self._wire, self._pacing, dialler, self._limits, rows, connections, anchor_ns
        )
        self._arrivals: Arrivals | None = None  # set while hits are sent by the clock
        if schedule is not None:
            self._pace(schedule, plan.stalled_ns)
        self._requests = requests
        self._turns = itertools.cycle([requests[at] for at in turns([t.weight for t in plan.targets])])
        if len(requests) > 1:
            self._pacing.target_cycle = self._turns
        self._slots = [Slot(index, next(self._turns)) for index in indices]
        self.samples: dict[str, str] = {}  # the first error text of each outcome
        self.backed_off = 0  # waits after failed hits

    @property
    def in_flight(self) -> int:
        """The number of hits that have begun and not ended."""
        return sum(slot.state in _IN_FLIGHT for slot in self._slots)

    def oldest_ns(self, now_ns: int) -> int:
        """Return the age of the oldest hit in flight."""
        return max((now_ns - slot.due for slot in self._slots if slot.state in _IN_FLIGHT), default=0)

    def hold(self, until_ns: int) -> None:
        """Let the wire keep the event loop waiting until then, unless a slot needs the loop earlier."""
        self._pacing.wanted_ns = until_ns

    def now(self) -> int:
        """Return the time on the run's clock."""
        return self._wire.now()

    def start(self, at_ns: int) -> None:
        """Let every slot send its first hit, the earliest one at this time."""
        for slot in self._slots:
            self._wait(slot, self._pacer.first_ns(at_ns, slot.index))
        if self._arrivals is not None:
            self._arrivals.start(at_ns)

    def lull(self, schedule: FixedRate) -> None:
        """From now on send by this schedule only, always on the same connection; the others stay idle."""
        if self._arrivals is None:
            self._pace(schedule, self._timeout_ns, spread=False).start(self.now())

    def change_rate(self, schedule: FixedRate, patience_ns: int) -> None:
        """Send by this schedule from now on. Only where one was given at the start."""
        old = self._arrivals
        if old is None or self._pacing.draining:
            return
        idle = old.retire()
        self.unwatch(old.fileno())
        old.leave()
        arrivals = self._pace(schedule, patience_ns)  # slots that are busy now come back to this one
        for slot in idle:
            arrivals.free(slot, self.now())
        arrivals.start(self.now())

    def connected(self) -> list[Slot]:
        """Return the slots that have an open connection."""
        return [slot for slot in self._slots if slot.sock is not None]

    def resume(self) -> None:
        """End the lull: every idle slot sends at once."""
        if self._arrivals is None or self._pacing.draining:
            return
        idle, self._arrivals = self._arrivals.retire(), None
        self._pacing.slow_path = self._limits.any
        for slot in idle:
            self._wait(slot, self.now())

    def _pace(self, schedule: FixedRate, patience_ns: int, *, spread: bool = True) -> Arrivals:
        self._pacing.slow_path = self._limits.any or not spread
        parts = self._anchor, self._pacing, self.begin, self._drop
        arrivals = Arrivals(schedule, patience_ns, *parts, spread=spread)
        self._arrivals = arrivals
        self.watch(arrivals.fileno(), arrivals.ready, edge=True)
        return arrivals

    def sweep(self) -> None:
        """Fail the hits that have timed out."""
        now = self.now()
        if self._arrivals is not None:
            self._arrivals.send(now)
        latest = now - self._timeout_ns
        for slot in self._slots:
            if slot.sent >= latest or slot.sent == NEVER:
                continue
            if slot.state in TIMED_OUT:
                outcome, text = TIMED_OUT[slot.state]
                self.hit_failed(slot, outcome, Ending(US, TIMEOUT), now, text)

    def forget_known(self) -> None:
        """Forget the responses parsed so far. Called every second: their Date header has changed by then."""
        self._listening.second()
        self._wire.upkeep()
        self._rows.answers.second()
        self._forget()

    def _forget(self) -> None:
        for prepared in self._requests:
            prepared.known.clear()

    def drain(self) -> None:
        """Begin no new hits. Without known responses, nothing is sent on the fast path any more."""
        self._pacing.draining = True
        self.forget_known()
        if self._arrivals is not None:
            self._arrivals.drain(self.now())
        for slot in self._slots:
            if slot.state == IDLE:
                self._disarm(slot)

    def cut(self) -> None:
        """End hits still in flight as cut_at_deadline, and close every connection."""
        now = self.now()
        self._pacing.draining = True
        if self._arrivals is not None:
            self._arrivals.end(now)
        for slot in self._slots:
            if slot.task is not None:
                slot.task.cancel()
            if slot.held is not None:
                outcome, done_ns = slot.held
                self.row(slot, outcome, done_ns)
            elif slot.state == DIALLING:
                self._connections.number(slot, NEVER, "")
                self.row(slot, Outcome.CUT_AT_DEADLINE, now)
            elif slot.state in _IN_FLIGHT:
                self.row(slot, Outcome.CUT_AT_DEADLINE, now, *slot.head())
                slot.hits += 1
            self._disarm(slot)
            slot.state, slot.held = ENDED, None
            if slot.sock is not None:
                self.close(slot, Ending(US, END), self.now())

    def leave(self) -> None:
        """Give the descriptors back, after `cut`: the event loop goes on without these slots."""
        asyncio.get_running_loop().remove_reader(self._wire.fileno())
        self._wire.leave()
        if self._arrivals is not None:
            self._arrivals.leave()

    def begin(self, slot: Slot, due_ns: int) -> None:
        """Begin the slot's next hit, on its connection or on a new one."""
        slot.due = due_ns
        slot.sent = slot.first = NEVER
        slot.bytes_in = 0
        if slot.sock is not None and slot.origin != slot.prepared.origin:
            self.close(slot, Ending(US, FIN), due_ns)
        elif (
            slot.sock is not None
            and (slot.state == IDLE or not slot.hits)  # it was idle
            and (ending := self._wire.check_idle(slot))
        ):
            self.close(slot, ending, self.now())  # what came is not a response to this hit
        if slot.sock is None:
            slot.state = DIALLING
            self._connections.open(slot)
        else:
            self._wire.send(slot)

    def hit_done(self, slot: Slot, now: int, *, failed: bool) -> None:
        """Schedule the slot's next hit. The row of this one has been written."""
        if slot.sock is not None and self._limits.reached(slot, now):
            self.close(slot, Ending(US, LIMIT), now)
        due_ns = self._pacer.after_hit_ns(slot.due, now, failed=failed)
        self.backed_off += due_ns > now
        if self._listening.due and slot.sock is not None and due_ns <= now and self._arrivals is None:
            due_ns = self._listening.until_ns(now)
            self._forget()  # so that the next response takes the slow path, too, and comes here
        self._next_target(slot)
        self._wait(slot, due_ns)

    def hit_failed(
        self, slot: Slot, outcome: Outcome, ending: Ending, now: int, error: BaseException | str
    ) -> None:
        """Write the hit's row, and close the connection it failed on."""
        self.keep_sample(outcome, error)
        race = (
            outcome in failures.RACES
            and ending.by == PEER
            and slot.hits >= self._streams  # so at least one hit on this connection is over
            and now - slot.sent <= failures.RACE_NS
        )
        status, pod = slot.head()
        answer = self._wire.answer(slot)
        hits_before, slot.hits = slot.hits, slot.hits + 1
        self.close(slot, ending, now)
        slot.hits = hits_before
        if race and slot.origin and slot.address:
            # The outcome depends on whether a new connection works at once. The row waits for that.
            slot.held = outcome, now
            slot.state = PROBING
            self._connections.probe(slot, slot.origin, slot.address, outcome, now)
            return
        self.row(slot, outcome, now, status, pod, answer)
        self.hit_done(slot, now, failed=True)

    def close(self, slot: Slot, ending: Ending, now: int) -> None:
        """Close the connection and write its row."""
        self._connections.close(slot, ending, now)

    def _wait(self, slot: Slot, due_ns: int) -> None:
        delay_ns = due_ns - self.now()
        if delay_ns <= 0 and self._arrivals is None and not self._pacing.draining:
            self.begin(slot, due_ns)
            return
        slot.state = IDLE
        if self._pacing.draining and not (self._arrivals is not None and self._arrivals.waiting):
            return  # its connection stays open to the end, to see what else comes on it
        if self._arrivals is not None:
            self._arrivals.free(slot, self.now())
        else:
            # The loop's timers are off by up to a millisecond either way: better late than early.
            self._pacing.timers += 1
            slot.timer = asyncio.get_running_loop().call_later(
                (delay_ns + _TIMER_NS) / 1e9, self._wake, slot, due_ns
            )

    def _wake(self, slot: Slot, due_ns: int) -> None:
        slot.timer = None
        self._pacing.timers -= 1
        now = self.now()
        if now < due_ns:
            self._wait(slot, due_ns)
        else:
            self.begin(slot, now)  # a closed loop has no schedule: the hit is due when the slot wakes

    def _drop(self, due_ns: int, now: int) -> None:
        """Write the row of a hit that found no free slot. It takes its place in the order when it is dropped."""
        rows, seq = self._rows, self._wire.take_seq()
        kind = rows.kind(0, Outcome.DROPPED, "", next(self._turns).index)
        ident = rows.ident(self._slots[0].index, NEVER, "")
        rows.add(seq, ident, 0, due_ns, NEVER, NEVER, now, 0, 0, kind)

    def _next_target(self, slot: Slot) -> None:
        if self._pacing.target_cycle is not None:
            slot.prepared = next(self._turns)

    def _disarm(self, slot: Slot) -> None:
        if slot.timer is not None:
            slot.timer.cancel()
            slot.timer = None
            self._pacing.timers -= 1

    def connect_failed(self, slot: Slot, outcome: Outcome, now: int) -> None:
        """Write the row of a hit whose connection did not open, and schedule the next one."""
        self.row(slot, outcome, now)
        slot.failed_connects += 1
        due_ns = self._pacer.after_failed_connect_ns(now, slot.failed_connects)
        self.backed_off += due_ns > now
        self._next_target(slot)
        self._wait(slot, due_ns)

    def row(
        self, slot: Slot, outcome: Outcome, done_ns: int, status: int = 0, pod: str = "", answer: int = NONE
    ) -> None:
        """Write the row of a hit that got no complete response."""
        kind = self._rows.kind(status, outcome, pod, slot.prepared.index, answer=answer)
        self._wire.row(slot, kind, done_ns)

    def keep_sample(self, outcome: Outcome, error: BaseException | str) -> None:
        """Keep the text of the first error of each outcome."""
        if outcome.value not in self.samples:
            self.samples[outcome.value] = error if isinstance(error, str) else failures.sample(error)

    def sample(self, outcome: Outcome) -> str:
        """Return that text; "" if there is none."""
        return self.samples.get(outcome.value, "")
