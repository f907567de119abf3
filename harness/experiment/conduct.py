"""Goes through an experiment: brings the workload to one version after another, and rolls each out under load."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from harness.errors import ClusterError
from harness.experiment.arms import unchanged
from harness.experiment.place import ChangedByOthersError, apart, forget, kept, rolls
from harness.recording.series import experiment as file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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
    touched: bool = False  # whether this process may have changed the workload

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
        if experiment.state == "stopped_early":
            return 0
        for at in range(experiment.next, len(experiment.order)):
            if self.leave():
                return 130
            step = experiment.order[at]
            self.say(f"rollout {at + 1} of {len(experiment.order)}: {step.arm}")
            code = self._switch(step.arm)
            if code is not None:
                return code
            made = self._try(experiment.rollouts)
            if made.path is None or self.leave() or (self.needs_rollout and not made.seen):
                return self._give_up(f"{step.arm}: {made.said}", made.code)
            self._refuse_others()  # it may have restarted what somebody else put there just before
            self.note(self.experiment.made(at, f"{file.RUNS}/{made.path.name}"))
            if found := self._looked(at):
                self.note(state="stopped_early", note=found)
                return 0
        self.note(state="complete")
        return 0

    def _switch(self, arm: str) -> int | None:
        """Bring the workload to a version. Returns an exit code if that was not possible."""
        wanted = self.specs[arm]
        if self.place.is_as(wanted):
            self.left = wanted
            return None
        self._refuse_others()
        self._refuse_edited(arm)
        if self.record_switches and rolls(self.place.live()["spec"], wanted):
            made = self._go_over(arm, wanted)
            if made.path is None or self.leave() or not (made.seen or self.place.is_as(wanted)):
                return self._give_up(f"the way to {arm}: {made.said}", made.code)
        else:
            self.touched = True
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

    def _go_over(self, arm: str, wanted: Object) -> Made:
        """Make the run that leads to a version; it only has to lead there, for it does not count."""
        for attempt in range(1, TRIES + 1):
            made = self._run(f"replace {self.files[arm]}", 1, self.directory / file.SWITCHES)
            if made.path is None or made.seen or self.leave() or self.place.is_as(wanted):
                break
            self._refuse_others()
            if attempt < TRIES:
                self.say("once more")
        return made

    def _refuse_others(self) -> None:
        """Refuse to go on from what neither this experiment put there, nor was there before. Raises ClusterError."""
        original = kept(self.directory)
        if self.left:
            ours = [self.left]
        elif original:  # not yet begun, or gone on with: an autoscaler may have changed the replicas
            ours = [*self.specs.values(), {k: v for k, v in original.spec.items() if k != "replicas"}]
        else:
            return
        live = self.place.live()["spec"]
        found = [apart(live, spec) for spec in ours]
        if all(found):
            raise ChangedByOthersError(f"somebody else has changed {self.place.shown} ({found[-1][0]})")

    def _refuse_edited(self, arm: str) -> None:
        """Refuse a file that changed while the experiment goes on: it would be put there. Raises UsageError."""
        unchanged(
            tuple(
                one
                for one in self.experiment.arms
                if one.name == arm and one.source and Path(one.source) == self.files[arm]
            )
        )

    def _try(self, rollouts: int) -> Made:
        for attempt in range(1, TRIES + 1):
            made = self._run("restart", rollouts, self.directory / file.RUNS)
            if made.path is None or made.seen or self.leave() or not self.needs_rollout:
                break
            if attempt < TRIES:
                self.say("once more")
        return made

    def _run(self, trigger: str, rollouts: int, output: Path) -> Made:
        made = self.run(trigger, rollouts, output)
        self.touched |= made.path is not None
        return made

    def _give_up(self, why: str, code: int) -> int:
        if self.leave():
            return 130
        self.note(state="interrupted", note=why)
        self.say(f"ended before its time: {why}")
        if code == 2 and (self.touched or self.experiment.done):
            return 3  # 2 says that nothing was touched
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
