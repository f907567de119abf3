"""Open loop: when due hits are sent, where a response time starts, and what is recorded of hits never sent."""

import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from harness.load.worker.pacer import FixedRate
from harness.model import Target
from tests.load.h2_server import Asked, H2Visit
from tests.load.load_run import plan_for, run_load
from tests.load.scripted_server import OK, ScriptedServer, Visit, always

NS = 1_000_000_000


def test_due_times_are_fixed_in_advance_and_shared_between_workers() -> None:
    one = [FixedRate(10).due_ns(5, n) for n in range(5)]
    assert one == [5, 100_000_005, 200_000_005, 300_000_005, 400_000_005]
    both = [FixedRate(10, (worker,), 2).due_ns(5, n) for n in range(2) for worker in range(2)]
    assert both == one[:4]


def test_a_worker_gets_as_much_of_the_rate_as_it_has_of_the_slots() -> None:
    one = [FixedRate(10).due_ns(5, n) for n in range(9)]
    two_slots = [FixedRate(10, (0, 2), 3).due_ns(5, n) for n in range(6)]
    one_slot = [FixedRate(10, (1,), 3).due_ns(5, n) for n in range(3)]
    assert sorted(two_slots + one_slot) == one
    assert two_slots == sorted(two_slots)


def test_an_uneven_split_of_slots_sends_the_same_load_as_one_worker(tmp_path: Path) -> None:
    with ScriptedServer(always(OK, pause=0.05)) as server:
        result = run_load(plan_for(server.url, 3, rate=40.0, workers=2), tmp_path, seconds=3)
    assert result.failed == 0
    hits = Counter(hit["worker"] for hit in result.hits)
    assert hits[0] == pytest.approx(2 * hits[1], abs=3)
    due = sorted(hit["due_ns"] for hit in result.hits)
    assert {round((b - a) / 1000) for a, b in pairwise(due)} == {25_000}


def test_on_a_ramp_the_rate_rises_evenly_and_then_stays() -> None:
    due = [FixedRate(100, ramp_ns=2 * NS).due_ns(0, n) for n in range(300)]
    assert due == sorted(due)
    by = [sum(t <= second * NS for t in due) for second in (1, 2, 3)]
    assert by == pytest.approx([25, 100, 200], abs=1)
    assert {b - a for a, b in pairwise(due[101:])} <= {10_000_000, 9_999_999, 10_000_001}


def test_the_rate_holds_whatever_the_answers_take(tmp_path: Path) -> None:
    with ScriptedServer(always(OK, pause=0.02)) as server:
        result = run_load(plan_for(server.url, 20, rate=100.0, workers=2), tmp_path, seconds=2)
    assert result.failed == 0
    assert result.outcomes["dropped"] == 0
    assert len(result.hits) == server.seen["requests"]
    due = sorted(hit["due_ns"] for hit in result.hits)
    assert {round((b - a) / 1000) for a, b in pairwise(due)} == {10_000}
    assert all(hit["sent_ns"] >= hit["due_ns"] for hit in result.hits)
    assert len({(hit["worker"], hit["slot"]) for hit in result.hits}) == 20  # all connections stay in use


def test_a_stall_is_seen_by_every_hit_that_became_due_in_it(tmp_path: Path) -> None:
    def stalls_once(visit: Visit) -> None:
        while visit.request():
            if visit.server.seen["answered"] == 50:
                time.sleep(1)
            visit.answer()

    with ScriptedServer(stalls_once) as server:
        result = run_load(plan_for(server.url, 1, rate=100.0), tmp_path, seconds=3)
    assert result.failed == 0
    slow = [hit for hit in result.hits if hit["done_ns"] - hit["due_ns"] > 100_000_000]
    # One request met the stall; some ninety became due in it, and a closed loop would not have sent them.
    assert 70 <= len(slow) <= 200
    # All but the one that met it were sent late; a few at the end of the queue only just.
    assert sum(hit["sent_ns"] - hit["due_ns"] > 90_000_000 for hit in slow) >= len(slow) - 1
    due = sorted(hit["due_ns"] for hit in result.hits)
    assert {round((b - a) / 1000) for a, b in pairwise(due)} == {10_000}


def test_hits_without_a_free_slot_in_time_are_dropped_and_do_not_count_as_failures(tmp_path: Path) -> None:
    def silent(visit: Visit) -> None:
        visit.request()
        visit.stall()

    with ScriptedServer(silent) as server:
        plan = plan_for(server.url, 2, rate=50.0, stalled_ns=300_000_000)
        result = run_load(plan, tmp_path, seconds=1.5, drain_ns=100_000_000)
    assert server.seen["requests"] == 2
    assert result.outcomes["cut_at_deadline"] == 2
    dropped = result.only("dropped")
    assert len(dropped) >= 40
    assert set(result.outcomes) == {"cut_at_deadline", "dropped"}
    assert {(hit["sent_ns"], hit["conn"], hit["peer"], hit["bytes_out"]) for hit in dropped} == {
        (-1, -1, "", 0)
    }
    due = sorted(hit["due_ns"] for hit in result.hits)
    assert {round((b - a) / 1000) for a, b in pairwise(due)} == {20_000}
    assert result.counts.failed == 0
    assert result.counts.outcomes["dropped"] == len(dropped)


def test_hits_due_before_the_end_of_the_load_are_still_sent_and_no_others(tmp_path: Path) -> None:
    with ScriptedServer(always(OK, pause=0.2)) as server:
        plan = plan_for(server.url, 1, rate=20.0, stalled_ns=30 * NS)
        result = run_load(plan, tmp_path, seconds=1, drain_ns=30 * NS)
    assert set(result.outcomes) == {"response"}
    assert len(result.hits) == server.seen["requests"] >= 15
    due = sorted(hit["due_ns"] for hit in result.hits)
    assert {round((b - a) / 1000) for a, b in pairwise(due)} == {50_000}
    assert due[-1] < due[0] + 2 * NS  # the load lasted for one second, and what waited then took three more
    assert max(hit["sent_ns"] for hit in result.hits) > due[-1] + NS


def test_hits_still_waiting_after_the_drain_are_dropped(tmp_path: Path) -> None:
    with ScriptedServer(always(OK, pause=0.2)) as server:
        plan = plan_for(server.url, 1, rate=20.0, stalled_ns=30 * NS)
        result = run_load(plan, tmp_path, seconds=1, drain_ns=500_000_000)
    assert set(result.outcomes) == {"response", "cut_at_deadline", "dropped"}
    assert len(result.hits) - result.outcomes["dropped"] == server.seen["requests"]


def test_a_server_that_refuses_gets_no_more_than_the_rate(tmp_path: Path) -> None:
    with ScriptedServer(always(OK)) as server:
        server.close_listener()
        result = run_load(plan_for(server.url, 4, rate=40.0), tmp_path, seconds=1.5)
    assert set(result.outcomes) == {"connect_refused"}
    assert result.backed_off == 0
    due = sorted(hit["due_ns"] for hit in result.hits)
    assert {round((b - a) / 1000) for a, b in pairwise(due)} == {25_000}


@pytest.mark.parametrize("ramp_ns", [0, 2 * NS])
@pytest.mark.parametrize("rate", [0.3, 7.0, 10_000.0, 49_999.0])
def test_due_times_computed_together_are_those_computed_one_by_one(rate: float, ramp_ns: int) -> None:
    schedule = FixedRate(rate, (1, 2, 5), 7, ramp_ns)
    for first in (0, 1, 1000, 10_000_000):
        together = schedule.dues_ns(5, first, 300)
        assert together == [schedule.due_ns(5, n) for n in range(first, first + 300)]


@pytest.mark.parametrize("http2", [False, True])
def test_at_a_rate_of_several_hits_a_wake_up_none_is_lost_or_sent_before_it_is_due(
    tmp_path: Path, *, http2: bool
) -> None:
    def answer_all(visit: Visit) -> None:
        session = H2Visit(visit) if http2 else None
        while asked := session.request() if session else visit.request():
            if session and isinstance(asked, Asked):
                session.answer(asked)
            else:
                visit.answer()

    with ScriptedServer(answer_all) as server:
        targets = (Target(server.url + "a"), Target(server.url + "b/{seq}", weight=3))
        plan = plan_for(server.url, 20, rate=500.0, targets=targets, http2=http2)
        result = run_load(plan, tmp_path, seconds=1.5)
    assert set(result.outcomes) == {"response"}
    assert len(result.hits) == server.seen["requests"]
    due = sorted(hit["due_ns"] for hit in result.hits)
    assert {round((b - a) / 1000) for a, b in pairwise(due)} == {2000}
    assert all(hit["sent_ns"] >= hit["due_ns"] for hit in result.hits)
    assert sorted(hit["seq"] for hit in result.hits) == list(range(len(result.hits)))
    assert len(result.of_target(1)) == pytest.approx(3 * len(result.of_target(0)), abs=20)
    assert server.seen["connections"] == len(result.connections) == 20
    assert len({hit["slot"] for hit in result.hits}) == 20  # all connections stay in use


def test_what_comes_on_an_idle_connection_is_not_taken_for_the_answer_of_the_next_due_hit(
    tmp_path: Path,
) -> None:
    def answers_twice(visit: Visit) -> None:
        turn = 0
        while visit.request():
            turn += 1
            visit.answer()
            if turn % 5 == 0:
                time.sleep(0.01)
                visit.answer(what="unasked")

    with ScriptedServer(answers_twice) as server:
        result = run_load(plan_for(server.url, 4, rate=200.0), tmp_path, seconds=1.5)
    assert set(result.outcomes) == {"response"}
    assert len(result.hits) == server.seen["requests"]
    unasked = [row for row in result.connections if row["how"] == "unasked"]
    assert len(unasked) >= server.seen["unasked"] - 4 > 10
