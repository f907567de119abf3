"""Limits of a connection: one hit, a number of hits, an age. And what its row then says."""

from pathlib import Path

import pytest

from tests.load.load_run import completed, plan_for, run_load
from tests.load.scripted_server import OK, ScriptedServer, always


def test_without_keep_alive_each_hit_has_a_connection_of_its_own_and_asks_for_its_end(tmp_path: Path) -> None:
    asked: list[bytes] = []

    def script(visit: object) -> None:
        while request := visit.request():  # type: ignore[attr-defined]
            asked.append(request)
            visit.answer()  # type: ignore[attr-defined]

    with ScriptedServer(script) as server:
        result = run_load(plan_for(server.url, 3, keepalive=False), tmp_path, until=completed(60))
    assert result.failed == 0
    assert (
        len(result.hits) == server.seen["requests"] == len(result.connections) == server.seen["connections"]
    )
    assert {hit["conn_hits"] for hit in result.hits} == {0}
    assert all(b"\r\nConnection: close\r\n" in request for request in asked)
    # The server kept them open, whatever it was asked for: it is us who closed.
    assert {(row["closed_by"], row["how"], row["hits"]) for row in result.connections} <= {
        ("us", "limit", 1),
        ("us", "end", 0),
    }


def test_a_connection_is_closed_by_us_after_its_own_number_of_hits(tmp_path: Path) -> None:
    with ScriptedServer(always(OK, pause=0.001)) as server:
        result = run_load(plan_for(server.url, 4, conn_max_hits=20), tmp_path, until=completed(1500))
    assert result.failed == 0
    over = [row["hits"] for row in result.connections if row["how"] == "limit"]
    assert len(over) >= 60
    assert min(over) >= 10
    assert max(over) <= 20
    assert len(set(over)) > 3
    assert len(result.hits) == server.seen["requests"]
    assert {row["closed_by"] for row in result.connections} == {"us"}


def test_a_connection_is_closed_by_us_when_it_is_old_enough(tmp_path: Path) -> None:
    with ScriptedServer(always(OK, pause=0.001)) as server:
        plan = plan_for(server.url, 4, conn_max_age_ns=200_000_000)
        result = run_load(plan, tmp_path, seconds=1.5)
    assert result.failed == 0
    ages = [row["closed_ns"] - row["opened_ns"] for row in result.connections if row["how"] == "limit"]
    assert len(ages) >= 8
    assert min(ages) >= 100_000_000
    assert len({age // 1_000_000 for age in ages}) > 2


def test_connections_without_a_limit_live_as_long_as_the_load(tmp_path: Path) -> None:
    with ScriptedServer(always(OK, pause=0.001)) as server:
        result = run_load(plan_for(server.url, 4), tmp_path, until=completed(400))
    assert {(row["closed_by"], row["how"]) for row in result.connections} == {("us", "end")}
    assert server.seen["connections"] == 4


@pytest.mark.parametrize(
    ("wanted", "pod"), [((), ""), (("X-Backend",), "b-7"), (("x-nobody", "X-POD"), "a-1")]
)
def test_the_pod_is_read_from_the_header_that_was_asked_for(
    tmp_path: Path, wanted: tuple[str, ...], pod: str
) -> None:
    answer = b"HTTP/1.1 200 OK\r\nX-Backend: b-7\r\nX-Pod: a-1\r\nContent-Length: 0\r\n\r\n"
    with ScriptedServer(always(answer)) as server:
        result = run_load(plan_for(server.url, 2, pod_headers=wanted), tmp_path, until=completed(20))
    assert {hit["pod"] for hit in result.hits} == {pod}
