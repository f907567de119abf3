"""What the workers report while the load goes on: latencies, and the first failure of each kind with its words."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import anyio
import numpy as np
import pytest

from harness.clock import Clock
from harness.load import messages
from harness.load.generator import Load, running
from harness.load.rows.totals import Totals
from harness.model import LATENCY_STEPS, FirstFailure, LiveCounts
from tests.load.load_run import LoadResult, finish_load, plan_for, read, wait_until
from tests.load.scripted_server import ScriptedServer, Visit, always

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.model import LoadPlan


def answer(status: str, body: bytes, *headers: str) -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers])
    return f"{head}\r\n\r\n".encode() + body


def watched(
    plan: LoadPlan, directory: Path, until: Callable[[Load], bool]
) -> tuple[LoadResult, dict[str, FirstFailure]]:
    result, found = LoadResult(), {}

    async def main() -> None:
        async with running(plan, Clock.start(), directory) as load:
            with anyio.fail_after(30):
                await wait_until(lambda: until(load))
            await finish_load(load, result)
            found.update(load.first_failures)

    anyio.run(main)
    read(directory, result)
    return result, found


def test_the_first_failure_of_each_kind_comes_with_what_the_answer_said(tmp_path: Path) -> None:
    said = [
        answer("200 OK", b"ok"),
        answer("503 Service Unavailable", b"no healthy upstream", "Server: envoy"),
        answer("503 Service Unavailable", b"overloaded"),
        answer("502 Bad Gateway", b"<html><head><title>x</title></head>bad gateway</html>", "X-Pod: web-1"),
    ]
    turn = iter(said)

    def script(visit: Visit) -> None:
        while visit.request():
            visit.answer(next(turn, said[0]))

    with ScriptedServer(script) as server:
        plan = plan_for(server.url, 1, error_backoff=False)
        result, first = watched(plan, tmp_path, lambda load: len(load.first_failures) == 2)
    ends = {hit["status"]: hit["done_ns"] for hit in reversed(result.hits)}
    assert first == {
        "503": FirstFailure("503", ends[503], 'envoy: "no healthy upstream"'),
        "502": FirstFailure("502", ends[502], '"bad gateway"', "web-1"),
    }


def test_a_connection_that_fails_comes_with_the_error_s_text(tmp_path: Path) -> None:
    with ScriptedServer(always(b"")) as server:
        url = server.url
    _, first = watched(plan_for(url, 1), tmp_path, lambda load: bool(load.first_failures))
    assert set(first) == {"connect_refused"}
    assert "refused" in first["connect_refused"].words.lower()


def test_a_failure_is_known_while_the_load_goes_on_and_before_its_row_is_written(tmp_path: Path) -> None:
    with ScriptedServer(always(answer("503 No", b"full"))) as server:
        _, first = watched(plan_for(server.url, 1), tmp_path, lambda load: "503" in load.first_failures)
    assert first["503"].words == '"full"'


def test_live_latencies_are_those_of_good_hits_and_agree_with_the_rows(tmp_path: Path) -> None:
    turns = iter([0.0, 0.03] * 1000)

    def script(visit: Visit) -> None:
        while visit.request():
            wait_s = next(turns, 0.0)
            time.sleep(wait_s)
            visit.answer(answer("200 OK", b"ok") if wait_s else answer("503 No", b"full"))

    with ScriptedServer(script) as server:
        plan = plan_for(server.url, 1, error_backoff=False)
        result, _ = watched(plan, tmp_path, lambda load: load.counts.completed > 40)
    good = [hit["done_ns"] - hit["due_ns"] for hit in result.hits if hit["status"] == 200]
    assert sum(result.counts.latencies.values()) == len(good)
    expected: dict[int, int] = {}
    for took in good:
        step = int(math.log2(took) * LATENCY_STEPS)
        expected[step] = expected.get(step, 0) + 1
    assert result.counts.latencies == expected


@pytest.mark.parametrize("many", [1, 4096, 4097, 50_000])
def test_of_very_many_latencies_evenly_spaced_ones_are_counted(many: int) -> None:
    totals = Totals()
    totals.time(np.full(many, 1 << 20, np.int64))
    (counted,) = totals.latencies.values()
    assert min(many, 2048) <= counted <= 4096
    assert set(totals.latencies) == {20 * LATENCY_STEPS}


def test_a_latency_of_nothing_is_no_error() -> None:
    totals = Totals()
    totals.time(np.zeros(0, np.int64))
    totals.time(np.zeros(3, np.int64))  # a clock that stood still
    assert totals.latencies == {0: 3}


def test_counts_survive_their_way_through_a_pipe() -> None:
    sent = {"completed": 3, "statuses": {"200": 2, "503": 1}, "latencies": {"320": 2}}
    one = messages.counts({**sent, "outcomes": {}})
    assert one == LiveCounts(completed=3, statuses={200: 2, 503: 1}, latencies={320: 2})
    assert messages.total([one, one]).latencies == {320: 4}
