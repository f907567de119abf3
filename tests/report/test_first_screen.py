"""The first screen of a summary: verdict, losses, causes and fix in 40 lines of 100 columns, for any run."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.judge.causes.causes import Cause
from harness.judge.causes.rules import RULES
from harness.judge.findings.finding import NO_WORSE, OBJECTIVES, REPLACED, UNBROKEN, UP, Finding
from harness.judge.verdict.judgement import Judgement, judge
from harness.judge.wording import cause_in_words
from harness.model import Grade
from harness.recording.read import Recording
from harness.report.summary.remedies import REMEDIES
from harness.report.text import RULE, render
from tests.judge.synthetic import S, SyntheticRun
from tests.judge.test_rollouts import clean, lossy, series

if TYPE_CHECKING:
    from pathlib import Path

LINES, WIDTH = 40, 100
RUNS: dict[str, dict[str, Any]] = {
    "no probe": {"probe": False},
    "no preStop": {},
    "clean": {"prestop": 4, "grace": 20},
    "recreate": {"recreate": True},
    "noise in the baseline": {"dead_is_silent": True, "noise": 0.002},
    "unsound baseline": {"noise": 0.05},
    "many doubts": {
        "names_pods": False,
        "health": False,
        "record": {"path": None, "state": "running", "workers": 9},
    },
    "dry run": {"record": {"ended_by": "dry_run"}},
    "own objectives": {
        "prestop": 4,
        "grace": 20,
        "record": {"scenario": {"fail_on": ["p99>1ms", "outage>100ms"]}},
    },
    "no rollout": {
        "noise": 0.01,
        "record": {"rollout_wanted": False, "rollout": None, "cluster": None, "marks": ()},
    },
}


def judged(tmp_path: Path, **how: Any) -> Judgement:
    return judge(Recording.open(SyntheticRun.rolling(3, **how).write(tmp_path)))


def with_seven_causes(found: Judgement) -> Judgement:
    """Return a judgement with seven causes that share no fix, each with more text than fits a line."""
    rules = [rule for rule in RULES if rule.id in {"B1", "A2", "D1", "D7", "C3", "C9", "A8"}]
    causes = tuple(
        Cause(
            ids=(rule.id,),
            name=rule.name,
            confidence="by time",
            hits=1_000_000 - number,
            kinds={"502": 1_000_000 - number},
            first_ns=0,
            last_ns=S,
            pods=(),
            evidence=("a pod " * 40,),
            mend=(rule.fix, f"spec.{number}: {'a long value ' * 12}"),
        )
        for number, rule in enumerate({rule.id: rule for rule in rules}.values())
    )
    assert len(causes) == 7
    return replace(found, causes=causes)


def renamed(found: Judgement, name: str) -> Judgement:
    """Return a judgement in which everything with a name has this one."""
    return replace(
        found,
        about=replace(found.about, name=name, workload=name, folder=name, targets=(name, name)),
        verdict=replace(
            found.verdict,
            headline=f"{name} {found.verdict.headline}",
            findings=tuple(replace(f, observed=f"{name}: {f.observed}") for f in found.verdict.findings),
        ),
        causes=tuple(replace(c, name=f"{c.name} {name}", mend=(*c.mend, name)) for c in found.causes),
        headroom=tuple(replace(one, pod=name) for one in found.headroom),
        notes=(name, *found.notes),
    )


def screen(found: Judgement) -> list[str]:
    """Return the lines before the rule, after checking that they fit a screen."""
    text = render(found, latencies=True)
    above, rule, _ = text.partition(f"\n\n{RULE}\n\n")
    lines = above.splitlines()
    assert rule
    assert len(lines) < LINES  # one line less: it is kept for the balancer that answered
    assert max(map(len, lines)) <= WIDTH
    assert all(line.isprintable() and line == line.rstrip() for line in lines)
    assert text.splitlines()[-1].startswith(f"{found.grade}: ")
    assert "\n\n\n" not in text
    whole = f"{found.grade}: {found.verdict.headline}"
    assert lines[0].startswith(f"{found.grade}: ")
    assert "".join(whole.split()).startswith("".join(lines[0].split()))
    return lines


def words(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())


@pytest.mark.parametrize("kind", RUNS)
def test_every_run_has_a_first_screen_with_its_verdict_in_the_first_line_and_the_last(
    tmp_path: Path, kind: str
) -> None:
    screen(judged(tmp_path, **RUNS[kind]))


@pytest.mark.parametrize("kind", ["no probe", "clean", "many doubts"])
@pytest.mark.parametrize("name", ["x" * 400, "web-\x1b[31m\n\u202e" * 30, "a b " * 120, "-" * 300])
def test_hostile_names_do_not_break_the_screen(tmp_path: Path, kind: str, name: str) -> None:
    found = renamed(judged(tmp_path, **RUNS[kind]), name)
    text = render(found, latencies=False)
    above = text.partition(f"\n\n{RULE}\n\n")[0].splitlines()
    assert len(above) < LINES
    assert max(map(len, above)) <= WIDTH
    assert all(line.isprintable() for line in above)


def test_of_seven_causes_the_largest_are_shown_and_the_others_counted(tmp_path: Path) -> None:
    found = with_seven_causes(judged(tmp_path))
    lines = screen(found)
    shown = sum(f"({cause.ids[0]})" in words(lines) for cause in found.causes)
    assert 1 <= shown < 7
    assert f"({found.causes[0].ids[0]})" in words(lines)
    assert any(line.strip() == f"and {7 - shown} more, below" for line in lines)
    below = " ".join(render(found, latencies=False).partition(RULE)[2].split())
    assert all(f"({cause.ids[0]})" in below for cause in found.causes)


def test_the_first_screen_shows_several_rollouts_separately(tmp_path: Path) -> None:
    found = judge(Recording.open(series(tmp_path, clean(), lossy(), lossy())))
    lost = [one.verdict.lost for one in found.rollouts]
    assert f"in 2 of 3 rollouts (rollout 2: {lost[1]}, rollout 3: {lost[2]})" in words(screen(found))


def test_a_hundred_rollouts_fit_the_screen(tmp_path: Path) -> None:
    found = judge(Recording.open(series(tmp_path, lossy(), lossy())))
    screen(replace(found, rollouts=found.rollouts * 50))


def test_a_fail_says_what_was_lost_why_and_what_fixes_it(tmp_path: Path) -> None:
    found = judged(tmp_path)
    said = words(screen(found))
    assert re.search(rf"Lost {found.verdict.lost:,} of [\d,]+ requests \([\d.]+ %\): 502: \d+", said)
    assert re.search(r"from \+[\d.]+ s to \+[\d.]+ s after the trigger, in \d+ of \d+ seconds", said)
    assert "No preStop: pods stopped listening while requests still came (B1)" in said
    assert "spec.template.spec.containers[web].lifecycle.preStop: " in said
    assert "spec.template.spec.terminationGracePeriodSeconds: " in said
    assert "as a patch: zdtest advise" in said


def test_a_pass_says_what_was_proven_and_how_close_it_was(tmp_path: Path) -> None:
    found = judged(tmp_path, prestop=4, grace=20)
    said = words(screen(found))
    assert f"{found.numbers.requests:,} requests through 3 pods replaced, none lost" in said
    assert "Closest preStop: the last request reached a terminating pod" in said
    assert "To check" in said


def test_an_inconclusive_run_says_what_withheld_the_pass_and_what_to_do(tmp_path: Path) -> None:
    found = judged(tmp_path, prestop=4, grace=20, lag_p99=0.2)
    assert found.grade is Grade.INCONCLUSIVE
    said = words(screen(found))
    assert "not shown: the load generator keeps up" in said
    assert "to do: run on a load host that is less busy" in said


def test_a_doubt_beside_a_fail_is_on_the_first_screen_too(tmp_path: Path) -> None:
    found = judged(tmp_path, lag_p99=0.2)
    assert found.grade is Grade.FAIL
    assert "also in doubt: the load generator keeps up" in words(screen(found))


def test_failures_not_due_to_the_rollout_are_not_causes_on_the_first_screen(tmp_path: Path) -> None:
    found = judged(tmp_path, prestop=4, grace=20, noise=0.0005)
    assert found.grade is Grade.PASS
    assert found.numbers.failed
    said = words(screen(found))
    assert "Why" not in said
    assert "not the rollout" in said


def test_every_objective_that_can_withhold_a_pass_has_a_remedy() -> None:
    never = {UNBROKEN, REPLACED, UP, NO_WORSE}
    assert set(OBJECTIVES) - set(REMEDIES) == never


def test_an_open_condition_of_the_run_s_own_has_a_remedy_too(tmp_path: Path) -> None:
    found = judged(tmp_path, prestop=4, grace=20)
    doubt = Finding("lag <= 5s", "lag was not measured", Grade.INCONCLUSIVE)
    verdict = replace(
        found.verdict, grade=Grade.INCONCLUSIVE, headline="lag was not measured", findings=(doubt,)
    )
    assert "to do: check how the condition is written" in words(screen(replace(found, verdict=verdict)))


@pytest.mark.parametrize(
    ("name", "ids", "printed"),
    [
        ("no preStop: it stops", ("B1",), "No preStop: it stops (B1)"),
        ("one, or two", ("A1", "B1"), "One, or two (A1 or B1)"),
        ("no rule fits", ("unexplained",), "No rule fits"),
        ("SIGTERM has no effect", ("B3",), "SIGTERM has no effect (B3)"),
    ],
)
def test_a_cause_is_printed_in_words_with_its_id_behind(
    name: str, ids: tuple[str, ...], printed: str
) -> None:
    assert cause_in_words(name, ids) == printed


def test_the_last_50_lines_of_a_lossy_run_hold_its_causes_and_fixes(tmp_path: Path) -> None:
    end = render(judged(tmp_path), latencies=True).splitlines()[-50:]
    assert any("(B1)" in line for line in end)
    assert any(line.startswith("    fix: spec.template.spec.") for line in end)
