"""Which rules fit which failed hits, and which of those that fit gives the hit its label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.clock import NS
from harness.judge.balancers.meaning import TIMED_OUT, Meaning
from harness.judge.causes.context import FOREVER, LAGS, LONG_NS, Context, Window
from harness.judge.causes.rules import AFTER_STOP, CUT_OFF, RULES
from harness.judge.numbers.hits import IDEMPOTENT
from harness.judge.timeline.clocks import SLACK

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from harness.judge.causes.rules import Rule
    from harness.judge.numbers.hits import Hits
    from harness.judge.numbers.piecewise.allhits import AllHits
    from harness.judge.timeline.lifeline import Lifeline
    from harness.judge.timeline.timeline import Timeline
    from harness.recording.upstreams import Entry

NOT_THE_ROLLOUT, UNEXPLAINED = "not the rollout", "unexplained"
_EPISODE_GAP_NS = 2 * NS
TOGETHER_NS = 20_000_000

Fits = dict[tuple[int, int], "NDArray[np.bool_]"]


@dataclass(frozen=True, slots=True)
class Match:
    """Which rule fits which hits by way of which pod, and the pods of hits whose pod is known."""

    fits: dict[tuple[int, int], NDArray[np.bool_]]  # (rule, pod) by index -> hits
    pod: NDArray[np.int64]  # the pod a hit is known to belong to, -1 otherwise


def match(
    lost: Hits,
    context: Context,
    pinned: NDArray[np.object_] | None = None,
    log: Sequence[Entry | None] | None = None,
) -> Match:
    """Try every rule on every pod, with the least lag first; a hit that is explained is not tried again.

    `pinned` names the pod that each lost hit's connection leads to, where connections lead to one pod each;
    `log` is what the balancer's log says of each, which may be the pod's address.
    """
    took = lost.done_ns - lost.begun_ns
    known = known_pods(lost, context.timeline.pods, pinned)
    if log is not None:
        by_address = {pod.address: number for number, pod in enumerate(context.timeline.pods) if pod.address}
        by_log = np.array(
            [by_address.get(entry.address, -1) if entry else -1 for entry in log], dtype=np.int64
        )
        known = np.where(by_log >= 0, by_log, known)
    may = [_may(rule, lost, context, pinned) for rule in RULES]
    fits: dict[tuple[int, int], NDArray[np.bool_]] = {}
    open_ = np.ones(len(lost), dtype=bool)
    once_more = np.zeros(
        len(lost), dtype=bool
    )  # explained by a rule that yields: tried with the next lag too
    for lag_ns in LAGS:
        explained, soon = np.zeros(len(lost), dtype=bool), np.zeros(len(lost), dtype=bool)
        for row, rule in enumerate(RULES):
            of_rule = open_ & may[row]
            if not of_rule.any():
                continue
            for number, pod in enumerate(context.timeline.pods):
                window = rule.window(pod, context, lag_ns)
                if window is None:
                    continue
                mask = of_rule & _of_pod(rule, known, number)
                mask &= _within(window, lost.begun_ns, lost.done_ns, took)
                if mask.any():
                    fits[row, number] = fits.get((row, number), np.zeros(len(lost), dtype=bool)) | mask
                    likelier = context.may_be(rule.yields_to)
                    explained |= mask & ~likelier
                    if rule.side != "whole":
                        soon |= mask & likelier
        open_ &= ~explained & ~once_more
        once_more = soon
        if not open_.any():
            break
    return Match(one_cause_per_burst(fits, lost, context.may_be(CUT_OFF)), known)


def one_cause_per_burst(fits: Fits, lost: Hits, may_be_cut: NDArray[np.bool_]) -> Fits:
    """Drop, for each burst of cut requests, what fits fewer of them than another rule or pod of the stop side does.

    Requests cut within 20 ms share a cause: the explanation that covers most of them is kept.
    """
    cut = np.flatnonzero(may_be_cut & (lost.done_ns - lost.begun_ns > LONG_NS))
    stops = [key for key in fits if RULES[key[0]].side == "stop"]
    if len(cut) < 2 or len(stops) < 2:
        return fits
    kept = {key: fit.copy() if key in stops else fit for key, fit in fits.items()}
    cut = cut[np.argsort(lost.done_ns[cut], kind="stable")]
    for burst in np.split(cut, np.flatnonzero(np.diff(lost.done_ns[cut]) > TOGETHER_NS) + 1):
        covered = {key: int(fits[key][burst].sum()) for key in stops}
        most = max(covered.values())
        best = np.zeros(len(burst), dtype=bool)
        for key in stops:
            if covered[key] == most:
                best |= fits[key][burst]
        for key in stops:
            if 0 < covered[key] < most:
                kept[key][burst[best]] = False
    return {key: fit for key, fit in kept.items() if fit.any()}


def _may(rule: Rule, lost: Hits, context: Context, pinned: NDArray[np.object_] | None) -> NDArray[np.bool_]:
    """Say which hits a rule may explain at all, whenever they failed."""
    mask = context.may_be(rule.meanings)
    if rule.in_flight and not context.chain.unknown:
        waited = lost.done_ns - lost.begun_ns > context.in_flight_ns
        mask &= ~(waited & context.may_be(TIMED_OUT | Meaning.BALANCER))
    if rule.queued_only:
        mask &= context.crowded
    if rule.unsafe_only:
        mask &= _unsafe(lost, context.surroundings.methods)
    if rule.pinned_only:
        mask &= (lost.frame["conn_hits"].to_numpy() > 0) & (pinned is not None)
    return mask


def _of_pod(rule: Rule, known: NDArray[np.int64], number: int) -> NDArray[np.bool_]:
    """Say which hits may have gone to a pod, as far as a rule cares."""
    if rule.of_any_pod:
        return np.ones(len(known), dtype=bool)
    unknown: NDArray[np.bool_] = known == -1
    this: NDArray[np.bool_] = known == number
    if rule.unknown_pod_only:
        return unknown
    return this if rule.known_pod_only else this | unknown


def logged(lost: Hits, log: Mapping[tuple[int, int], Entry]) -> list[Entry | None] | None:
    """Return what the balancer's log says of each lost hit; None without a log."""
    if not log:
        return None
    rows = zip(lost.frame["worker"].tolist(), lost.frame["seq"].tolist(), strict=True)
    return [log.get(row) for row in rows]


def least_late(
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


def fitting(found: Match, name: str) -> NDArray[np.bool_]:
    """Say which hits a rule with this id fits, by way of whichever pod."""
    mask = np.zeros(len(found.pod), dtype=bool)
    for (row, _), fits in found.fits.items():
        if RULES[row].id == name:
            mask |= fits
    return mask


def tied_to_pods(found: Match) -> NDArray[np.bool_]:
    """Say which hits a rule ties to a pod that is known, and that came or went."""
    mask = np.zeros(len(found.pod), dtype=bool)
    for (row, number), fits in found.fits.items():
        if RULES[row].side in {"start", "stop"}:
            mask |= fits & (found.pod == number)
    return mask


def requests_of(hits: AllHits, lost: Hits, found: Match, timeline: Timeline) -> int:
    """Count the requests to pods that came or went, from then on; 0 where that is not known of good ones.

    All such pods count, also those that lost nothing: else even a clean rollout's share of failures looks high.
    """
    zero_ns = timeline.zero_ns
    since_ns = np.full(len(timeline.pods) + 1, FOREVER, dtype=np.int64)  # the last: of no pod that is known
    for number, pod in enumerate(timeline.pods):
        if not pod.old or pod.deleted_ns is not None:
            since_ns[number] = max(zero_ns, (pod.deleted_ns or 0) - SLACK if pod.old else 0)
    good = named = answered = 0
    for piece in hits.pieces("pod", "peer", since_ns=zero_ns):
        known = known_pods(piece, timeline.pods, None)
        ours = piece.good & (piece.done_ns >= zero_ns)
        good += piece.count(ours)
        named += piece.count(ours & (known >= 0))
        answered += piece.count(ours & (piece.begun_ns >= since_ns[known]))
    if not named:
        return 0
    failed = int((lost.begun_ns >= since_ns[found.pod]).sum())
    # Answers that name nobody are taken to have gone to the same pods in the same shares.
    return failed + round(answered / (named / good))


def episodes(done_ns: NDArray[np.int64]) -> Episodes:
    """Find the runs of failures; `done_ns` is not empty."""
    ordered = np.sort(done_ns)
    breaks = np.flatnonzero(np.diff(ordered) > _EPISODE_GAP_NS)
    return Episodes(ordered[np.append(0, breaks + 1)], ordered[np.append(breaks, len(ordered) - 1)])


@dataclass(frozen=True, slots=True)
class Episodes:
    """Runs of failures with no pause of over 2 s within."""

    first_ns: NDArray[np.int64]
    last_ns: NDArray[np.int64]

    def __call__(self, t_ns: int) -> int:
        """Return the end of the run that is under way at `t_ns` or begins within 2 s of it; else `t_ns`."""
        index = int(np.searchsorted(self.last_ns, t_ns))
        if index < len(self.first_ns) and self.first_ns[index] <= t_ns + _EPISODE_GAP_NS:
            return int(self.last_ns[index])
        return t_ns


def _within(
    window: Window, begun: NDArray[np.int64], ended: NDArray[np.int64], took: NDArray[np.int64]
) -> NDArray[np.bool_]:
    early = np.where(took > LONG_NS, window.early_ns, 0) if window.early_ns else 0
    inside = (begun >= window.begun[0]) & (begun <= window.begun[1]) & (ended >= window.ended[0] - early)
    for paused, resumed in window.pauses:
        inside &= (begun <= paused) | (begun >= resumed)
    return np.asarray(
        inside & (ended <= window.ended[1]) & (took >= window.took[0]) & (took <= window.took[1])
    )


def _unsafe(lost: Hits, methods: Sequence[str]) -> NDArray[np.bool_]:
    """Say which hits' method may not be sent twice."""
    known = np.array([method not in IDEMPOTENT for method in methods] or [False])
    unsafe: NDArray[np.bool_] = known[np.minimum(lost.frame["target"].to_numpy(), len(known) - 1)]
    return unsafe


def known_pods(lost: Hits, pods: Sequence[Lifeline], pinned: NDArray[np.object_] | None) -> NDArray[np.int64]:
    """Say which pod each hit went to: the one that its response named, that its peer is, or that its connection leads
    to.
    """
    by_name = {pod.name: number for number, pod in enumerate(pods)}
    by_address = {pod.address: number for number, pod in enumerate(pods) if pod.address}
    known = np.full(len(lost), -1, dtype=np.int64)
    if pinned is not None:
        known = np.array([by_name.get(str(name), -1) for name in pinned], dtype=np.int64)
    for column, lookup in (("peer", by_address), ("pod", by_name)):
        coded = lost.frame[column].cat
        words = [str(word) for word in coded.categories]
        numbers = [
            lookup.get(word.rpartition(":")[0].strip("[]") if column == "peer" else word, -1)
            for word in words
        ]
        by_answer = np.array([*numbers, -1], dtype=np.int64)[coded.codes.to_numpy()]
        known = np.where(by_answer >= 0, by_answer, known)
    return known
