"""What a rollout measures by itself: how long pods take to serve, how long traffic still comes to a pod that goes, how
long it takes to go. One row per pod, and the spread over all pods.

The data plane's lag is the time from a pod's leaving the endpoints to the last request that it received. Answers that
name their pod tell of requests received. A pod that stops listening while traffic still comes cannot tell when traffic
stopped: its number is *at least* what was seen ("censored"), and no bound from above.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from harness.clock import NS
from harness.judge.numbers.piecewise.ranks import Ranks
from harness.judge.timeline.clocks import SLACK
from harness.judge.timeline.ending import stop_ns
from harness.model import Phase

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.judge.numbers.piecewise.allhits import AllHits
    from harness.judge.numbers.summary import Numbers
    from harness.judge.timeline.lifeline import Lifeline
    from harness.judge.timeline.timeline import Timeline

# A pod must have listened this long without a request before its silence says that traffic had stopped,
QUIET_NS = NS // 4
QUIET_GAPS = 10  # and for this many times its usual gap between two requests
ANSWERED_LATE_NS = NS // 5  # an answer so long after SIGTERM is no accident of clocks


@dataclass(frozen=True, slots=True)
class PodLosses:
    """What failed around one pod, by all that fits it: an upper bound where answers name no pod."""

    after_stop: int = 0  # sent to it when it no longer listened
    last_begun_ns: int | None = None  # the latest of those
    late_least_ns: int = (
        0  # the longest from its deletion to a request that nothing else explains and no later deletion fits
    )
    cut: int = 0  # in flight when it ended
    cut_ns: int = 0  # how long the longest of those had taken
    bad_until_ns: int | None = None  # the end of its last bad answer as a new pod


@dataclass(frozen=True, slots=True)
class PodMeasured:
    """What one pod's life and traffic measure; None where it cannot be known.

    `listen_ns` from the container's start to the first sign of listening (its first good answer, or its readiness where
    a probe asked for it): known to about 1 s, for Kubernetes tells starts in whole seconds. `serve_ns` from Ready to
    the first good answer. `lag_ns` from leaving the endpoints, `reach_ns` from the deletion, to the last request that
    the pod received; with `censored` it is at least that. `exit_ns` from the deletion to the exit. `drain_ns` from
    SIGTERM (inferred) to the exit. `drains`: it was seen to answer, after SIGTERM, what it had before it.
    """

    pod: str
    old: bool
    listen_ns: int | None = None
    serve_ns: int | None = None
    lag_ns: int | None = None
    reach_ns: int | None = None
    censored: bool = False
    exit_ns: int | None = None
    drain_ns: int | None = None
    drains: bool = False
    bad_until_ns: int | None = (
        None  # from the container's start to the last bad answer that named it, if it gave any
    )
    late_failure_ns: int | None = (
        None  # from the deletion to the last failed hit that fits its end: a bound from above
    )
    late_least_ns: int | None = (
        None  # ... that must have been sent to it, or to a pod deleted before it: a bound from below
    )
    failed_at_exit: int = 0  # in flight when the process ended; by time where answers do not name their pod


@dataclass(frozen=True, slots=True)
class Spread:
    """A number over several pods. `at_least`: some of them are lower bounds, so the percentiles and the maximum are."""

    count: int
    p50_ns: int
    p99_ns: int
    max_ns: int
    at_least: int = 0  # how many are lower bounds


@dataclass(frozen=True, slots=True)
class Tail:
    """How long requests take: good ones, and as a lower bound those that were cut when their pod ended."""

    p99_ns: int
    p999_ns: int
    max_ns: int
    cut_ns: int = 0  # the longest that was cut


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many pods took traffic during the rollout. *Serving*: in the endpoints, and known to listen.

    `worst_share` is the fewest good responses in a whole second of the rollout, over the mean second before it.
    """

    replicas: int
    least_endpoints: int
    least_serving: int
    below_ns: int  # how long fewer than `replicas` were serving
    worst_share: float | None


@dataclass(frozen=True, slots=True)
class Measured:
    """All numbers of a rollout."""

    pods: tuple[PodMeasured, ...]
    listen: Spread | None
    serve: Spread | None
    lag: Spread | None
    reach: Spread | None
    exit: Spread | None
    drain: Spread | None
    tail: Tail | None
    outage_ns: int
    capacity: Capacity | None


def measure_rollout(
    hits: AllHits, timeline: Timeline, numbers: Numbers, pod_losses: Mapping[str, PodLosses], replicas: int
) -> Measured | None:
    """Measure; None for a run without pods. `pod_losses` is by uid, what the causes say of each pod."""
    if not timeline.pods:
        return None
    mine = _by_pod(hits, timeline, numbers)
    pods = tuple(
        _pod(pod, mine.get(pod.name), pod_losses.get(pod.uid), timeline.triggered) for pod in timeline.pods
    )
    outage = numbers.outage
    return of_pods(
        pods,
        tail=_tail(hits, pod_losses.values()),
        outage_ns=outage.to_ns - outage.from_ns if outage else 0,
        capacity=_capacity(timeline, numbers, replicas),
    )


def of_pods(
    pods: tuple[PodMeasured, ...], *, tail: Tail | None, outage_ns: int, capacity: Capacity | None
) -> Measured:
    """Put the numbers of pods together with those of the whole."""
    return Measured(
        pods=pods,
        listen=spread((pod.listen_ns, False) for pod in pods if not pod.old),
        serve=spread((pod.serve_ns, False) for pod in pods if not pod.old),
        lag=spread((pod.lag_ns, pod.censored) for pod in pods),
        reach=spread((pod.reach_ns, pod.censored) for pod in pods),
        exit=spread((pod.exit_ns, False) for pod in pods),
        drain=spread((pod.drain_ns, False) for pod in pods),
        tail=tail,
        outage_ns=outage_ns,
        capacity=capacity,
    )


def spread(values: Iterable[tuple[int | None, bool]]) -> Spread | None:
    """Return the spread of (value, is a lower bound); None without any value."""
    known = sorted((value, bound) for value, bound in values if value is not None)
    if not known:
        return None
    ranked = [value for value, _ in known]
    return Spread(
        count=len(ranked),
        p50_ns=ranked[(len(ranked) - 1) // 2],
        p99_ns=ranked[min(len(ranked) - 1, int(0.99 * len(ranked)))],
        max_ns=ranked[-1],
        at_least=sum(bound for _, bound in known),
    )


@dataclass(frozen=True, slots=True)
class _Traffic:
    """The good hits that named one pod: the first end, the last begin; how many were begun within 2 s of that, and when
    the first of these; whether one was begun before SIGTERM and answered late after it.
    """

    first_ns: int
    last_ns: int
    recent: int = 0
    since_ns: int = 0
    drained: bool = False


def _by_pod(hits: AllHits, timeline: Timeline, numbers: Numbers) -> dict[str, _Traffic]:
    traffic = {pod.pod: pod for pod in numbers.pods}
    found: dict[str, _Traffic] = {}
    for pod in timeline.pods:
        seen = traffic.get(pod.name)
        if seen is not None and seen.first_good_ns is not None and seen.last_good_begun_ns is not None:
            last_ns = seen.last_good_begun_ns
            found[pod.name] = _Traffic(seen.first_good_ns, last_ns, since_ns=last_ns)
    going = [(pod.name, stop_ns(pod)) for pod in timeline.pods if pod.name in found]
    stops = {name: stopped for name, stopped in going if stopped is not None}
    if not stops:
        return found
    begins = [found[name].last_ns - 2 * NS for name in stops]
    code_of = {name: code for code, name in enumerate(hits.words)}
    for piece in hits.pieces("pod", since_ns=min(*begins, *stops.values())):
        codes = piece.frame["pod"].cat.codes.to_numpy()
        for name, stopped in stops.items():
            known, begun = found[name], piece.begun_ns
            recent = begun > known.last_ns - 2 * NS
            drained = (begun < stopped) & (piece.done_ns > stopped + ANSWERED_LATE_NS)
            rows = np.flatnonzero((recent | drained) & piece.good & (codes == code_of[name]))
            if not len(rows):
                continue
            mine, some = recent[rows], piece.at(rows)
            found[name] = replace(
                known,
                recent=known.recent + some.count(mine),
                since_ns=min(known.since_ns, int(some.begun_ns[mine].min(initial=known.since_ns))),
                drained=known.drained or bool(drained[rows].any()),
            )
    return found


def _pod(
    pod: Lifeline,
    traffic: _Traffic | None,
    losses: PodLosses | None,
    triggered: bool,  # noqa: FBT001
) -> PodMeasured:
    first_ns = traffic.first_ns if traffic else None
    signs = [first_ns] if first_ns is not None else []
    if pod.ready_ns is not None and pod.spec.readiness_probe:
        signs.append(pod.ready_ns)
    stopped = stop_ns(pod)
    lag, reach, censored = _lag(pod, traffic, losses, stopped) if triggered else (None, None, False)
    return PodMeasured(
        pod=pod.name,
        old=pod.old,
        listen_ns=_after(pod.started_ns, min(signs, default=None)) if not pod.old else None,
        serve_ns=_after(pod.ready_ns, first_ns) if not pod.old else None,
        lag_ns=lag,
        reach_ns=reach,
        censored=censored,
        exit_ns=_after(pod.deleted_ns, pod.exited_ns),
        drain_ns=_after(stopped, pod.exited_ns),
        drains=bool(traffic and traffic.drained),
        bad_until_ns=_after(pod.started_ns, losses.bad_until_ns if losses else None),
        late_failure_ns=_after(pod.deleted_ns, losses.last_begun_ns if losses else None),
        late_least_ns=losses.late_least_ns or None if losses else None,
        failed_at_exit=losses.cut if losses else 0,
    )


def _after(from_ns: int | None, to_ns: int | None) -> int | None:
    return None if from_ns is None or to_ns is None else max(to_ns - from_ns, 0)


def _lag(
    pod: Lifeline, traffic: _Traffic | None, losses: PodLosses | None, stopped: int | None
) -> tuple[int | None, int | None, bool]:
    """Return the lag, the reach, and whether they are only bounds from below."""
    if pod.deleted_ns is None or stopped is None:
        return None, None, False
    left = pod.out_of_endpoints_ns if pod.out_of_endpoints_ns is not None else pod.deleted_ns
    if traffic is None:
        if losses is None or not losses.after_stop:
            return None, None, False
        # All that is known: until it stopped it may have been sent requests, and afterwards something failed.
        return max(stopped - left, 0), stopped - pod.deleted_ns, True
    last = traffic.last_ns
    if last > stopped + ANSWERED_LATE_NS:  # it goes on listening after SIGTERM
        heard_until = pod.exited_ns if pod.exited_ns is not None else stopped
    else:
        heard_until = min(stopped, pod.exited_ns + SLACK) if pod.exited_ns is not None else stopped
    gap = (last - traffic.since_ns) // max(traffic.recent - 1, 1) if traffic.recent > 1 else NS // 10
    quiet = max(QUIET_NS, QUIET_GAPS * gap)
    censored = heard_until - last < quiet or bool(losses and losses.after_stop)
    return max(last - left, 0), max(last - pod.deleted_ns, 0), censored


def _tail(hits: AllHits, pod_losses: Iterable[PodLosses]) -> Tail | None:
    ranks, more = Ranks(1, _tail_ranks, hits.rows), True
    while more:
        for piece in hits.pieces():
            good = piece.good
            ranks.add(0, piece.waited_ns[good], None if piece.weight is None else piece.weight[good])
        more = ranks.again()
    count = int(ranks.counts[0])
    if not count:
        return None
    p99, p999 = (ranks.at(0, rank) for rank in _tail_ranks(count))
    return Tail(
        p99_ns=p99,
        p999_ns=p999,
        max_ns=int(ranks.largest[0]),
        cut_ns=max((pod.cut_ns for pod in pod_losses), default=0),
    )


def _tail_ranks(count: int) -> list[int]:
    return [min(int(p * count), count - 1) for p in (0.99, 0.999)]


def _capacity(timeline: Timeline, numbers: Numbers, replicas: int) -> Capacity | None:
    """Walk over every moment at which a pod came into the endpoints, left them, or first answered."""
    during = timeline.phase(Phase.DURING)
    if during is None:
        return None
    first = {pod.pod: pod.first_good_ns for pod in numbers.pods}
    stretches = [
        (start, max(start, first.get(pod.name) or start), stop if stop is not None else during.to_ns)
        for pod in timeline.pods
        for start, stop in pod.endpoints
    ]
    moments = sorted(
        {during.from_ns, during.to_ns}
        | {t for stretch in stretches for t in stretch if during.from_ns < t < during.to_ns}
    )
    rows = [
        (
            until - since,
            sum(start <= since < stop for start, _, stop in stretches),
            sum(serving <= since < stop for _, serving, stop in stretches),
        )
        for since, until in pairwise(moments)
    ]
    if not rows:
        return None
    return Capacity(
        replicas=replicas,
        least_endpoints=min(row[1] for row in rows),
        least_serving=min(row[2] for row in rows),
        below_ns=sum(row[0] for row in rows if row[2] < replicas),
        worst_share=_worst_share(timeline, numbers),
    )


def _worst_share(timeline: Timeline, numbers: Numbers) -> float | None:
    before, during = timeline.phase(Phase.BEFORE), timeline.phase(Phase.DURING)
    if before is None or during is None:
        return None
    good = {row.second: row.completed - sum(row.failed.values()) for row in numbers.seconds}
    first, last = (before.from_ns - timeline.zero_ns) // NS + 1, (during.to_ns - timeline.zero_ns) // NS
    calm = [good.get(second, 0) for second in range(first, 0)]
    mean = sum(calm) / len(calm) if calm else 0.0
    return min((good.get(second, 0) for second in range(last)), default=0) / mean if mean and last else None
