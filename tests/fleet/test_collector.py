from __future__ import annotations

import itertools
import os
import shutil
import ssl
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio
import pytest

from harness.clock import NS, Clock
from harness.errors import HarnessError, UsageError
from harness.fleet import keys
from harness.fleet.collector import FleetLoad, running
from tests.fleet.local_pods import LocalPods, local_pods
from tests.load.load_run import LoadResult, plan_for, read, wait_until
from tests.load.scripted_server import OK, ScriptedServer, Visit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from harness.fleet.members import Member
    from harness.model import LoadPlan, WorkerClock

BAD = b"HTTP/1.1 503 Service Unavailable\r\nServer: scripted\r\nContent-Length: 5\r\n\r\nbusy\n"
SECRETS = keys.issue()


def every_tenth_fails(visit: Visit) -> None:
    for number in itertools.count(1):
        if not visit.request():
            return
        time.sleep(0.005)
        visit.answer(BAD if number % 10 == 0 else OK, what="bad" if number % 10 == 0 else "good")


class Held:
    """What is known of a fleet's load when it is over."""

    def __init__(self) -> None:
        self.result = LoadResult()
        self.clocks: tuple[WorkerClock, ...] = ()
        self.words: dict[int, str] = {}
        self.load: FleetLoad


def hold(
    plan: LoadPlan,
    folder: Path,
    pods: int,
    meanwhile: Callable[[FleetLoad, LocalPods], Awaitable[None]],
    **how: dict[int, Sequence[str]],
) -> Held:
    """Hold a load from local pods until `meanwhile` is over; read what is on disk then."""
    held = Held()

    async def main() -> None:
        run = folder / "run"
        run.mkdir()
        async with (
            local_pods(folder / "pods", SECRETS, pods, **how) as host,
            running(plan, Clock.start(), run, host, pods, SECRETS) as load,
            anyio.create_task_group() as group,
        ):
            group.start_soon(keep_health, load, held)
            await meanwhile(load, host)
            await load.finish(5 * NS)
            held.result.counts, held.result.lost = load.counts, load.lost
            held.clocks, held.words = load.clocks, load.last_words
        read(run, held.result)

    anyio.run(main)
    return held


async def keep_health(load: FleetLoad, held: Held) -> None:
    async for sample in load.samples:
        held.result.health.append(sample)


async def for_a_while(load: FleetLoad, _: LocalPods) -> None:
    await wait_until(lambda: load.counts.completed > 300 and load.counts.failed > 10)


async def cut_for_five_seconds(load: FleetLoad, host: LocalPods) -> None:
    await wait_until(lambda: load.counts.completed > 100)
    await host.cut_off("pod-0", 5)
    before = load.counts.completed
    await wait_until(lambda: load.counts.completed > before + 100)


async def kill_the_second(load: FleetLoad, host: LocalPods) -> None:
    await wait_until(
        lambda: (
            load.samples.statistics().current_buffer_used == 0
            and load.counts.t_ns > load.started_ns + 2.6 * NS
        )
    )
    host.kill(1)
    await wait_until(lambda: bool(load.lost))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Held, ScriptedServer]:
    with ScriptedServer(every_tenth_fails) as server:
        return hold(plan_for(server.url, 7), tmp_path_factory.mktemp("plain"), 3, for_a_while), server


def test_what_three_pods_sent_is_in_one_recording_and_agrees_with_the_server(
    plain: tuple[Held, ScriptedServer],
) -> None:
    held, server = plain
    result = held.result
    assert result.lost == ()
    assert len(result.hits) == server.seen["requests"] == result.counts.completed
    assert result.failed == server.seen["bad"] == result.counts.failed
    assert len(result.connections) == server.seen["connections"]
    assert {hit["slot"] for hit in result.hits} == set(range(7))
    assert {(hit["worker"], hit["slot"] % 3) for hit in result.hits} == {(0, 0), (1, 1), (2, 2)}
    assert all(hit["stands_for"] == 1 for hit in result.hits)
    assert sum(sample.completed for sample in result.health) == len(result.hits)
    assert [(one.worker, one.pod, one.node) for one in held.clocks] == [
        (0, "pod-0", "node-0"),
        (1, "pod-1", "node-1"),
        (2, "pod-2", "node-2"),
    ]


def test_all_pods_begin_within_20_ms_on_the_runs_clock(plain: tuple[Held, ScriptedServer]) -> None:
    held, _ = plain
    first = {hit["worker"]: hit["due_ns"] for hit in reversed(held.result.hits)}
    # Each slot is due a seventh of half a second after the one before it, wherever it is.
    starts = [first[worker] - worker * NS // 14 for worker in range(3)]
    assert max(starts) - min(starts) < 20_000_000
    assert all(0 < one.uncertainty_ns < 20_000_000 for one in held.clocks)


def test_a_connection_that_is_cut_for_five_seconds_loses_and_doubles_nothing(tmp_path: Path) -> None:
    with ScriptedServer(every_tenth_fails) as server:
        held = hold(plan_for(server.url, 6), tmp_path, 3, cut_for_five_seconds)
    result = held.result
    assert result.lost == ()
    assert len(result.hits) == server.seen["requests"]
    assert len({(hit["worker"], hit["seq"]) for hit in result.hits}) == len(result.hits)
    assert result.failed == server.seen["bad"]
    assert len(result.connections) == server.seen["connections"]
    assert sum(sample.completed for sample in result.health) == len(result.hits)


def test_a_pod_that_is_killed_is_named_and_what_it_sent_is_kept(tmp_path: Path) -> None:
    with ScriptedServer(every_tenth_fails) as server:
        held = hold(plan_for(server.url, 6), tmp_path, 3, kill_the_second)
    assert held.result.lost == (1,)
    assert held.words == {1: "pod pod-1 on node node-1 was lost: it ended with -9"}
    of = {worker: [hit for hit in held.result.hits if hit["worker"] == worker] for worker in range(3)}
    assert all(of.values())
    assert len(of[0]) + len(of[2]) <= server.seen["requests"]


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="needs a time namespace")
def test_a_pod_with_another_clock_is_on_the_runs_clock_all_the_same(tmp_path: Path) -> None:
    """The kernel gives that pod a clock of its own, a thousand seconds ahead."""
    ahead = ["unshare", "--time", "--fork", "--kill-child", "--monotonic", "1000", "--"]
    with ScriptedServer(every_tenth_fails) as server:
        held = hold(plan_for(server.url, 4), tmp_path, 2, for_a_while, before={1: ahead})
    due = {w: [hit["due_ns"] for hit in held.result.hits if hit["worker"] == w] for w in (0, 1)}
    assert (
        abs(min(due[1]) - min(due[0]) - NS // 8) < 20_000_000
    )  # a quarter of half a second later, by its slot
    assert abs(max(due[1]) - max(due[0])) < 5 * NS
    assert all(hit["due_ns"] <= hit["sent_ns"] <= hit["done_ns"] for hit in held.result.hits)


def test_too_few_connections_for_the_pods_is_said_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"3 connections are too few for 4 pods: .* raise -c to at least 4"):
        hold(plan_for("http://127.0.0.1:9/", 3), tmp_path, 4, for_a_while)


def test_a_pod_that_does_not_start_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        HarnessError, match="1 of 2 pods did not start; pod pod-1 on node node-1: it ended with 3"
    ):
        hold(plan_for("http://127.0.0.1:9/", 4), tmp_path, 2, for_a_while, before={1: ["sh", "-c", "exit 3"]})


def test_what_a_pod_cannot_carry_out_is_a_usage_error_that_names_it(tmp_path: Path) -> None:
    few = ["prlimit", "--nofile=60:60", "--"]
    with pytest.raises(UsageError, match=r"pod pod-0 on node node-0: .* open files"):
        hold(plan_for("http://127.0.0.1:9/", 80), tmp_path, 2, for_a_while, before={0: few})


def test_nobody_without_the_keys_of_the_run_gets_an_answer(tmp_path: Path) -> None:
    async def main() -> None:
        async with local_pods(tmp_path / "pods", SECRETS, 1) as host:
            (pod,) = host.pods
            await until_it_listens(pod)
            strangers = keys.of_the_collector(keys.issue())
            strangers.check_hostname, strangers.verify_mode = False, ssl.CERT_NONE

            async def ask() -> bytes:
                stream = await anyio.connect_tcp(
                    *pod.address, ssl_context=strangers, tls_standard_compatible=False
                )
                try:
                    return await stream.receive()
                finally:
                    await anyio.aclose_forcefully(stream)

            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError, ssl.SSLError)):
                await ask()

    anyio.run(main)


async def until_it_listens(pod: Member) -> None:
    while True:
        with suppress(OSError):
            return await (await anyio.connect_tcp(*pod.address)).aclose()
        await anyio.sleep(0.05)
