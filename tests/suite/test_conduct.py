"""Going through a suite: in which order runs begin, what is left out, tried again or not begun, and what is kept."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio

from harness.interrupts import Asked
from harness.recording.series import suite as file
from harness.recording.series.suite import Entry, Result, Suite
from harness.suite.conduct import Conductor
from harness.suite.ending import Ended
from harness.suite.turns import Turn

if TYPE_CHECKING:
    from pathlib import Path

    from harness.suite.child import Child


@dataclass
class Night:
    """Runs that take no time of their own, and what was seen of them."""

    folder: Path
    asked: Asked = field(default_factory=Asked)
    results: dict[str, list[Result]] = field(
        default_factory=dict
    )  # what each try ends with; PASS if nothing is said
    took_s: float = 0.01
    hours: dict[str, float] = field(default_factory=dict)  # by which the clock goes on when it ends
    interrupt_at: str = ""
    cannot_start: str = ""
    order: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    now_s: float = 0.0

    async def __call__(self, child: Child, entry: Entry) -> tuple[Ended, dict[str, Any]]:
        del child
        self.order.append(entry.name)
        if entry.name == self.cannot_start:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        if entry.name == self.interrupt_at:
            self.asked.again()
        await anyio.sleep(self.took_s)
        self.at_once -= 1
        self.now_s += 3600 * self.hours.get(entry.name, 0)
        tries = self.results.get(entry.name) or [Result.PASS]
        found = tries.pop(0) if len(tries) > 1 else tries[0]
        return Ended(0, self.took_s), {"result": found, "said": f"{entry.name} is {found}"}

    def began(self, entry: Entry) -> None:
        self.lines.append(f"begins {entry.name}")

    def ended(self, entry: Entry) -> None:
        self.lines.append(f"{entry.name} {entry.result}")

    def say(self, line: str) -> None:
        self.lines.append(line)

    def goes_on(self, running: list[tuple[Entry, float]]) -> None:
        pass

    def conduct(self, *entries: Entry, wait_s: float = 60, **fields: Any) -> Suite:
        conductor = Conductor(
            directory=self.folder,
            suite=Suite("nightly", entries, **fields),
            turns=tuple(Turn(entry.expected_s, frozenset(entry.shares)) for entry in entries),
            run=self,
            shown=self,
            asked=self.asked,
            wait_s=wait_s,
            clock=lambda: self.now_s,
            again_s=0.0,
        )
        return anyio.run(conductor.conduct)


def entry(name: str, hours: float = 1.0, *shares: str, **fields: Any) -> Entry:
    return Entry(name, f"{name}.yaml", shares=shares, expected_s=3600 * hours, **fields)


def results(suite: Suite) -> dict[str, Result]:
    return {entry.name: entry.result for entry in suite.entries}


def test_runs_begin_one_after_the_other_in_order(tmp_path: Path) -> None:
    night = Night(tmp_path)
    found = night.conduct(entry("a"), entry("b"), entry("c"))
    assert night.order == ["a", "b", "c"]
    assert night.most_at_once == 1
    assert (found.state, found.exit_code) == ("complete", 0)
    assert file.read(tmp_path) == found, "what is on disk is what there is"


def test_two_that_share_nothing_run_at_the_same_time_and_two_that_share_do_not(tmp_path: Path) -> None:
    night = Night(tmp_path, took_s=0.05)
    night.conduct(entry("a", 1, "edge"), entry("b", 1, "edge"), entry("c", 1, "other"), parallel=2)
    assert night.order == ["a", "c", "b"]
    assert night.most_at_once == 2


def test_a_run_that_crashes_costs_only_itself(tmp_path: Path) -> None:
    night = Night(tmp_path, results={"a": [Result.CRASHED]})
    found = night.conduct(entry("a"), entry("b"))
    assert results(found) == {"a": Result.CRASHED, "b": Result.PASS}
    assert found.exit_code == 4


def test_a_run_that_cannot_be_started_costs_only_itself(tmp_path: Path) -> None:
    night = Night(tmp_path, cannot_start="a")
    found = night.conduct(entry("a"), entry("b"))
    assert results(found) == {"a": Result.CRASHED, "b": Result.PASS}
    assert found.entries[0].said == "it cannot be started: No space left on device"


def test_what_does_not_fit_into_the_budget_is_left_out_and_a_shorter_one_runs(tmp_path: Path) -> None:
    night = Night(tmp_path, hours={"a": 3.0})
    found = night.conduct(entry("a", 3), entry("b", 3), entry("c", 1), budget_s=5 * 3600)
    assert night.order == ["a", "c"]
    assert results(found)["b"] is Result.LEFT_OUT
    assert found.entries[1].said == "it takes about 180 min, and 120 min of the budget were left"
    assert found.exit_code == 0


def test_a_run_that_takes_longer_than_expected_leaves_less_for_the_others(tmp_path: Path) -> None:
    night = Night(tmp_path, hours={"a": 4.5})
    assert results(night.conduct(entry("a"), entry("b"), budget_s=5 * 3600))["b"] is Result.LEFT_OUT


def test_a_workload_that_another_run_holds_is_tried_again_after_the_others(tmp_path: Path) -> None:
    night = Night(tmp_path, results={"a": [Result.BUSY, Result.BUSY, Result.FAIL]})
    found = night.conduct(entry("a"), entry("b"))
    assert night.order == ["a", "b", "a", "a"]
    assert results(found) == {"a": Result.FAIL, "b": Result.PASS}
    assert found.entries[0].tries == 3
    assert "a: a is busy; tried again in 0 s at the earliest" in night.lines


def test_it_does_not_wait_for_ever_for_a_workload(tmp_path: Path) -> None:
    night = Night(tmp_path, results={"a": [Result.BUSY]}, hours={"a": 0.1})
    found = night.conduct(entry("a"), wait_s=600)
    assert night.order == ["a", "a"]
    assert (results(found)["a"], found.exit_code) == (Result.BUSY, 3)


def test_after_an_interrupt_no_other_run_begins(tmp_path: Path) -> None:
    night = Night(tmp_path, results={"b": [Result.INTERRUPTED]}, interrupt_at="b")
    found = night.conduct(entry("a"), entry("b"), entry("c"))
    assert night.order == ["a", "b"]
    assert results(found) == {"a": Result.PASS, "b": Result.INTERRUPTED, "c": Result.NOT_RUN}
    assert (found.state, found.exit_code) == ("interrupted", 130)


def test_what_has_a_verdict_is_not_run_again(tmp_path: Path) -> None:
    night = Night(tmp_path)
    found = night.conduct(entry("a", result=Result.FAIL, run="runs/x"), entry("b", result=Result.TIMED_OUT))
    assert night.order == ["b"]
    assert found.entries[0].run == "runs/x"
    assert found.exit_code == 1


def test_a_full_disk_does_not_end_the_night(tmp_path: Path) -> None:
    night = Night(tmp_path / "gone")
    assert night.conduct(entry("a"), entry("b")).exit_code == 0
