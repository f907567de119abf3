"""Whether the load is proven to have reached the workload's pods: by pod names in answers, or by where the URL leads.

A pod's name in an answer is proof only if that pod can have sent the answer. If a pod that is gone is named, a cache
answered, and a cache would pass any rollout. The same is true if no answer names a new pod. A few names prove nothing
about the rest: most answers to each target must have one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.clock import NS
from harness.judge.findings.finding import PROVEN, Finding
from harness.judge.wording import count, lasting, share
from harness.model import Grade

if TYPE_CHECKING:
    from harness.judge.findings.case import Case
    from harness.judge.numbers.summary import Numbers
    from harness.judge.numbers.traffic import PodTraffic
    from harness.judge.timeline.lifeline import Lifeline
    from harness.judge.timeline.timeline import Timeline
    from harness.model import RunRecord

FEW = 0.1  # share of the answers that name a pod, or of all: fewer say nothing about where the load went
MOST = 0.5  # share of the good answers to each target that must name a pod of the workload, if names are the only proof
_FORCED_NS = NS  # an object that is gone so soon after its deletion was removed before its process ended
_LINGERS_NS = 2 * NS  # and that process may answer for this long


def finding(case: Case) -> Finding | None:
    """Say how the path is proven, or why the PASS is withheld."""
    run, timeline, numbers = case.run, case.timeline, case.numbers
    if not run.rollout_wanted:
        return None
    ours = {pod.name for pod in timeline.pods}
    named = [pod for pod in numbers.pods if pod.pod in ours]
    asserted = bool(run.path and "--path-proven" in run.path.how)
    fault = _cache(timeline, numbers, named)
    if not fault and not asserted:
        fault = _elsewhere(numbers, named)
    if fault:
        return Finding(PROVEN, fault, Grade.INCONCLUSIVE)
    good, total = sum(pod.good for pod in named), sum(reach.good for reach in numbers.reach)
    least = min(numbers.reach, key=lambda reach: reach.named / reach.good, default=None)
    if least is not None and least.named >= MOST * least.good:
        pods = count(sum(pod.good > 0 for pod in named), "pod")
        answers = f"{good:,} answers" if good == total else f"{good:,} of {total:,} good answers"
        return Finding(PROVEN, f"{answers} named {pods} of the workload", Grade.PASS)
    if run.path and run.path.proven and not run.path.by_answers:
        return Finding(PROVEN, run.path.how, Grade.PASS)
    if good and least is not None:
        part = f"only {least.named:,} of {least.good:,} good answers ({share(least.named, least.good)})"
        to = f" to {_target(run, least.target)}" if len(numbers.reach) > 1 else ""
        how = f"{part}{to} named a pod of the workload"
    else:
        how = run.path.how if run.path and run.path.how and not run.path.by_answers else ""
        how = how or "no answer named a pod of the workload"
    return Finding(PROVEN, f"path not proven: {how} (--path-proven vouches for it)", Grade.INCONCLUSIVE)


def _elsewhere(numbers: Numbers, named: list[PodTraffic]) -> str:
    hits = sum(pod.hits for pod in named)
    if hits >= FEW * numbers.named:
        return ""
    return (
        f"path not proven: of {numbers.named:,} answers that name a pod, {hits:,} named one of "
        "the workload: most of the load went elsewhere"
    )


def _cache(timeline: Timeline, numbers: Numbers, named: list[PodTraffic]) -> str:
    """Say how the answers show that a cache gave them; "" if they do not."""
    for pod in named:
        dead_ns = _dead_ns([line for line in timeline.pods if line.name == pod.pod])
        begun_ns = pod.last_good_begun_ns
        if dead_ns is not None and begun_ns is not None and begun_ns > dead_ns:
            return (
                "a cache answers: good answers to requests begun up to "
                f"{lasting(begun_ns - dead_ns)} after pod {pod.pod} had gone name it"
            )
    good = sum(pod.good for pod in named)
    if not timeline.triggered or not good or good < FEW * sum(reach.good for reach in numbers.reach):
        return ""
    traffic = {pod.pod: pod for pod in named}
    news = [line for line in timeline.pods if not line.old and _took_requests(line, timeline)]
    if not news or any(_answered(line, traffic.get(line.name)) for line in news):
        return ""
    olds = count(sum(pod.good > 0 for pod in named), "old pod")
    new = "the new pod" if len(news) == 1 else f"any of the {len(news):,} new pods"
    return f"a cache answers, or new pods got no request: {good:,} good answers named {olds}, and none named {new}"


def _dead_ns(lives: list[Lifeline]) -> int | None:
    """Return the time after which no pod of this name can answer; None if one can. A StatefulSet reuses names."""
    found = []
    for pod in lives:
        if pod.gone_ns is None:
            return None
        forced = pod.exited_ns is None and (
            pod.deleted_ns is None or pod.gone_ns - pod.deleted_ns < _FORCED_NS
        )
        found.append(pod.gone_ns + (_LINGERS_NS if forced else 0))
    return max(found, default=None)


def _took_requests(pod: Lifeline, timeline: Timeline) -> bool:
    return pod.in_endpoints_ns is not None and pod.in_endpoints_ns < timeline.load.to_ns


def _answered(pod: Lifeline, traffic: PodTraffic | None) -> bool:
    if traffic is None or traffic.last_good_ns is None:
        return False
    return traffic.last_good_ns >= (pod.started_ns or pod.created_ns or 0)


def _target(run: RunRecord, index: int) -> str:
    if index >= len(run.targets):
        return f"target {index}"
    return f"{run.targets[index].get('method', 'GET')} {run.targets[index].get('url', '?')}"
