"""experiment.json: which versions of a workload are compared, in which order, and how far that has come.

Written anew at each step, so that an experiment killed at any moment can be resumed. The runs lie beside it, in
`runs/`; those that only led from one version to the next in `switches/`.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from harness.errors import RecordingError
from harness.recording import folder
from harness.recording.series import paper

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE = "experiment.json"
ORIGINAL = "original.json"  # the workload as it was; gone once it is so again
RUNS, SWITCHES = "runs", "switches"
KINDS = ("ab", "ablate")
STATES = ("running", "complete", "stopped_early", "interrupted")
_MOST = 4 * folder.MIB
_MOST_STEPS = 10_000


@dataclass(frozen=True, slots=True)
class Arm:
    """One version of the workload. `source`: the file it came from, or "" for the live one; `digest` is the file's."""

    name: str
    source: str = ""
    digest: str = ""
    about: str = ""  # what is different in it, in words


@dataclass(frozen=True, slots=True)
class Step:
    """One rollout to make, or made: `run` is then its folder, below the experiment's."""

    arm: str
    block: int
    run: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """A comparison stated in advance: after so many blocks, at this level of error."""

    after_blocks: int
    level: float


@dataclass(frozen=True, slots=True)
class Experiment:
    """What an experiment is to do and has done."""

    kind: str
    arms: tuple[Arm, ...]
    order: tuple[Step, ...]
    level: float
    looks: tuple[Look, ...] = ()
    rollouts: int = 1  # in each run
    seed: int = 0
    state: str = "running"
    workload: str = ""  # Deployment shop/web
    began: str = ""  # UTC, ISO 8601
    request: dict[str, Any] = field(default_factory=dict)  # what the command line said, without secrets
    restored: str = ""  # what is known of the workload at the end
    notes: tuple[str, ...] = ()
    version: str = ""  # zdtest's

    @property
    def done(self) -> int:
        """Return how many rollouts have been made."""
        return sum(bool(step.run) for step in self.order)

    @property
    def next(self) -> int:
        """Return the index of the next step; the number of steps when all are done."""
        return next((at for at, step in enumerate(self.order) if not step.run), len(self.order))

    def blocks_done(self) -> int:
        """Return how many blocks are complete, counted from the first."""
        open_ones = [step.block for step in self.order if not step.run]
        return min(open_ones) - 1 if open_ones else max((s.block for s in self.order), default=0)

    @property
    def level_now(self) -> float:
        """Return the level of error that the design leaves to a comparison of what there is now."""
        done = self.blocks_done()
        if self.state == "stopped_early":
            return next((look.level for look in self.looks if look.after_blocks == done), self.level)
        return self.looks[-1].level if self.looks else self.level

    def made(self, at: int, run: str) -> Experiment:
        """Return the same once the step `at` has left a run."""
        return replace(
            self,
            order=tuple(replace(s, run=run) if n == at else s for n, s in enumerate(self.order)),
        )

    def runs_of(self, arm: str) -> tuple[str, ...]:
        """Return the folders of an arm's runs, below the experiment's, in the order in which they were made."""
        return tuple(step.run for step in self.order if step.arm == arm and step.run)


def write(directory: Path, experiment: Experiment) -> None:
    """Replace an experiment's file in one step. Raises OSError."""
    text = json.dumps({"format": paper.FORMAT, **asdict(experiment)}, indent=1, ensure_ascii=False)
    folder.write_below(directory, FILE, text + "\n")


@contextmanager
def mine(directory: Path) -> Iterator[None]:
    """Keep every other process away from an experiment; the kernel ends that with this process, however it ends.

    Raises RecordingError if another process has it.
    """
    try:
        with folder.locked(directory):
            yield
    except BlockingIOError:
        raise RecordingError(f"the experiment {directory} is under way in another process") from None


def is_experiment(directory: Path) -> bool:
    """Tell whether a folder is an experiment's."""
    return folder.stamp(directory, FILE) is not None


def read(directory: Path) -> Experiment:
    """Read an experiment. Raises RecordingError, one line, if it is none or cannot be understood."""
    return paper.read(directory, FILE, "experiment", _MOST, _read)


def _read(raw: dict[str, Any]) -> Experiment:
    arms = tuple(
        Arm(*(_text(arm.get(key, "")) for key in ("name", "source", "digest", "about")))
        for arm in _objects(raw["arms"])
    )
    names = {arm.name for arm in arms}
    if len(names) < len(arms):
        raise ValueError("two arms have one name")
    order = tuple(
        Step(_one_of(step["arm"], names), _whole(step["block"]), _below(step.get("run", "")))
        for step in _objects(raw["order"])
    )
    return Experiment(
        kind=_one_of(raw["kind"], KINDS),
        arms=arms,
        order=order,
        level=_share(raw["level"]),
        looks=tuple(
            Look(_whole(look["after_blocks"]), _share(look["level"]))
            for look in _objects(raw.get("looks", []))
        ),
        rollouts=_whole(raw.get("rollouts", 1)),
        seed=_whole(raw.get("seed", 0)),
        state=_one_of(raw["state"], STATES),
        request=raw["request"] if isinstance(raw.get("request"), dict) else {},
        notes=tuple(_text(note) for note in raw.get("notes", [])),
        **{key: _text(raw.get(key, "")) for key in ("workload", "began", "restored", "version")},
    )


def _objects(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or len(value) > _MOST_STEPS or not all(isinstance(v, dict) for v in value):
        raise ValueError("a list of objects was expected")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a text was expected, not {type(value).__name__}")
    return value


def _one_of(value: Any, known: Any) -> str:
    if value not in known:
        raise ValueError(f"{str(value)[:40]!r} is none of {', '.join(sorted(known)[:12])}")
    return str(value)


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError("a whole number was expected")
    return value


def _share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError("a number from 0 to 1 was expected")
    return float(value)


def _below(value: Any) -> str:
    """Return a run's folder; only one in `runs/` can be an experiment's."""
    text = _text(value)
    first, _, name = text.partition("/")
    if text and (first != RUNS or not name or "/" in name or name in {".", ".."}):
        raise ValueError("a run lies outside of the experiment's folder")
    return text
