"""Goes through an experiment: brings the workload to one version after another, and rolls each out under load."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from harness.errors import ClusterError
from harness.experiment.place import ChangedByOthersError, apart, forget, kept, rolls
from harness.recording.series import experiment as file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from harness.experiment.place import Place
    from harness.recording.series.experiment import Experiment, Look

Object = dict[str, Any]

TRIES = 3  # for a run that showed no rollout: an unsound baseline, another run on the workload
PATIENCE_S = 900.0  # for a change that replaces no pod, and for the way back


@dataclass(frozen=True, slots=True)
class Made:
    """What a run came to. `code` is the exit code of a run that left nothing to judge, `seen` whether each of its
    rollouts counts: seen to its end, and none of its losses missed.
    """

    path: Path | None
    seen: bool
    said: str  # in a few words
    code: int = 0


class Runner(Protocol):
    """Carries out one run with this trigger and so many rollouts, judges it, and leaves its reports."""

    def __call__(self, trigger: str, rollouts: int, output: Path) -> Made:
        """Return what it came to; its folder lies in `output`."""


@dataclass(slots=True)
class Conductor:
    """One experiment under way."""

    directory: Path
    experiment: Experiment
    place: Place
    specs: Mapping[str, Object]  # by arm, as the server would have them
    files: Mapping[str, Path]  # by arm, for the trigger
    run: Runner
    differ: Callable[[Look], str]  # what a look finds: "" for nothing
    say: Callable[[str], None]
    leave: Callable[[], bool]  # whether somebody asked to end
    needs_rollout: bool = True  # a run that showed none is made again; else it is a result, too
    record_switches: bool = True  # also run the load while the workload goes from one version to the next
    left: Object = field(default_factory=dict)  # the spec that was put there last

    def conduct(self) -> int:
        """Make all rollouts that are left to make. Returns an exit code: 0 when the experiment is complete.

        What is recorded is on disk at each moment. Raises ClusterError.
        """
        code = self._steps()
        if self.experiment.state == "running":
            self.note(state="interrupted")
        return code

    def _steps(self) -> int:
        experiment = self.experiment
        for at in range(experiment.next, len(experiment.order)):
            step = experiment.order[at]
            self.say(f"rollout {at + 1} of {len(experiment.order)}: {step.arm}")
            code = self._switch(step.arm)
            if code is not None:
                return code
            made = self._try("restart", experiment.rollouts, self.directory / file.RUNS)
            if made.path is None or self.leave() or (self.needs_rollout and not made.seen):
                return self._give_up(f"{step.arm}: {made.said}", made.code)
            self.note(self.experiment.made(at, f"{file.RUNS}/{made.path.name}"))
            if found := self._looked(at):
                self.note(state="stopped_early", note=found)
                return 0
        self.note(state="complete")
        return 0

    def _switch(self, arm: str) -> int | None:
        """Bring the workload to a version. Returns an exit code if that was not possible."""
        wanted = self.specs[arm]
        live = self.place.live()["spec"]
        if self.place.is_as(wanted):
            self.left = wanted
            return None
        if self.left and not self.place.is_as(self.left):
            raise ChangedByOthersError(f"somebody else has changed {self.place.shown}")
        if self.record_switches and rolls(live, wanted):
            made = self._try(f"replace {self.files[arm]}", 1, self.directory / file.SWITCHES)
            if made.path is None or not made.seen:
                self.left = self.place.live()["spec"]
                return self._give_up(f"the way to {arm}: {made.said}", made.code)
        else:
            self.place.put(wanted)
            if waits := self.place.wait(PATIENCE_S, self.leave):
                return self._give_up(f"the way to {arm}: {waits}", 0)
        self.left = wanted
        if not self.place.is_as(wanted):
            raise ChangedByOthersError(
                f"{self.place.shown} is not as {arm} wants it, although it was put so: something puts it back"
                f" ({next(iter(apart(self.place.live()['spec'], wanted)), 'and then takes it away')})"
            )
        return None

    def _try(self, trigger: str, rollouts: int, output: Path) -> Made:
        for attempt in range(1, TRIES + 1):
            made = self.run(trigger, rollouts, output)
            if made.path is None or made.seen or self.leave() or not self.needs_rollout:
                break
            if attempt < TRIES:
                self.say("once more")
        return made

    def _give_up(self, why: str, code: int) -> int:
        if self.leave():
            return 130
        self.note(state="interrupted", note=why)
        self.say(f"ended before its time: {why}")
        return code or 3

    def _looked(self, at: int) -> str:
        """Compare the versions, where a look was stated to come after this step."""
        experiment = self.experiment
        block = experiment.order[at].block
        ends_block = at + 1 == len(experiment.order) or experiment.order[at + 1].block != block
        look = next((one for one in experiment.looks if one.after_blocks == block), None)
        if not ends_block or look is None or at + 1 == len(experiment.order):
            return ""
        return self.differ(look)

    def note(self, experiment: Experiment | None = None, *, state: str = "", note: str = "") -> None:
        """Write down how far it has come."""
        found = experiment or self.experiment
        notes = (*found.notes, note) if note else found.notes
        self.experiment = replace(found, state=state or found.state, notes=notes)
        file.write(self.directory, self.experiment)

    def restore(self) -> bool:
        """Put back what was there, and prove it. Returns whether the workload is as it was."""
        original = kept(self.directory)
        if original is None:
            return True
        try:
            left = self.place.restore(original, [*filter(None, [self.left]), *self.specs.values()])
            waits = "" if left else self.place.wait(PATIENCE_S, self.leave)
        except ClusterError as error:
            self._restored(f"not restored: {error}")
            return False
        if left:
            self._restored(f"not restored: the server would still change {left}")
            return False
        self._restored(
            "restored: to the server, there is nothing left to change"
            + (f"; its rollout goes on ({waits})" if waits else "")
        )
        forget(self.directory)
        return True

    def _restored(self, how: str) -> None:
        self.experiment = replace(self.experiment, restored=how)
        file.write(self.directory, self.experiment)
        self.say(f"{self.place.shown} {how}")
