"""One new run against many earlier ones: is it worse than nights usually are, even where its objectives hold?

One rollout among N can be the worst by chance once in N + 1, so a permutation says nothing for weeks. Instead: would a
night as the earlier ones be so bad? The bound is that of a prediction interval for one more night, on a log scale
(Hahn and Meeker, Statistical Intervals, 1991): mean + t s sqrt(1 + 1/N). As a night is much like the one before it, N
nights tell what half as many independent ones would: t has half of the usual degrees of freedom, FREEDOM at least.
The level is shared by all measures (Bonferroni). To be worse, a night must also be worse than every earlier one, and
by a fifth.

A night is one value: the median over its rollouts, since those are alike. How often nights on which nothing changed
fail is counted in tests/judge/comparison/test_gate.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from harness.judge.comparison.conclusion import said
from harness.judge.comparison.measures import COUNT, LOST, NANOSECONDS, P99, REACH, ROLLOUT
from harness.judge.findings.finding import NO_WORSE, Finding
from harness.judge.picture.earlier import Beside
from harness.judge.wording import count
from harness.model import Grade
from harness.recording.series.baseline import FORMAT, LONGEST, Baseline, OldRollout, OldRun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from harness.judge.comparison.rollouts import OneRollout
    from harness.judge.comparison.sides import OneRun, Side
    from harness.judge.verdict.judgement import Judgement

LEAST = 8  # earlier nights for a bound
FREEDOM = 5
MATTERS = 1.2  # times what is usual: what is less is no reason to wake anybody
SEEN = 3.0  # times what is usual: a baseline that shows less than this tells enough
_SHORT_NS = 100_000_000  # a reach about as short as this may be one late request
_SPREAD, _USUAL_SPREAD = 0.02, 0.2  # of nights, on a log scale: at least, and where it is not known
_MOST_NIGHTS = 200
_ABSURD = 100  # times what is usual: such a bound tells nobody anything


@dataclass(frozen=True, slots=True)
class _Measure:
    id: str
    name: str
    unit: str
    of: Callable[[OldRollout], int | None]


_MEASURES = (
    _Measure(LOST, "lost requests a rollout", COUNT, lambda one: one.lost),
    _Measure(P99, "p99 during the rollout", NANOSECONDS, lambda one: one.p99_ns),
    _Measure(REACH, "reach", NANOSECONDS, lambda one: one.reach_ns),
    _Measure(ROLLOUT, "rollout to the end", NANOSECONDS, lambda one: one.rollout_ns),
)


@dataclass(frozen=True, slots=True)
class Check:
    """One measure of the new run. `bound`: one more night as the earlier ones stays below it; None: too few to say."""

    measure: str
    name: str
    unit: str
    now: float
    usual: float  # median of the earlier nights
    bound: float | None
    nights: int
    needed: int | None  # nights, for a bound at SEEN times what is usual; None: they differ too much for that
    worse: bool

    @property
    def tells(self) -> bool:
        """Whether the bound is close enough to what is usual."""
        return self.bound is not None and (
            self.worse or self.bound <= SEEN * self.usual or self.now <= self.usual
        )

    @property
    def words(self) -> str:
        """Return it in words: "reach 6.00 s, usually 2.00 s and at most 3.10 s by chance"."""
        shown = self.bound is not None and self.bound <= _ABSURD * max(self.usual, 1.0)
        at_most = f" and at most {said(self.bound, self.unit)} by chance" if shown else ""
        return f"{self.name} {said(self.now, self.unit)}, usually {said(self.usual, self.unit)}{at_most}"


def baseline_of(named: str, side: Side, level: float) -> Baseline:
    """Return what is kept of earlier runs, for a new run to be held against."""
    by_run: dict[str, list[OldRollout]] = {}
    for one in side.rollouts:
        by_run.setdefault(one.run, []).append(_old(one))
    runs = tuple(
        OldRun(r.folder, r.load, _targets(r), r.workload, r.replicas, r.cluster, tuple(by_run[r.folder]))
        for r in side.runs
        if r.folder in by_run
    )
    return Baseline(FORMAT, named, level, runs)


def held_against(judgement: Judgement, side: Side, baseline: Baseline) -> Judgement:
    """Return a run's judgement with one more finding: whether it is worse than its baseline. `side` is the run."""
    finding = _finding(judgement, side, baseline, like(side.runs[0], baseline))
    verdict = judgement.verdict
    grade, headline = verdict.grade, verdict.headline
    if finding.grade is Grade.FAIL and grade is Grade.PASS:
        grade, headline = Grade.FAIL, f"{finding.observed}; {headline}"
    verdict = replace(verdict, grade=grade, headline=headline, findings=(*verdict.findings, finding))
    return replace(judgement, verdict=verdict)


def beside(judgement: Judgement, side: Side, baseline: Baseline) -> tuple[Beside, ...]:
    """Return what a page shows of a run beside the earlier ones; nothing where they are not compared."""
    baseline = like(side.runs[0], baseline)
    if judgement.grade is Grade.INCONCLUSIVE or not side.rollouts:
        return ()
    nights = {measure.id: tuple(_nights(baseline, measure)) for measure in _MEASURES}
    return tuple(
        Beside(one.name, one.unit, one.now, one.usual, nights[one.measure], one.bound, one.worse, one.words)
        for one in checks(baseline, side.rollouts)
    )


def checks(baseline: Baseline, rollouts: Sequence[OneRollout]) -> tuple[Check, ...]:
    """Check every measure that both the new run and the baseline have."""
    new = [_old(one) for one in rollouts]
    found = []
    for measure in _MEASURES:
        nights, now = _nights(baseline, measure), [v for one in new if (v := measure.of(one)) is not None]
        if not nights or not now:
            continue
        # Where most nights lose nothing, how much a bad one loses cannot be foretold; the objectives judge it.
        if measure.id == LOST and 2 * sum(value > 0 for value in nights) <= len(nights):
            continue
        found.append(_check(measure, nights, float(median(now)), baseline.level / len(_MEASURES)))
    return tuple(found)


def like(run: OneRun, baseline: Baseline) -> Baseline:
    """Return the baseline without earlier runs of another load, target, workload, number of replicas or cluster."""
    mine = _alike(run)
    return replace(baseline, runs=tuple(old for old in baseline.runs if _alike(old) == mine))


def _finding(judgement: Judgement, side: Side, whole: Baseline, baseline: Baseline) -> Finding:
    """`baseline` is what of the `whole` one is like the run."""
    if judgement.grade is Grade.INCONCLUSIVE or not side.rollouts:
        inconclusive = judgement.grade is Grade.INCONCLUSIVE or not side.left_out
        why_not = "this run proves nothing" if inconclusive else side.left_out[0].why
        return _not_compared(whole, why_not)
    if not whole.runs:
        none = f"the baseline ({whole.named}) has no earlier run to compare with, and it takes {LEAST}"
        return Finding(NO_WORSE, f"cannot tell: {none}", Grade.PASS)
    if not baseline.runs:
        return _not_compared(whole, _unlike(side.runs[0], whole.runs[0]))
    named = f"{baseline.named}: {count(len(baseline.runs), 'run')}"
    found = checks(baseline, side.rollouts)
    worse = [one for one in found if one.worse]
    if worse:
        words = "; ".join(one.words for one in worse)
        # Rollouts of one night are alike, so from them alone no level for another night follows.
        sure = (
            f"level {baseline.level:.0%}" if len(baseline.runs) > 1 else "which cannot tell how nights differ"
        )
        return Finding(NO_WORSE, f"worse than the baseline ({named}, {sure}): {words}", Grade.FAIL)
    of = "earlier run" if len(baseline.runs) > 1 else "rollout"
    return Finding(NO_WORSE, _no_worse(found, named, of), Grade.PASS)


def _not_compared(baseline: Baseline, why: str) -> Finding:
    named = f"{baseline.named}: {count(len(baseline.runs), 'run')}"
    return Finding(NO_WORSE, f"not compared with the baseline ({named}): {why}", Grade.PASS)


def _no_worse(found: Sequence[Check], named: str, of: str) -> str:
    telling = [one for one in found if one.tells]
    open_ = [one for one in found if not one.tells]
    parts = []
    if telling:
        parts.append(f"no worse than the baseline ({named}): {'; '.join(one.words for one in telling)}")
    if open_:
        few = [one for one in open_ if one.bound is None]
        parts += _cannot_tell(few, of, "" if telling else f" ({named})")
        parts += [
            f"cannot tell much of {one.words}, as nights differ so much"
            for one in open_
            if one.bound is not None
        ]
    return (
        "; ".join(parts)
        or f"cannot tell: the baseline ({named}) has nothing that this run can be held against"
    )


def _cannot_tell(few: Sequence[Check], of: str, where: str) -> Iterator[str]:
    if few:
        nights, needed = min(one.nights for one in few), max(one.needed or LEAST for one in few)
        names = ", ".join(one.name for one in few)
        yield f"cannot tell {names}: {count(nights, of)}, and it takes {needed}{where}"


def _unlike(run: OneRun, old: OldRun) -> str:
    """Say what keeps a run from being compared with an earlier one; "" if nothing does."""
    for (name, now), (_, was) in zip(_alike(run), _alike(old), strict=True):
        if now != was:
            return f"its {name} is another one ({now or 'none'}; in the baseline {was or 'none'})"
    return ""


def _alike(run: OneRun | OldRun) -> tuple[tuple[str, str], ...]:
    return (
        ("load", run.load),
        ("target", ", ".join(_targets(run)[:2])),
        ("workload", run.workload),
        ("number of replicas", str(run.replicas)),
        ("cluster", run.cluster),
    )


def _targets(run: OneRun | OldRun) -> tuple[str, ...]:
    return tuple(target[:LONGEST] for target in run.targets)


def beyond(
    nights: NDArray[np.float64], now: NDArray[np.float64], level: float, *, counts: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the bound of each row of earlier nights (the last axis), and whether `now` is worse than that row.

    Counts may be 0, times are not: of counts, the logarithm of one more. At least two nights.
    """
    least = 1.0 if counts else 0.0
    logs = np.log(np.maximum(nights + least, 1.0))
    spread = np.maximum(_SPREAD, logs.std(axis=-1, ddof=1))
    bound = np.exp(logs.mean(axis=-1) + _wide(nights.shape[-1], level) * spread) - least
    usual = np.median(nights, axis=-1)
    worse = (now > bound) & (now > MATTERS * usual) & (now > nights.max(axis=-1))
    return bound, worse


def _check(measure: _Measure, nights: Sequence[float], now: float, level: float) -> Check:
    values, counts = np.asarray(nights, dtype=float), measure.unit == COUNT
    spread, bound, worse = _USUAL_SPREAD, None, False
    if len(nights) >= 3:
        spread = max(_SPREAD, float(np.log(np.maximum(values + counts, 1.0)).std(ddof=1)))
    if len(nights) >= LEAST:
        found, beyond_ = beyond(values, np.asarray(now), level, counts=counts)
        bound = float(found)
        worse = bool(beyond_) and (measure.id != REACH or now > MATTERS * _SHORT_NS)
    needed = _needed(spread, level, len(nights))
    return Check(
        measure.id, measure.name, measure.unit, now, float(median(nights)), bound, len(nights), needed, worse
    )


def _wide(nights: int, level: float) -> float:
    freedom = max(FREEDOM, (nights - 1) // 2)
    return float(special.stdtrit(freedom, 1 - level)) * math.sqrt(1 + 1 / nights)


def _needed(spread: float, level: float, made: int) -> int | None:
    """Return how many nights would show SEEN times what is usual, if they differ as much as so far; None: none."""
    fits = (n for n in range(LEAST, _MOST_NIGHTS) if _wide(n, level) * spread <= math.log(SEEN))
    found = next(fits, None)
    return found if found is None or found > made else made + 1


def _nights(baseline: Baseline, measure: _Measure) -> list[float]:
    """Return a value per earlier run; of a baseline that is one run, per rollout."""
    runs = [
        [value for one in run.rollouts if (value := measure.of(one)) is not None] for run in baseline.runs
    ]
    runs = [run for run in runs if run]
    return [float(value) for value in runs[0]] if len(runs) == 1 else [float(median(run)) for run in runs]


def _old(one: OneRollout) -> OldRollout:
    return OldRollout(
        lost=one.lost,
        p99_ns=one.during.percentiles["99"] if one.during else None,
        reach_ns=None if one.reach_at_least else one.reach_ns,
        rollout_ns=one.settled_ns,
    )
