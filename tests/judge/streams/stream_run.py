"""Runs that hold streams, with known answers: what becomes of each follows from its pod's process alone, and from
what the balancer is told to do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.load.failures import END, FIN, PEER, US, Ending
from harness.load.streams.held import Back
from harness.load.streams.ledger import StreamRow, StreamRows
from harness.load.streams.life import Life
from harness.model import NEVER, Outcome
from tests.judge.synthetic import TRIGGER, S, SyntheticRun

if TYPE_CHECKING:
    from pathlib import Path

    from harness.model import RunRecord
    from tests.judge.synthetic import FakePod

WAIT = 1.2  # from a loss to the next try


@dataclass
class StreamRun(SyntheticRun):
    """`closes`: the app closes its streams with 1001 at SIGTERM, else its exit cuts them. Times from the trigger."""

    closes: bool = False
    every: float = 0.5  # from one message to the next
    reloads: float | tuple[float, ...] = ()  # when the balancer cuts all streams that were opened before
    idle: float | None = None  # the balancer cuts streams that are silent for so long
    talks: float = (
        0.0  # with `idle`: messages come for so long, and for 0.3 s more in each slot than in the one before
    )
    names: bool = True  # answers name their pod
    limit: float | None = None  # the balancer cuts each stream when it is so old
    opens_over: float = 0.5  # the first streams are opened over this time
    pongs: float | None = None  # no messages, but a pong so often
    refuses_until: float = -100.0  # new handshakes get a 502 until then
    wait: float = WAIT
    numbered: bool = True
    back_within: float = 10.0

    def run(self) -> RunRecord:
        return replace(
            super().run(),
            stream="websocket",
            back_within_ns=round(self.back_within * S),
            expect=((101, 101),),
        )

    def write(self, root: Path) -> Path:
        path = super().write(root)
        file = StreamRows(path / "streams" / "0.arrow", 0)
        for stream in self._held()[1]:
            file.add(stream)
        file.close()
        return path

    def _simulate(self) -> list[dict[str, Any]]:
        return self._held()[0]

    def _held(self) -> tuple[list[dict[str, Any]], list[StreamRow]]:
        rows: list[dict[str, Any]] = []
        streams: list[StreamRow] = []
        for slot in range(self.concurrency):
            self._one(slot, rows, streams)
        return sorted(rows, key=lambda row: row["done_ns"]), streams

    def _one(self, slot: int, rows: list[dict[str, Any]], streams: list[StreamRow]) -> None:
        t, lost, refused = -TRIGGER + self.opens_over * slot / self.concurrency, (-1, NEVER), [""][:0]
        while t < self.ended:
            conn = len(rows) * 100 + slot
            if t < self.refuses_until and t > 0:
                rows.append(self._row(slot, conn, 0, t, t, t + 0.002, status=502))
                refused.append("502")
                t += self.wait
                continue
            pod = self._target(t, slot)
            ends, how, code = self._end(t, slot, pod)
            rows.append(self._row(slot, conn, 0, t, t, t + 0.003, pod=self._named(pod)))
            life = Life(_ns(t), _ns(t + 0.003), _ns(t + 0.003))
            at, last, carried = t + 0.003, t + 0.003, 1
            every = self.pongs or self.every
            while at + every < min(ends, self.ended):
                at += every
                if self.idle is not None and at > t + 0.003 + self._talk(slot):
                    break
                if not self.pongs:
                    life.message(int((at + TRIGGER) / every) if self.numbered else -1, _ns(at))
                if at - last >= 1:
                    rows.append(self._row(slot, conn, carried, last, t, at, pod=self._named(pod)))
                    last, carried = at, carried + 1
            over = ends >= self.ended
            if not over:
                outcome = Outcome.RESPONSE if how == "close" else Outcome.EOF_MID_RESPONSE
                due = last if how == "close" else t
                rows.append(
                    self._row(slot, conn, carried, due, t, ends, pod=self._named(pod), outcome=outcome)
                )
            ending = Ending(US, END) if over else Ending(PEER, FIN)
            streams.append(
                StreamRow(
                    slot, conn, "websocket", life, _ns(min(ends, self.ended)), ending.by, "over" if over else how,
                    0 if over else code, Back(*lost, len(refused) + 1, ", ".join(refused)), self._named(pod),
                    "127.0.0.1:8088",
                )
            )  # fmt: skip
            lost, refused = (conn, _ns(ends)), []
            t = ends + self.wait * (0.8 + 0.04 * (slot % 10))

    def _target(self, t: float, slot: int) -> FakePod:
        known = [pod for pod in self.pods if pod.served(t - self.lag)]
        return known[slot % len(known)]

    def _named(self, pod: FakePod) -> str:
        return pod.name if self.names else ""

    def _talk(self, slot: int) -> float:
        return self.talks + 0.3 * slot if self.talks else 0.0

    def _end(self, t: float, slot: int, pod: FakePod) -> tuple[float, str, int]:
        ends = []
        if pod.exits is not None and pod.term is not None:
            ends.append((pod.term + 0.1, "close", 1001) if self.closes else (pod.exits, "eof", 1006))
        reloads = self.reloads if isinstance(self.reloads, tuple) else (self.reloads,)
        ends += [(at + 0.002 * (round(t * 100) % 10), "eof", 1006) for at in reloads if t < at]
        if self.idle is not None:
            ends.append((t + 0.003 + self._talk(slot) + self.idle, "eof", 1006))
        if self.limit is not None:
            ends.append((t + self.limit + 0.0002 * (round(t * 100) % 10), "eof", 1006))
        return min(ends, default=(1e6, "over", 0))

    def _row(
        self, slot: int, conn: int, carried: int, due: float, sent: float, done: float, *, status: int = 101,
        pod: str = "", outcome: Outcome = Outcome.RESPONSE,
    ) -> dict[str, Any]:  # fmt: skip
        return {
            "seq": round((done + TRIGGER) * 1e6), "slot": slot, "conn": conn, "conn_hits": carried, "due_ns": _ns(due),
            "sent_ns": _ns(sent), "first_byte_ns": _ns(sent + 0.003), "done_ns": _ns(done), "status": status,
            "outcome": outcome, "bytes_in": 100, "bytes_out": 10, "target": 0, "peer": "127.0.0.1:8088", "pod": pod,
        }  # fmt: skip


def _ns(t: float) -> int:
    return round((TRIGGER + t) * S)
