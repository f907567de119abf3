"""Was there a rollout, was it under load from its beginning to its end, and did the watch see it?"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from harness.clock import NS
from harness.judge import chance
from harness.judge.findings.finding import COVERED, WATCHED, Finding
from harness.judge.numbers.hits import OWN_FAULT
from harness.judge.wording import at, count, lasting, told
from harness.model import NEVER, Grade, Mark, Phase

if TYPE_CHECKING:
    from harness.judge.findings.case import Case
    from harness.judge.numbers.summary import Numbers
    from harness.judge.timeline.lifeline import Lifeline
    from harness.judge.timeline.timeline import Span, Timeline
    from harness.model import RolloutFacts, RunRecord

_UNLIKELY = 0.01  # failures that are so unlikely to come just before a change by chance may be its
CATCH_UP_NS = 2 * NS  # what is seen so soon after a gap in the watch may have happened in it


def rollout(case: Case) -> Finding | None:
    """Judge whether there was a whole rollout, and all of it under load."""
    run, timeline = case.run, case.timeline
    if not run.rollout_wanted:
        return None
    fault = (
        _resized(timeline)
        or _state_fault(run, timeline)
        or _sight_fault(run, timeline)
        or _load_fault(run, timeline)
    )
    if fault:
        return Finding(COVERED, fault, Grade.INCONCLUSIVE)
    during = timeline.phase(Phase.DURING)
    took = lasting(during.length_ns) if during else "no time"
    olds = len(run.rollout.old_pods) if run.rollout else 0
    gone = f"{count(olds, 'old pod')} gone" if olds else "no pod was to be replaced"
    return Finding(COVERED, f"{gone}, endpoints settled after {took}", Grade.PASS)


def _resized(timeline: Timeline) -> str:
    """Say that pods were only resized in place, where they were; "" where one came or went, or none was."""
    pods = [
        pod
        for pod in timeline.pods
        if pod.resized_ns is not None and pod.resized_ns >= timeline.judged.from_ns
    ]
    if not pods or any(_moved(pod, timeline.zero_ns) for pod in timeline.pods):
        return ""
    return (
        f"{count(len(pods), 'pod')} resized in place ({pods[0].resized}) and none replaced: there was no rollout to"
        " judge"
    )


def _state_fault(run: RunRecord, timeline: Timeline) -> str:
    """Say what is wrong with the rollout itself; "" for nothing."""
    facts = run.rollout
    if run.ended_by == "dry_run":
        return "dry run: nothing was changed"
    if run.ended_by == "nothing_changed":
        return "the change made no difference, so no rollout followed"
    if run.ended_by == "deleted" and not timeline.triggered:
        return "the workload was deleted before the change"
    if not timeline.triggered or facts is None or facts.state == "not_started":
        return "the rollout was not started"
    others = [change for change in timeline.changes if change.disturbs]
    if others:
        return f"{told(others, timeline.zero_ns)}, so this is not the rollout that was to be tested"
    reason = f" ({facts.reason})" if facts.reason else ""
    how = "again" if _kind(facts) in {"command", "observe"} else "by somebody else"
    said = {
        "complete": "",
        "stalled": f"the rollout stalled{reason}",
        "changed": f"the workload was changed {how} during the rollout{reason}",
        "deleted": f"the workload was deleted during the rollout{reason}",
    }
    return said.get(facts.state, f"the rollout was still {facts.state} at the end{reason}")


def _sight_fault(run: RunRecord, timeline: Timeline) -> str:
    """Say what of a complete rollout was not seen; "" for nothing."""
    facts = run.rollout
    gone = {pod.uid for pod in timeline.pods if pod.gone_ns is not None}
    left = [ref.name for ref in facts.old_pods if ref.uid not in gone] if facts else []
    if left:
        more = " ..." if len(left) > 3 else ""
        return f"{count(len(left), 'old pod')} not seen gone: {', '.join(left[:3])}{more}"
    if facts and not facts.old_pods and _replaces(facts):
        return "the pod template was changed, but no old pod was replaced"
    if not timeline.during_ended:
        return "the endpoints were not seen to settle"
    if timeline.pods and not any(_moved(pod, timeline.zero_ns) for pod in timeline.pods):
        return "no pod came and none went: the change was not a rollout"
    return ""


def _load_fault(run: RunRecord, timeline: Timeline) -> str:
    """Say what of a complete rollout was not under load; "" for nothing."""
    during = timeline.phase(Phase.DURING)
    if during is not None and timeline.load.to_ns < during.to_ns:
        ends = (at(t_ns, timeline.zero_ns) for t_ns in (timeline.load.to_ns, during.to_ns))
        return "the load ended {}, the rollout {}".format(*ends)
    if run.mark(Mark.SETTLED) == NEVER:
        return f"the run ended ({run.ended_by.replace('_', ' ')}) before it had settled"
    return ""


def _kind(facts: RolloutFacts) -> str:
    return facts.trigger.partition(" ")[0]


def _replaces(facts: RolloutFacts) -> bool:
    """Tell whether the change was to replace pods; the kind of the trigger tells it of a recording that does not
    say.
    """
    return facts.new_template or _kind(facts) in {"restart", "set-image"}


def _moved(pod: Lifeline, trigger_ns: int) -> bool:
    return any(t_ns is not None and t_ns >= trigger_ns - NS for t_ns in (pod.created_ns, pod.deleted_ns))


def watch(case: Case) -> Finding | None:
    """Judge whether the watch saw the rollout from its beginning to its end."""
    if not case.run.rollout_wanted:
        return None
    during = case.timeline.phase(Phase.DURING)
    if during is None:
        return Finding(WATCHED, "there was no rollout to see", Grade.PASS)
    fault = _watch_fault(case, during)
    if fault:
        return Finding(WATCHED, fault, Grade.INCONCLUSIVE)
    return Finding(WATCHED, f"{count(len(case.timeline.pods), 'pod')} seen, no gap", Grade.PASS)


def _watch_fault(case: Case, during: Span) -> str:
    """Say what the watch may have missed; "" for nothing."""
    run, timeline = case.run, case.timeline
    # Events only add evidence; a gap in them hides no moment of a pod's life.
    blind = [gap for gap in timeline.gaps if gap.blind and gap.kind != "Event"]
    # When a change of somebody else's began is known from the watch alone.
    observed = run.rollout is not None and _kind(run.rollout) == "observe"
    before_ns = during.from_ns - CATCH_UP_NS if observed else during.from_ns
    within = [gap for gap in blind if gap.from_ns < during.to_ns and gap.to_ns > before_ns]
    if within:
        kinds = ", ".join(sorted({gap.kind for gap in within}))
        longest = max(gap.to_ns - gap.from_ns for gap in within)
        early = all(gap.to_ns <= during.from_ns for gap in within)
        how = f"the watch of {kinds} was down {count(len(within), 'time')} (up to {lasting(longest)})"
        return how + (" just before the change was seen: the rollout may have begun then" if early else "")
    end_ns = timeline.load.to_ns
    kind = run.cluster.kind if run.cluster else ""
    if any(gap.kind == kind and gap.from_ns < end_ns <= gap.to_ns for gap in blind):
        return f"the watch of {kind} was down when the load ended: one more change would have gone unseen"
    failed = _just_before(timeline, case.numbers) if observed else 0
    if failed:
        return (
            f"{count(failed, 'request')} failed in the last 2 s before the change was seen, and hardly any earlier:"
            " the rollout may have begun by then"
        )
    if not timeline.pods and run.cluster is not None:
        return "no pod of the workload was seen"
    return ""


def _just_before(timeline: Timeline, numbers: Numbers) -> int:
    """Count what failed just before a change was seen, of kinds that failed hardly ever before that. Short delays are
    no gap.
    """
    base = timeline.baseline
    if base is None:
        return 0
    failed: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    of = {True: 0, False: 0}
    for row in numbers.seconds:
        begun_ns = timeline.zero_ns + row.second * NS
        if base.from_ns - NS < begun_ns < timeline.zero_ns:
            late = begun_ns >= timeline.zero_ns - CATCH_UP_NS
            failed[late].update(row.failed)
            of[late] += row.completed
    return sum(
        n
        for kind, n in failed[True].items()
        if kind not in OWN_FAULT
        and (
            not failed[False][kind] or chance.share_p(n, of[True], failed[False][kind], of[False]) < _UNLIKELY
        )
    )
