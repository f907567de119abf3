"""Failed hits x lifelines -> causes, by the table in rules.py.

Every failed hit that ended after the trigger gets exactly one of: a cause that is exact (its pod is known, or
the fault is our own), a cause by time, a set that cannot be told apart, "not the rollout" (no more than the
baseline explains), or "unexplained". Pods are known from the pod that a response names, and from the peer when
connections go straight to pods.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from harness.judge.balancers.known import Chain
from harness.judge.balancers.reading import meanings
from harness.judge.causes import told
from harness.judge.causes.connections import by_reuse, lost_to, own_reloads, pods_of_connections
from harness.judge.causes.context import AT_ONCE_NS, Context
from harness.judge.causes.diagnosis import diagnosis_of, here_and_there, idle_close, plain, plain_evidence
from harness.judge.causes.labels import (
    Beside,
    after_removal,
    began_early,
    consequences,
    crossings,
    cut_by_balancer,
    label,
)
from harness.judge.causes.left_balancer import departures
from harness.judge.causes.matching import (
    NOT_THE_ROLLOUT,
    UNEXPLAINED,
    Match,
    episodes,
    fitting,
    least_late,
    logged,
    match,
    requests_of,
    tied_to_pods,
)
from harness.judge.causes.rules import AFTER_STOP, AT_EXIT, REFUSAL, RULES, SILENCE
from harness.judge.causes.shortage import without_endpoint
from harness.judge.numbers.background import Background, background
from harness.judge.numbers.crowded import crowded
from harness.judge.numbers.measured import PodLosses
from harness.judge.numbers.usual import longest_ns
from harness.judge.streams.causes import told as of_cut_streams
from harness.judge.streams.limits import Limits
from harness.judge.timeline.ending import assumed
from harness.judge.wording import at

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from harness.judge.numbers.hits import Hits
    from harness.judge.numbers.piecewise.allhits import AllHits
    from harness.judge.numbers.summary import Numbers
    from harness.judge.timeline.surroundings import Surroundings
    from harness.judge.timeline.timeline import Timeline
    from harness.recording.answers import Answer
    from harness.recording.upstreams import Entry

NO_PODS = frozenset({"E1", "E2", "E3", "E4", "C7", "C8", "C20"})
UNTIED = frozenset({"E2", "E3", UNEXPLAINED})
EXACT, BY_TIME, ONE_OF = "exact", "by time", "one of a set"


@dataclass(frozen=True, slots=True)
class PodShare:
    """How many of a cause's hits fit one pod. By time, one hit may fit several."""

    pod: str
    old: bool
    hits: int
    uid: str = ""  # "" in older verdicts


@dataclass(frozen=True, slots=True)
class Cause:
    """A named reason for a group of failed hits: several `ids` when they cannot be told apart.

    `evidence` and `mend` are lines for people; `mend` is what fixes it, and names values only once `cited` put them
    in. `spread_by` says what would tell the members of a set apart.
    """

    ids: tuple[str, ...]
    name: str
    confidence: str
    hits: int
    kinds: dict[str, int]
    first_ns: int
    last_ns: int
    pods: tuple[PodShare, ...]
    evidence: tuple[str, ...]
    mend: tuple[str, ...]
    spread_by: str = ""
    diagnosis: str = ""  # of what no rule explains: the id that its signature fits best
    apart: bool = False  # from the rollout: a limit on streams that works without one, too

    @property
    def the_rollouts(self) -> bool:
        """Whether this counts against the rollout."""
        return self.ids not in {(NOT_THE_ROLLOUT,), ("E1",)} and not self.apart

    @property
    def of_pods(self) -> bool:
        """Whether something that happened to a pod may be the reason: else no line of the pods' manifest mends it."""
        return self.the_rollouts and not set(self.ids) <= NO_PODS

    @property
    def untied(self) -> bool:
        """Whether it failed during the rollout, and nothing ties it to that."""
        return self.the_rollouts and set(self.ids) <= UNTIED


@dataclass(frozen=True, slots=True)
class Way:
    """What lies between client and pods: the balancers, what failed answers said, the client's own connections."""

    chain: Chain = field(default_factory=Chain)
    answers: Sequence[Answer] = ()
    connections: Callable[[], pd.DataFrame] | None = None  # read only where they may tell something
    limits: Limits | None = None  # where streams were held instead of requests sent


@dataclass(frozen=True, slots=True)
class Explained:
    """The causes, the largest first; per pod (by uid) what was lost around its end; and what the baseline explains."""

    causes: tuple[Cause, ...] = ()
    pod_losses: Mapping[str, PodLosses] = field(default_factory=dict)
    background: Background = field(default_factory=Background)
    # The failed hits themselves: when each ended, how, its ids, and what fitted it.
    done_ns: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    kind: NDArray[np.int16] = field(default_factory=lambda: np.zeros(0, dtype=np.int16))
    labels: tuple[tuple[str, ...], ...] = ()
    match: Match | None = None


def explain(
    hits: AllHits,
    timeline: Timeline,
    numbers: Numbers,
    surroundings: Surroundings,
    log: Mapping[tuple[int, int], Entry] | None = None,
    way: Way | None = None,
) -> Explained:
    """Explain every failed hit that ended after the trigger.

    `log` is what an access log says by (worker, seq); `hits` must then have the column seq.
    """
    if not timeline.triggered:
        return Explained()
    failed = hits.failed
    lost = failed.where(failed.done_ns >= timeline.zero_ns)
    if not len(lost):
        return Explained()
    way = way or Way()
    pinned = pods_of_connections(hits, lost)
    entries = logged(lost, log or {})
    said = meanings(lost, way.answers, way.chain, surroundings.methods, entries)
    at_once = (lost.done_ns - lost.begun_ns < AT_ONCE_NS) & ((said & int(REFUSAL)) != 0)
    slowest_ns = longest_ns(hits, timeline)
    may_queue, queued = crowded(hits, lost, (said & int(SILENCE)) != 0, slowest_ns)
    context = Context(
        timeline=replace(timeline, pods=assumed(timeline.pods)),
        traffic={pod.pod: pod for pod in numbers.pods},
        surroundings=surroundings,
        departed=departures(hits, timeline, numbers) if pinned is None else {},
        episode_end=episodes(lost.done_ns),
        empty=without_endpoint(timeline.pods),
        chain=way.chain,
        meanings=said,
        crowded=may_queue,
        queued=queued,
        turned_away_ns=np.sort(lost.done_ns[at_once]),
        slowest_ns=slowest_ns,
    )
    found = match(lost, context, pinned, entries)
    tied = tied_to_pods(found)
    of_pods = requests_of(hits, lost, found, timeline) if tied.any() else 0
    limits = way.limits or Limits()
    beside = background(hits, lost, timeline, tied, of_pods, limits.apart)
    own_doing = own_reloads(lost, context, way.connections) if pinned is None else []
    no_pods = Beside(
        began_early(lost, beside.is_background, timeline),
        lost_to(own_doing, lost, context.meanings, context.in_flight_ns),
        after_removal(lost, timeline),
        consequences(lost, context),
    )
    labels = label(lost, found, beside.is_background, context, no_pods, crossings(hits, lost, found, context))
    labels = cut_by_balancer(labels, lost, found, context, way.limits)
    groups: dict[tuple[str, ...], NDArray[np.bool_]] = {}
    for ids in dict.fromkeys(labels):
        groups[ids] = np.fromiter((label == ids for label in labels), dtype=bool, count=len(lost))
    causes = [
        _cause(
            ids,
            mask,
            lost,
            found,
            context,
            numbers,
            told.by_log(mask, entries)
            + told.besides(ids, mask, lost, no_pods, own_doing, context)
            + ([] if way.limits else by_reuse(mask, lost, hits, direct=context.chain.direct))
            + of_cut_streams(ids, mask, lost, found.pod, way.limits),
        )
        for ids, mask in groups.items()
    ]
    causes = [told.of_streams(cause) for cause in causes] if way.limits is not None else causes
    apart = limits.apart(lost)
    causes = [replace(cause, apart=bool(apart[groups[cause.ids]].all())) for cause in causes]
    ranked = tuple(sorted(causes, key=lambda cause: (-cause.hits, cause.ids)))
    pod_losses = _pod_losses(groups, lost, found, timeline)
    return Explained(ranked, pod_losses, beside, lost.done_ns, lost.kind, tuple(labels), found)


def _pod_losses(
    groups: Mapping[tuple[str, ...], NDArray[np.bool_]], lost: Hits, found: Match, timeline: Timeline
) -> dict[str, PodLosses]:
    """Tell for each pod which failed hits fit its end, of those that were given such a cause."""
    losses: dict[str, PodLosses] = {}
    late = least_late(groups, lost, found, timeline)
    for number, pod in enumerate(timeline.pods):
        masks = []
        for rules in (AFTER_STOP, AT_EXIT, {"A2"}):
            mask = np.zeros(len(lost), dtype=bool)
            for (row, of), fits in found.fits.items():
                if of == number and RULES[row].id in rules:
                    for ids, group in groups.items():
                        if RULES[row].id in ids:
                            mask |= fits & group
            masks.append(mask)
        after, cut, bad = masks
        if after.any() or cut.any() or bad.any():
            losses[pod.uid] = PodLosses(
                after_stop=int(after.sum()),
                last_begun_ns=int(lost.begun_ns[after].max()) if after.any() else None,
                late_least_ns=late.get(number, 0),
                cut=int(cut.sum()),
                cut_ns=int((lost.done_ns - lost.begun_ns)[cut].max(initial=0)),
                bad_until_ns=int(lost.done_ns[bad].max()) if bad.any() else None,
            )
    return losses


def _cause(
    ids: tuple[str, ...],
    mask: NDArray[np.bool_],
    lost: Hits,
    found: Match,
    context: Context,
    numbers: Numbers,
    besides: list[str],
) -> Cause:
    rules, crossed = told.rules_of(ids, mask, found)
    shares: dict[tuple[int, int], int] = {
        key: n
        for key, fits in found.fits.items()
        if RULES[key[0]].id in ids and (n := int((fits & mask).sum()))
    }
    zero = context.timeline.zero_ns
    done = lost.done_ns[mask]
    diagnosis = ""
    if ids == (NOT_THE_ROLLOUT,):
        diagnosis = diagnosis_of(lost, mask, context.meanings, fitting(found, "D7"))
    elif ids == (UNEXPLAINED,) and here_and_there(done):
        diagnosis = "C2" if idle_close(lost, mask, context.meanings) else ""
    if ids in {(NOT_THE_ROLLOUT,), (UNEXPLAINED,)}:
        name, fixes = plain(ids[0], diagnosis)
        confidence = BY_TIME
        evidence = plain_evidence(ids[0], lost, mask, numbers, diagnosis)
    else:
        name = ", or ".join(dict.fromkeys(rule.name for _, rule in rules))
        doubted = told.may_have_crossed(ids, lost, mask) or told.of_an_assumed_exit(ids, mask, found, context)
        sure = (bool((found.pod[mask] >= 0).all()) and not doubted) or ids == ("E1",)
        confidence = ONE_OF if len(ids) > 1 else EXACT if sure else BY_TIME
        fixes = told.fixes(rules, shares, context)
        evidence = told.evidence(shares, context) + (told.CROSSED if crossed else [])
    pods: dict[int, int] = {}
    for (_, number), n in shares.items():
        pods[number] = max(pods.get(number, 0), n)
    return Cause(
        ids=ids,
        name=name,
        confidence=confidence,
        hits=int(mask.sum()),
        kinds=lost.counts(mask),
        first_ns=int(done.min()),
        last_ns=int(done.max()),
        pods=tuple(
            PodShare(pod.name, pod.old, n, pod.uid)
            for pod, n in ((context.timeline.pods[number], n) for number, n in sorted(pods.items()))
        ),
        evidence=(*besides, *evidence)
        or (f"from {at(int(done.min()), zero)} to {at(int(done.max()), zero)}",),
        mend=fixes,
        spread_by=told.telling_apart(numbers, context) if confidence == ONE_OF else "",
        diagnosis=diagnosis,
    )
