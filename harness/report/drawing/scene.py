"""What a still picture shows: its span and time axis, the moments to mark, the causes to name. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from harness.clock import NS
from harness.judge.wording import cause_in_words, count, lasting
from harness.model import Mark

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.judge.causes.causes import Cause
    from harness.judge.picture.buckets import Buckets
    from harness.judge.picture.moments import Burst
    from harness.judge.picture.picture import Picture
    from harness.judge.timeline.timeline import Span, Timeline
    from harness.judge.verdict.judgement import Judgement
    from harness.report.drawing.theme import Theme

MOST_MARKS = 300  # failures in view up to which each is a mark of its own
MOST_CAUSES = 3  # named in the picture
_WHOLE = 0.85  # share of the run from which on the focus is all of it
_MINUTES_S = 600  # from so many seconds on the axis counts minutes
_TOO_CLOSE = 400  # stretches that are closer than this part of the span are drawn as one
_MOST_OTHERS = 4  # changes of other people that are marked
_MOST_STEPS = 24  # steps of an Argo Rollout that are marked
_QUIET = {"stable", "preview", "resumed"}  # change nothing for requests; the list of steps has them


@dataclass(frozen=True, slots=True)
class Moment:
    """A line through all panels."""

    t_s: float
    words: str  # "" where there is no room to name each of its kind
    width: float
    style: str


@dataclass(frozen=True)
class Scene:
    """A run as it will be drawn. Seconds count from the zero of the timeline."""

    judgement: Judgement
    picture: Picture
    theme: Theme

    @cached_property
    def large(self) -> Picture:
        """What the panels show: of several rollouts the one that lost most, as if it had been the only one."""
        here = (one for one in self.picture.rollouts if one.focus == self.picture.focus)
        return next(here, self.picture)

    @property
    def timeline(self) -> Timeline:
        """All moments."""
        return self.large.timeline

    @cached_property
    def focused(self) -> bool:
        """Whether less than the whole run is drawn large."""
        several = len(self.picture.focuses) > 1
        return several or self.picture.focus.length_ns < _WHOLE * self.picture.whole.length_ns

    @cached_property
    def span(self) -> Span:
        """What is drawn large."""
        return self.picture.focus if self.focused else self.picture.whole

    @property
    def buckets(self) -> Buckets:
        """The hits within the span, by small steps of time."""
        return self.large.close if self.focused else self.large.buckets

    def s(self, t_ns: int) -> float:
        """Return a moment in seconds."""
        return (t_ns - self.timeline.zero_ns) / NS

    @cached_property
    def limits(self) -> tuple[float, float]:
        """The ends of the time axis; never equal."""
        left, right = self.s(self.span.from_ns), self.s(self.span.to_ns)
        return left, max(right, left + 1)

    @cached_property
    def in_minutes(self) -> bool:
        """Whether the time axis counts minutes."""
        return max(map(abs, self.limits)) >= _MINUTES_S

    @cached_property
    def in_view(self) -> int:
        """How many failed requests are within the span."""
        failures = self.large.failures
        inside = (failures.done_ns >= self.span.from_ns) & (failures.done_ns < self.span.to_ns)
        return int(inside.sum())

    @cached_property
    def as_marks(self) -> bool:
        """Whether each failed request in view is a mark of its own."""
        return self.large.drawn_all and 0 < self.in_view <= MOST_MARKS

    @cached_property
    def _ranked(self) -> list[Cause]:
        return sorted(self.judgement.causes, key=lambda cause: (not cause.the_rollouts, -cause.hits))

    @cached_property
    def causes(self) -> tuple[tuple[int, tuple[str, ...], str], ...]:
        """The causes that are named: number, ids, words. Those against the rollout come first."""
        return tuple(
            (number, cause.ids, f"{cause.hits:,} failed: {cause_in_words(cause.name, cause.ids)}")
            for number, cause in enumerate(self._ranked[:MOST_CAUSES], 1)
        )

    @cached_property
    def more_causes(self) -> str:
        """Say what is not named."""
        rest = self._ranked[MOST_CAUSES:]
        if not rest:
            return ""
        return f"{sum(cause.hits for cause in rest):,} failed: {count(len(rest), 'more cause')}"

    def bursts(self, ids: tuple[str, ...]) -> list[Burst]:
        """Return the bursts of one cause within the span."""
        inside = (b for b in self.large.bursts if b.ids == ids)
        return [b for b in inside if b.to_ns >= self.span.from_ns and b.from_ns < self.span.to_ns]

    @cached_property
    def axis_words(self) -> str:
        """What the time axis counts."""
        unit = "minutes" if self.in_minutes else "seconds"
        if not self.timeline.triggered:
            return f"{unit} from the end of the warm-up"
        whose = "this rollout's" if len(self.picture.focuses) > 1 else "the"
        return f"{unit} from {whose} trigger"

    @cached_property
    def overview_words(self) -> str:
        """What the overview shows."""
        focuses = self.picture.focuses
        words = f"the whole run\n{lasting(self.picture.whole.length_ns // NS * NS)}"
        if len(focuses) == 1:
            return words
        number = focuses.index(self.picture.focus) + 1 if self.picture.focus in focuses else 1
        return f"{words}, {len(focuses)} rollouts\nlarge: rollout {number}"

    @cached_property
    def moments(self) -> tuple[Moment, ...]:
        """The moments to mark within the span, in order."""
        timeline = self.timeline
        triggers = (
            sorted({m.t_ns for m in timeline.marks if m.mark is Mark.TRIGGER}) if timeline.triggered else []
        )
        if timeline.triggered and not triggers:
            triggers = [timeline.zero_ns]
        found = [(t_ns, "trigger", 1.6, "-") for t_ns in triggers]
        found += [
            (m.t_ns, "`rollout status` done", 1.0, ":") for m in timeline.marks if m.mark is Mark.ROLLOUT_DONE
        ]
        found += [(one.t_ns, f"{one.before} to {one.after} replicas", 1.0, "-.") for one in timeline.scalings]
        others = [one for one in timeline.changes if one.kind not in {"scaled", "autoscaled"}]
        found += [
            (one.at_ns, f"{one.who or 'somebody'}: {one.kind}".replace("_", " "), 1.0, "-.")
            for one in others[:_MOST_OTHERS]
        ]
        found += [(one.t_ns, one.words, 1.0, "-.") for one in timeline.steps if one.kind not in _QUIET][
            :_MOST_STEPS
        ]
        if timeline.during_ended:
            found += [
                (p.span.to_ns, "rollout over", 1.2, "--") for p in timeline.phases if p.phase == "during"
            ]
        left, right = self.limits
        inside = (Moment(self.s(t_ns), words, width, style) for t_ns, words, width, style in found)
        return tuple(sorted((m for m in inside if left <= m.t_s <= right), key=lambda m: m.t_s))

    @cached_property
    def stalls(self) -> list[tuple[float, float]]:
        """Where the load generator itself was late, within the span, in seconds; joined where they touch."""
        return self._within((one.from_ns, one.to_ns) for one in self.large.stalls)

    @cached_property
    def gaps(self) -> list[tuple[float, float]]:
        """Where nobody watched the cluster, within the span, in seconds; joined where they touch."""
        return self._within((gap.from_ns, gap.to_ns) for gap in self.timeline.gaps if gap.blind)

    def _within(self, spans: Iterable[tuple[int, int]]) -> list[tuple[float, float]]:
        left, right = self.limits
        apart = (right - left) / _TOO_CLOSE
        found: list[tuple[float, float]] = []
        for from_ns, to_ns in sorted(spans):
            start, stop = max(self.s(from_ns), left), min(self.s(to_ns), right)
            if stop <= start:
                continue
            if found and start - found[-1][1] <= apart:
                found[-1] = found[-1][0], max(found[-1][1], stop)
            else:
                found.append((start, stop))
        return found


def placed(
    moments: tuple[Moment, ...], limits: tuple[float, float], width_in: float, char_in: float
) -> list[int]:
    """Return the row of each moment's words, 0 or 1, and -1 where both are taken."""
    scale = width_in / (limits[1] - limits[0])
    ends = [-1.0, -1.0]
    rows = []
    for moment in moments:
        at = (moment.t_s - limits[0]) * scale
        length = (len(moment.words) + 2) * char_in
        begin = at if at + length <= width_in else at - length  # then it ends at its line
        row = next((n for n, end in enumerate(ends) if begin >= end), -1) if moment.words else -1
        if row >= 0:
            ends[row] = begin + length
        rows.append(row)
    return rows


def clock_words(seconds: float, *, in_minutes: bool) -> str:
    """Return a place on the time axis: "12", "-0.5"; in minutes "2:05"."""
    if not in_minutes:
        return f"{seconds:g}"
    sign, whole = "-" if seconds < 0 else "", round(abs(seconds))
    return f"{sign}{whole // 60}:{whole % 60:02d}"


def tick_step(length_s: float, most: int, *, in_minutes: bool) -> float:
    """Return the distance of the time axis' ticks, in seconds: at most `most` of them."""
    steps = (
        (15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800)
        if in_minutes
        else (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600)
    )
    return next((step for step in steps if length_s / step <= most), max(length_s / most, 86400))
