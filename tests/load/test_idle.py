"""What a server sends while no request is in flight: a close, nothing, or an answer without a request."""

from __future__ import annotations

import asyncio
import itertools
import select
import socket
import ssl
import time
from collections import Counter
from contextlib import suppress
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from harness.load.dial import Dialled
from harness.load.failures import Ending
from harness.load.request import Marking, prepare
from harness.load.rows.writing import ConnectionRows, HitRows
from harness.load.wire.idle import unsolicited
from harness.load.worker.listening import PAUSE_NS, Listening
from harness.load.worker.pacer import ClosedLoop
from harness.load.worker.slots import Slots
from tests.load.load_run import LoadResult, completed, plan_for, read, run_load, wait_until
from tests.load.scripted_server import OK, ScriptedServer, Visit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.load.request import Origin

TIMED_OUT = b"HTTP/1.1 408 Request Time-out\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
NOBODY_S = ("us", "unasked")


@pytest.mark.parametrize(
    ("data", "ending"),
    [
        (b"\r\n", None),
        (b"\r\n\n\r\n", None),
        (TIMED_OUT, Ending("peer", "fin")),
        (b"\r\nHTTP/1.0 408 Request Timeout\r\n\r\n", Ending("peer", "fin")),
        (OK, Ending("us", "unasked")),
        (b"\r\n" + OK, Ending("us", "unasked")),
        (b"HTTP/1.1 4080 x\r\n", Ending("us", "unasked")),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", Ending("us", "unasked")),
        (b"the rest of a body", Ending("us", "error")),
    ],
)
def test_bytes_on_an_idle_connection_are_ignored_a_close_or_a_fault(
    data: bytes, ending: Ending | None
) -> None:
    assert unsolicited(data) == ending


def rested(
    script: Callable[[Visit], None], folder: Path, *, count: int = 30, **changes: Any
) -> tuple[LoadResult, Counter[str], Counter[tuple[str, str]]]:
    """Play an open loop in which every connection rests for tens of milliseconds between two requests."""
    tls = changes.pop("tls", None)
    with ScriptedServer(script, tls=tls) as server:
        plan = plan_for(server.url, 1, rate=25.0, timeout_ns=3_000_000_000, **changes)
        result = run_load(plan, folder, until=completed(count))
    return result, server.seen, Counter((row["closed_by"], row["how"]) for row in result.connections)


def rests(visit: Visit) -> bool:
    """Wait a little; return False if the next request has come, as when the load catches up after a late start."""
    return not select.select([visit.sock], [], [], 0.005)[0]


def twice_and_never(visit: Visit) -> None:
    odd = True
    while visit.request():
        if odd:
            visit.answer()
            if not rests(visit):
                continue
            visit.answer(what="again")
        odd = not odd


def test_a_stray_answer_on_an_idle_connection_is_not_taken_for_the_next_one(tmp_path: Path) -> None:
    result, seen, ends = rested(twice_and_never, tmp_path)
    good = [hit for hit in result.hits if hit["outcome"] == "response"]
    assert len(good) == len(result.hits) == seen["answered"] == seen["requests"]
    assert ends[NOBODY_S] == seen["again"] > 20


def test_a_closed_loop_listens_now_and_then_and_hears_a_server_that_answers_twice(tmp_path: Path) -> None:
    def blindly(visit: Visit) -> None:
        while visit.request():
            visit.answer()
            time.sleep(0.005)
            visit.answer(what="again")
            visit.request()

    with ScriptedServer(blindly) as server:
        result = run_load(plan_for(server.url, 4), tmp_path, until=lambda _: server.seen["connections"] > 4)
    ends = Counter((row["closed_by"], row["how"]) for row in result.connections)
    assert ends[NOBODY_S] >= 1


@pytest.mark.parametrize(("slots", "rests"), [(0, 0), (1, 6), (4, 20), (10, 60), (500, 60)])
def test_all_listening_pauses_take_at_most_a_thousandth_of_the_load(slots: int, rests: int) -> None:
    listening = Listening(slots)
    taken = 0
    for _ in range(60):
        listening.second()
        if listening.due:
            taken += 1
            passed_over = list(iter(lambda: listening.until_ns(5), 5 + PAUSE_NS))
            assert len(passed_over) == (taken - 1) % 4
    assert taken == rests
    assert taken * PAUSE_NS * 1000 <= slots * 60_000_000_000


def test_a_stray_answer_at_the_end_of_the_load_is_noticed(tmp_path: Path) -> None:
    def one_behind(visit: Visit) -> None:
        for turn in itertools.count():
            if not visit.request():
                return
            time.sleep(0.003)
            visit.answer()
            if turn == 0:
                time.sleep(0.003)
                visit.answer(what="stray")

    with ScriptedServer(one_behind) as server:
        result = run_load(plan_for(server.url, 2), tmp_path, until=completed(40))
    ends = Counter((row["closed_by"], row["how"]) for row in result.connections)
    assert set(ends) == {NOBODY_S}


@pytest.mark.parametrize("how", ["a 408", "an end"])
def test_closing_an_idle_connection_costs_no_request(tmp_path: Path, how: str) -> None:
    def script(visit: Visit) -> None:
        while visit.request():
            visit.answer()
            if not rests(visit):
                continue
            if how == "a 408":
                visit.answer(TIMED_OUT, what="goodbye")
            visit.fin()
            return

    result, seen, ends = rested(script, tmp_path)
    good = [hit for hit in result.hits if hit["status"] == 200]
    assert len(good) == seen["answered"]
    assert len(good) > 0.9 * len(result.hits)  # on a busy machine a request may cross the goodbye
    assert set(ends) <= {("peer", "fin"), ("us", "end")} | ({("us", "fin")} if how == "a 408" else set())


def test_empty_lines_on_an_idle_connection_are_ignored(tmp_path: Path) -> None:
    def script(visit: Visit) -> None:
        while visit.request():
            visit.answer()
            time.sleep(0.003)
            visit.answer(b"\r\n", what="line")
            time.sleep(0.003)
            visit.answer(b"\r\n", what="line")

    result, seen, ends = rested(script, tmp_path)
    assert set(result.outcomes) == {"response"}
    assert seen["connections"] == 1
    assert set(ends) == {("us", "end")}


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("goodbye", [False, True])
def test_tls_tickets_and_close_notifies_are_not_answers(
    tmp_path: Path, authority: trustme.CA, version: ssl.TLSVersion, *, goodbye: bool
) -> None:
    def script(visit: Visit) -> None:
        while visit.request():
            visit.answer()
            if goodbye and rests(visit):
                visit.sock.setblocking(False)
                with suppress(OSError):
                    visit.sock.unwrap()  # type: ignore[attr-defined]
                visit.server.stopping.wait(0.05)
                return

    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.maximum_version = version
    authority.issue_cert("127.0.0.1").configure_cert(context)
    folder = tmp_path / "run"
    folder.mkdir()
    result, seen, ends = rested(script, folder, count=12, tls=context, ca_file=str(ca_file))
    assert set(result.outcomes) == {"response"}
    assert len(result.hits) == seen["requests"]
    assert set(ends) <= ({("peer", "fin"), ("us", "end")} if goodbye else {("us", "end")})
    assert goodbye or seen["connections"] == 1


@pytest.mark.parametrize(
    ("pieces", "ending"),
    [
        ((OK + OK,), NOBODY_S),
        ((OK + b"HTTP/1.1 500 x\r\nContent-Length: 9",), NOBODY_S),
        ((OK + TIMED_OUT,), ("peer", "fin")),
        ((OK + b"more",), ("us", "error")),
    ],
)
def test_a_second_answer_in_the_same_bytes_is_unasked(
    tmp_path: Path, pieces: tuple[bytes, ...], ending: tuple[str, str]
) -> None:
    def script(visit: Visit) -> None:
        while visit.request():
            for piece in pieces:
                visit.answer(piece)

    with ScriptedServer(script) as server:
        result = run_load(plan_for(server.url, 1), tmp_path, until=completed(10))
    assert set(result.outcomes) == {"response"}
    assert len(result.hits) <= server.seen["requests"]  # none was answered by the one before
    assert {(row["closed_by"], row["how"]) for row in result.connections} - {("us", "end")} == {ending}


@pytest.mark.parametrize(
    ("first", "outcome", "ending"),
    [
        (OK, "protocol_error", NOBODY_S),
        (b"220 mail.example ESMTP\r\n", "protocol_error", ("us", "error")),
        (TIMED_OUT, "eof_before_response", ("peer", "fin")),
        (b"\r\n", "response", ("us", "end")),
        (b"", "response", ("us", "end")),
    ],
)
def test_bytes_waiting_on_a_new_connection_do_not_answer_its_first_request(
    tmp_path: Path, first: bytes, outcome: str, ending: tuple[str, str]
) -> None:
    def script(visit: Visit) -> None:
        if first:
            visit.answer(first, what="unasked")
        while visit.request():
            visit.answer()

    class Slow:
        """Opens connections, and hands them over once the server's first bytes have arrived."""

        async def open(self, origin: Origin) -> Dialled:
            sock = socket.create_connection((origin.host, origin.port))
            sock.setblocking(False)
            try:
                await wait_until(lambda: not first or bool(select.select([sock], [], [], 0)[0]))
            except asyncio.CancelledError:
                sock.close()
                raise
            return Dialled(f"{origin.host}:{origin.port}", None, monotonic_ns(), 1, sock=sock)

    async def main(url: str) -> None:
        plan = plan_for(url, 1)
        anchor = monotonic_ns()
        rows = HitRows(tmp_path / "hits" / "0.arrow", 0, plan)
        connections = ConnectionRows(tmp_path / "connections" / "0.arrow", 0)
        requests = [prepare(0, plan.targets[0], Marking(0, anchor, 0))]
        pacer = ClosedLoop(1, backoff=True)
        slots = Slots(plan, [0], requests, pacer, Slow(), rows, connections, anchor)  # type: ignore[arg-type]
        slots.start(slots.now())
        async with asyncio.timeout(60):
            await wait_until(lambda: rows.count().completed > 0)
        slots.drain()
        await asyncio.sleep(0.02)
        slots.cut()
        rows.close()
        connections.close()

    for folder in ("hits", "connections"):
        (tmp_path / folder).mkdir()
    with ScriptedServer(script) as server:
        asyncio.run(main(server.url))
    result = LoadResult()
    read(tmp_path, result)
    assert set(result.outcomes) - {"cut_at_deadline"} == {outcome}
    assert ending in {(row["closed_by"], row["how"]) for row in result.connections}
    if outcome != "response":
        assert server.seen["requests"] == 0  # nothing was sent on such a connection
