"""The timer of the open loop, and rows that are counted and written while its hits become due."""

from __future__ import annotations

import select
import time
from collections import Counter, deque
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from harness.load.rows.writing import HitRows
from harness.load.wire.interface import Pacing
from harness.load.worker.arrivals import Arrivals
from harness.load.worker.pacer import FixedRate
from harness.model import NEVER, LoadPlan, Outcome, Target
from tests.load.load_run import plan_for, run_load
from tests.load.scripted_server import OK, ScriptedServer, always

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


MS = 1_000_000


class Paced:
    """Arrivals that begin no hit: their timer and what is due, as the hot loop sees them."""

    def __init__(self, rate: float, ramp_ns: int = 0) -> None:
        self.pacing = Pacing()
        self.looked = 0  # when it was last asked what is due
        self.anchor = time.monotonic_ns()
        parts: Any = (self.pacing, lambda *_: None, lambda *_: None)
        self.arrivals = Arrivals(FixedRate(rate, ramp_ns=ramp_ns), 10**9, self.anchor, *parts)
        self.arrivals.start(self.now())

    def now(self) -> int:
        return time.monotonic_ns() - self.anchor

    def woken(self, seconds: float) -> bool:
        """Wait for the timer, and let it know that it was heard."""
        heard = bool(select.select([self.arrivals], [], [], seconds)[0])
        if heard:
            self.arrivals.ready()
        return heard

    def send_all(self) -> int:
        """Take what is due by now, and be woken up for the next one."""
        count, self.looked = 0, self.now()
        now = self.looked
        while self.pacing.due_ns <= now:
            self.arrivals.next()
            count += 1
        self.arrivals.arm(now)
        return count


@pytest.fixture
def paced(request: pytest.FixtureRequest) -> Iterator[Paced]:
    rate, ramp_ns = request.param
    made = Paced(rate, ramp_ns)
    yield made
    made.arrivals.leave()


@pytest.mark.parametrize("paced", [(10_000.0, 0)], indirect=True)
def test_close_hits_share_the_ticks_of_a_timer_that_nobody_sets_again(paced: Paced) -> None:
    woken, sent = 0, 0
    end = paced.now() + 200 * MS
    while paced.now() < end:
        assert paced.woken(1)
        woken += 1
        sent += paced.send_all()
        assert paced.arrivals.ticking
    assert sent == pytest.approx(paced.looked / 100_000, abs=20)
    assert woken <= sent / 3


@pytest.mark.parametrize("paced", [(100.0, 0)], indirect=True)
def test_a_hit_far_from_the_next_one_has_the_timer_for_itself(paced: Paced) -> None:
    for _ in range(5):
        due = paced.pacing.due_ns
        assert paced.woken(1)
        assert paced.now() >= due
        assert paced.send_all() >= 1
        assert not paced.arrivals.ticking
    assert paced.pacing.due_ns > paced.now()


@pytest.mark.parametrize("paced", [(4000.0, 400 * MS)], indirect=True)
def test_on_a_ramp_the_timer_begins_to_tick_when_hits_come_close(paced: Paced) -> None:
    sent = 0
    ticking = []
    while paced.now() < 500 * MS:
        assert paced.woken(1)
        sent += paced.send_all()
        ticking.append(paced.arrivals.ticking)
    assert (ticking[0], ticking[-1]) == (False, True)
    assert sent == pytest.approx(4000 * (0.4 / 2 + 0.1), rel=0.1)


@pytest.mark.parametrize("paced", [(10_000.0, 0)], indirect=True)
def test_the_ticks_end_when_nothing_is_due_any_more(paced: Paced) -> None:
    assert paced.woken(1)
    paced.arrivals.drain(paced.now())
    paced.woken(0)  # a tick that was on its way
    assert not paced.woken(0.02)


def test_a_rate_above_the_ticks_loses_no_hit_and_sends_none_early(tmp_path: Path) -> None:
    with ScriptedServer(always(OK)) as server:
        result = run_load(plan_for(server.url, 20, rate=3000.0), tmp_path, seconds=1.5)
    assert result.failed == 0
    assert all(hit["sent_ns"] >= hit["due_ns"] for hit in result.only("response"))
    due = sorted(hit["due_ns"] for hit in result.hits)
    assert max(b - a for a, b in pairwise(due)) < 340_000
    assert len(result.only("response")) == server.seen["requests"]


def rows_of(tmp_path: Path, rate: float | None) -> HitRows:
    (tmp_path / "hits").mkdir()
    return HitRows(tmp_path / "hits" / "0.arrow", 0, LoadPlan((Target("http://x/"),), 4, rate=rate))


@pytest.mark.parametrize("rate", [None, 100.0])
def test_more_rows_than_fit_are_all_written_in_their_order(tmp_path: Path, rate: float | None) -> None:
    rows = rows_of(tmp_path, rate)
    kinds = [rows.kind(200, Outcome.RESPONSE, pod, 0) for pod in ("", "pod-1", "pod-2")]
    ident = rows.ident(3, 7, "10.0.0.1:80")
    many = HitRows.CAPACITY + HitRows.OPEN_CAPACITY + 1  # one row alone is the last batch
    for n in range(many):
        rows.add(n, ident, n, n, n + 1, n + 2, n + 3, 100, 50, kinds[n % 3])
    rows.close()
    with pa.ipc.open_stream(tmp_path / "hits" / "0.arrow") as stream:
        table = stream.read_all()
    assert table["seq"].to_pylist() == list(range(many))
    assert table["done_ns"].to_pylist() == [n + 3 for n in range(many)]
    assert table["pod"].to_pylist() == ["" if n % 3 == 0 else f"pod-{n % 3}" for n in range(many)]
    assert rows.totals.completed == many


def test_totals_are_those_of_the_rows_whatever_they_are_a_mix_of(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, None)
    wanted: Counter[str] = Counter()
    last_failed = NEVER
    took: deque[int] = deque()
    for n in range(3000):
        mixed = n >= 1000  # the first count sees nothing but good answers
        status, outcome = (
            [(200, Outcome.RESPONSE), (502, Outcome.RESPONSE), (0, Outcome.RESET_BEFORE_RESPONSE),
             (0, Outcome.DROPPED)][n % 4] if mixed else (200, Outcome.RESPONSE)
        )  # fmt: skip
        rows.add(n, 0, n, n, n, n, n + 1000 * MS, 0, 0, rows.kind(status, outcome, "", 0))
        wanted[str(status) if outcome is Outcome.RESPONSE else outcome.value] += 1
        if status == 502 or outcome is Outcome.RESET_BEFORE_RESPONSE:
            wanted["failed"] += 1
            last_failed = n + 1000 * MS
        if status == 200:
            took.append(1000 * MS)
        if n % 1000 == 999:
            rows.count()
    rows.close()
    totals = rows.totals
    failed = wanted.pop("failed")
    assert totals.failed == failed
    assert totals.last_failed_ns == last_failed
    assert Counter({**{str(s): c for s, c in totals.statuses.items()}, **totals.outcomes}) == wanted
    assert sum(totals.latencies.values()) == len(took)
    assert rows.cycles.value_ns() == pytest.approx(1000 * MS, rel=0.03)
