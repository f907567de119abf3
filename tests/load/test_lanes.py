"""One process sends to many services; what it sent lately becomes the start of a recording."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from functools import partial
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING

import anyio
import numpy as np
import pyarrow as pa

from harness.clock import NS, Clock
from harness.load.lanes.sender import sending
from harness.model import LoadPlan, Target
from tests.webserver import serving

if TYPE_CHECKING:
    from pathlib import Path


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fails = False

    def do_GET(self) -> None:
        self.send_response(503 if type(self).fails else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


def plan(url: str, rate: float = 20) -> LoadPlan:
    return LoadPlan((Target(url),), 4, rate=rate, timeout_ns=5 * NS, error_backoff=False)


def folder(root: Path, name: str) -> Path:
    for part in ("hits", "connections", "answers"):
        (root / name / part).mkdir(parents=True)
    return root / name


def rows(directory: Path, kind: str = "hits") -> dict[str, np.ndarray]:
    found = []
    with pa.ipc.open_stream(directory / kind / "0.arrow") as stream, suppress(pa.ArrowInvalid):  # a cut end
        while True:
            try:
                found.append(stream.read_next_batch())
            except StopIteration:
                break
    return {
        name: np.concatenate([batch.column(name).to_numpy(zero_copy_only=False) for batch in found])
        for name in found[0].schema.names
    }


async def two_services_one_recording(root: Path, one: str, other: str) -> dict[str, float]:
    said: dict[str, float] = {}
    clock = Clock.start()
    async with sending(clock, 60 * NS) as sender:
        first, second = sender.add(plan(one), root), sender.add(plan(other), root)
        await anyio.sleep(1.5)
        from_ns = clock.now_ns() - NS
        said["from_ns"] = from_ns
        number = sender.keep(first, folder(root, "run"), from_ns)
        Answer.fails = True
        sender.change_rate(first, 40)
        await anyio.sleep(1.2)
        end_ns = clock.now_ns()
        said["end_ns"] = end_ns
        sender.end(first, number, end_ns)
        with anyio.fail_after(5):
            await sender.closed(number)
        said["other"] = sender.of(second).counts.completed
        said["samples"] = len(sender.of(first).health)
        said["counted"] = sum(
            one.completed for one in sender.of(first).health if from_ns + NS <= one.t_ns <= end_ns
        )
    return said


def test_a_recording_begins_in_the_past_and_ends_with_the_hits_that_were_due(tmp_path: Path) -> None:
    Answer.fails = False
    with serving(Answer) as one, serving(Answer) as other:
        said = anyio.run(partial(two_services_one_recording, tmp_path, one, other))
    hits = rows(tmp_path / "run")
    length = said["end_ns"] - said["from_ns"]
    assert hits["done_ns"].min() < 0.2 * NS  # a second before anybody asked for a recording
    assert hits["done_ns"].min() >= 0
    assert 0.9 * length < hits["due_ns"].max() <= length
    assert len(np.unique(hits["seq"])) == len(hits["seq"])
    bad = hits["status"] == 503
    assert bad.any()
    assert hits["done_ns"][bad].min() > 0.9 * NS
    assert said["other"] > 20  # the other service had its load all the time
    assert 0 < said["counted"] <= len(hits["seq"])  # no second was counted whose hits are missing


def test_a_recording_of_a_lane_holds_its_open_connections_and_what_was_answered(tmp_path: Path) -> None:
    Answer.fails = False
    with serving(Answer) as one, serving(Answer) as other:
        said = anyio.run(partial(two_services_one_recording, tmp_path, one, other))
    closed = rows(tmp_path / "run", "connections")
    assert len(closed["conn"]) == 4
    assert set(closed["how"]) == {"end"}
    assert closed["closed_ns"].max() <= said["end_ns"] - said["from_ns"]
    hits = rows(tmp_path / "run")
    lines = (tmp_path / "run" / "answers" / "0.jsonl").read_text().splitlines()
    kept = {line["index"]: line for line in map(json.loads, lines)}
    pointed = {int(index) for index in hits["answer"][hits["status"] == 503]}
    assert {kept[index]["status"] for index in pointed} == {503}


async def killed(root: Path, url: str) -> bool:
    clock = Clock.start()
    async with sending(clock, 60 * NS) as sender:
        lane = sender.add(plan(url), root)
        number = sender.keep(lane, folder(root, "run"), 0)
        await anyio.sleep(1.6)
        os.kill(sender.pid, signal.SIGKILL)
        with anyio.fail_after(5):
            await sender.closed(number)
        return sender.gone.is_set()


def test_when_the_process_is_killed_its_parent_knows_and_all_but_the_last_second_is_there(
    tmp_path: Path,
) -> None:
    Answer.fails = False
    with serving(Answer) as url:
        assert anyio.run(partial(killed, tmp_path, url))
    assert len(rows(tmp_path / "run")["seq"]) > 10
