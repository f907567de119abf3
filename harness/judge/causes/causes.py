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

from harness.judge.causes.connections import pods_of_connections
from harness.judge.causes.context import FOREVER, Context
from harness.judge.causes.diagnosis import diagnosis_of, plain, plain_evidence
from harness.judge.causes.left_balancer import departures
from harness.judge.causes.matching import (
    NOT_THE_ROLLOUT,
    UNEXPLAINED,
    Match,
    episodes,
    label,
    logged,
    match,
    requests_of,
    tied_to_pods,
)
from harness.judge.causes.rules import AFTER_STOP, AT_EXIT, RULES
from harness.judge.numbers.background import Background, background
from harness.judge.numbers.measured import PodLosses
from harness.judge.timeline.ending import assumed
from harness.judge.wording import at, count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from harness.judge.causes.rules import Rule
    from harness.judge.numbers.hits import Hits
    from harness.judge.numbers.summary import Numbers
    from harness.judge.timeline.surroundings import Surroundings
    from harness.judge.timeline.timeline import Timeline

EXACT, BY_TIME, ONE_OF = "exact", "by time", "one of a set"
_SHOWN_PODS = 4


@dataclass(frozen=True, slots=True)
class PodShare:
    """How many of a cause's hits fit one pod. By time, one hit may fit several."""

    pod: str
    old: bool
    hits: int


@dataclass(frozen=True, slots=True)
class Cause:
    """A named reason for a group of failed hits. `ids` has several members when they cannot be told apart.

    `evidence` and `mend` are lines for people; `mend` is what fixes it, and names values only once `cited` put them in. `spread_by` says what would tell the members of a set apart.
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
    diagnosis: str = ""  # of what is not the rollout: the id that its signature fits best

    @property
    def the_rollouts(self) -> bool:
        """Whether this counts against the rollout."""
        return self.ids not in {(NOT_THE_ROLLOUT,), ("E1",)}


@dataclass(frozen=True, slots=True)
class Explained:
    """The causes, the largest first; per pod (by uid) what was lost around its end; and what the baseline explains."""

    causes: tuple[Cause, ...] = ()
    pod_losses: Mapping[str, PodLosses] = field(default_factory=dict)
    background: Background = field(default_factory=Background)
    # The failed hits themselves, for whoever checks each label: when each ended, how, and its ids.
    done_ns: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    kind: NDArray[np.int16] = field(default_factory=lambda: np.zeros(0, dtype=np.int16))
    labels: tuple[tuple[str, ...], ...] = ()


def explain(
    hits: Hits,
    timeline: Timeline,
    numbers: Numbers,
    surroundings: Surroundings,
    upstreams: Mapping[tuple[int, int], str] | None = None,
) -> Explained:
    """Explain every failed hit that ended after the trigger.

    `upstreams` are the pods' addresses by (worker, seq) that an access log tells of; `hits` must then have the column seq.
    """
    if not timeline.triggered:
        return Explained()
    lost = hits.where(hits.failed & (hits.done_ns >= timeline.zero_ns))
    if not len(lost):
        return Explained()
    pinned = pods_of_connections(hits, lost)
    context = Context(
        timeline=replace(timeline, pods=assumed(timeline.pods)),
        traffic={pod.pod: pod for pod in numbers.pods},
        surroundings=surroundings,
        departed=departures(hits, timeline, numbers) if pinned is None else {},
        episode_end=episodes(lost.done_ns),
    )
    found = match(lost, context, pinned, logged(lost, upstreams or {}))
    tied = tied_to_pods(found)
    of_pods = requests_of(hits, lost, found, timeline) if tied.any() else 0
    beside = background(hits, lost, timeline, tied, of_pods)
    labels = label(lost, found, beside.is_background)
    groups: dict[tuple[str, ...], NDArray[np.bool_]] = {}
    for ids in dict.fromkeys(labels):
        groups[ids] = np.fromiter((label == ids for label in labels), dtype=bool, count=len(lost))
    causes = [_cause(ids, mask, lost, found, context, numbers) for ids, mask in groups.items()]
    ranked = tuple(sorted(causes, key=lambda cause: (-cause.hits, cause.ids)))
    pod_losses = _pod_losses(groups, lost, found, timeline)
    return Explained(ranked, pod_losses, beside, lost.done_ns, lost.kind, tuple(labels))


def _pod_losses(
    groups: Mapping[tuple[str, ...], NDArray[np.bool_]], lost: Hits, found: Match, timeline: Timeline
) -> dict[str, PodLosses]:
    """Tell for each pod which failed hits fit its end, of those that were given such a cause."""
    losses: dict[str, PodLosses] = {}
    late = _least_late(groups, lost, found, timeline)
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


def _least_late(
    groups: Mapping[tuple[str, ...], NDArray[np.bool_]], lost: Hits, found: Match, timeline: Timeline
) -> dict[int, int]:
    """Return by pod the longest from its deletion to a request that came to a pod no longer listening, for certain.

    Only requests with no other explanation count, and each with the latest deletion that fits it.
    """
    sure = np.zeros(len(lost), dtype=bool)
    for ids, group in groups.items():
        if set(ids) <= AFTER_STOP:
            sure |= group
    age = np.full(len(lost), FOREVER)
    of = np.full(len(lost), -1)
    for (row, number), fits in found.fits.items():
        deleted_ns = timeline.pods[number].deleted_ns
        if RULES[row].id in AFTER_STOP and deleted_ns is not None:
            since = np.maximum(lost.begun_ns - deleted_ns, 0)
            closer = fits & sure & (since < age)
            age[closer], of[closer] = since[closer], number
    return {int(number): int(age[of == number].max()) for number in np.unique(of[of >= 0])}


def _cause(
    ids: tuple[str, ...],
    mask: NDArray[np.bool_],
    lost: Hits,
    found: Match,
    context: Context,
    numbers: Numbers,
) -> Cause:
    used = {row for row, _ in found.fits}
    rules = [
        (row, rule)
        for row, rule in enumerate(RULES)
        if rule.id in ids and rule.also in {"", *ids} and (row in used or rule.side == "own")
    ]
    shares: dict[tuple[int, int], int] = {
        key: n
        for key, fits in found.fits.items()
        if RULES[key[0]].id in ids and (n := int((fits & mask).sum()))
    }
    zero = context.timeline.zero_ns
    done = lost.done_ns[mask]
    if ids in {(NOT_THE_ROLLOUT,), (UNEXPLAINED,)}:
        name, fixes = plain(ids[0])
        confidence = BY_TIME
        evidence = plain_evidence(ids[0], lost, mask, numbers)
    else:
        name = ", or ".join(dict.fromkeys(rule.name for _, rule in rules))
        known = bool((found.pod[mask] >= 0).all()) or ids == ("E1",)
        confidence = ONE_OF if len(ids) > 1 else EXACT if known else BY_TIME
        fixes = tuple(dict.fromkeys(_fix(rule, row, shares, context) for row, rule in rules))
        evidence = _evidence(shares, context)
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
            PodShare(context.timeline.pods[number].name, context.timeline.pods[number].old, n)
            for number, n in sorted(pods.items())
        ),
        evidence=tuple(evidence) or (f"from {at(int(done.min()), zero)} to {at(int(done.max()), zero)}",),
        mend=fixes,
        spread_by=_telling_apart(numbers) if confidence == ONE_OF else "",
        diagnosis=diagnosis_of(lost, mask) if ids == (NOT_THE_ROLLOUT,) else "",
    )


def _fix(rule: Rule, row: int, shares: Mapping[tuple[int, int], int], context: Context) -> str:
    """Return a rule's line with the names of this run. Values are left as {prestop} and so on: the advice decides them."""
    names = [context.timeline.pods[number].spec.container for of_row, number in shares if of_row == row]
    return rule.fix.replace("{container}", names[-1] if names else "")


def _telling_apart(numbers: Numbers) -> str:
    """Say which further knowledge would split a set."""
    if numbers.named:
        return "a failed answer names no pod, the balancer's access log does: zdtest report RUN --access-log FILE"
    return "let answers name their pod (a header such as X-Pod), or bring the balancer's access log: zdtest report RUN --access-log FILE"


def _evidence(shares: Mapping[tuple[int, int], int], context: Context) -> list[str]:
    """Return a line per pod, those with most hits first."""
    lines: list[str] = []
    ranking = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    for (row, number), n in ranking[:_SHOWN_PODS]:
        pod = context.timeline.pods[number]
        story = RULES[row].evidence(pod, context)
        if story:
            lines.append(
                f"{pod.name} ({'old' if pod.old else 'new'}): {story}; {count(n)} failed in its window"
            )
    if len(ranking) > _SHOWN_PODS:
        lines.append(f"... and {count(len(ranking) - _SHOWN_PODS, 'more pod')} in the same way")
    return lines
