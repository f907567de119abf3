"""The worker processes: they start together, end with the load, and are noticed if they die in between."""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import anyio
import pytest

from harness.clock import Clock
from harness.load import messages
from harness.load.generator import Load, running
from harness.load.prestarted import prestart
from harness.model import LoadPlan, Target
from tests.load.load_run import (
    LoadResult,
    completed,
    finish_load,
    plan_for,
    read,
    read_stream,
    run_load,
    running_load,
    wait_until,
)
from tests.load.scripted_server import ScriptedServer, Visit, always

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text(encoding="ascii").split()[2]


def pids(load: Load) -> list[int]:
    return [worker.process.pid for worker in load._workers]


def test_two_workers_share_the_slots_and_start_together(tmp_path: Path) -> None:
    with ScriptedServer(always(OK)) as server:
        result = run_load(plan_for(server.url, 5, workers=2), tmp_path, until=completed(400))
    assert {(hit["worker"], hit["slot"]) for hit in result.hits} == {(0, 0), (1, 1), (0, 2), (1, 3), (0, 4)}
    assert server.seen["connections"] == 5
    assert len(result.hits) == server.seen["requests"]
    first = {worker: min(h["due_ns"] for h in result.hits if h["worker"] == worker) for worker in (0, 1)}
    assert (
        abs(first[1] - first[0] - 100_000_000) < 90_000_000
    )  # the second slot is due a fifth of the spread later
    for worker in (0, 1):
        numbers = sorted(hit["seq"] for hit in result.hits if hit["worker"] == worker)
        assert numbers == list(range(len(numbers)))


def test_hits_are_numbered_in_the_order_of_sending(tmp_path: Path) -> None:
    with ScriptedServer(always(OK)) as server:
        result = run_load(plan_for(server.url, 6), tmp_path, until=completed(300))
    by_number = sorted(result.hits, key=lambda hit: hit["seq"])
    sent = [hit["sent_ns"] for hit in by_number]
    assert sent == sorted(sent)


def test_the_first_hit_is_due_at_the_instant_that_was_agreed(tmp_path: Path) -> None:
    started: list[int] = []

    def until(load: Load) -> bool:
        started.append(load.started_ns)
        return load.counts.completed >= 5

    with ScriptedServer(always(OK)) as server:
        result = run_load(plan_for(server.url, 1), tmp_path, until=until)
    assert 0 <= min(hit["due_ns"] for hit in result.hits) - started[0] < 5_000_000_000


def test_a_worker_that_is_killed_is_missed_and_the_others_go_on(tmp_path: Path) -> None:
    result = LoadResult()
    with ScriptedServer(always(OK)) as server:

        async def main() -> None:
            async with running_load(plan_for(server.url, 8, workers=2), tmp_path) as load:
                await anyio.sleep(2.2)  # two flushes
                os.kill(pids(load)[1], signal.SIGKILL)
                killed_at = time.monotonic()
                with anyio.fail_after(10):
                    await wait_until(lambda: load.lost == (1,))
                assert time.monotonic() - killed_at < 1
                before = load.counts.completed
                with anyio.fail_after(10):
                    await wait_until(lambda: load.counts.completed >= before + 50)
                await finish_load(load, result)

        anyio.run(main)
    read(tmp_path, result)
    assert result.lost == (1,)
    assert sum(hit["worker"] == 1 for hit in result.hits) > 50  # what it had written can be read
    assert result.counts.in_flight == 0 == result.counts.started - result.counts.completed


def test_whatever_happens_inside_the_workers_are_gone_afterwards(tmp_path: Path) -> None:
    seen: list[int] = []
    with ScriptedServer(always(OK)) as server:

        async def main() -> None:
            async with running_load(plan_for(server.url, 4, workers=2), tmp_path) as load:
                seen.extend(pids(load))
                raise LookupError("of the caller's own")

        with pytest.raises(LookupError, match="of the caller's own"):
            anyio.run(main)
    assert len(seen) == 2
    assert not any(alive(pid) for pid in seen)
    assert [bool(read_stream(path)) for path in (tmp_path / "hits").glob("*.arrow")] == [True, True]


def test_prestarted_workers_do_the_work_and_unused_ones_are_killed(tmp_path: Path) -> None:
    waiting: list[int] = []
    result = LoadResult()
    with ScriptedServer(always(OK)) as server:

        async def main() -> None:
            async with prestart(3) as prestarted:
                waiting.extend(process.pid for process in prestarted._waiting)
                plan = plan_for(server.url, 4, workers=2)
                async with running(plan, Clock.start(), tmp_path, prestarted) as load:
                    assert set(pids(load)) < set(waiting)
                    with anyio.fail_after(30):
                        await wait_until(lambda: load.counts.completed > 20)
                    await finish_load(load, result)
                assert [alive(pid) for pid in waiting].count(True) == 1

        anyio.run(main)
    read(tmp_path, result)
    assert len(result.hits) == server.seen["requests"]
    assert len(waiting) == 3
    assert not any(alive(pid) for pid in waiting)


def test_a_cancelled_caller_leaves_no_worker_behind(tmp_path: Path) -> None:
    seen: list[int] = []
    with ScriptedServer(always(OK)) as server:

        async def main() -> None:
            with anyio.CancelScope() as scope:
                async with running_load(plan_for(server.url, 4, workers=2), tmp_path) as load:
                    seen.extend(pids(load))
                    scope.cancel()
                    await anyio.sleep_forever()

        anyio.run(main)
    assert len(seen) == 2
    assert not any(alive(pid) for pid in seen)


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    script = (
        "import anyio, sys\n"
        "from pathlib import Path\n"
        "from harness.clock import Clock\n"
        "from harness.load.generator import running\n"
        "from harness.model import LoadPlan, Target\n"
        "async def main():\n"
        "    plan = LoadPlan((Target(sys.argv[1]),), 2, workers=2)\n"
        "    async with running(plan, Clock.start(), Path(sys.argv[2])) as load:\n"
        "        print(*(worker.process.pid for worker in load._workers), flush=True)\n"
        "        await anyio.sleep_forever()\n"
        "anyio.run(main)\n"
    )
    with ScriptedServer(always(OK)) as server:
        parent = subprocess.Popen(
            [sys.executable, "-c", script, server.url, tmp_path], stdout=subprocess.PIPE, text=True
        )
        assert parent.stdout is not None
        children = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(children) == 2
        assert [
            os.getsid(pid) for pid in children
        ] == children  # a Ctrl-C of the terminal does not reach them
        parent.kill()
        parent.wait()
        parent.stdout.close()
        deadline = time.monotonic() + 10
        while any(alive(pid) for pid in children) and time.monotonic() < deadline:
            time.sleep(0.05)
    assert not any(alive(pid) for pid in children)


def test_the_drain_lets_hits_end_and_cuts_those_that_do_not(tmp_path: Path) -> None:
    def script(visit: Visit) -> None:
        while visit.request():
            if visit.number == 1:
                visit.stall()
            time.sleep(0.3)
            visit.answer()

    with ScriptedServer(script) as server:
        result = run_load(plan_for(server.url, 4), tmp_path, until=completed(9), drain_ns=1_000_000_000)
    assert result.outcomes["cut_at_deadline"] == 1
    assert result.failed == 0 == result.counts.failed
    assert result.outcomes["response"] == server.seen["answered"]
    assert result.counts.outcomes == {"cut_at_deadline": 1}
    [cut] = result.only("cut_at_deadline")
    assert cut["sent_ns"] > 0
    assert cut["bytes_out"] > 0
    last_sent = max(hit["sent_ns"] for hit in result.hits)
    assert cut["done_ns"] - last_sent > 900_000_000  # nothing was sent in the drain


def test_a_failed_hit_waits_for_the_rest_of_the_baselines_cycle(tmp_path: Path) -> None:
    ill: list[bool] = []

    def script(visit: Visit) -> None:
        while visit.request():
            if ill:
                visit.answer(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", what="502")
            else:
                time.sleep(0.05)
                visit.answer()

    def until(load: Load) -> bool:
        if load.counts.completed >= 20 and not ill:
            load.baseline()
            ill.append(True)
        return load.counts.failed >= 20

    with ScriptedServer(script) as server:
        result = run_load(plan_for(server.url, 1), tmp_path, until=until)
    bad = [hit for hit in result.hits if hit["status"] == 502]
    cycles = sorted(b["due_ns"] - a["due_ns"] for a, b in pairwise(bad))
    assert cycles[len(cycles) // 2] >= 48_000_000  # the 50 ms of before, though each answer takes 1 ms
    assert result.backed_off >= len(bad) - 1


def test_health_is_reported_each_second_and_adds_up(tmp_path: Path) -> None:
    with ScriptedServer(always(OK)) as server:
        result = run_load(plan_for(server.url, 3), tmp_path, seconds=2.6)
    assert len(result.health) >= 3
    assert sum(sample.started for sample in result.health) == len(result.hits)
    assert sum(sample.completed for sample in result.health) == len(result.hits)
    full = result.health[0]
    assert 0 < full.lag_p99_ns <= full.lag_max_ns
    assert full.cpu_ns > 0
    assert full.open_files >= 3 + 3  # its pipes and its connections
    assert 0 < full.oldest_in_flight_ns < 5_000_000_000


def test_a_second_in_which_a_worker_stood_still_is_marked(tmp_path: Path) -> None:
    result = LoadResult()
    with ScriptedServer(always(OK)) as server:

        async def main() -> None:
            async with running_load(plan_for(server.url, 3), tmp_path) as load:
                await anyio.sleep(1.2)
                [pid] = pids(load)
                os.kill(pid, signal.SIGSTOP)
                await anyio.sleep(0.6)
                os.kill(pid, signal.SIGCONT)
                await anyio.sleep(1.5)
                await finish_load(load, result)

        anyio.run(main)
    worst = max(result.health, key=lambda sample: sample.lag_max_ns)
    assert worst.stalled
    assert 400_000_000 < worst.lag_max_ns < 30_000_000_000
    assert {sample.stalled for sample in result.health if sample.lag_max_ns < 50_000_000} <= {False}


def test_a_worker_imports_neither_pandas_nor_kubernetes(tmp_path: Path) -> None:
    script = (
        "import sys, harness.load.worker.__main__ as worker\n"
        "import os\n"
        "try:\n"
        "    worker.main()\n"
        "finally:\n"
        "    print('LOADED', *sorted({name.partition('.')[0] for name, module in "
        "sys.modules.items() if module}), file=sys.stderr)\n"
    )
    with ScriptedServer(always(OK)) as server:
        (tmp_path / "hits").mkdir()
        (tmp_path / "connections").mkdir()
        [assignment] = messages.assignments(plan_for(server.url, 2), Clock.start(), tmp_path)
        process = subprocess.Popen(
            [sys.executable, "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(messages.line(messages.encode(assignment)))
        assert "ready" in json.loads(process.stdout.readline())
        process.stdin.write(messages.line({"do": "start", "at_ns": assignment.clock.now_ns()}))
        time.sleep(1.2)
        process.stdin.write(messages.line({"do": "finish", "drain_ns": 1_000_000_000}))
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert read_stream(tmp_path / "hits" / "0.arrow")
    loaded_names = set(errors.decode().rpartition("LOADED")[2].split())
    assert {"pyarrow", "uvloop", "httptools"} <= loaded_names
    assert not loaded_names & {"pandas", "kubernetes", "httpx", "pydantic", "scipy"}


def test_an_assignment_survives_json() -> None:
    plan = LoadPlan(
        (Target("http://h/", "POST", (("A", "b"),), b"\x00\xff"),),
        7,
        workers=3,
        expect=((200, 204), (304, 304)),
    )
    clock = Clock(5, 6)
    sent = messages.assignments(plan, clock, Path("results/x"))
    got = [messages.decode(json.loads(messages.line(messages.encode(assignment)))) for assignment in sent]
    assert got == sent
    assert sorted(slot for assignment in got for slot in assignment.slots) == list(range(7))
    assert {len(assignment.slots) for assignment in got} == {2, 3}
