"""The ids that requests carry: the server saw what can be computed from the rows."""

import re
import threading
from pathlib import Path

import anyio

from harness.clock import Clock
from harness.load.generator import running
from harness.model import LoadPlan, Target
from harness.recording import trace
from tests.load.load_run import LoadResult, completed, finish_load, plan_for, read, run_load, wait_until
from tests.load.scripted_server import OK, ScriptedServer, Visit


class Seen:
    """A script that keeps every request."""

    def __init__(self, answer: bytes = OK) -> None:
        self.requests: list[str] = []
        self._lock = threading.Lock()
        self._answer = answer

    def __call__(self, visit: Visit) -> None:
        while request := visit.request():
            with self._lock:
                self.requests.append(request.decode("latin-1"))
            visit.answer(self._answer)

    def headers(self, name: str) -> list[str]:
        return [found[1] for r in self.requests if (found := re.search(rf"\r\n{name}: (.*)\r\n", r))]


def run_with_clock(plan: LoadPlan, directory: Path) -> tuple[LoadResult, Clock]:
    result, clock = LoadResult(), Clock.start()

    async def main() -> None:
        async with running(plan, clock, directory) as load:
            with anyio.move_on_after(30):
                await wait_until(lambda: load.counts.completed >= 200)
            await finish_load(load, result)

    anyio.run(main)
    read(directory, result)
    return result, clock


def test_every_hit_carries_ids_that_its_row_gives_back(tmp_path: Path) -> None:
    with ScriptedServer(seen := Seen()) as server:
        plan = plan_for(server.url, 4, trace_headers=True, workers=2)
        result, clock = run_with_clock(plan, tmp_path)
    rows = [(clock.wall_ns, clock.monotonic_ns, hit["worker"], hit["seq"]) for hit in result.hits]
    assert len(rows) == len(seen.requests) >= 200
    assert sorted(seen.headers("X-Request-ID")) == sorted(trace.request_id(*row) for row in rows)
    assert sorted(seen.headers("X-Amzn-Trace-Id")) == sorted(trace.amzn_trace_id(*row) for row in rows)
    assert len(set(seen.headers("X-Request-ID"))) == len(rows)
    root = re.compile(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}")
    assert all(root.fullmatch(value) for value in seen.headers("X-Amzn-Trace-Id"))
    assert {hit["bytes_out"] for hit in result.hits} == {len(seen.requests[0])}


def test_an_answer_that_echoes_the_id_is_read_like_any_other(tmp_path: Path) -> None:
    def echo(visit: Visit) -> None:
        while request := visit.request():
            echoed = request.partition(b"X-Request-ID: ")[2].partition(b"\r\n")[0]
            visit.answer(b"HTTP/1.1 200 OK\r\nX-Request-ID: %b\r\nContent-Length: 0\r\n\r\n" % echoed)

    with ScriptedServer(echo) as server:
        result = run_load(plan_for(server.url, 4, trace_headers=True), tmp_path, until=completed(1500))
    assert result.failed == 0
    assert len(result.hits) == server.seen["requests"]


def test_without_trace_headers_and_placeholders_all_requests_are_equal(tmp_path: Path) -> None:
    with ScriptedServer(seen := Seen()) as server:
        run_load(plan_for(server.url, 2), tmp_path, until=completed(50))
    assert len(set(seen.requests)) == 1
    assert "X-Request-ID" not in seen.requests[0]
    assert "X-Amzn" not in seen.requests[0]


def test_an_id_of_the_users_own_is_left_alone(tmp_path: Path) -> None:
    with ScriptedServer(seen := Seen()) as server:
        target = Target(server.url, headers=(("x-request-id", "mine"),))
        run_load(plan_for(server.url, 2, target=target, trace_headers=True), tmp_path, until=completed(50))
    assert set(seen.headers("x-request-id")) == {"mine"}
    assert not seen.headers("X-Request-ID")
    assert len(set(seen.headers("X-Amzn-Trace-Id"))) == len(seen.requests)


def test_placeholders_in_url_header_and_body_get_a_new_value_for_each_hit(tmp_path: Path) -> None:
    with ScriptedServer(seen := Seen()) as server:
        target = Target(
            server.url + "items/{seq}?u={uuid}&percent=100%25",
            "POST",
            (("Idempotency-Key", "{uuid}"),),
            b'{"id": "{uuid}", "n": "{seq}", "share": "100%"}',
        )
        result, clock = run_with_clock(plan_for(server.url, 3, target=target), tmp_path)
    assert result.failed == 0
    rows = [(clock.wall_ns, clock.monotonic_ns, hit["worker"], hit["seq"]) for hit in result.hits]
    whole = {
        "POST /items/{n}?u={u}&percent=100%25 {key}|{body}".format(
            n=trace.number(*row[2:]),
            u=trace.uuid(*row),
            key=trace.uuid(*row),
            body=f'{{"id": "{trace.uuid(*row)}", "n": "{trace.number(*row[2:])}", "share": "100%"}}',
        )
        for row in rows
    }
    end = "\r\n\r\n"
    got = {
        f"{r.split(' HTTP')[0]} {key}|{r.partition(end)[2]}"
        for r, key in zip(seen.requests, seen.headers("Idempotency-Key"), strict=True)
    }
    assert got == whole
