"""`run --baseline`: which earlier runs a run is held against, and keeping their numbers in its folder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness import typedpaths
from harness.cli.root import warn
from harness.errors import RecordingError, UsageError, in_one_line
from harness.history.listing import listed
from harness.history.names import find
from harness.model import Grade
from harness.recording import folder

if TYPE_CHECKING:
    from harness.history.runs import Run
    from harness.judge.comparison.sides import JudgedRun
    from harness.judge.picture.picture import Picture
    from harness.judge.verdict.judgement import Judgement
    from harness.recording.read import Recording

LEVEL = 0.01  # of nights on which nothing changed, at most so many fail
NIGHTS = 30  # of a folder of runs: the latest ones
_LAST = {"last": "", "last-pass": Grade.PASS.value}
_MOST = 64 * folder.MIB


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to hold a run against: one run, or those in `root` that are like it, chosen when it is over."""

    named: str
    level: float
    run: Path | None = None
    root: Path | None = None
    grade: str = ""  # of those in `root`; "" for any
    most: int = 1


def wanted(word: str, level: float, output: Path) -> Wanted:
    """Read --baseline; `output` is where this run is put. Raises UsageError, before anything is touched."""
    if word in _LAST:
        return Wanted(word, level, root=output, grade=_LAST[word])
    path = Path(word)
    if word and typedpaths.is_dir(path) and not folder.stamp(path, "run.json"):
        listed(path)  # raises if it cannot be read
        return Wanted(path.resolve().name or word, level, root=path, grade=Grade.PASS.value, most=NIGHTS)
    try:
        run = find(word)
    except UsageError as error:
        raise UsageError(f"--baseline {error}") from None
    if not folder.stamp(run, "run.json"):
        raise UsageError(f"--baseline {word} is no run; give a run, a folder of runs, or last-pass")
    return Wanted(run.name or word, level, run=run)


def keep_for(path: Path, asked: Wanted) -> None:
    """Write the numbers of the earlier runs into the folder of a run that is over. What cannot be read is said."""
    from harness.judge.comparison.gate import baseline_of  # noqa: PLC0415  brings pandas
    from harness.judge.comparison.sides import side_of  # noqa: PLC0415
    from harness.recording.series.baseline import keep  # noqa: PLC0415

    try:
        folders = _earlier(path, asked)
    except UsageError as error:
        warn(f"zdtest: the baseline is empty: {error}")
        folders = []
    runs = []
    for earlier in folders:
        try:
            runs.append(_judged(earlier))
        # This run's verdict is worth more than whatever is wrong with an earlier one.
        except Exception as error:  # noqa: BLE001
            warn(f"zdtest: {earlier} is left out of the baseline: {in_one_line(error)}")
    try:
        keep(path, baseline_of(asked.named, side_of("baseline", runs), asked.level))
    except OSError as error:
        warn(
            f"zdtest: the baseline cannot be kept in {path}: {error.strerror}; the run is not compared with it"
        )


def held(
    recording: Recording, judgement: Judgement, picture: Picture | None = None
) -> tuple[Judgement, Picture | None]:
    """Hold a run against the baseline in its folder, and put it into the picture; both as they are if there is none.

    Raises RecordingError.
    """
    from harness.recording.series.baseline import FILE, kept  # noqa: PLC0415  brings pydantic

    if folder.stamp(recording.path, FILE) is None:
        return judgement, picture
    from harness.judge.comparison.gate import beside, held_against  # noqa: PLC0415
    from harness.judge.comparison.sides import JudgedRun, side_of  # noqa: PLC0415

    baseline = kept(recording.path)
    if baseline is None:
        return judgement, picture
    side = side_of("run", [JudgedRun(recording.run, judgement)])
    if picture is not None:
        picture = replace(picture, beside=beside(judgement, side, baseline))
    return held_against(judgement, side, baseline), picture


def _earlier(path: Path, asked: Wanted) -> list[Path]:
    """Return the folders of the earlier runs: given, or those of a folder that are like the run."""
    if asked.run is not None:
        return [asked.run]
    if asked.root is None or not typedpaths.is_dir(asked.root):
        return []
    runs = listed(asked.root).runs
    mine = _own(path)
    like = [
        run
        for run in runs
        if (asked.root / run.folder).resolve() != path.resolve()
        and run.judged
        and run.rollouts
        and (not asked.grade or run.grade == asked.grade)
        and mine is not None
        and (run.name, run.workload, run.load) == (mine.name, mine.workload, mine.load)
        and run.began_ns < mine.began_ns
    ]
    return [asked.root / run.folder for run in like[: asked.most]]


def _own(path: Path) -> Run | None:
    from harness.history import reading  # noqa: PLC0415

    try:
        return reading.read(path.parent, path.name)
    except reading.NoRunError:
        return None


def _judged(path: Path) -> JudgedRun:
    """Return a run with the verdict that it has, or judge it."""
    from harness.judge.comparison.sides import JudgedRun  # noqa: PLC0415
    from harness.judge.verdict.judgement import from_json, judge  # noqa: PLC0415
    from harness.recording.read import Recording  # noqa: PLC0415

    recording = Recording.open(path)
    try:
        judgement = from_json(folder.read(path, "verdict.json", _MOST))
    except (FileNotFoundError, RecordingError):
        judgement = judge(recording)
    return JudgedRun(recording.run, judgement)
