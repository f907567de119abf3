from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from harness.clock import NS
from harness.fleet.clocks import Course
from harness.fleet.frames import ANSWERS, CONNECTIONS, HITS, LogName
from harness.fleet.pod.sending import PIECE, WINDOW, Unsent
from harness.fleet.pod.spool import Growing, Log, Spool
from harness.load.rows.writing import ConnectionRows, HitRows
from harness.model import LoadPlan, Outcome, Target
from harness.recording.write import HIT_SCHEMA
from tests.load.load_run import read_stream

if TYPE_CHECKING:
    from pathlib import Path

PLAN = LoadPlan((Target("http://h/"),), 4)


def written(folder: Path, good: int, bad: int) -> HitRows:
    """A worker's files with this many hits within a second, written by what a worker writes with."""
    for kind in ("hits", "connections"):
        (folder / kind).mkdir(parents=True)
    ConnectionRows(folder / "connections" / "3.arrow", 3).close()
    rows = HitRows(folder / "hits" / "3.arrow", 3, PLAN)
    fine, lost = (rows.kind(status, Outcome.RESPONSE, f"web-{status}", 0) for status in (200, 503))
    rng = np.random.default_rng(7)
    for seq in range(good + bad):
        done = 5 * NS + seq * 40_000
        due = done - int(rng.integers(1_000_000, 90_000_000))
        ident = rows.ident(seq % 4, seq % 4, "h:80")
        rows.add(seq, ident, 1, due, 0, 0, done, 3, 9, lost if seq < bad else fine)
    rows.flush()
    return rows


def spooled(
    folder: Path, good: int, bad: int, keep: int, course: Course | None = None
) -> list[dict[str, object]]:
    rows = written(folder / "written", good, bad)
    spool = Spool(3, PLAN, folder / "written", folder / "sent")
    rows.close()
    spool.finish(course or Course(0), keep)
    return read_stream(folder / "sent" / "hits" / "3.arrow")


def test_what_fits_is_sent_as_it_is(tmp_path: Path) -> None:
    found = spooled(tmp_path, 500, 20, keep=500)
    assert len(found) == 520
    assert {row["stands_for"] for row in found} == {1}


def test_of_more_some_stand_for_all_and_every_failed_one_is_there(tmp_path: Path) -> None:
    found = spooled(tmp_path, 5000, 50, keep=200)
    bad = [row for row in found if row["status"] == 503]
    good = [row for row in found if row["status"] == 200]
    assert len(bad) == 50
    assert {row["stands_for"] for row in bad} == {1}
    assert len(good) <= 220
    assert sum(int(str(row["stands_for"])) for row in good) == 5000
    assert [row["seq"] for row in found] == sorted(int(str(row["seq"])) for row in found)


def test_the_log_is_a_stream_that_the_recording_can_be_read_from(tmp_path: Path) -> None:
    spooled(tmp_path, 10, 5, keep=10)
    with pa.ipc.open_stream(tmp_path / "sent" / "hits" / "3.arrow") as reader:
        assert reader.schema.names == HIT_SCHEMA.names
        assert reader.schema.metadata[b"worker"] == b"3"


def test_every_moment_is_on_the_runs_clock(tmp_path: Path) -> None:
    plain = spooled(tmp_path / "plain", 30, 3, keep=50)
    moved = spooled(tmp_path / "moved", 30, 3, keep=50, course=Course(7_000_000))
    for column in ("due_ns", "done_ns"):
        assert {int(str(b[column])) - int(str(a[column])) for a, b in zip(plain, moved, strict=True)} == {
            7_000_000
        }


def test_a_read_of_a_growing_file_waits_for_its_bytes_and_ends_with_the_writer(tmp_path: Path) -> None:
    path, over = tmp_path / "file", threading.Event()
    path.write_bytes(b"ab")
    growing, got = Growing(path, over), list[bytes]()
    reader = threading.Thread(target=lambda: got.extend([growing.read(4), growing.read(4)]))
    reader.start()
    time.sleep(0.1)
    with path.open("ab") as file:
        file.write(b"cdef")
    time.sleep(0.1)
    over.set()
    reader.join(5)
    growing.close()
    assert got == [b"abcd", b"ef"]


def test_an_answer_is_told_before_the_rows_that_point_to_it(tmp_path: Path) -> None:
    logs = {}
    for kind in (HITS, ANSWERS, CONNECTIONS):
        name = LogName(kind, 3)
        logs[name] = Log(tmp_path / kind)
        logs[name].append(b"content")
    order = [part[5] for part in Unsent(logs, {}).pieces()]  # the kind, as its place in LOGS
    assert order.index(2) < order.index(0)


@pytest.mark.parametrize("have", [0, 5, PIECE + 17])
def test_after_a_cut_a_log_goes_on_where_the_collector_is(tmp_path: Path, have: int) -> None:
    log, name = Log(tmp_path / "log"), LogName(HITS, 3)
    whole = bytes(range(256)) * 1024
    log.append(whole)
    pieces = list(Unsent({name: log}, {name: have}).pieces())
    assert b"".join(part[16:] for part in pieces) == whole[have:]


def test_no_more_is_under_way_than_the_window(tmp_path: Path) -> None:
    log, name = Log(tmp_path / "log"), LogName(HITS, 3)
    log.append(bytes(3 * WINDOW))
    unsent = Unsent({name: log}, {})
    assert sum(len(part) - 16 for part in unsent.pieces()) == WINDOW
    assert list(unsent.pieces()) == []
    unsent.has({name: WINDOW // 2})
    assert sum(len(part) - 16 for part in unsent.pieces()) == WINDOW // 2
