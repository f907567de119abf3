"""A run that is read stretch by stretch is judged as one that is read at once: to the digit, and to the pixel."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.errors import RecordingError
from harness.judge.numbers.piecewise.allhits import AllHits
from harness.judge.verdict.causesofhits import causes_of_hits
from harness.judge.verdict.judgement import judge_with_picture, to_json
from harness.model import Outcome
from harness.recording.read import Recording
from tests.judge.synthetic import SyntheticRun, write_hits
from tests.judge.test_rollouts import series
from tests.judge.test_shared_names import stateful

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLE = Path(__file__).parents[2] / "results" / "example"
A_BATCH = 250


def written(root: Path, synthetic: SyntheticRun) -> Path:
    """Write a run whose rows two workers wrote: the second has some out of order, and some that were cut."""
    synthetic.record = {"workers": 2, "concurrency": synthetic.concurrency, **synthetic.record}
    path, rows = synthetic.write(root), synthetic.hits()
    mine = [[row for row in rows if row["slot"] % 2 == worker] for worker in range(2)]
    mine[1][20:40] = reversed(mine[1][20:40])
    mine[1][-1] |= {"status": 0, "outcome": Outcome.CUT_AT_DEADLINE}
    for worker in range(2):
        write_hits(path / "hits" / f"{worker}.arrow", mine[worker], A_BATCH)
    return path


def tiny(root: Path) -> Path:
    return written(root, SyntheticRun.rolling(1, concurrency=4, work=0.4, noise=0.05))


def behind_a_balancer(root: Path) -> Path:
    return written(root, SyntheticRun.rolling(2, concurrency=6, prestop=2, grace=20, noise=0.02, slow=0.5))


def straight_to_pods(root: Path) -> Path:
    return written(root, SyntheticRun.rolling(2, concurrency=8, direct=True, methods=("GET", "POST")))


def at_a_rate(root: Path) -> Path:
    synthetic = SyntheticRun.rolling(1, concurrency=6, dead_is_silent=True)
    synthetic.record = {"rate": 100.0}
    return written(root, synthetic)


def three_rollouts(root: Path) -> Path:
    rollouts = [SyntheticRun.rolling(1, concurrency=3, before=4.0, settle=2.0) for _ in range(3)]
    return series(root, *rollouts)


def pods_that_share_names(root: Path) -> Path:
    synthetic = stateful()
    synthetic.concurrency = 3
    return written(root, synthetic)


def an_example(_: Path) -> Path:
    return EXAMPLE


def plain(value: Any) -> Any:
    """Return a picture as plain data that can be compared."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.tolist()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value


def judged(path: Path, at_once: int) -> tuple[str, Any, int]:
    recording = Recording.open(path)
    recording.at_once = at_once
    judgement, picture = judge_with_picture(recording)
    return to_json(judgement), plain(picture), len(recording.stretches())


@pytest.mark.parametrize(
    ("make", "at_once"),
    [
        (tiny, 7),
        (behind_a_balancer, A_BATCH),
        (straight_to_pods, A_BATCH),
        (at_a_rate, A_BATCH),
        (three_rollouts, A_BATCH),
        (pods_that_share_names, A_BATCH),
        (an_example, A_BATCH),
    ],
)
def test_the_verdict_and_the_picture_do_not_depend_on_how_a_run_is_cut(
    tmp_path: Path, make: Callable[[Path], Path], at_once: int
) -> None:
    path = make(tmp_path)
    verdict, picture, number = judged(path, 1 << 30)
    assert number == 1
    in_stretches, its_picture, number = judged(path, at_once)
    assert number > 5
    assert in_stretches == verdict
    assert its_picture == picture


def test_the_cause_of_each_hit_does_not_depend_on_it_either(tmp_path: Path) -> None:
    path = tiny(tmp_path)
    recording = Recording.open(path)
    recording.at_once = 7
    assert causes_of_hits(recording) == causes_of_hits(Recording.open(path)) != {}


def test_stretches_follow_each_other_and_hold_every_hit_once(tmp_path: Path) -> None:
    recording = Recording.open(behind_a_balancer(tmp_path))
    whole = recording.hits()
    recording.at_once = A_BATCH
    stretches = recording.stretches()
    assert [one.to_ns for one in stretches[:-1]] == [one.from_ns for one in stretches[1:]]
    parts = [recording.hits(("done_ns", "seq", "row"), one) for one in stretches]
    assert sorted(row for part in parts for row in part["row"]) == list(range(len(whole)))
    assert max(map(len, parts)) < 3 * A_BATCH
    for part, one in zip(parts, stretches, strict=True):
        assert part["done_ns"].between(one.from_ns, one.to_ns - 1).all()
        assert part["seq"].tolist() == whole["seq"].to_numpy()[part["row"]].tolist()


def test_failed_hits_are_held_as_rows_in_the_order_of_the_recording(tmp_path: Path) -> None:
    path = behind_a_balancer(tmp_path)
    recording, in_stretches = Recording.open(path), Recording.open(path)
    in_stretches.at_once = A_BATCH
    held, read = AllHits.of(recording).lost, AllHits.of(in_stretches).lost
    assert len(held) > 10
    assert read.frame.reset_index(drop=True).equals(held.frame.reset_index(drop=True))
    assert read.kind.tolist() == held.kind.tolist()


def test_a_file_that_is_cut_off_while_it_is_read_is_one_line(tmp_path: Path) -> None:
    path = tiny(tmp_path)
    recording = Recording.open(path)
    recording.stretches()
    (path / "hits" / "1.arrow").write_bytes(b"")
    with pytest.raises(RecordingError, match="cut off while it was read"):
        recording.hits()
