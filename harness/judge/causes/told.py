"""What people are told of a cause: its evidence, what fixes it behind the balancer that stands there, what would tell
a set apart.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from harness.judge.causes.connections import closings
from harness.judge.causes.context import LONG_NS
from harness.judge.causes.labels import early_evidence
from harness.judge.causes.rules import AFTER_STOP, AT_EXIT, RULES
from harness.judge.streams.causes import CUT_KINDS, WORDS
from harness.judge.wording import count, told

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from harness.judge.causes.causes import Cause
    from harness.judge.causes.connections import Reload
    from harness.judge.causes.context import Context
    from harness.judge.causes.labels import Beside
    from harness.judge.causes.matching import Match
    from harness.judge.causes.rules import Rule
    from harness.judge.numbers.hits import Hits
    from harness.judge.numbers.summary import Numbers
    from harness.recording.upstreams import Entry

_SHOWN_PODS = 4
_SHOWN_REASONS = 4
CROSSED = [
    (
        "other pods ended with requests in flight and cut none: a request that did not take long may have crossed the"
        " closing of its connection, and was not in flight then"
    )
]


def rules_of(
    ids: tuple[str, ...], mask: NDArray[np.bool_], found: Match
) -> tuple[list[tuple[int, Rule]], bool]:
    """Return the rows of the table that a group of hits was given its ids by; and whether one of the ids has none that
    fits: such a cause is possible only because the hits may have crossed a closing (labels.crossings).
    """
    used = {row for (row, _), fits in found.fits.items() if RULES[row].id in ids and (fits & mask).any()}
    rows = {
        row
        for row, rule in enumerate(RULES)
        if rule.id in ids and rule.also in {"", *ids} and (row in used or rule.side in {"own", "beside"})
    }
    covered = {name for row in rows for name in (RULES[row].id, RULES[row].also)}
    more = {row for row, rule in enumerate(RULES) if rule.id in {*ids} - covered and rule.side == "stop"}
    return [(row, RULES[row]) for row in sorted(rows | more)], bool(more)


def fixes(
    rules: Sequence[tuple[int, Rule]], shares: Mapping[tuple[int, int], int], context: Context
) -> tuple[str, ...]:
    """Return the lines of a cause's rules, each once; and how the balancer can ask another pod, where it is known and
    can.

    Waiting for the balancer to register a pod mends nothing that a preStop mends, so it is not named beside one.
    """
    stops = any(rule.side == "stop" for _, rule in rules)
    named = [(row, rule) for row, rule in rules if not (stops and rule.id == "A7")]
    lines = dict.fromkeys(_fix(rule, row, shares, context) for row, rule in named)
    retry = context.chain.families[-1].retry
    if retry and any(rule.id in AFTER_STOP for _, rule in named):
        lines[f"until then, at the balancer: {retry}"] = None
    return tuple(lines)


def _fix(rule: Rule, row: int, shares: Mapping[tuple[int, int], int], context: Context) -> str:
    """Return a rule's line with the names of this run. Values are left as {prestop} and so on: the advice decides
    them.
    """
    mine = [number for of_row, number in shares if of_row == row] or [number for _, number in shares]
    names = [context.timeline.pods[number].spec.container for number in mine]
    families = context.chain.families
    text = rule.fix.replace("{container}", names[-1] if names else "")
    if not any(family.gate for family in families):
        text = text.replace("{gate}", "")
    reload = families[0].reload
    return text.replace("{reload}", reload) if reload else text


def evidence(shares: Mapping[tuple[int, int], int], context: Context) -> list[str]:
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


def besides(
    ids: tuple[str, ...],
    mask: NDArray[np.bool_],
    lost: Hits,
    no_pods: Beside,
    own_doing: list[Reload],
    context: Context,
) -> list[str]:
    """Return what was seen besides the pods' own moments, of the hits in `mask`."""
    more: list[str] = []
    if "C8" in ids:
        more += closings(own_doing, context.timeline.zero_ns)
    if "E2" in ids:
        more += early_evidence(lost, mask & no_pods.early, context.timeline)
    if "E4" in ids:
        removals = [one for one in context.timeline.changes if one.kind in {"deleted", "service_deleted"}]
        more.append(told(removals, context.timeline.zero_ns))
    if after := int((mask & (no_pods.follows >= 0)).sum()):
        more.append(
            f"{count(after)} of them lost on a connection that the balancer had closed after an earlier failure on"
            " it, without saying so"
        )
    return more


def by_log(mask: NDArray[np.bool_], log: Sequence[Entry | None] | None) -> list[str]:
    """Say which reasons the balancer's log gives for the hits in `mask`, the most frequent first."""
    if log is None:
        return []
    reasons = Counter(
        entry.said for entry, of in zip(log, mask.tolist(), strict=True) if of and entry and entry.said
    )
    ranked = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{said} ({n:,})" for said, n in ranked[:_SHOWN_REASONS]]
    return [f"the balancer's log says {', '.join(shown)}"] if shown else []


def telling_apart(numbers: Numbers, context: Context) -> str:
    """Say which further knowledge would split a set."""
    bring = "the balancer's access log: zdtest report RUN --access-log FILE"
    known = "; or say which balancer it is: --balancer NAME" if context.chain.unknown else ""
    if numbers.named:
        return (
            "a failed answer names no pod, the balancer's access log does: zdtest report RUN --access-log"
            f" FILE{known}"
        )
    return f"let answers name their pod (a header such as X-Pod), or bring {bring}{known}"


def of_requests(causes: Sequence[Cause]) -> tuple[Cause, ...]:
    """Return the causes that are not about cut streams: no preStop is long enough to keep one."""
    return tuple(one for one in causes if not (set(one.ids) <= set(WORDS) and set(one.kinds) <= CUT_KINDS))


def of_streams(cause: Cause) -> Cause:
    """Return a cause in the words of streams, where what failed were streams and not handshakes."""
    known = [WORDS[name] for name in cause.ids if name in WORDS]
    if len(known) != len(cause.ids) or not set(cause.kinds) <= CUT_KINDS:
        return cause
    mend = dict.fromkeys(line for _, lines in known for line in lines)
    return dataclasses.replace(cause, name=", or ".join(name for name, _ in known), mend=tuple(mend))


def may_have_crossed(ids: tuple[str, ...], lost: Hits, mask: NDArray[np.bool_]) -> bool:
    """Whether what is called cut in flight (B2) may have met the closing of its connection instead: to know the pod
    does not tell the two apart, to have taken long does.
    """
    return ids == ("B2",) and bool((lost.done_ns[mask] - lost.begun_ns[mask] < LONG_NS).any())


def of_an_assumed_exit(ids: tuple[str, ...], mask: NDArray[np.bool_], found: Match, context: Context) -> bool:
    """Whether nobody saw how a pod ended to whose end these are put down: how it did decides among those causes."""
    pods = np.unique(found.pod[mask & (found.pod >= 0)]).tolist()
    return bool(AT_EXIT & {*ids}) and any(context.timeline.pods[number].exit_assumed for number in pods)
