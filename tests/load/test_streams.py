"""Several requests in flight on one HTTP/2 connection: each hit ends by itself, whatever happens to the others."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydantic
import pytest
from h2.settings import SettingCodes

from harness.clock import Clock
from harness.errors import UsageError
from harness.load.feasibility import check
from harness.load.messages import assignments
from harness.load.worker.pacer import SPREAD_NS
from harness.model import LoadPlan, Target
from harness.scenario.schema import TargetPart
from tests.load.h2_server import REFUSED_STREAM, Asked, H2Visit
from tests.load.load_run import LoadResult, completed, plan_for, run_load
from tests.load.scripted_server import ScriptedServer, Visit

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.load.generator import Load

STREAMS = 5


def streams_plan(url: str, connections: int = 2, **changes: Any) -> LoadPlan:
    made = {"http2": True, "streams": STREAMS, "error_backoff": False} | changes
    return plan_for(url, connections, **made)


def in_groups(group: Callable[[H2Visit, list[Asked]], bool | None], size: int = 3) -> Callable[[Visit], None]:
    """Collect so many requests, which are in flight at the same time, and then do this to them; True ends it."""

    def script(visit: Visit) -> None:
        session = H2Visit(visit)
        while True:
            held: list[Asked] = []
            while len(held) < size:
                asked = session.request()
                if asked is None:
                    return
                held.append(asked)
            if group(session, held):
                return

    return script


def outcomes(result: LoadResult) -> set[str]:
    return set(result.outcomes) - {"cut_at_deadline"}  # groups that were not full at the end


def all_slots_have_begun(load: Load) -> bool:
    return load.counts.t_ns > load.started_ns + 2 * SPREAD_NS


def none_sent_twice(result: LoadResult, server: ScriptedServer) -> bool:
    return server.seen["requests"] == len([hit for hit in result.hits if hit["sent_ns"] > 0])


def test_streams_share_a_connection_and_may_be_answered_in_any_order(tmp_path: Path) -> None:
    seen: dict[str, int] = {}

    def backwards(session: H2Visit, held: list[Asked]) -> None:
        for asked in reversed(held):
            seen[asked.headers[":path"]] = asked.stream
            session.answer(asked)

    with ScriptedServer(in_groups(backwards)) as server:
        target = Target(server.url + "{seq}")
        plan = streams_plan(server.url, targets=(target,), workers=2)
        result = run_load(plan, tmp_path, until=all_slots_have_begun, drain_ns=300_000_000)
    assert outcomes(result) == {"response"}
    assert none_sent_twice(result, server)
    assert server.seen["connections"] == len(result.connections) == 2
    assert {(hit["worker"], hit["slot"]) for hit in result.hits} == {
        (slot // STREAMS, slot) for slot in range(2 * STREAMS)
    }
    for row in result.connections:
        mine = [h for h in result.hits if (h["worker"], h["conn"]) == (row["worker"], row["conn"])]
        assert sorted(hit["conn_hits"] for hit in mine) == list(range(row["hits"]))
    numbered = {f"/{hit['worker']:02d}{hit['seq']:010d}": hit for hit in result.hits}
    answered = {path: hit for path, hit in numbered.items() if hit["outcome"] == "response"}
    assert all(seen[path] == 2 * hit["conn_hits"] + 1 for path, hit in answered.items())
    assert all(
        hit["due_ns"] <= hit["sent_ns"] <= hit["first_byte_ns"] <= hit["done_ns"] for hit in answered.values()
    )


def test_a_goaway_refuses_the_streams_above_its_last_one_and_the_others_are_answered(tmp_path: Path) -> None:
    def leave_out_the_last(session: H2Visit, held: list[Asked]) -> bool:
        session.goaway(held[-2].stream)
        session.visit.server.count("refused")
        time.sleep(0.01)
        for asked in held[:-1]:
            session.answer(asked)
        while session.request():  # were on their way already
            session.visit.server.count("refused")
        return True

    with ScriptedServer(in_groups(leave_out_the_last)) as server:
        result = run_load(streams_plan(server.url), tmp_path, until=completed(90), drain_ns=300_000_000)
    assert outcomes(result) == {"response", "h2_goaway"}
    assert none_sent_twice(result, server)
    assert result.outcomes["response"] == server.seen["answered"]
    assert result.outcomes["h2_goaway"] == server.seen["refused"]
    assert result.samples["h2_goaway"].startswith("GOAWAY, last stream ")
    ends = Counter((row["closed_by"], row["how"]) for row in result.connections)
    assert ends["peer", "goaway"] >= server.seen["connections"] - 2


def test_a_cut_loses_what_is_in_flight_and_each_hit_says_how_far_its_answer_had_come(tmp_path: Path) -> None:
    def cut(session: H2Visit, held: list[Asked]) -> bool:
        session.answer(held[0])
        session.head(held[1])
        time.sleep(0.03)
        session.visit.fin()
        return True

    with ScriptedServer(in_groups(cut)) as server:
        result = run_load(streams_plan(server.url), tmp_path, until=completed(60), drain_ns=300_000_000)
    # What was sent into the end is lost, too: never answered, or never written.
    assert outcomes(result) - {"write_broken_pipe", "write_reset", "idle_close_race", "reset_before_response"} == {
        "response", "eof_before_response", "eof_mid_response"
    }  # fmt: skip
    assert result.outcomes["response"] == server.seen["answered"]
    assert result.outcomes["eof_mid_response"] >= server.seen["answered"] - 2
    assert {hit["status"] for hit in result.only("eof_mid_response")} == {200}


def test_a_reset_stream_is_one_lost_hit(tmp_path: Path) -> None:
    def refuse_one(session: H2Visit, held: list[Asked]) -> None:
        session.reset(held[1], REFUSED_STREAM)
        session.answer(held[2])
        session.answer(held[0])

    with ScriptedServer(in_groups(refuse_one)) as server:
        result = run_load(streams_plan(server.url), tmp_path, until=completed(200), drain_ns=300_000_000)
    assert outcomes(result) == {"response", "h2_refused_stream"}
    assert result.outcomes["h2_refused_stream"] == server.seen["lost"]
    assert server.seen["connections"] == 2


def test_a_stream_without_an_answer_times_out_alone_and_its_connection_gets_no_more_hits(
    tmp_path: Path,
) -> None:
    def forget_one(session: H2Visit, held: list[Asked]) -> None:
        if held[0].stream > 20 and not session.visit.server.seen["forgotten"]:
            session.visit.server.count("forgotten")
        else:
            session.answer(held[0])
        time.sleep(0.002)

    with ScriptedServer(in_groups(forget_one, size=1)) as server:
        plan = streams_plan(server.url, timeout_ns=300_000_000)
        result = run_load(plan, tmp_path, seconds=1.2)
    assert set(result.outcomes) == {"response", "read_timeout_headers"}
    assert result.outcomes["read_timeout_headers"] == server.seen["forgotten"] == 1
    timed_out = [row for row in result.connections if row["how"] == "timeout"]
    assert len(timed_out) == 1
    (late,) = {hit["conn"] for hit in result.only("read_timeout_headers")}
    assert late == timed_out[0]["conn"]
    end = min(hit["done_ns"] for hit in result.only("read_timeout_headers"))
    assert not [hit for hit in result.hits if hit["conn"] == late and hit["sent_ns"] > end]
    assert server.seen["connections"] == 3


def test_a_malformed_response_is_one_lost_hit(tmp_path: Path) -> None:
    def malform_one(session: H2Visit, held: list[Asked]) -> None:
        session.head(held[0], content_length="100")
        session.body(held[0], b"less")
        for asked in held[1:]:
            session.answer(asked)

    with ScriptedServer(in_groups(malform_one)) as server:
        result = run_load(streams_plan(server.url), tmp_path, until=completed(60), drain_ns=300_000_000)
    assert outcomes(result) == {"response", "eof_mid_response"}
    assert none_sent_twice(result, server)
    assert result.outcomes["response"] == server.seen["answered"]


def test_no_more_streams_are_in_flight_than_the_server_allows(tmp_path: Path) -> None:
    most = Counter[int]()

    def script(visit: Visit) -> None:
        session = H2Visit(visit)
        session.h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 2})
        session.raw(session.h2.data_to_send())
        while asked := session.request():
            time.sleep(0.003)
            visit.sock.setblocking(False)
            most[session.h2.open_inbound_streams] += 1
            visit.sock.setblocking(True)
            session.answer(asked)

    with ScriptedServer(script) as server:
        result = run_load(streams_plan(server.url, 1), tmp_path, until=completed(100), drain_ns=500_000_000)
    assert outcomes(result) == {"response"}  # h2 itself refuses a third stream
    assert none_sent_twice(result, server)
    assert max(most) <= 2
    assert len({hit["slot"] for hit in result.hits}) == STREAMS  # those that wait get their turn
    assert server.seen["connections"] == 1


def test_what_waits_for_a_stream_goes_to_another_connection_if_this_one_gets_no_more_hits(
    tmp_path: Path,
) -> None:
    def script(visit: Visit) -> None:
        session = H2Visit(visit)
        session.h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 1})
        session.raw(session.h2.data_to_send())
        while asked := session.request():
            if visit.number == 1 and asked.stream > 20:
                visit.server.count("silent")
                if visit.server.seen["silent"] == 1:
                    session.goaway(asked.stream)  # those that wait were never sent
                continue
            session.answer(asked)

    with ScriptedServer(script) as server:
        plan = streams_plan(server.url, 1, timeout_ns=1_500_000_000)
        result = run_load(plan, tmp_path, seconds=2.5)
    assert set(result.outcomes) == {"response", "read_timeout_headers"}
    assert result.outcomes["read_timeout_headers"] == server.seen["silent"] == 1
    assert none_sent_twice(result, server)
    assert server.seen["connections"] == len(result.connections) == 2
    assert sorted(hit["seq"] for hit in result.hits) == list(range(len(result.hits)))


def test_if_no_connection_opens_each_hit_that_waited_for_it_is_lost(tmp_path: Path) -> None:
    with ScriptedServer(lambda _: None) as server:
        server.close_listener()
        result = run_load(streams_plan(server.url, 2, error_backoff=True), tmp_path, seconds=0.8)
    assert set(result.outcomes) == {"connect_refused"}
    assert {hit["slot"] for hit in result.hits} == set(range(2 * STREAMS))
    assert {hit["sent_ns"] for hit in result.hits} == {-1}
    assert result.counts.completed == len(result.hits)


@pytest.mark.parametrize("rate", [None, 200.0])
def test_limits_of_a_connection_hold_for_its_streams_together(tmp_path: Path, rate: float | None) -> None:
    def script(visit: Visit) -> None:
        session = H2Visit(visit)
        while asked := session.request():
            time.sleep(0.001)
            session.answer(asked, x_pod=f"pod-{visit.number}")

    with ScriptedServer(script) as server:
        plan = streams_plan(server.url, conn_max_hits=40, rate=rate)
        result = run_load(plan, tmp_path, until=completed(300))
    assert set(result.outcomes) == {"response"}
    assert none_sent_twice(result, server)
    # A limit is noticed when a hit is over, and the other streams end theirs.
    assert {row["hits"] <= 40 + STREAMS for row in result.connections} == {True}
    assert len(result.connections) == server.seen["connections"] >= 7
    assert sum(row["hits"] for row in result.connections) == len(result.hits)


def test_streams_of_several_hosts_are_refused() -> None:
    targets = (Target("http://127.0.0.1:1/"), Target("http://127.0.0.1:2/"))
    with pytest.raises(UsageError, match="drop --streams"):
        check(LoadPlan(targets, 2, http2=True, streams=2))
    with pytest.raises(UsageError, match="lower --streams or -c"):
        check(LoadPlan(targets[:1], 600, http2=True, streams=200))


def test_streams_need_http2_and_those_of_a_connection_are_in_one_worker() -> None:
    with pytest.raises(pydantic.ValidationError, match="add http2, or drop streams"):
        TargetPart(streams=2)
    assert TargetPart(streams=2, http2=True).streams == 2
    plan = LoadPlan((Target("http://127.0.0.1/"),), 3, workers=2, http2=True, streams=4)
    of = assignments(plan, Clock.start(), Path())
    assert [part.slots for part in of] == [(0, 1, 2, 3, 8, 9, 10, 11), (4, 5, 6, 7)]
