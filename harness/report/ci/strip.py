"""The picture as text: failures over time above the pods' lives, for places that show only monospace. Pure.

It shows the rollout and its surroundings; how many failures lie outside is said. The texts are already escaped.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.clock import NS
from harness.judge.wording import count
from harness.model import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.judge.timeline.lifeline import Lifeline
    from harness.judge.timeline.timeline import Timeline
    from harness.judge.verdict.judgement import Judgement

COLUMNS = 64  # of time
MARGIN = 24
MOST_PODS = 24
_KINDS = 8
_AROUND_S = 8  # shown before the trigger, and after the last thing that happened
_LEVELS = "▁▂▃▄▅▆▇█"
_STATES = {"starting": "s", "ready": "r", "in_endpoints": "=", "terminating": "t"}
LEGEND = "s starting   r up, not in endpoints   = in endpoints   t terminating   x exited"


@dataclass(frozen=True, slots=True)
class Axis:
    """The stretch that is shown: whole seconds from the zero of the timeline, `step` of them in a column."""

    first: int
    columns: int
    step: int

    @property
    def end(self) -> int:
        """The second after the last one shown."""
        return self.first + self.columns * self.step

    def column(self, second: float) -> int:
        """Return the column of a moment, which may lie outside."""
        return math.floor((second - self.first) / self.step)


def render(judgement: Judgement) -> list[str]:
    """Return the picture, lines of at most MARGIN + COLUMNS + 30 characters; [] for a run without a request."""
    numbers, timeline = judgement.numbers, judgement.timeline
    if not numbers.seconds:
        return []
    axis = _axis(judgement)
    lines = [_scale(axis), _line("", _phases(timeline, axis))]
    lines.append(_line("requests/s", *_requests(judgement, axis)))
    lines += _failures(judgement, axis)
    if timeline.pods:
        lines += [*_pods(timeline, axis), f"{'':<{MARGIN}}{LEGEND}"]
    each = count(axis.step, "second")
    judged_from = (timeline.judged.from_ns - timeline.zero_ns) // NS
    outside = sum(
        sum(row.failed.values())
        for row in numbers.seconds
        if row.second >= judged_from and not axis.first <= row.second < axis.end
    )
    lines.append(
        f"{'':<{MARGIN}}a column is {each}"
        + (f"; {count(outside, 'failed request')} outside of this stretch" if outside else "")
    )
    return lines


def _axis(judgement: Judgement) -> Axis:
    timeline, numbers = judgement.timeline, judgement.numbers
    low = math.floor((timeline.judged.from_ns - timeline.zero_ns) / NS)
    high = math.ceil((timeline.judged.to_ns - timeline.zero_ns) / NS)
    if timeline.triggered:
        begin, end = -_AROUND_S, _last_second(judgement) + _AROUND_S
        failed = [row.second for row in numbers.seconds if row.failed and row.second >= low]
        if failed and not any(second >= 0 for second in failed):  # all of it came before the trigger
            begin = failed[0] - _AROUND_S
        low, high = max(low, begin), min(high, max(end, begin + 1))
    length = max(high - low, 1)
    step = -(-length // COLUMNS)
    return Axis(low, -(-length // step), step)


def _last_second(judgement: Judgement) -> int:
    """Return the second in which the last failure or change of the rollout was seen."""
    timeline = judgement.timeline
    moments = [phase.span.to_ns for phase in timeline.phases if phase.phase is Phase.DURING]
    failed = [row.second + 1 for row in judgement.numbers.seconds if row.failed]
    return max([*failed, *(math.ceil((t_ns - timeline.zero_ns) / NS) for t_ns in moments), 1])


def _line(label: str, cells: str, total: str = "") -> str:
    return f"{label[: MARGIN - 2]:<{MARGIN}}{cells}  {total}".rstrip()


def _scale(axis: Axis) -> str:
    """Return the seconds above the columns; the trigger is 0 s."""
    cells = [" "] * (axis.columns + 12)
    every = max(1, math.ceil(10 / axis.step / 5) * 5) if axis.step < 10 else 10
    marks = [0, *range(0, axis.end, every * axis.step), *range(0, axis.first - 1, -every * axis.step)]
    for second in dict.fromkeys(marks):
        at = axis.column(second)
        words = f"{second:+d} s" if second else "0 s"
        if 0 <= at < axis.columns and not "".join(cells[max(at - 1, 0) : at + len(words) + 1]).strip():
            cells[at : at + len(words)] = words
    return _line("", "".join(cells))


def _phases(timeline: Timeline, axis: Axis) -> str:
    cells = [" "] * axis.columns
    for phase in timeline.phases:
        if phase.phase is Phase.WARMUP:
            continue
        at = [axis.column((t - timeline.zero_ns) / NS) for t in (phase.span.from_ns, phase.span.to_ns)]
        low, high = max(at[0], 0), min(at[1], axis.columns)
        name = phase.phase.value if timeline.triggered else "load"
        words = f"|{name if len(name) < high - low else ''}"
        for index in range(low, high):
            cells[index] = words[index - low] if index - low < len(words) else "-"
    return "".join(cells)


def _requests(judgement: Judgement, axis: Axis) -> tuple[str, str]:
    sums: list[list[int]] = [[] for _ in range(axis.columns)]
    for row in judgement.numbers.seconds:
        if axis.first <= row.second < axis.end:
            sums[axis.column(row.second)].append(row.completed)
    means = [sum(part) / len(part) if part else 0 for part in sums]
    return _bars(means), f"at most {max(means, default=0):,.0f}"


def _failures(judgement: Judgement, axis: Axis) -> Iterator[str]:
    """Yield a line for each kind, the most frequent first; the rest of the kinds share one."""
    columns: dict[str, Counter[int]] = {}
    totals = Counter({kind.kind: kind.count for kind in judgement.numbers.kinds})  # without the warm-up's
    for row in judgement.numbers.seconds:
        for kind, n in row.failed.items():
            if axis.first <= row.second < axis.end:
                columns.setdefault(kind, Counter())[axis.column(row.second)] += n
    ranked = [kind for kind, _ in totals.most_common()]
    named, rest = (ranked, []) if len(ranked) <= _KINDS else (ranked[: _KINDS - 1], ranked[_KINDS - 1 :])
    if rest:
        other = f"{len(rest)} other kinds"
        columns[other] = sum((columns.get(kind, Counter()) for kind in rest), Counter[int]())
        totals[other] = sum(totals[kind] for kind in rest)
        named = [*named, other]
    for kind in named:
        counts = [columns.get(kind, Counter())[n] for n in range(axis.columns)]
        yield _line(f"{kind}", _bars(counts), f"{totals[kind]:,} failed, at most {max(counts):,}")


def _bars(values: Sequence[float]) -> str:
    """Return a column of eight heights for each value; 0 is a dot, and whatever is more is seen."""
    most = max(values, default=0)
    return "".join(_LEVELS[math.ceil(8 * value / most) - 1] if value > 0 else "·" for value in values)


def _pods(timeline: Timeline, axis: Axis) -> Iterator[str]:
    """Yield a line for each pod that lived in the stretch; those that changed in it before the others."""
    begin_ns = timeline.zero_ns + axis.first * NS
    end_ns = min(timeline.zero_ns + axis.end * NS, timeline.judged.to_ns)
    lived = [pod for pod in timeline.pods if pod.gone_ns is None or pod.gone_ns > begin_ns]
    for pod in lived[:MOST_PODS]:
        yield _pod(pod, timeline, axis, end_ns)
    if len(lived) > MOST_PODS:
        yield _line("", f"and {count(len(lived) - MOST_PODS, 'more pod')}")


def _pod(pod: Lifeline, timeline: Timeline, axis: Axis, end_ns: int) -> str:
    cells = [" "] * axis.columns
    for segment in pod.segments(end_ns):
        low = max(axis.column((segment.from_ns - timeline.zero_ns) / NS), 0)
        high = min(axis.column((segment.to_ns - timeline.zero_ns - 1) / NS) + 1, axis.columns)
        for index in range(low, high):
            cells[index] = _STATES[segment.state]
    if pod.exited_ns is not None:
        at = axis.column((pod.exited_ns - timeline.zero_ns) / NS)
        if 0 <= at < axis.columns:
            cells[at] = "x"
    name = pod.name if len(pod.name) <= MARGIN - 6 else f"..{pod.name[-(MARGIN - 8) :]}"
    code = "" if pod.exit_code is None else f"exit code {pod.exit_code}"
    return _line(f"{'old' if pod.old else 'new'} {name}", "".join(cells), code)
