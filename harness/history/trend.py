"""What a group of runs tells over time, in plain words, and only what is sound. Pure.

Numbers are compared only between runs that test the same thing: since the last change of the run's settings or of the
manifest. A new image alone is no such change, but how many there were is said. A rise or a fall is said only where a
test on whole runs bears it out (`harness.judge.odds`); a bound on how many rollouts may still fail only where none
since that change has failed, since a stretch that is chosen for being clean proves nothing.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from harness.history.groups import IMAGE
from harness.history.metrics import metrics_of
from harness.history.runs import KILLED, RUNNING
from harness.judge import odds
from harness.judge.wording import count
from harness.model import Grade

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.history.groups import Group, Night
    from harness.history.metrics import Metric
    from harness.history.runs import Run

LEAST_RUNS = 8  # for a trend in a number
MOST_RUNS = 60  # that a trend is taken over
_SURE = 0.01  # one of five numbers looks like a trend by chance in at most 5 of 100 groups
_MATTERS = 0.2  # least change, from the first third to the last one


def said(group: Group) -> tuple[str, ...]:
    """Return what the runs tell, a sentence each."""
    return (*_streak(group), *_rollouts(group), *_numbers(group))


def _streak(group: Group) -> Iterator[str]:
    judged = [night for night in group.nights if night.run.judged]
    if not judged:
        yield "None of these runs was judged."
        return
    grade = judged[-1].run.grade
    place = next((at for at in range(len(judged), 0, -1) if judged[at - 1].run.grade != grade), 0)
    streak = judged[place:]
    covered = group.nights[group.nights.index(streak[0]) :] if place else group.nights
    what = "judged run" if len(covered) > len(streak) else "run"
    yield from _last_without_a_verdict(group.nights[-1].run)
    if not place:
        yield f"{grade} in {f'the only {what}' if len(judged) == 1 else f'all {count(len(judged), what)}'}."
        return
    runs, since = (count(len(streak), what), "since") if len(streak) > 1 else (what, "on")
    yield f"{grade} in the last {runs}, {since} {streak[0].run.when}; {judged[place - 1].run.grade} before that."
    if streak[0].breaks:
        yield "Something was changed just before it: see the list of changes."
    if grade == Grade.FAIL.value:
        good = next((night.run.when for night in reversed(judged) if night.run.grade == Grade.PASS.value), "")
        yield f"The last PASS was on {good}." if good else "There was no PASS yet."


def _last_without_a_verdict(run: Run) -> Iterator[str]:
    if not run.judged:
        why = {KILLED: "killed", RUNNING: "it is still running"}.get(run.state, "it was not judged")
        yield f"The last run has no verdict: {why}."


def _rollouts(group: Group) -> Iterator[str]:
    stretches = group.stretches
    of, lossy = _count(stretches[-1])
    changed = len(stretches) > 1
    since = " since the last change" if changed else ""
    since += _images(stretches[-1])
    if not of:
        return
    if lossy:
        yield f"{lossy:,} of {count(of, 'rollout')}{since} lost requests."
    else:
        share = 100 * odds.clean_runs_bound(of)
        yield (
            f"{count(of, 'rollout')}{since}, and none lost requests: with 95 % confidence, at most {share:.0f} % "
            "of such rollouts do."
        )
    before_of, before_lossy = _count(stretches[-2]) if changed else (0, 0)
    if before_of and lossy * before_of != before_lossy * of:
        p = odds.shares_p(lossy, of, before_lossy, before_of)
        more = "is more than chance" if p < odds.DIFFERENT else "cannot be told from chance yet"
        yield (
            f"Before that change, {before_lossy:,} of {before_of:,} lost requests; the difference {more} "
            f"(p = {p:.2g}, Fisher's exact test)."
        )


def _images(nights: Sequence[Night]) -> str:
    new = sum(any(change.kind == IMAGE for change in night.changes) for night in nights[1:])
    return f" (the image changed {'once' if new == 1 else f'{new:,} times'})" if new else ""


def _count(nights: Sequence[Night]) -> tuple[int, int]:
    """Return how many rollouts tell whether requests are lost, and how many of them lost some."""
    return sum(night.run.proven for night in nights), sum(night.run.lossy for night in nights)


def _numbers(group: Group) -> Iterator[str]:
    runs = [night.run for night in group.stretches[-1] if night.run.complete][-MOST_RUNS:]
    if len(runs) < LEAST_RUNS:
        if len(group.nights) > 1:
            since = " since the last change" if len(group.stretches) > 1 else ""
            yield f"{count(len(runs), 'complete run')}{since}: it takes {LEAST_RUNS} to tell a trend in a number."
        return
    for metric in metrics_of(runs):
        if metric.time:
            values = [metric.of(run) for run in runs if not metric.least(run)]
            yield from _trend(metric, [value for value in values if value is not None])


def _trend(metric: Metric, values: Sequence[int]) -> Iterator[str]:
    if len(values) < LEAST_RUNS:
        return
    third = len(values) // 3
    was, now = median(values[:third]), median(values[-third:])
    if abs(now - was) < _MATTERS * max(was, now):
        return
    direction, p = odds.trend_p(values)
    if p < _SURE and direction * (now - was) > 0:
        moved = "rose" if direction > 0 else "fell"
        yield (
            f"The {metric.name} {moved} from about {metric.said(was)} to about {metric.said(now)} "
            f"over {len(values):,} runs (p = {p:.2g}, Mann-Kendall test)."
        )
