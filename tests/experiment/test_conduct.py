"""An experiment goes through its order, can be cut off anywhere, and leaves the workload as it was."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import UsageError
from harness.experiment.arms import arm
from harness.experiment.conduct import TRIES, Conductor, Made
from harness.experiment.place import ChangedByOthersError, keep, kept
from harness.recording.series import experiment as file
from harness.recording.series.experiment import Arm, Experiment, Look, Step

if TYPE_CHECKING:
    from harness.cluster.client.api import Api
    from harness.experiment.place import Place

Object = dict[str, Any]


class Bench:
    """An experiment of two versions on a real API server. Its runs only make the change that a run would make."""

    def __init__(self, place: Place, directory: Path, order: str, looks: tuple[Look, ...] = ()) -> None:
        self.place = place
        self.runs: list[str] = []  # the triggers, in the order of the runs
        self.found: list[str] = []  # the version that was there at each counted run
        self.results: list[Made] = []  # what the next runs come to, if not a rollout
        self.asked = False
        self.looked: list[int] = []
        self.said: list[str] = []
        self.differs = ""
        live = place.live()
        self.specs = {"before": live["spec"], "after": place.rehearsed(hooked(live), live)}
        arms = (Arm("before"), Arm("after"))
        names = {"b": "before", "a": "after"}
        steps = tuple(Step(names[one], block) for block, part in enumerate(order.split(), 1) for one in part)
        self.conductor = self.conducting(directory, Experiment("ab", arms, steps, 0.05, looks))
        keep(directory, place.original())
        file.write(directory, self.conductor.experiment)

    def conducting(self, directory: Path, experiment: Experiment) -> Conductor:
        return Conductor(
            directory=directory,
            experiment=experiment,
            place=self.place,
            specs=self.specs,
            files={"before": Path("before.yaml"), "after": Path("after.yaml")},
            run=self.run,
            differ=self.differ,
            say=self.said.append,
            leave=lambda: self.asked,
        )

    def run(self, trigger: str, rollouts: int, output: Path) -> Made:
        assert rollouts == 1
        self.runs.append(trigger)
        if self.results and self.results[0].path is None:
            return self.results.pop(0)
        if trigger.startswith("replace"):
            self.place.put(self.specs[Path(trigger.split()[1]).stem])
        else:
            self.found.append(next(name for name, spec in self.specs.items() if self.place.is_as(spec)))
        path = output / str(len(self.runs))
        return self.results.pop(0) if self.results else Made(path, seen=True, said="")

    def differ(self, look: Look) -> str:
        self.looked.append(look.after_blocks)
        return self.differs


def hooked(live: Object) -> Object:
    document = {"kind": "Deployment", "metadata": {"name": "web"}, "spec": copy.deepcopy(live["spec"])}
    container = document["spec"]["template"]["spec"]["containers"][0]
    container["lifecycle"] = {"preStop": {"exec": {"command": ["sleep", "3"]}}}
    return document


def test_each_version_is_there_when_its_rollout_comes_and_the_first_one_at_the_end(
    place: Place, tmp_path: Path
) -> None:
    before = place.live()["spec"]
    bench = Bench(place, tmp_path, "ab bba")
    assert bench.conductor.conduct() == 0
    assert bench.found == ["after", "before", "before", "before", "after"]
    switches = [trigger for trigger in bench.runs if trigger != "restart"]
    assert switches == ["replace after.yaml", "replace before.yaml", "replace after.yaml"]
    assert bench.conductor.restore()
    assert place.live()["spec"] == before
    assert kept(tmp_path) is None
    left = file.read(tmp_path)
    assert (left.state, left.next, left.blocks_done()) == ("complete", 5, 2)
    assert left.restored.startswith("restored")


def test_what_was_cut_off_goes_on_where_it_stopped(place: Place, tmp_path: Path) -> None:
    bench = Bench(place, tmp_path, "ab ba")
    bench.results = [Made(tmp_path / "x", seen=True, said="")] * 2  # the first switch and the first rollout
    bench.results.append(Made(None, seen=False, said="killed", code=4))
    assert bench.conductor.conduct() == 4
    halfway = file.read(tmp_path)
    assert (halfway.state, halfway.done) == ("interrupted", 1)
    again = bench.conducting(tmp_path, halfway)
    bench.found.clear()
    assert again.conduct() == 0
    assert bench.found == ["before", "before", "after"]
    assert file.read(tmp_path).done == 4


def test_a_run_that_showed_no_rollout_is_made_again_and_then_given_up(place: Place, tmp_path: Path) -> None:
    bench = Bench(place, tmp_path, "b a")
    bench.results = [Made(tmp_path / "x", seen=False, said="baseline unsound")]
    assert bench.conductor.conduct() == 0
    bench = Bench(place, tmp_path, "b a")
    bench.results = [Made(tmp_path / "x", seen=False, said="baseline unsound")] * TRIES
    assert bench.conductor.conduct() == 3
    assert file.read(tmp_path).notes == ("before: baseline unsound",)
    assert bench.conductor.restore()


def test_a_look_ends_it_early_only_after_its_block(place: Place, tmp_path: Path) -> None:
    bench = Bench(place, tmp_path, "ab ab ab", (Look(2, 0.02), Look(3, 0.03)))
    bench.differs = "p = 0.01"
    assert bench.conductor.conduct() == 0
    assert bench.looked == [2]
    left = file.read(tmp_path)
    assert (left.state, left.done, left.level_now) == ("stopped_early", 4, 0.02)
    assert left.notes == ("p = 0.01",)


def test_the_last_look_is_the_comparison_itself(place: Place, tmp_path: Path) -> None:
    bench = Bench(place, tmp_path, "ab ab", (Look(1, 0.02), Look(2, 0.03)))
    assert bench.conductor.conduct() == 0
    assert bench.looked == [1]
    assert file.read(tmp_path).level_now == 0.03


def test_what_somebody_else_puts_there_ends_it_and_is_not_overwritten(
    place: Place, api: Api, tmp_path: Path
) -> None:
    bench = Bench(place, tmp_path, "ab")
    run = bench.conductor.run

    def and_somebody_deploys(trigger: str, rollouts: int, output: Path) -> Made:
        made = run(trigger, rollouts, output)
        if trigger == "restart":
            patch = {"spec": {"minReadySeconds": 7}}
            api.patch("Deployment", "default", "web", patch, field_manager="helm")
        return made

    bench.conductor.run = and_somebody_deploys
    with pytest.raises(ChangedByOthersError, match="somebody else"):
        bench.conductor.conduct()
    assert file.read(tmp_path).done == 0  # whose rollout it was is not known
    assert file.read(tmp_path).state == "running"  # whoever catches it notes what happened
    assert not bench.conductor.restore()
    assert place.live()["spec"]["minReadySeconds"] == 7
    assert kept(tmp_path) is not None
    assert "not restored" in file.read(tmp_path).restored


def test_a_ctrl_c_ends_it_and_the_workload_is_put_back(place: Place, tmp_path: Path) -> None:
    before = place.live()["spec"]
    bench = Bench(place, tmp_path, "ab")
    run = bench.conductor.run

    def and_ctrl_c(trigger: str, rollouts: int, output: Path) -> Made:
        bench.asked = True
        return run(trigger, rollouts, output)

    bench.conductor.run = and_ctrl_c
    assert bench.conductor.conduct() == 130
    assert file.read(tmp_path).state == "interrupted"
    assert bench.conductor.restore()
    assert place.live()["spec"] == before


def test_without_recorded_switches_a_version_is_put_there_directly(place: Place, tmp_path: Path) -> None:
    bench = Bench(place, tmp_path, "ba")
    bench.conductor.record_switches = False
    assert bench.conductor.conduct() == 0
    assert bench.runs == ["restart", "restart"]
    assert bench.found == ["before", "after"]


def test_a_run_without_a_rollout_is_a_result_where_none_is_needed(place: Place, tmp_path: Path) -> None:
    bench = Bench(place, tmp_path, "ba")
    bench.conductor.needs_rollout = False
    bench.results = [Made(tmp_path / "runs/x", seen=False, said="baseline unsound")]
    assert bench.conductor.conduct() == 0
    assert file.read(tmp_path).order[0].run == "runs/x"


def deploying(bench: Bench, api: Api, when: str) -> None:
    """Let somebody deploy while a run with such a trigger goes on, which then does not count."""
    run = bench.conductor.run

    def and_somebody_deploys(trigger: str, rollouts: int, output: Path) -> Made:
        if not trigger.startswith(when):
            return run(trigger, rollouts, output)
        bench.runs.append(trigger)
        api.patch("Deployment", "default", "web", {"spec": {"minReadySeconds": 7}}, field_manager="helm")
        return Made(output / "x", seen=False, said="somebody else changed it")

    bench.conductor.run = and_somebody_deploys


def test_what_somebody_else_puts_there_during_a_switch_is_not_overwritten(
    place: Place, api: Api, tmp_path: Path
) -> None:
    bench = Bench(place, tmp_path, "ab")
    deploying(bench, api, "replace")
    with pytest.raises(ChangedByOthersError, match="somebody else"):
        bench.conductor.conduct()
    assert bench.runs == ["replace after.yaml"]
    assert not bench.conductor.restore()
    assert place.live()["spec"]["minReadySeconds"] == 7


@pytest.mark.parametrize("recorded", [True, False])
def test_what_somebody_else_put_there_before_the_first_switch_or_a_resume_is_not_overwritten(
    place: Place, api: Api, tmp_path: Path, *, recorded: bool
) -> None:
    bench = Bench(place, tmp_path, "ab")
    bench.conductor.record_switches = recorded
    api.patch("Deployment", "default", "web", {"spec": {"minReadySeconds": 7}}, field_manager="helm")
    with pytest.raises(ChangedByOthersError, match="minReadySeconds"):
        bench.conductor.conduct()
    assert bench.runs == []
    assert not bench.conductor.restore()
    assert place.live()["spec"]["minReadySeconds"] == 7


def test_a_switch_that_was_made_need_not_count(place: Place, tmp_path: Path) -> None:
    bench = Bench(place, tmp_path, "ab")
    bench.results = [Made(tmp_path / "x", seen=False, said="a loss may have been missed")]
    assert bench.conductor.conduct() == 0
    assert bench.runs == ["replace after.yaml", "restart", "replace before.yaml", "restart"]


def test_a_file_that_changes_meanwhile_ends_it_and_the_workload_is_put_back(
    place: Place, tmp_path: Path
) -> None:
    before = place.live()["spec"]
    bench = Bench(place, tmp_path, "aba")
    edited = tmp_path / "before.yaml"
    edited.write_text("kind: Deployment")
    bench.conductor.experiment = replace(
        bench.conductor.experiment, arms=(arm("before", edited), Arm("after"))
    )
    bench.conductor.files = {"before": edited, "after": Path("after.yaml")}
    edited.write_text("kind: StatefulSet")
    with pytest.raises(UsageError, match="has changed since the experiment began"):
        bench.conductor.conduct()
    assert bench.found == ["after"]
    assert bench.conductor.restore()
    assert place.live()["spec"] == before


def test_a_ctrl_c_before_the_first_switch_changes_nothing(place: Place, tmp_path: Path) -> None:
    generation = place.live()["metadata"]["generation"]
    bench = Bench(place, tmp_path, "ab")
    bench.conductor.record_switches = False
    bench.asked = True
    assert bench.conductor.conduct() == 130
    assert bench.runs == []
    assert place.live()["metadata"]["generation"] == generation


def test_exit_code_2_says_that_nothing_was_touched(place: Place, tmp_path: Path) -> None:
    refused = Made(None, seen=False, said="the run could not be made", code=2)
    bench = Bench(place, tmp_path, "ab")
    bench.results = [refused]
    assert bench.conductor.conduct() == 2
    bench.results = [Made(tmp_path / "x", seen=True, said=""), refused]
    bench.conductor.run = lambda *words: bench.run(*words) if words[0] != "restart" else refused
    assert bench.conductor.conduct() == 3


def test_what_stopped_early_does_not_go_on(place: Place, tmp_path: Path) -> None:
    bench = Bench(place, tmp_path, "ab ab")
    bench.conductor.experiment = replace(bench.conductor.experiment, state="stopped_early")
    assert bench.conductor.conduct() == 0
    assert bench.runs == []
    assert bench.conductor.experiment.state == "stopped_early"
