"""The finding on lost requests: what failed because of the rollout, and what was subtracted as background."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.judge.findings.finding import LOSSLESS, UNBROKEN, Finding
from harness.judge.numbers.excess import UNLIKE
from harness.judge.numbers.hits import own_faults
from harness.judge.wording import at, count, lasting, told
from harness.model import Grade, Phase

if TYPE_CHECKING:
    from harness.judge.findings.case import Case
    from harness.judge.numbers.background import Background, FamilyBackground
    from harness.judge.numbers.excess import Excess
    from harness.judge.timeline.timeline import Timeline

_SHOWN = 3  # families, and excesses of one family, that the sentence names


def lost_requests(case: Case) -> tuple[int, Finding]:
    """Return how many requests the rollout lost (without a rollout: how many failed), and the finding on it."""
    run, timeline, numbers, background = case.run, case.timeline, case.numbers, case.background
    if not run.rollout_wanted:
        failed = numbers.failed - own_faults(numbers.outcomes)
        grade = Grade.FAIL if failed else Grade.PASS
        return failed, Finding(UNBROKEN, f"{failed:,} of {numbers.requests:,} failed", grade)
    if not timeline.triggered:
        return 0, Finding(LOSSLESS, "the run ended before the trigger", Grade.INCONCLUSIVE)
    parts = [part for phase in (Phase.DURING, Phase.AFTER) if (part := numbers.part(phase))]
    seen = sum(part.failed - own_faults(part.kinds) for part in parts)
    if run.rollout and run.rollout.state == "not_started":
        meanwhile = f"; {seen:,} failed all the same" if seen else ""
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
        said.append(
            f"{background.hung:,} had hung since before the trigger, so the rollout is not the reason"
        )
    if background.apart:
        said.append(f"{background.apart:,} were cut by a limit that has nothing to do with the rollout")
    if background.outage:
        gone = background.outage
        lasts = (
            f"no good answer for {lasting(gone.to_ns - gone.from_ns)} at {at(gone.from_ns, timeline.zero_ns)}"
        )
        said.append(f"{lasts}, and {_before(case, gone.to_ns - gone.from_ns)}")
    said += _after_each_change(case, seen)
    observed = "; ".join(said)
    sure = [family for family in background.families if family.sure]
    if sure:
        return sum(family.lost for family in sure), Finding(LOSSLESS, observed, Grade.FAIL)
    if background.suspected:
        by_us = run.rollout is None or not run.rollout.trigger.startswith("observe")
        how = "--trigger-after" if by_us else "start the run earlier before the change"
        hint = f"the baseline is too short to tell whether the rollout is the reason; make it longer ({how})"
        return 0, Finding(LOSSLESS, f"{observed}: {hint}", Grade.INCONCLUSIVE)
    return 0, Finding(LOSSLESS, observed, Grade.PASS)


def _before(case: Case, lasts_ns: int) -> str:
    """Say what stands against an outage from before the trigger."""
    usual = case.usual
    if lasts_ns > UNLIKE * max(usual.wait_ns, usual.slowest_ns):
        return "none was nearly as long before the trigger"
    if not case.background.outages_before:
        return "no request failed in a stretch nearly as long before the trigger"
    return "one alone before the trigger does not tell how often they come"


def _after_each_change(case: Case, seen: int) -> list[str]:
    """Say how many failed in the time of each change of somebody else's: from it to the next one."""
    timeline = case.timeline
    changes = [change for change in timeline.changes if change.disturbs]
    if not changes or case.hits is None or not seen:
        return []
    done = case.hits.failed.done_ns
    done = done[done >= timeline.zero_ns]
    ends = [*(change.at_ns for change in changes[1:]), timeline.judged.to_ns + 1]
    found = []
    for change, end_ns in zip(changes[:_SHOWN], ends, strict=False):
        number = int(((done >= change.at_ns) & (done < end_ns)).sum())
        found.append(f"{number:,} of {seen:,} failed after {told([change], timeline.zero_ns)}")
    return found


def _sentence(family: FamilyBackground, background: Background, timeline: Timeline) -> str:
    """Describe one family of failures: how many since the trigger and before, and what follows."""
    before = f"{family.before:,} of {family.of_before:,} in the {lasting(background.baseline_ns)} before it"
    counted = f"{family.family}: {family.seen:,} since, {before}"
    if not family.excesses:
        return f"{counted}, no more than chance: all subtracted"
    excesses = ", ".join(_excess(excess, timeline) for excess in family.excesses[:_SHOWN])
    subtracted = family.seen - family.lost
    return f"{counted}: {excesses}" + (f", so {subtracted:,} subtracted as background" if subtracted else "")


def _excess(excess: Excess, timeline: Timeline) -> str:
    expected = f"{excess.expected:.1f}" if excess.expected >= 0.05 else "under 0.1"
    chance = f"{expected} expected, p = {excess.p:.1g}"
    if excess.what == "burst":
        within = lasting(excess.to_ns - excess.from_ns)
        return f"{count(excess.seen)} within {within} at {at(excess.from_ns, timeline.zero_ns)} ({chance})"
    if excess.what == "pods":
        return f"{count(excess.seen)} at pods that came or went ({chance})"
    return f"{count(excess.seen)} {excess.what} the rollout ({chance})"
