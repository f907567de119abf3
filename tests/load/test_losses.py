"""What servers do to requests, and whether our count of losses equals theirs."""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.load.generator import Load
from harness.model import Target
from tests.load.load_run import LoadResult, completed, plan_for, run_load
from tests.load.scripted_server import ScriptedServer, Visit

PER_CONNECTION = 50


def misbehaving(fault: Callable[[Visit], None]) -> Callable[[Visit], None]:
    """Answer fifty requests of a connection, then do `fault` on the next one."""

    def script(visit: Visit) -> None:
        for _ in range(PER_CONNECTION):
            if not visit.request():
                return
            visit.answer()
        fault(visit)

    return script


def wire_counts(result: LoadResult) -> Counter[tuple[str, str]]:
    return Counter((row["closed_by"], row["how"]) for row in result.connections)


def test_a_reset_after_reading_is_one_lost_hit_each_and_none_is_sent_again(tmp_path: Path) -> None:
    def reset(visit: Visit) -> None:
        if visit.request():
            visit.reset("lost")

    with ScriptedServer(misbehaving(reset)) as server:
        result = run_load(plan_for(server.url, 8), tmp_path, until=completed(4000))
    lost = server.seen["lost"]
    assert lost > 40
    assert result.failed == lost == result.counts.failed
    assert result.outcomes["response"] == server.seen["answered"]
    assert len(result.hits) == server.seen["requests"]
    # At once, on a used connection, by a server that is alive: a race, unless this machine took over 5 ms.
    assert set(result.outcomes) <= {"response", "idle_close_race", "reset_before_response"}
    assert result.outcomes["idle_close_race"] > 0
    for hit in result.only("reset_before_response"):
        assert hit["done_ns"] - hit["sent_ns"] > 5_000_000
    assert wire_counts(result)["peer", "reset"] == lost


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("end", "outcome", "how", "text"),
    [
        (Visit.reset, "reset_before_response", "reset", "ConnectionResetError(104"),
        (Visit.fin, "eof_before_response", "fin", "end of stream"),
    ],
)
def test_a_close_some_time_after_reading_is_a_lost_hit_and_not_a_race(
    tmp_path: Path, end: Callable[[Visit, str], None], outcome: str, how: str, text: str, method: str
) -> None:
    def fault(visit: Visit) -> None:
        if visit.request():
            time.sleep(0.03)
            end(visit, "lost")

    with ScriptedServer(misbehaving(fault)) as server:
        target = Target(server.url, method)
        result = run_load(plan_for(server.url, 8, target=target), tmp_path, until=completed(1200))
    assert server.seen["lost"] > 12
    assert len(result.hits) == server.seen["requests"]
    assert result.outcomes == {"response": server.seen["answered"], outcome: server.seen["lost"]}
    assert wire_counts(result)["peer", how] == server.seen["lost"]
    assert result.samples[outcome].startswith(text)


def test_a_close_after_the_answer_loses_no_request_that_the_server_read(tmp_path: Path) -> None:
    def close(visit: Visit) -> None:
        visit.fin("closed")

    with ScriptedServer(misbehaving(close)) as server:
        result = run_load(plan_for(server.url, 8), tmp_path, until=completed(4000))
    closed = server.seen["closed"]
    assert closed > 40
    assert set(result.outcomes) <= {
        "response",
        "idle_close_race",
        "reset_before_response",
        "eof_before_response",
    }
    for hit in result.only("reset_before_response") + result.only("eof_before_response"):
        assert hit["done_ns"] - hit["sent_ns"] > 5_000_000  # this machine was busy with something else
    # Every request that was read was answered; what met the close was never read, and is called a race.
    assert result.outcomes["response"] == server.seen["answered"] == server.seen["requests"]
    by_peer = sum(count for (who, _), count in wire_counts(result).items() if who == "peer")
    assert by_peer <= closed <= by_peer + 8  # at the very end both sides close at once
    assert result.failed <= closed


def test_half_a_body_is_a_failed_hit_even_with_status_200(tmp_path: Path) -> None:
    def truncate(visit: Visit) -> None:
        if visit.request():
            visit.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"x" * 50, what="truncated")
            visit.fin()

    with ScriptedServer(misbehaving(truncate)) as server:
        result = run_load(plan_for(server.url, 8), tmp_path, until=completed(4000))
    assert server.seen["truncated"] > 40
    assert result.outcomes == {
        "response": server.seen["answered"],
        "eof_mid_response": server.seen["truncated"],
    }
    assert result.failed == server.seen["truncated"]
    assert {(hit["status"], hit["bytes_in"]) for hit in result.only("eof_mid_response")} == {(200, 90)}


def test_a_reset_in_the_middle_of_a_body_is_named_so(tmp_path: Path) -> None:
    def cut(visit: Visit) -> None:
        if visit.request():
            visit.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"x" * 50, what="cut")
            time.sleep(0.03)
            visit.reset()

    with ScriptedServer(misbehaving(cut)) as server:
        result = run_load(plan_for(server.url, 4), tmp_path, until=completed(500))
    assert server.seen["cut"] > 4
    assert result.outcomes == {"response": server.seen["answered"], "reset_mid_response": server.seen["cut"]}


def test_closing_an_idle_connection_is_not_a_failure(tmp_path: Path) -> None:
    def script(visit: Visit) -> None:
        while visit.request():
            # A failed hit makes the slot rest for a cycle: long enough for a close to find it idle.
            if visit.server.seen["requests"] < 12:
                time.sleep(0.25)
                visit.answer()
            else:
                visit.answer(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", what="503")
                time.sleep(0.02)
                visit.fin("idle")
                return

    with ScriptedServer(script) as server:
        result = run_load(plan_for(server.url, 2), tmp_path, until=completed(30))
    assert server.seen["idle"] > 10
    assert set(result.outcomes) == {"response"}
    assert result.failed == server.seen["503"] == result.counts.statuses[503]
    assert wire_counts(result)["peer", "fin"] == pytest.approx(
        server.seen["idle"], abs=2
    )  # those at the very end
    assert result.backed_off > 10


def test_a_race_is_a_race_only_where_a_new_connection_works_at_once(tmp_path: Path) -> None:
    def script(visit: Visit) -> None:
        for _ in range(20):
            if not visit.request():
                return
            visit.answer()
        if visit.request():
            visit.server.close_listener()  # dead from here on
            visit.reset("lost")

    with ScriptedServer(script) as server:
        result = run_load(
            plan_for(server.url, 1), tmp_path, until=lambda load: "connect_refused" in load.counts.outcomes
        )
    assert server.seen["lost"] == 1
    assert result.outcomes["reset_before_response"] == 1
    assert result.outcomes["idle_close_race"] == 0
    assert result.outcomes["connect_refused"] >= 1


def test_started_less_completed_is_in_flight_at_any_time(tmp_path: Path) -> None:
    def reset(visit: Visit) -> None:
        if visit.request():
            visit.reset("lost")

    seen: list[tuple[int, int]] = []

    def watch(load: Load) -> bool:
        counts = load.counts
        seen.append((counts.started - counts.completed, counts.in_flight))
        return counts.completed >= 2000

    with ScriptedServer(misbehaving(reset)) as server:
        result = run_load(plan_for(server.url, 8, workers=2), tmp_path, until=watch)
    assert all(difference == in_flight for difference, in_flight in seen)
    assert max(in_flight for _, in_flight in seen) > 0
    assert result.counts.started == result.counts.completed
    assert result.counts.completed == len(result.hits) == sum(sample.completed for sample in result.health)
    assert result.counts.in_flight == 0
    assert result.counts.last_failed_ns == max(
        hit["done_ns"] for hit in result.hits if hit["outcome"] != "response"
    )
