"""report.html of a run that was held against earlier ones shows it beside them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.cli.baselines import held
from harness.judge.comparison.gate import beside
from harness.judge.comparison.sides import JudgedRun, side_of
from harness.judge.picture.earlier import Beside
from harness.judge.verdict.judgement import judge_with_picture
from harness.model import Grade
from harness.recording.read import Recording
from harness.recording.series.baseline import Baseline, OldRun, keep
from harness.report.page import page
from tests.history.test_commands import zdtest
from tests.judge.comparison.test_gate import nights_like
from tests.judge.test_rollouts import clean
from tests.report.page.test_page import parsed

if TYPE_CHECKING:
    from pathlib import Path

    from harness.judge.picture.picture import Picture
    from harness.judge.verdict.judgement import Judgement


@pytest.fixture
def recorded(tmp_path: Path) -> tuple[Path, JudgedRun]:
    path = clean().write(tmp_path)
    recording = Recording.open(path)
    return path, JudgedRun(recording.run, judge_with_picture(recording)[0])


def quicker(found: Baseline) -> Baseline:
    """The same nights, with rollouts that took a third of the time."""

    def third(run: OldRun) -> OldRun:
        rollouts = tuple(replace(one, rollout_ns=(one.rollout_ns or 0) // 3) for one in run.rollouts)
        return replace(run, rollouts=rollouts)

    return replace(found, runs=tuple(map(third, found.runs)))


def seen(path: Path) -> tuple[Judgement, Picture]:
    recording = Recording.open(path)
    judgement, picture = held(recording, *judge_with_picture(recording))
    assert picture
    return judgement, picture


def test_each_earlier_run_is_a_dot_and_what_is_worse_is_marked(recorded: tuple[Path, JudgedRun]) -> None:
    path, run = recorded
    keep(path, quicker(nights_like(run, 12)))
    judgement, picture = seen(path)
    assert judgement.grade is Grade.FAIL
    text = page.render(judgement, picture)
    part = text.partition('id="earlier"')[2].partition("</section>")[0]
    rows = part.split('class="beside"')[1:]
    assert [row.count('class="strip-dot"') for row in rows] == [12] * len(rows)
    worse = [row for row in rows if "strip-now worse" in row]
    assert len(worse) == 1
    assert "Rollout to the end" in worse[0]
    assert all("strip-bound" in row for row in rows)
    said = parsed(text).text
    for one in picture.beside:
        assert one.name.lower() in said.lower()


def test_too_few_earlier_runs_have_no_bound_and_tell_nothing(recorded: tuple[Path, JudgedRun]) -> None:
    path, run = recorded
    keep(path, nights_like(run, 2))
    text = page.render(*seen(path))
    part = text.partition('id="earlier"')[2].partition("</section>")[0]
    assert "strip-bound" not in part
    assert "too few to tell" in part
    assert "no worse" not in part


def test_a_run_that_is_held_against_nothing_or_something_else_has_no_such_section(
    recorded: tuple[Path, JudgedRun],
) -> None:
    path, run = recorded
    assert 'id="earlier"' not in page.render(*seen(path))
    other = nights_like(run, 12, load="200 connections")
    assert beside(run.judgement, side_of("run", [run]), other) == ()
    keep(path, other)
    assert 'id="earlier"' not in page.render(*seen(path))


def test_a_bound_that_is_far_off_leaves_room_for_the_runs(recorded: tuple[Path, JudgedRun]) -> None:
    path, _ = recorded
    _, picture = seen(path)
    one = Beside("reach", "ns", 2e9, 2e9, (1.9e9, 2.1e9), bound=9e12, worse=False, words="reach 2 s")
    text = page.render(seen(path)[0], replace(picture, beside=(one,)))
    assert "strip-bound" not in text.partition("<main>")[2]


def test_the_report_of_a_run_with_a_baseline_shows_it_again(recorded: tuple[Path, JudgedRun]) -> None:
    path, run = recorded
    keep(path, quicker(nights_like(run, 12)))
    done = zdtest(path.parent, "report", str(path))
    assert done.returncode == 1, done.stderr
    text = (path / "report.html").read_text("utf-8")
    assert "Beside earlier runs" in text
    assert text.count("</script>") == 2
