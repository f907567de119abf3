"""Several methods in proportion; and a lull, in which all connections but one are idle."""

import json
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import anyio
import pytest

from harness.load.worker.pacer import turns
from harness.model import LoadPlan, Target
from harness.scenario.values import proportions
from tests.load.load_run import LoadResult, completed, finish_load, read, run_load, running_load, wait_until
from tests.load.scripted_server import OK, ScriptedServer, Visit, always

NS = 1_000_000_000


def test_turns_keep_their_proportion_and_are_spread() -> None:
    assert turns([1]) == [0]
    assert turns([2, 2]) == [0, 1]
    nine_to_one = turns([9, 1])
    assert Counter(nine_to_one) == {0: 9, 1: 1}
    assert turns([3, 1, 2]) == [0, 2, 0, 1, 2, 0]


def test_a_mix_is_read_as_it_is_written() -> None:
    assert proportions("get:9, POST:1") == (("GET", 9), ("POST", 1))
    assert proportions([["GET", 9], ["POST", 1]]) == (("GET", 9), ("POST", 1))
    for wrong in ("GET", "GET:0", "FETCH:1", "GET:1,GET:2", "GET:1;POST:1"):
        with pytest.raises(ValueError, match="GET"):
            proportions(wrong)


def test_a_mix_is_sent_in_its_proportion(tmp_path: Path) -> None:
    seen: Counter[str] = Counter()

    def script(visit: Visit) -> None:
        while request := visit.request():
            seen[request.split(b" ")[0].decode()] += 1
            visit.answer()

    with ScriptedServer(script) as server:
        targets = (Target(server.url, weight=9), Target(server.url, "POST", body=b"x", weight=1))
        result = run_load(LoadPlan(targets, 2), tmp_path, until=completed(1000))
    assert result.failed == 0
    assert seen == {"GET": len(result.of_target(0)), "POST": len(result.of_target(1))}
    assert seen["GET"] / seen["POST"] == pytest.approx(9, rel=0.05)


def test_in_a_lull_all_connections_but_one_rest_and_then_all_send_again(tmp_path: Path) -> None:
    result = LoadResult()
    moments: list[int] = []

    async def main(url: str) -> None:
        async with running_load(LoadPlan((Target(url),), 8), tmp_path) as load:
            await anyio.sleep(0.3)
            load.lull()
            await anyio.sleep(0.7)  # those in flight end
            moments.append(load.counts.completed)
            await anyio.sleep(2.5)
            moments.append(load.counts.completed)
            load.resume()
            with anyio.fail_after(20):
                await wait_until(lambda: load.counts.completed > moments[1] + 100)
            await finish_load(load, result)

    with ScriptedServer(always(OK)) as server:
        anyio.run(main, server.url)
        assert server.seen["connections"] == 8
    read(tmp_path, result)
    assert result.failed == 0
    assert result.outcomes["dropped"] == 0
    assert 1 <= moments[1] - moments[0] <= 5
    slots = {slot: sorted(hit["due_ns"] for hit in result.hits if hit["slot"] == slot) for slot in range(8)}
    rested = [max(b - a for a, b in pairwise(due)) for due in slots.values()]
    assert sum(pause > 2 * NS for pause in rested) == 7
    assert sum(NS * 0.9 < pause < 2 * NS for pause in rested) == 1


def test_without_a_rollout_a_lull_comes_between_the_warm_up_and_what_is_judged(tmp_path: Path) -> None:
    with ScriptedServer(always(OK)) as server:
        done = subprocess.run(
            [sys.executable, "-m", "harness", "run", server.url, "--no-rollout", "--lull", "3s", "-d", "2s", "-c",
             "4", "-o", str(tmp_path)],
            capture_output=True, text=True, timeout=110, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "for 3 s after the warm-up one request a second was sent (--lull)" in done.stdout
    (path,) = tmp_path.iterdir()
    record = json.loads((path / "run.json").read_text())
    marks = {mark["mark"]: mark["t_ns"] for mark in record["marks"]}
    assert marks["warmup_end"] - marks["lull"] == pytest.approx(3 * NS, rel=0.1)
    assert marks["load_end"] - marks["warmup_end"] >= 2 * NS
    read(path, result := LoadResult())
    rest = [hit for hit in result.hits if marks["lull"] + NS / 2 < hit["due_ns"] < marks["warmup_end"]]
    after = [hit for hit in result.hits if hit["due_ns"] >= marks["warmup_end"]]
    assert 1 <= len(rest) <= 4
    assert {hit["slot"] for hit in after} == {0, 1, 2, 3}


def test_commands_to_a_worker_that_has_gone_harm_nobody(tmp_path: Path) -> None:
    result = LoadResult()

    async def main(url: str) -> None:
        async with running_load(LoadPlan((Target(url),), 4, workers=2), tmp_path) as load:
            load._workers[0].process.kill()
            for command in (load.baseline, load.lull, load.resume):
                await anyio.sleep(0.2)
                command()
            await anyio.sleep(0.2)
            await finish_load(load, result)

    with ScriptedServer(always(OK)) as server:
        anyio.run(main, server.url)
    assert result.lost == (0,)
