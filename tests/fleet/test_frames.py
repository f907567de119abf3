from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings, strategies as st

from harness.fleet import frames
from harness.fleet.arriving import Arriving
from harness.fleet.frames import ANSWERS, CONNECTIONS, HEALTH, HITS, FrameError, Frames, LogName, Piece

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from harness.model import HealthSample

HIT_LOG = LogName(HITS, 3)
HEALTH_LINE = (
    b'{"t_ns":1,"worker":3,"started":1,"completed":1,"failed":0,"in_flight":1,"oldest_in_flight_ns":0,'
    b'"lag_p99_ns":0,"lag_max_ns":0,"cpu_ns":5,"open_files":3}\n'
)


@settings(max_examples=40)
@given(cuts=st.lists(st.integers(0, 400), max_size=8), content=st.binary(max_size=300))
def test_frames_come_out_as_they_went_in_wherever_the_bytes_are_cut(cuts: list[int], content: bytes) -> None:
    sent: list[dict[str, Any] | Piece] = [
        {"ping": 5},
        Piece(HIT_LOG, 1 << 40, content),
        {"have": {"hits/3": 7}},
    ]
    whole = b"".join(frames.piece(one) if isinstance(one, Piece) else frames.talk(one) for one in sent)
    received, got, edges = Frames(), [], [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    for begin, end in itertools.pairwise(edges):
        got += list(received.feed(whole[begin:end]))
    assert got == sent


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x00\x00\x00\x02\x01[]",
        b"\x00\x00\x00\x02\x01{x",
        b"\x00\x00\x00\x01\x02x",
        b"\x00\x00\x00\x0b\x02\x09" + bytes(10),
    ],
)
def test_bytes_that_are_no_frames_are_refused(raw: bytes) -> None:
    with pytest.raises(FrameError):
        list(Frames().feed(raw))


@pytest.mark.parametrize(
    "name", ["hits", "hits/", "hits/-1", "hits/70000", "../1", "hits/1/2", "hits/\u0661"]
)
def test_a_log_has_a_name_that_cannot_lead_elsewhere(name: str) -> None:
    with pytest.raises(FrameError):
        LogName.of(name)


def arriving(folder: Path, health: list[HealthSample]) -> Arriving:
    return Arriving(folder, [3], health.append)


def test_what_comes_twice_is_kept_once(tmp_path: Path) -> None:
    logs = arriving(tmp_path, [])
    for offset, content in [(0, b"abc"), (0, b"abc"), (1, b"bcde"), (5, b"f"), (2, b"cd")]:
        logs.take(Piece(HIT_LOG, offset, content))
    logs.close()
    assert (tmp_path / "hits" / "3.arrow").read_bytes() == b"abcdef"
    assert logs.have == {HIT_LOG: 6}


def test_a_gap_is_refused_and_nothing_of_it_is_kept(tmp_path: Path) -> None:
    logs = arriving(tmp_path, [])
    logs.take(Piece(HIT_LOG, 0, b"abc"))
    with pytest.raises(FrameError, match="2 bytes are missing"):
        logs.take(Piece(HIT_LOG, 5, b"f"))
    assert logs.have == {HIT_LOG: 3}
    logs.close()


def test_a_pod_cannot_write_another_ones_log(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match="another's"):
        arriving(tmp_path, []).take(Piece(LogName(HITS, 4), 0, b"abc"))


def test_each_log_has_the_name_that_the_recording_gives_it(tmp_path: Path) -> None:
    logs = arriving(tmp_path, [])
    for kind in (HITS, CONNECTIONS, ANSWERS):
        logs.take(Piece(LogName(kind, 3), 0, b"x"))
    logs.close()
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert found == ["answers/3.jsonl", "connections/3.arrow", "hits/3.arrow"]
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.rglob("*"))


def test_each_second_of_health_is_told_once_also_when_a_line_is_cut(tmp_path: Path) -> None:
    health: list[HealthSample] = []
    logs, name = arriving(tmp_path, health), LogName(HEALTH, 3)
    whole = HEALTH_LINE * 2
    for begin, end in [(0, 20), (0, 20), (10, len(HEALTH_LINE) + 5), (20, len(whole))]:
        logs.take(Piece(name, begin, whole[begin:end]))
    assert [sample.completed for sample in health] == [1, 1]


def test_a_health_sample_of_another_worker_is_refused(tmp_path: Path) -> None:
    line = HEALTH_LINE.replace(b'"worker":3', b'"worker":2')
    with pytest.raises(FrameError, match="another worker"):
        arriving(tmp_path, []).take(Piece(LogName(HEALTH, 3), 0, line))
