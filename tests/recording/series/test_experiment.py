"""experiment.json: written at each step, read back, and refused in one line where it is not ours."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import RecordingError
from harness.recording.series.experiment import (
    FILE,
    Arm,
    Experiment,
    Look,
    Step,
    is_experiment,
    mine,
    read,
    write,
)

if TYPE_CHECKING:
    from pathlib import Path


def experiment() -> Experiment:
    return Experiment(
        kind="ab",
        arms=(Arm("before", "/a.yaml", "12"), Arm("after", about="é")),
        order=(Step("after", 1, "runs/one"), Step("before", 1), Step("before", 2), Step("after", 2)),
        level=0.05,
        looks=(Look(1, 0.01), Look(2, 0.04)),
        seed=7,
        request={"flags": {"load.concurrency": 3}},
        notes=("a note",),
    )


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    assert not is_experiment(tmp_path)
    write(tmp_path, experiment())
    assert is_experiment(tmp_path)
    assert read(tmp_path) == experiment()
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0


def test_it_knows_how_far_it_has_come() -> None:
    begun = experiment()
    assert (begun.done, begun.next, begun.blocks_done()) == (1, 1, 0)
    further = begun.made(1, "runs/two")
    assert (further.done, further.next, further.blocks_done()) == (2, 2, 1)
    whole = further.made(2, "runs/three").made(3, "runs/four")
    assert (whole.next, whole.blocks_done()) == (4, 2)
    assert whole.runs_of("before") == ("runs/two", "runs/three")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 2}, "format is 2"),
        ({"kind": "cd"}, "none of"),
        ({"order": [{"arm": "other", "block": 1}]}, "none of"),
        ({"order": [{"arm": "before", "block": -1}]}, "whole number"),
        ({"order": [{"arm": "before"}]}, "block is missing"),
        ({"order": [{"arm": "before", "block": 1, "run": "../other"}]}, "outside"),
        ({"order": [{"arm": "before", "block": 1, "run": "runs/../.."}]}, "outside"),
        ({"order": 3}, "list"),
        ({"level": 5}, "from 0 to 1"),
        ({"arms": [{"name": 3}]}, "text"),
    ],
)
def test_a_file_that_we_did_not_write_is_refused_in_one_line(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    write(tmp_path, experiment())
    raw = json.loads((tmp_path / FILE).read_text())
    (tmp_path / FILE).write_text(json.dumps({**raw, **change}))
    with pytest.raises(RecordingError, match=words) as refused:
        read(tmp_path)
    assert "\n" not in str(refused.value)


def test_two_processes_cannot_have_the_same_experiment(tmp_path: Path) -> None:
    with mine(tmp_path), pytest.raises(RecordingError, match="under way in another process"), mine(tmp_path):
        pass
    with mine(tmp_path):
        pass


def test_a_folder_without_one_is_no_experiment(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no experiment"):
        read(tmp_path)
    (tmp_path / FILE).write_text("{")
    with pytest.raises(RecordingError, match="cannot be read"):
        read(tmp_path)


def test_a_folder_without_one_is_no_experiment_and_a_file_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="is no experiment"):
        read(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(RecordingError, match="cannot be read: Not a directory"):
        read(tmp_path / "file")
