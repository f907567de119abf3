"""Failed hits x lifelines -> causes, by the table in rules.py.

Every failed hit that ended after the trigger gets exactly one of: a cause that is exact (its pod is known, or
the fault is our own), a cause by time, a set that cannot be told apart, "not the rollout" (as frequent in the
control window), or "unexplained". Pods are known from the pod that a response names, and from the peer when
connections go straight to pods.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from harness.clock import NS
from harness.judge.connections import pods_of_connections
from harness.judge.matching import NOT_THE_ROLLOUT, UNEXPLAINED, Match, as_before, episodes, label, match
from harness.judge.rules import AFTER_STOP, AT_EXIT, RULES
from harness.judge.windows import FOREVER, Scene
from harness.judge.wording import at, count, lasting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from harness.judge.hits import Hits
    from harness.judge.summary import Numbers
    from harness.judge.timeline import Timeline

EXACT, BY_TIME, ONE_OF = "exact", "by time", "one of a set"
_SHOWN_PODS = 4
FAST_NS = NS // 4  # a balancer that finds its connection closed says so at once
_DIAGNOSES = {
    "C2": "C2: fast failures all the time: idle connections are closed under the balancer's hands; the app's keep-alive must outlast the balancer's "
    "idle timeout (or an unhealthy backend answers)",
    "C7": "C7: answers that never come all the time: requests outlast the balancer's idle timeout, or a backend hangs",
    "E1": "E1: this client gave up: its --timeout is shorter than what some requests take",
}


@dataclass(frozen=True, slots=True)
class PodShare:
    """How many of a cause's hits fit one pod. By time, one hit may fit several."""

    pod: str
    old: bool
    hits: int


@dataclass(frozen=True, slots=True)
class Cause:
    """A named reason for a group of failed hits. `ids` has several members when they cannot be told apart.

    `evidence` and `mend` are lines for people. `spread_by` says what would tell the members of a set apart.
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
class Struck:
    """What failed around one pod, by all that fits it: an upper bound where answers name no pod."""

    after_stop: int = 0  # sent to it when it no longer listened
    last_begun_ns: int | None = None  # the latest of those
    cut: int = 0  # in flight when it ended
    cut_ns: int = 0  # how long the longest of those had taken
    bad_until_ns: int | None = None  # the end of its last bad answer as a new pod


@dataclass(frozen=True, slots=True)
class Explained:
    """The causes, the largest first; and per pod (by uid) what struck it at its end."""

    causes: tuple[Cause, ...] = ()
    struck: Mapping[str, Struck] = field(default_factory=dict)
    # The failed hits themselves, for whoever checks each label: when each ended, how, and its ids.
    done_ns: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    kind: NDArray[np.int16] = field(default_factory=lambda: np.zeros(0, dtype=np.int16))
    labels: tuple[tuple[str, ...], ...] = ()


def explain(
    hits: Hits, timeline: Timeline, numbers: Numbers, strategy: str, *, published: bool = False
) -> Explained:
    """Explain every failed hit that ended after the trigger."""
    if not timeline.triggered:
        return Explained()
    lost = hits.where(hits.failed & (hits.done_ns >= timeline.zero_ns))
    if not len(lost):
        return Explained()
    scene = Scene(
        timeline=timeline,
        traffic={pod.pod: pod for pod in numbers.pods},
        published=published,
        strategy=strategy,
        episode_end=episodes(lost.done_ns),
    )
    found = match(lost, scene, pods_of_connections(hits, lost))
    labels = label(lost, found, as_before(lost, timeline, numbers))
    groups: dict[tuple[str, ...], NDArray[np.bool_]] = {}
    for ids in dict.fromkeys(labels):
        groups[ids] = np.fromiter((label == ids for label in labels), dtype=bool, count=len(lost))
    causes = [_cause(ids, mask, lost, found, scene, numbers) for ids, mask in groups.items()]
    ranked = tuple(sorted(causes, key=lambda cause: (-cause.hits, cause.ids)))
    return Explained(ranked, _struck(groups, lost, found, timeline), lost.done_ns, lost.kind, tuple(labels))


def _struck(
    groups: Mapping[tuple[str, ...], NDArray[np.bool_]], lost: Hits, found: Match, timeline: Timeline
) -> dict[str, Struck]:
    """Tell for each pod which failed hits fit its end, of those that were given such a cause."""
    told: dict[str, Struck] = {}
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
            told[pod.uid] = Struck(
                after_stop=int(after.sum()),
                last_begun_ns=int(lost.begun_ns[after].max()) if after.any() else None,
                cut=int(cut.sum()),
                cut_ns=int((lost.done_ns - lost.begun_ns)[cut].max(initial=0)),
                bad_until_ns=int(lost.done_ns[bad].max()) if bad.any() else None,
            )
    return told


def _cause(
    ids: tuple[str, ...],
    mask: NDArray[np.bool_],
    lost: Hits,
    found: Match,
    scene: Scene,
    numbers: Numbers,
) -> Cause:
    used = {row for row, _ in found.fits}
    rules = [
        (row, rule)
        for row, rule in enumerate(RULES)
        if rule.id in ids and (row in used or rule.side == "own")
    ]
    shares: dict[tuple[int, int], int] = {
        key: n
        for key, fits in found.fits.items()
        if RULES[key[0]].id in ids and (n := int((fits & mask).sum()))
    }
    zero = scene.timeline.zero_ns
    done = lost.done_ns[mask]
    if ids in {(NOT_THE_ROLLOUT,), (UNEXPLAINED,)}:
        name, mend = _plain(ids[0])
        confidence = BY_TIME
        evidence = _plain_evidence(ids[0], lost, mask, numbers)
    else:
        name = " or: ".join(dict.fromkeys(rule.name for _, rule in rules))
        known = bool((found.pod[mask] >= 0).all()) or ids == ("E1",)
        confidence = ONE_OF if len(ids) > 1 else EXACT if known else BY_TIME
        mend = tuple(
            dict.fromkeys(
                f"{rule.mend.format(**_measured(row, shares, lost, found, mask, scene, numbers))}"
                for row, rule in rules
            )
        )
        evidence = _evidence(shares, scene)
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
            PodShare(scene.timeline.pods[number].name, scene.timeline.pods[number].old, n)
            for number, n in sorted(pods.items())
        ),
        evidence=tuple(evidence) or (f"from {at(int(done.min()), zero)} to {at(int(done.max()), zero)}",),
        mend=mend,
        spread_by=_telling_apart(numbers) if confidence == ONE_OF else "",
        diagnosis=_diagnosis(lost, mask) if ids == (NOT_THE_ROLLOUT,) else "",
    )


def _telling_apart(numbers: Numbers) -> str:
    """Say which further knowledge would split a set."""
    if numbers.named:
        return "a failed answer names no pod: the balancer's access log does"
    return "let answers name their pod (a header such as X-Pod), or read the balancer's access log"


def _evidence(shares: Mapping[tuple[int, int], int], scene: Scene) -> list[str]:
    """Return a line per pod, those with most hits first."""
    told: list[str] = []
    ranking = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    for (row, number), n in ranking[:_SHOWN_PODS]:
        pod = scene.timeline.pods[number]
        story = RULES[row].evidence(pod, scene)
        if story:
            told.append(
                f"{pod.name} ({'old' if pod.old else 'new'}): {story}; {count(n)} failed in its window"
            )
    if len(ranking) > _SHOWN_PODS:
        told.append(f"... and {count(len(ranking) - _SHOWN_PODS, 'more pod')} in the same way")
    return told


def _diagnosis(lost: Hits, mask: NDArray[np.bool_]) -> str:
    """Say what failures that the rollout has no part in look like: by their most frequent kind, and how long they took."""
    kind = next(iter(lost.counts(mask)))
    took_ns = int(np.median((lost.done_ns - lost.begun_ns)[mask]))
    if kind in {"read_timeout_headers", "read_timeout_body", "write_timeout", "connect_timeout"}:
        return "E1"  # this client gave up
    if kind == "504":
        return "C7"
    quick = {"502", "idle_close_race", "eof_before_response", "reset_before_response", "write_reset"}
    return "C2" if kind in quick and took_ns < FAST_NS else ""


def _measured(
    row: int,
    shares: Mapping[tuple[int, int], int],
    lost: Hits,
    found: Match,
    mask: NDArray[np.bool_],
    scene: Scene,
    numbers: Numbers,
) -> dict[str, str]:
    """Compute the numbers that a mending line may hold, from this run."""
    hook_ns = 0
    ports: set[int] = set()
    container = ""
    after = np.full(
        len(lost), FOREVER
    )  # how long after a deletion a hit began: of the pods that fit, the latest
    for of_row, number in shares:
        if of_row != row:
            continue
        pod = scene.timeline.pods[number]
        ports |= set(pod.spec.ports)
        container = pod.spec.container
        hook_ns = max(hook_ns, pod.spec.pre_stop_ns or 0)
        if pod.deleted_ns is not None:
            fits = found.fits[of_row, number] & mask
            after[fits] = np.minimum(after[fits], np.maximum(lost.begun_ns[fits] - pod.deleted_ns, 0))
    told = after[after < FOREVER]
    lag_ns = int(told.max(initial=0))
    longest_ns = max((p.latency.max_ns for p in numbers.parts if p.latency is not None), default=0)
    if RULES[row].id in {"B3", "B4", "B5"}:  # some were cut: the longest request is at least what those took
        longest_ns = max(longest_ns, int((lost.done_ns - lost.begun_ns)[mask].max()))
    prestop_s = (
        max(hook_ns // NS, math.ceil(lag_ns / NS) + 2)
        if RULES[row].id not in {"B3", "B4", "B5"}
        else hook_ns // NS
    )
    return {
        "prestop": f"{prestop_s} s (the last such request came {lasting(lag_ns)} after the deletion)"
        if RULES[row].id in {"B1", "C1", "C6", "B7"}
        else f"{prestop_s}",
        "grace": f"{prestop_s + math.ceil(longest_ns / NS) + 5}",
        "container": container,
        "port": f" ({', '.join(str(port) for port in sorted(ports))})" if ports else "",
    }


def _plain(label: str) -> tuple[str, tuple[str, ...]]:
    if label == NOT_THE_ROLLOUT:
        return "as frequent before the trigger: not the rollout", ()
    return "no rule fits: see timeline.png and the balancer's log for these seconds", ()


def _plain_evidence(label: str, lost: Hits, mask: NDArray[np.bool_], numbers: Numbers) -> list[str]:
    kinds = lost.counts(mask)
    if label != NOT_THE_ROLLOUT or numbers.control is None:
        return []
    control = numbers.control
    window = lasting(control.to_ns - control.from_ns)
    told = [
        f"{kind}: {count(n)} since the trigger, {count(control.kinds.get(kind, 0))} in the {window} before it"
        for kind, n in kinds.items()
    ]
    diagnosis = _diagnosis(lost, mask)
    return [*told, _DIAGNOSES[diagnosis]] if diagnosis else told
