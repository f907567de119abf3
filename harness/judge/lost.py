"""The finding on lost requests: what failed because of the rollout, what was subtracted as background, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.judge.finding import LOSSLESS, UNBROKEN, Finding
from harness.judge.loadhost import own
from harness.judge.wording import at, count, lasting
from harness.model import Grade, Phase

if TYPE_CHECKING:
    from harness.judge.background import Background, FamilyBackground, Look
    from harness.judge.summary import Numbers
    from harness.judge.timeline import Timeline
    from harness.model import RunRecord

_SHOWN = 3  # families, and looks of one family, that the sentence names


def lost_requests(
    run: RunRecord, timeline: Timeline, numbers: Numbers, background: Background
) -> tuple[int, Finding]:
    """Return how many requests were lost to the rollout (or at all where there was none), and the finding on it."""
    if not run.rollout_wanted:
        failed = numbers.failed - own(numbers.outcomes)
        grade = Grade.FAIL if failed else Grade.PASS
        return failed, Finding(UNBROKEN, f"{failed:,} of {numbers.requests:,} failed", grade)
    if not timeline.triggered:
        return 0, Finding(LOSSLESS, "the trigger was never reached", Grade.INCONCLUSIVE)
    parts = [part for phase in (Phase.DURING, Phase.AFTER) if (part := numbers.part(phase))]
    seen = sum(part.failed - own(part.kinds) for part in parts)
    if run.rollout and run.rollout.state == "not_started":
        meanwhile = f"; {seen:,} failed meanwhile by themselves" if seen else ""
        return 0, Finding(LOSSLESS, f"no rollout was made{meanwhile}", Grade.INCONCLUSIVE)
    observed = f"{seen:,} of {sum(part.requests for part in parts):,} failed since the trigger"
    said = [observed]
    dirty = [family for family in background.families if family.before]
    if dirty:
        said += [_sentence(family, background, timeline) for family in dirty[:_SHOWN]]
        said += [f"and {count(len(dirty) - _SHOWN, 'more kind')}"] if len(dirty) > _SHOWN else []
        clean = sum(family.seen for family in background.families if not family.before)
        said += [f"{clean:,} of kinds that never failed in the baseline"] if clean else []
    if background.hung:
        said.append(f"{background.hung:,} had hung since before the trigger, so the rollout is not why")
    if background.outage:
        gone = background.outage
        lasts = (
            f"no good answer for {lasting(gone.to_ns - gone.from_ns)} at {at(gone.from_ns, timeline.zero_ns)}"
        )
        said.append(f"{lasts}, far longer than ever before the trigger")
    observed = "; ".join(said)
    sure = [family for family in background.families if family.sure]
    if sure:
        return sum(family.lost for family in sure), Finding(LOSSLESS, observed, Grade.FAIL)
    if background.suspected:
        by_us = run.rollout is None or not run.rollout.trigger.startswith("observe")
        how = "--trigger-after" if by_us else "start the run earlier before the change"
        hint = f"too little to tell whether the rollout is why; a longer baseline would tell ({how})"
        return 0, Finding(LOSSLESS, f"{observed}: {hint}", Grade.INCONCLUSIVE)
    return 0, Finding(LOSSLESS, observed, Grade.PASS)


def _sentence(family: FamilyBackground, background: Background, timeline: Timeline) -> str:
    """Say of one family what failed since and before, and what follows."""
    before = f"{family.before:,} of {family.of_before:,} in the {lasting(background.baseline_ns)} before it"
    counted = f"{family.family}: {family.seen:,} since, {before}"
    if not family.looks:
        return f"{counted}, which is no more than chance: all subtracted"
    looks = ", ".join(_look(look, timeline) for look in family.looks[:_SHOWN])
    subtracted = family.seen - family.lost
    return f"{counted}: {looks}" + (f", so {subtracted:,} subtracted as background" if subtracted else "")


def _look(look: Look, timeline: Timeline) -> str:
    expected = f"{look.expected:.1f}" if look.expected >= 0.05 else "under 0.1"
    chance = f"{expected} expected, p = {look.p:.1g}"
    if look.what == "burst":
        within = lasting(look.to_ns - look.from_ns)
        return f"{count(look.seen)} within {within} at {at(look.from_ns, timeline.zero_ns)} ({chance})"
    if look.what == "pods":
        return f"{count(look.seen)} at pods that came or went ({chance})"
    return f"{count(look.seen)} {look.what} the rollout ({chance})"
