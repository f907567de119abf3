"""Whether two sides may be compared at all: what makes their numbers mean different things, and what is to be borne in
mind. A refusal is for what makes a comparison meaningless; all else is a warning.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from harness.judge.comparison.significance.design import Unit
from harness.judge.numbers.sending import LAG_LIMIT_NS
from harness.judge.wording import count, lasting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from harness.judge.comparison.sides import OneRun, Side

_DOUBLE = 2.0  # loads this far apart are different loads
_MATTERS = 0.2  # a baseline's rate that differs by more is worth a word
_SHOWN = 3

_ALIKE: tuple[tuple[str, Callable[[OneRun], str]], ...] = (
    ("load", lambda run: run.load),
    ("place that the load is sent from", lambda run: run.load_from),
    ("target", lambda run: ", ".join(run.targets[:_SHOWN])),
    ("kind of stream", lambda run: run.stream),
    ("protocol", lambda run: "HTTP/2" if run.http2 else "HTTP/1.1"),
    ("trigger", lambda run: run.trigger),
    ("workload", lambda run: run.workload),
    ("number of replicas", lambda run: str(run.replicas) if run.replicas else ""),
    ("cluster", lambda run: run.cluster),
    ("balancer", lambda run: ", ".join(run.balancers)),
    ("timeout", lambda run: lasting(run.timeout_ns)),
    ("expected status", lambda run: ", ".join(f"{low}-{high}" for low, high in run.expect)),
    ("zdtest", lambda run: run.version),
)


def refusals(before: Side, after: Side) -> tuple[str, ...]:
    """Return why the numbers of two sides cannot be compared; () if they can."""
    return tuple(_refusals(before, after))


def _refusals(before: Side, after: Side) -> Iterator[str]:
    for side in (before, after):
        if not side.rollouts:
            why = f": {side.left_out[0].why}" if side.left_out else ""
            yield f"{side.label} has no rollout that tells what was lost{why}"
    held = {bool(run.stream) for side in (before, after) for run in side.runs}
    if len(held) > 1:
        yield "some runs hold streams and some send requests: what they lose cannot be counted alike"
        return
    loops = [{run.loop for run in side.runs} for side in (before, after)]
    if len(loops[0] | loops[1]) > 1:
        yield "some runs are a closed loop and some an open one: a slow service gets fewer requests from the former"
        return
    loads = [[run.strength for run in side.runs] for side in (before, after)]
    every = [*loads[0], *loads[1]]
    if every and max(every) >= _DOUBLE * min(every):
        loads_said = " and ".join(dict.fromkeys(run.load for side in (before, after) for run in side.runs))
        yield f"the loads are too far apart to compare what is lost: {loads_said}"


def warnings(before: Side, after: Side, unit: Unit) -> tuple[str, ...]:
    """Return what to bear in mind, a sentence each."""
    return (*_of_the_design(before, after, unit), *_warnings(before, after))


def _of_the_design(before: Side, after: Side, unit: Unit) -> Iterator[str]:
    if unit is Unit.ROLLOUTS and all(len(side.runs) == 1 for side in (before, after)):
        if any(len(side.rollouts) > 1 for side in (before, after)):
            yield (
                "each side is one run, so whatever else differed between the two times counts as well; "
                "zdtest ab takes turns"
            )
    elif unit is Unit.BOTH:
        yield (
            "runs of several rollouts each, and too few of them to permute: a difference counts only if it is "
            "beyond chance between rollouts and between runs"
        )


def _warnings(before: Side, after: Side) -> Iterator[str]:
    for name, of in _ALIKE:
        yield from _unlike(name, of, before, after)
    first, second = ({(run.folder, run.began_ns) for run in side.runs} for side in (before, after))
    if first & second:
        yield f"on both sides there is the same run: {_some(sorted(name for name, _ in first & second))}"
    for side in (before, after):
        if len({run.objects for run in side.runs if run.objects}) > 1:
            yield f"the runs of {side.label} did not all begin with the same manifest"
        yield from _left_out(side)
        yield from _in_doubt(side)
        yield from _generator(side)
    yield from _rates(before, after)


def _unlike(name: str, of: Callable[[OneRun], str], before: Side, after: Side) -> Iterator[str]:
    said = [list(dict.fromkeys(text for run in side.runs if (text := of(run)))) for side in (before, after)]
    if not (said[0] and said[1]) or (set(said[0]) == set(said[1]) and len(said[0]) == 1):
        return
    if set(said[0]) == set(said[1]):
        yield f"the {name} differs within each side: {_some(said[0])}"
    else:
        yield f"the {name} differs: {_some(said[0])} before, {_some(said[1])} after"


def _some(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return " / ".join(texts[:_SHOWN]) + more


def _left_out(side: Side) -> Iterator[str]:
    if not side.left_out or not side.rollouts:
        return
    whys = list(dict.fromkeys(one.why for one in side.left_out))
    are = "is" if len(side.left_out) == 1 else "are"
    yield f"{count(len(side.left_out), 'rollout')} of {side.label} {are} left out: {_some(whys)}"


def _in_doubt(side: Side) -> Iterator[str]:
    """Say of rollouts that count, because they lost something, what else is the matter with them."""
    doubtful = [one for one in side.rollouts if one.doubts]
    if doubtful:
        whys = list(dict.fromkeys(doubt for one in doubtful for doubt in one.doubts))
        yield (
            f"{count(len(doubtful), 'rollout')} of {side.label} lost {side.noun} and "
            f"{'is' if len(doubtful) == 1 else 'are'} in doubt besides: {_some(whys)}"
        )


def _generator(side: Side) -> Iterator[str]:
    late = {
        one.run
        for one in side.rollouts
        if one.generator_lag_ns is not None and one.generator_lag_ns > LAG_LIMIT_NS
    }
    if late:
        worst = max(one.generator_lag_ns or 0 for one in side.rollouts)
        yield (
            f"the load generator was late in {count(len(late), 'run')} of {side.label} (p99 up to "
            f"{lasting(worst)} in a second): latencies are partly its own"
        )


def _rates(before: Side, after: Side) -> Iterator[str]:
    rates = unlike_rates(before, after)
    if rates:
        was, now = rates
        yield (
            f"{was:,.0f} requests/s before the trigger in BEFORE, {now:,.0f} in AFTER: the same fault loses fewer at "
            "the lower rate, so a difference counts only if it is beyond chance at equal rates, too"
        )


def unlike_rates(before: Side, after: Side) -> tuple[float, float] | None:
    """Return the requests a second of both sides' baselines, medians over rollouts, if they differ by much."""
    rates = [
        [one.rate_before for one in side.rollouts if one.rate_before is not None] for side in (before, after)
    ]
    if not (rates[0] and rates[1]):
        return None
    was, now = median(rates[0]), median(rates[1])
    return (was, now) if was and now and abs(now - was) > _MATTERS * max(was, now) else None
