"""The runs that a run is held against, in its own folder: baseline.json.

It holds their numbers, not only their names, so that the run can be judged again anywhere without them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from harness.errors import RecordingError
from harness.recording import folder
from harness.recording.jsontext import parse

if TYPE_CHECKING:
    from pathlib import Path

FILE = "baseline.json"
FORMAT = 1
MOST_RUNS = 1000
MOST_ROLLOUTS = 1000  # of one run
_MOST = 16 * folder.MIB
_LARGEST = 1 << 62
LONGEST = 500  # characters of a text


@dataclass(frozen=True, slots=True)
class OldRollout:
    """One rollout of an earlier run. Times in ns; None where unknown, or known only as a lower bound."""

    lost: int
    p99_ns: int | None  # of good answers during the rollout
    reach_ns: int | None  # the largest of all pods
    rollout_ns: int | None  # from the trigger to its end


@dataclass(frozen=True, slots=True)
class OldRun:
    """An earlier run, and what must be alike for its numbers to be compared."""

    folder: str
    load: str
    targets: tuple[str, ...]
    workload: str
    replicas: int
    cluster: str
    rollouts: tuple[OldRollout, ...]


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a run is held against. `level`: of nights on which nothing changed, at most this share fails."""

    format: int
    named: str  # "last-pass", or the name of the folder that was given
    level: float
    runs: tuple[OldRun, ...]


def keep(path: Path, baseline: Baseline) -> None:
    """Write it into a run's folder. Raises OSError."""
    folder.write_below(path, FILE, json.dumps(asdict(baseline), indent=1) + "\n")


def kept(path: Path) -> Baseline | None:
    """Return what a run is held against; None if nothing. Raises RecordingError for a file that is not ours."""
    file = path / FILE
    try:
        text = folder.read(path, FILE, _MOST)
    except FileNotFoundError:
        return None
    try:
        raw = parse(text)
    except ValueError as error:
        raise RecordingError(f"{file} is not JSON: {error}") from None
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise RecordingError(f"{file} has a format that this zdtest does not read: use the one that wrote it")
    try:
        found: Baseline = _adapter().validate_python(raw)
    except ValidationError as error:
        fault = error.errors()[0]
        raise RecordingError(f"{file}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}") from None
    if wrong := _wrong(found):
        raise RecordingError(f"{file} is damaged: {wrong}")
    return found


def _wrong(found: Baseline) -> str:
    if not 0 < found.level < 1:
        return "its level is no share"
    if len(found.runs) > MOST_RUNS or any(len(run.rollouts) > MOST_ROLLOUTS for run in found.runs):
        return "it has too many runs"
    texts = [
        found.named,
        *(text for run in found.runs for text in (run.folder, run.load, run.workload, run.cluster)),
    ]
    texts += [text for run in found.runs for text in run.targets]
    if any(len(text) > LONGEST for text in texts):
        return "a text in it is too long"
    numbers = [
        value
        for run in found.runs
        for one in run.rollouts
        for value in (one.lost, one.p99_ns, one.reach_ns, one.rollout_ns)
        if value is not None
    ]
    return "" if all(0 <= value < _LARGEST for value in numbers) else "no run can have a number that it has"


@cache
def _adapter() -> TypeAdapter[Baseline]:
    return TypeAdapter(Baseline)
