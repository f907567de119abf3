"""From the differences to a conclusion in plain words: better, worse, no worse by more than so much, or cannot tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.judge import odds
from harness.judge.comparison.alike import unlike_rates
from harness.judge.comparison.measures import LOSSY, NANOSECONDS, OF_LOSSES, SHARE
from harness.judge.comparison.record import Conclusion, More
from harness.judge.comparison.significance.design import Unit
from harness.judge.comparison.significance.power import MOST, POWER, losses_of, rollouts_needed
from harness.judge.wording import count, lasting

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.judge.comparison.record import Difference
    from harness.judge.comparison.sides import Side

SMALL = 0.2  # of what BEFORE loses: a bound below this is worth the words "no worse"
CLEAN = 0.1  # both sides clean: so is a bound on the share of rollouts that lose something
_LEAST = 6  # rollouts a side for a bound
_USUAL = 6  # rollouts a side, where nothing else is known
_MINUTE_NS = 60_000_000_000


@dataclass(frozen=True, slots=True)
class Concluded:
    """The conclusion, in a sentence, and what it rests on."""

    conclusion: Conclusion
    sentence: str
    evidence: tuple[str, ...]
    more: More | None = None
    bound: float | None = None


def refused(reasons: Sequence[str]) -> Concluded:
    """Say that there is nothing to conclude."""
    return Concluded(Conclusion.NOT_COMPARABLE, f"Not comparable: {reasons[0]}.", tuple(reasons[1:]))


def conclude(
    before: Side,
    after: Side,
    found: Sequence[Difference],
    unit: Unit,
    level: float,
    margin: float | None = None,
) -> Concluded:
    """Conclude. `found` is the primary difference first; `margin`: so many lost requests a rollout do not matter."""
    primary = found[0]
    evidence = _evidence(before, after, primary, found, unit)
    but = _unfinished(before, after, primary)
    if but:
        return Concluded(Conclusion.CANNOT_TELL, f"Cannot tell: {_means(primary)}, but {but}.", evidence)
    if primary.direction > 0:
        return Concluded(
            Conclusion.WORSE, f"Worse: {after.label} loses more {before.noun}, {_means(primary)}.", evidence
        )
    if primary.direction < 0:
        against = [one for one in found if one.measure in OF_LOSSES and _against(one, level)]
        if not against:
            return Concluded(
                Conclusion.BETTER,
                f"Better: {after.label} loses fewer {before.noun}, {_means(primary)}.",
                evidence,
            )
        but = f"but {against[0].name} grew beyond chance"
        sentence = f"Cannot tell: {after.label} loses fewer {before.noun}, {_means(primary)}, {but}."
        return Concluded(Conclusion.CANNOT_TELL, sentence, evidence)
    if not before.lossy and not after.lossy:
        return _both_clean(before, after, evidence)
    return _undecided(before, after, primary, evidence, unit, level, margin)


def _undecided(
    before: Side,
    after: Side,
    primary: Difference,
    evidence: tuple[str, ...],
    unit: Unit,
    level: float,
    margin: float | None,
) -> Concluded:
    rates = unlike_rates(before, after)
    bound = _bound(primary)
    # Few runs: the interval takes rollouts of one run as independent. A lower rate loses less by itself.
    if unit is Unit.BOTH or (rates and rates[1] < rates[0]):
        bound = None
    shown = _shows_a_bound(before, after, primary, level)
    if bound is not None and shown and _is_small(bound, primary, margin):
        sentence = (
            f"No worse by more than {bound:,.1f} lost {before.noun} a rollout (95 %): "
            f"{_means(primary)}, which may be chance."
        )
        return Concluded(Conclusion.NO_WORSE, sentence, evidence, bound=bound)
    if rates and primary.least_p is not None and primary.least_p <= level:
        sentence = (
            f"Cannot tell: {_means(primary)}, at different request rates; compare runs at the same rate."
        )
        return Concluded(Conclusion.CANNOT_TELL, sentence, evidence)
    more = _more(before, after, level)
    sentence = f"Cannot tell: {_means(primary)}, which may be chance; {_asked(more, primary, level)}."
    return Concluded(Conclusion.CANNOT_TELL, sentence, evidence, more, bound)


def _unfinished(before: Side, after: Side, primary: Difference) -> str:
    """Say which rollouts without an end lost so much that the conclusion cannot stand; "" if none did.

    They lost at least what was seen, and may never have ended because of the manifest.
    """
    means = [_mean_with_unfinished(side) for side in (before, after)]
    least = primary.before or 0.0, primary.after or 0.0
    if primary.direction > 0:
        overturned, side = means[0] >= least[1], before
    elif primary.direction < 0:
        overturned, side = means[1] >= least[0], after
    else:
        overturned, side = means[1] > least[0] + (_bound(primary) or 0.0), after
    lost = [one.rollout.lost for one in side.left_out if one.rollout.lost]
    if not (overturned and lost):
        return ""
    one = len(lost) == 1
    return (
        f"{count(len(lost), 'rollout')} of {side.label} that {'was' if one else 'were'} not seen to "
        f"{'its' if one else 'their'} end lost {count(sum(lost), 'request')}"
    )


def _mean_with_unfinished(side: Side) -> float:
    lost = [*side.lost, *(one.rollout.lost for one in side.left_out if one.rollout.lost)]
    return sum(lost) / len(lost) if lost else 0.0


def also(found: Iterable[Difference], level: float) -> tuple[str, ...]:
    """Say which other measures differ beyond chance, a sentence each."""
    return tuple(
        f"{one.name}: {said(one.before, one.unit)} -> {said(one.after, one.unit)}, "
        f"{'more' if one.direction > 0 else 'less'} beyond chance (p = {p_said(one.corrected_p)} for "
        f"several measures at {level:.0%})"
        for one in found
        if not one.primary and one.direction
    )


def said(value: float | None, unit: str) -> str:
    """Return a value of a measure in words."""
    if value is None:
        return "-"
    if unit == NANOSECONDS:
        return f"{'-' if value < 0 else ''}{lasting(abs(value))}" if value else "0"
    return f"{100 * value:.0f} %" if unit == SHARE else f"{value:,.1f}"


def p_said(p: float | None) -> str:
    """Return a p value with two digits, "< 0.001" where it is tiny."""
    if p is None:
        return "-"
    return "< 0.001" if p < 0.001 else f"{p:.2g}"


def length_said(length_ns: int) -> str:
    """Return how long something takes, in whole minutes or hours."""
    minutes = max(1, round(length_ns / _MINUTE_NS))
    return f"about {count(minutes, 'minute')}" if minutes < 120 else f"about {minutes / 60:.0f} hours"


def _means(primary: Difference) -> str:
    return f"{said(primary.before, primary.unit)} a rollout before, {said(primary.after, primary.unit)} after"


def _evidence(
    before: Side, after: Side, primary: Difference, found: Sequence[Difference], unit: Unit
) -> tuple[str, ...]:
    a, b = len(before.rollouts), len(after.rollouts)
    how = {
        Unit.ROLLOUTS: "permutation of rollouts",
        Unit.BLOCKS: "permutation of rollouts within blocks",
        Unit.RUNS: "permutation of whole runs",
        Unit.BOTH: "permutation of rollouts, and Student's t of whole runs: the larger p",
    }[unit]
    p = f"Lost {before.noun}: p = {p_said(primary.p)} ({how}; {count(a, 'rollout')} against {b})"
    if primary.low is not None and primary.high is not None:
        p += f"; {after.label} minus {before.label} {primary.low:+,.1f} to {primary.high:+,.1f} a rollout (95 %)"
    lines = [f"{p}."]
    lossy = next((one for one in found if one.measure == LOSSY), None)
    if lossy and lossy.p is not None:
        lines.append(
            f"Rollouts that lost {before.noun}: {before.lossy} of {a} before, {after.lossy} of {b} after "
            f"(p = {p_said(lossy.p)}{', Fisher' if unit is Unit.ROLLOUTS else ''})."
        )
    return tuple(lines)


def _against(one: Difference, level: float) -> bool:
    """Whether a measure of losses grew, at the level by itself."""
    grew = one.before is not None and one.after is not None and one.after > one.before
    return grew and one.p is not None and one.p <= level


def _bound(primary: Difference) -> float | None:
    return None if primary.high is None else max(0.0, primary.high)


def _shows_a_bound(before: Side, after: Side, primary: Difference, level: float) -> bool:
    """Whether the rollouts can bear a bound: enough of them, most of which lose something.

    Rollouts that mostly lose nothing tell nothing about the rare burst.
    """
    enough = primary.least_p is not None and primary.least_p <= level
    return enough and all(2 * side.lossy > len(side.rollouts) >= _LEAST for side in (before, after))


def _is_small(bound: float, primary: Difference, margin: float | None) -> bool:
    if margin is not None:
        return bound <= margin
    return bool(primary.before) and bound <= SMALL * (primary.before or 0.0)


def _both_clean(before: Side, after: Side, evidence: tuple[str, ...]) -> Concluded:
    a, b = len(before.rollouts), len(after.rollouts)
    share = odds.clean_runs_bound(b)
    clean = f"no rollout lost a request, {a} before and {b} after"
    if share <= CLEAN:
        sentence = f"No worse: {clean}; at most {share:.0%} of rollouts as in {after.label} lose any (95 %)."
        return Concluded(Conclusion.NO_WORSE, sentence, evidence)
    more = next(n for n in range(b, 1000) if odds.clean_runs_bound(n) <= CLEAN) - b
    length_ns = more * _length_ns(after)
    sentence = (
        f"Cannot tell: {clean}, and up to {share:.0%} of rollouts as in {after.label} may still lose some (95 %); "
        f"{count(more, 'more clean rollout')} of {after.label} would make it {CLEAN:.0%}, {length_said(length_ns)}."
    )
    return Concluded(Conclusion.CANNOT_TELL, sentence, evidence, More(more, length_ns))


def _more(before: Side, after: Side, level: float) -> More | None:
    """Return what would show the difference that was seen, if it is one; None where not even MOST a side would."""
    made = min(len(before.rollouts), len(after.rollouts))
    first, second = losses_of([before.lost, after.lost])
    needed = rollouts_needed(first, second, level=level, least=made)
    if needed is None:
        return None
    lacking = max(0, needed - len(before.rollouts)), max(0, needed - len(after.rollouts))
    length_ns = lacking[0] * _length_ns(before) + lacking[1] * _length_ns(after)
    return More(max(lacking), length_ns)


def _asked(more: More | None, primary: Difference, level: float) -> str:
    never = ""
    if primary.least_p is not None and primary.least_p > level:
        never = (
            f"{primary.rollouts_before} against {primary.rollouts_after} can never tell "
            f"(least possible p = {primary.least_p:.2f}); "
        )
    if never and more is None:  # so few do not tell how bursty the losses are, either
        return f"{never}make {_USUAL} rollouts on each side, and compare again"
    if more is None:
        return f"{never}not even {MOST} rollouts per side would show so small a difference"
    return (
        f"{never}{count(more.rollouts, 'more rollout')} per side would, {length_said(more.length_ns)}, "
        f"if the sides really differ as much as here (power {POWER:.0%})"
    )


def _length_ns(side: Side) -> int:
    return sum(one.length_ns for one in side.rollouts) // max(1, len(side.rollouts))
