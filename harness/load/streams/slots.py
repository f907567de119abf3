"""The slots of a worker that holds streams: open one in each, count what comes, and get back what was lost.

A hit is what a client waits for: the handshake, and then the messages. So a stream leaves these rows behind:

- its handshake, like any request;
- while it lives, a row for what came, at most one a second: due when the last bytes before it had come, so that its
  latency is the gap. With --message: a row for each message that answers one of ours, due when ours was sent;
- how it ended: a good row if the server announced it (a close frame, the end of the body), else a failed one, which is
  the whole stream: due when its request was sent, of the handshake's own number, so that a balancer's log names it.

What the last two do not say is in the stream's own row (rows.py).
"""

from __future__ import annotations

import asyncio
from functools import partial
from random import Random
from time import monotonic_ns
from typing import TYPE_CHECKING

from harness.load import failures
from harness.load.eventloop import report_failure
from harness.load.failures import END, FIN, TIMEOUT, US, Ending
from harness.load.streams import endings
from harness.load.streams.backoff import wait_ns
from harness.load.streams.conversation import Conversation, request_for
from harness.load.streams.held import DIALLING, ENDED, OPEN, RESTING, SHAKING, Held
from harness.load.streams.life import Life
from harness.load.streams.link import Link
from harness.load.streams.speaking import Speaking
from harness.load.streams.websocket import ABNORMAL, Frames, new_key
from harness.model import NEVER, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.load.dial import Dialled, Dialler
    from harness.load.request import PreparedRequest
    from harness.load.streams.endings import End
    from harness.load.streams.ledger import Ledger
    from harness.model import LoadPlan

_NOTED_NS = 1_000_000_000  # between two rows of a stream that lives
_IN_FLIGHT = frozenset({DIALLING, SHAKING})


class StreamSlots:
    """All slots of one worker, with the interface of worker.slots.Slots."""

    def __init__(
        self,
        plan: LoadPlan,
        indices: Sequence[int],
        request: PreparedRequest,
        first_at: Callable[[int, int], int],
        dialler: Dialler,
        ledger: Ledger,
        anchor_ns: int,
    ) -> None:
        self._plan = plan
        self._first_at = first_at  # (start, slot) -> when that slot connects first
        self._dialler = dialler
        self._ledger = ledger
        self._anchor = anchor_ns
        self._pod_headers = {
            name.lower().encode("latin-1"): rank for rank, name in enumerate(plan.pod_headers)
        }
        self._slots = [Held(index, request) for index in indices]
        self._random = Random()  # noqa: S311  not for security; not seeded, so that workers are not in step
        self._silent_ns = plan.timeout_ns
        if plan.websocket and plan.ping_ns:
            self._silent_ns = min(plan.timeout_ns, 2 * plan.ping_ns)
        self._draining = False
        self._loop = asyncio.get_running_loop()
        self._speaking = Speaking(plan, self.now)
        self.samples = ledger.samples
        self.backed_off = 0  # waits after handshakes that opened no stream

    @property
    def in_flight(self) -> int:
        """The number of handshakes that have begun and not ended."""
        return sum(slot.state in _IN_FLIGHT for slot in self._slots)

    def oldest_ns(self, now_ns: int) -> int:
        """Return the age of the oldest handshake in flight."""
        return max((now_ns - slot.due for slot in self._slots if slot.state in _IN_FLIGHT), default=0)

    def watch(self, fd: int, ready: Callable[[], None]) -> None:
        """Call `ready` whenever this descriptor is readable."""
        self._loop.add_reader(fd, ready)

    def unwatch(self, fd: int) -> None:
        """Stop watching this descriptor."""
        self._loop.remove_reader(fd)

    def hold(self, until_ns: int) -> None:
        """Do nothing: the event loop is never kept waiting."""

    def lull(self, schedule: object) -> None:
        """Do nothing: nothing is sent that could be sent less often."""

    def resume(self) -> None:
        """Do nothing, see `lull`."""

    def now(self) -> int:
        """Return the time on the run's clock."""
        return monotonic_ns() - self._anchor

    def start(self, at_ns: int) -> None:
        """Let every slot open its stream, the earliest one at this time."""
        for slot in self._slots:
            self._rest(slot, self._first_at(at_ns, slot.index) - self.now())

    def sweep(self) -> None:
        """Fail what has been silent for too long, and send pings that are due."""
        now, plan = self.now(), self._plan
        for slot in self._slots:
            if slot.state == SHAKING and now - slot.sent > plan.timeout_ns:
                self._refuse(
                    slot, Outcome.READ_TIMEOUT_HEADERS, Ending(US, TIMEOUT), now, "no answer in time"
                )
            elif slot.state == OPEN and slot.life is not None:
                if endings.is_silent(slot.life, now, self._silent_ns, plan):
                    self._end(slot, endings.SILENT, now)
                elif plan.websocket and plan.ping_ns and now - slot.pinged >= plan.ping_ns:
                    self._speaking.ping(slot, now)

    def forget_known(self) -> None:
        """Begin a new second: write the streams that have ended."""
        self._ledger.second()

    def drain(self) -> None:
        """Open nothing any more, and end every stream."""
        self._draining = True
        now = self.now()
        for slot in self._slots:
            if slot.state == RESTING:
                self._disarm(slot)
                slot.state = ENDED
            elif slot.state == OPEN:
                self._end(slot, endings.OVER, now)

    def cut(self) -> None:
        """End handshakes in flight as cut_at_deadline, close every connection, and write all streams."""
        self.drain()
        now = self.now()
        for slot in self._slots:
            if slot.task is not None:
                slot.task.cancel()
            if slot.state in _IN_FLIGHT:
                if slot.state == DIALLING:
                    self._ledger.number(slot, NEVER, "")
                self._ledger.row(slot, Outcome.CUT_AT_DEADLINE, now, slot.due)
                self._close(slot, Ending(US, END), now)
            self._disarm(slot)
            slot.state = ENDED
        self._ledger.finish()

    # A stream's beginning

    def _rest(self, slot: Held, delay_ns: int) -> None:
        """Wait so long, and connect."""
        slot.state = ENDED if self._draining else RESTING
        if not self._draining:
            slot.timer = self._loop.call_later(max(delay_ns, 0) / 1e9, self._begin, slot)

    def _begin(self, slot: Held) -> None:
        slot.timer = None
        slot.begin(self.now())
        slot.state = DIALLING
        slot.task = self._loop.create_task(self._open(slot))
        slot.task.add_done_callback(report_failure)

    async def _open(self, slot: Held) -> None:
        dialled = await self._dialler.open(slot.prepared.origin)
        slot.task = None
        now = self.now()
        self._ledger.dialled(slot, dialled, now)
        if dialled.outcome is None:
            self._adopt(slot, dialled, now)
            return
        self._failed(slot, dialled.outcome, now)

    def _adopt(self, slot: Held, dialled: Dialled, now: int) -> None:
        key = new_key() if self._plan.websocket else b""
        slot.talk = Conversation(self._pod_headers, key, slot.last_id)
        prepared = slot.prepared
        plain = prepared.template % ((slot.seq,) * prepared.places) if prepared.places else prepared.request
        request = request_for(plain, key, slot.last_id)
        slot.state, slot.sent, slot.bytes_out = SHAKING, now, len(request)
        slot.link = Link(dialled.sock, partial(self._received, slot), partial(self._lost, slot))
        slot.link.send(request)

    def _shaken(self, slot: Held, talk: Conversation, now: int) -> None:
        """Look at the head of the answer, if it has come."""
        if talk.fault:
            self._refuse(slot, Outcome.PROTOCOL_ERROR, Ending(US, failures.ERROR), now, talk.fault)
        elif talk.open:
            slot.life = Life(slot.sent, now, now)
            slot.state, slot.kind, slot.pinged = OPEN, talk.kind, now
            self._ledger.opened(slot, now)
            if self._plan.message:
                self._speaking.begin(slot, self._random.random())
        elif talk.done:
            self._refuse(slot, Outcome.RESPONSE, Ending(US, FIN), now, "")

    # While it lives

    def _received(self, slot: Held, data: bytes) -> None:
        now, talk = self.now(), slot.talk
        if talk is None:
            return
        slot.first = now if slot.first == NEVER else slot.first
        slot.bytes_in += len(data)
        numbers = talk.feed(data)
        if slot.state == SHAKING:
            self._shaken(slot, talk, now)
        life = slot.life
        if slot.state != OPEN or life is None:
            return
        for number in numbers:
            life.message(number, now)
        if numbers and slot.asked != NEVER:
            self._ledger.row(slot, Outcome.RESPONSE, now, slot.asked)
            slot.asked = NEVER
        elif now - slot.noted >= _NOTED_NS and not talk.done:
            self._ledger.row(slot, Outcome.RESPONSE, now, life.heard_ns)
        life.heard_ns = now
        self._speaking.say(slot)
        end = endings.said(talk)
        if end is not None:
            self._ledger.sample(Outcome.PROTOCOL_ERROR, talk.fault)
            self._end(slot, end, now)

    # Its end

    def _lost(self, slot: Held, error: OSError | None) -> None:
        """Handle the end of a connection by the other side, or by the network."""
        now, talk, ending = self.now(), slot.talk, failures.closed(error)
        whole = talk is not None and error is None and talk.ended()
        if slot.state == SHAKING:
            outcome = Outcome.RESPONSE if whole else failures.lost(error, answered=slot.first != NEVER)
            self._refuse(slot, outcome, ending, now, "" if error is None else failures.sample(error))
        elif slot.state == OPEN:
            end = endings.lost(error, whole=whole)
            if error is not None and end.bad is not None:
                self._ledger.sample(end.bad, failures.sample(error))
            self._end(slot, end, now)

    def _end(self, slot: Held, end: End, now: int) -> None:
        """End an open stream, write what became of it, and get another one."""
        talk, life, ending = slot.talk, slot.life, end.ending
        assert talk is not None  # noqa: S101  for mypy: an open stream has both
        assert life is not None  # noqa: S101
        code = talk.code or (ABNORMAL if talk.kind == "websocket" and ending.by != US else 0)
        self._ledger.stream(slot, now, ending, end.how, code)
        if end.bad is not None:
            # What nobody answered is out since the last sign of life; what was cut is cut as a whole.
            self._ledger.row(slot, end.bad, now, life.heard_ns if end.how == "silent" else slot.sent)
        elif ending.by != US:
            self._ledger.row(slot, Outcome.RESPONSE, now, life.heard_ns, until_close=talk.until_close)
        if isinstance(talk.feed_, Frames) and ending.by == US:
            talk.feed_.close()
            self._speaking.say(slot)
        if talk.feed_ is not None:
            slot.last_id, slot.retry_ns = talk.feed_.last_id, talk.feed_.retry_ns or slot.retry_ns
        slot.lost, slot.refused = (slot.conn, now), []
        self._close(slot, ending, now)
        self._rest(slot, wait_ns(slot.kind, 0, slot.retry_ns, self._random.random()))

    def _refuse(self, slot: Held, outcome: Outcome, ending: Ending, now: int, text: str) -> None:
        """End a handshake that opened no stream."""
        if text:
            self._ledger.sample(outcome, text)
        self._failed(slot, outcome, now)
        self._close(slot, ending, now)

    def _failed(self, slot: Held, outcome: Outcome, now: int) -> None:
        status = slot.talk.status if slot.talk is not None else 0
        self._ledger.row(slot, outcome, now, slot.due)
        slot.refused.append(str(status) if outcome is Outcome.RESPONSE else outcome.value)
        self.backed_off += 1
        tries = len(slot.refused)
        self._rest(slot, wait_ns(slot.kind, tries, slot.retry_ns, self._random.random()))

    def _close(self, slot: Held, ending: Ending, now: int) -> None:
        if slot.sender is not None:
            slot.sender.cancel()
            slot.sender = None
        if slot.link is not None:
            slot.link.close()
            self._ledger.closed(slot, now, ending)
            slot.link = None
        if slot.talk is not None:
            slot.talk.release()

    def _disarm(self, slot: Held) -> None:
        if slot.timer is not None:
            slot.timer.cancel()
            slot.timer = None
