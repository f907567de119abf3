"""A run as metrics: OpenMetrics 1.0, or Prometheus' text format 0.0.4, which the node exporter's textfile collector and
the Pushgateway read. Pure.

The two differ in their types (a state set and an info are gauges in the text format), in UNIT, and in the end. All are
gauges of the latest run, in base units, with no timestamps: both collectors refuse them. Label values come from closed
lists but for the names of scenario, namespace and workload, and the statuses, of which the most frequent are named.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from harness.clock import NS
from harness.escaping import for_line
from harness.model import Grade, Outcome, Phase

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from harness.judge.numbers.measured import Measured, Spread
    from harness.judge.streams.numbers import StreamNumbers
    from harness.judge.verdict.judgement import Judgement

MOST_KINDS = 20
OTHER = "other"
_WORKLOAD = re.compile(r"(\S+) ([^/\s]+)/(\S+)")
_OUTCOMES = frozenset(outcome.value for outcome in Outcome)
_PHASES = (Phase.BEFORE, Phase.DURING, Phase.AFTER)


@dataclass(frozen=True, slots=True)
class Family:
    """A metric family. `samples` are pairs of labels beside the run's own, and a value."""

    name: str
    help: str
    samples: tuple[tuple[Mapping[str, str], float], ...]
    unit: str = ""  # the name ends in it
    kind: str = "gauge"  # gauge | stateset | info


@dataclass(frozen=True, slots=True)
class _Made:
    families: list[Family] = field(default_factory=list)

    def add(self, name: str, words: str, samples: Iterable[tuple[Mapping[str, str], float | None]], unit: str = "",
            kind: str = "gauge") -> None:  # fmt: skip
        known = tuple((labels, value) for labels, value in samples if value is not None)
        if known:
            self.families.append(Family(name, words, known, unit, kind))


def labels_of(judgement: Judgement) -> dict[str, str]:
    """Return the labels that every sample has: which scenario, and which workload."""
    found = _WORKLOAD.fullmatch(judgement.about.workload)
    kind, namespace, name = found.groups() if found else ("", "", "")
    labels = {
        "scenario": judgement.about.name,
        "namespace": namespace,
        "workload": name,
        "workload_kind": kind,
    }
    return {label: for_line(value) for label, value in labels.items()}


def openmetrics(judgement: Judgement) -> str:
    """Return OpenMetrics 1.0, with its `# EOF`."""
    own = labels_of(judgement)
    lines = [line for family in families(judgement) for line in _family(family, own, text_format=False)]
    return "\n".join([*lines, "# EOF"]) + "\n"


def prometheus(judgement: Judgement) -> str:
    """Return Prometheus' text format 0.0.4."""
    own = labels_of(judgement)
    lines = [line for family in families(judgement) for line in _family(family, own, text_format=True)]
    return "\n".join(lines) + "\n"


def families(judgement: Judgement) -> list[Family]:
    """Return all that is known of a run; what it did not measure is left out."""
    about, verdict, numbers, measured = (
        judgement.about,
        judgement.verdict,
        judgement.numbers,
        judgement.measured,
    )
    made = _Made()
    made.add(
        "zdtest_verdict",
        "The verdict of the latest run: the state that is 1.",
        (({"zdtest_verdict": grade.value}, float(grade is verdict.grade)) for grade in Grade),
        kind="stateset",
    )
    made.add("zdtest_run", "The version of zdtest, and what ended the run.",
             [({"version": about.version, "ended_by": _id(about.ended_by)}, 1)], kind="info")  # fmt: skip
    made.add("zdtest_run_timestamp_seconds", "When the run began, in seconds since 1970.",
             [({}, _began(about.began))], "seconds")  # fmt: skip
    held = judgement.streams
    if held is None:
        made.add("zdtest_requests", "Requests that ended after the warm-up.", [({}, numbers.requests)])
    made.add("zdtest_lost_requests", "Failed requests (of streams: handshakes, cuts) held against the rollout, "
             "or the run without one.", [({}, verdict.lost)])  # fmt: skip
    made.add("zdtest_failed_requests", "Failed requests, by HTTP status or by how they ended.",
             [({"kind": kind}, n) for kind, n in _kinds(judgement)])  # fmt: skip
    if held is not None:
        _add_streams(made, held)
    else:
        _add_requests(made, judgement)
    outage = numbers.outage
    made.add("zdtest_longest_outage_seconds", "Longest stretch without a good answer in which a request failed.",
             [({}, _s(outage.to_ns - outage.from_ns) if outage else 0)], "seconds")  # fmt: skip
    made.add("zdtest_bad_seconds", "Seconds in which at least one request failed.", [({}, numbers.bad_seconds)],
             "seconds")  # fmt: skip
    made.add("zdtest_rollout_seconds", "From the trigger until the last old pod was gone and the endpoints were "
             "settled; the longest of several rollouts.", [({}, _rollout(judgement))], "seconds")  # fmt: skip
    if held is None:
        _add_reach(made, measured)
    made.add("zdtest_watch_gap_seconds", "Longest stretch in which the cluster was not watched.",
             [({}, _gap(judgement))], "seconds")  # fmt: skip
    return made.families


def _add_requests(made: _Made, judgement: Judgement) -> None:
    numbers = judgement.numbers
    made.add("zdtest_failed_ratio", "Share of the requests that failed, 0 to 1.",
             [({}, numbers.failed / numbers.requests if numbers.requests else None)], "ratio")  # fmt: skip
    made.add("zdtest_latency_seconds", "Latency of good answers, by phase of the rollout and quantile.",
             _latencies(judgement), "seconds")  # fmt: skip


def _add_reach(made: _Made, measured: Measured | None) -> None:
    made.add("zdtest_reach_seconds", "Longest time from a pod's deletion to the last request that it received: what a "
             "preStop has to outlast.", [({}, _most(measured.reach if measured else None))], "seconds")  # fmt: skip
    made.add("zdtest_endpoint_lag_seconds", "Longest time from a pod's leaving the endpoints to the last request that "
             "it received.", [({}, _most(measured.lag if measured else None))], "seconds")  # fmt: skip


def _add_streams(made: _Made, held: StreamNumbers) -> None:
    ends = {"closed": held.announced, "cut": held.blamed, "limit": held.limited}
    back = held.back
    times = {"0.5": back.percentiles["50"], "1": back.max_ns} if back else {}
    made.add("zdtest_streams", "Streams that were open since the trigger.", [({}, held.held)])
    made.add("zdtest_streams_ended", "Streams that ended since the trigger, but not with the load: closed cleanly, "
             "cut, or cut by a limit that has nothing to do with the rollout.",
             [({"how": how}, number) for how, number in ends.items()])  # fmt: skip
    made.add("zdtest_streams_away", "Streams that were not back when the load ended.", [({}, held.away)])
    made.add("zdtest_reconnect_seconds", "From a stream's loss to the first message on the next one, by quantile.",
             [({"quantile": quantile}, _s(time_ns)) for quantile, time_ns in times.items()], "seconds")  # fmt: skip
    made.add("zdtest_message_gap_seconds", "Longest time from one message of a stream to the next.",
             [({}, _s(held.gap_ns))], "seconds")  # fmt: skip
    made.add("zdtest_messages_missed", "Numbered messages that came between two streams of a client.",
             [({}, held.missed if held.numbered else None)])  # fmt: skip


def _family(family: Family, own: Mapping[str, str], *, text_format: bool) -> Iterator[str]:
    kind, name = family.kind, family.name
    suffix = "_info" if kind == "info" else ""
    if text_format:
        name, kind, suffix = f"{name}{suffix}", "gauge", ""
    yield f"# HELP {name} {_escaped(family.help, quotes=not text_format)}"
    yield f"# TYPE {name} {kind}"
    if family.unit and not text_format:
        yield f"# UNIT {name} {family.unit}"
    for labels, value in family.samples:
        said = ",".join(f'{label}="{_escaped(text)}"' for label, text in {**own, **labels}.items())
        yield f"{name}{suffix}{{{said}}} {_number(value)}"


def _escaped(text: str, *, quotes: bool = True) -> str:
    text = for_line(text).replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quotes else text


def _number(value: float) -> str:
    return f"{value:.0f}" if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))


def _kinds(judgement: Judgement) -> list[tuple[str, int]]:
    """Return failures by kind; only statuses and our own outcomes are names, and only so many of them."""
    counts: dict[str, int] = {}
    for number, kind in enumerate(judgement.numbers.kinds):
        known = kind.kind in _OUTCOMES or re.fullmatch(r"[1-9]\d\d", kind.kind)
        name = kind.kind if known and number < MOST_KINDS else OTHER
        counts[name] = counts.get(name, 0) + kind.count
    return list(counts.items())


def _latencies(judgement: Judgement) -> Iterator[tuple[Mapping[str, str], float | None]]:
    for phase in _PHASES:
        part = judgement.numbers.part(phase)
        if part and part.latency:
            for percentile, quantile in (("50", "0.5"), ("99", "0.99")):
                yield {"phase": phase.value, "quantile": quantile}, _s(part.latency.percentiles[percentile])


def _rollout(judgement: Judgement) -> float | None:
    if not judgement.timeline.triggered:
        return None
    lengths = [
        during.length_ns
        for one in judgement.rollouts or (judgement,)
        if one.timeline.during_ended and (during := one.timeline.phase(Phase.DURING))
    ]
    return _s(max(lengths)) if lengths else None


def _gap(judgement: Judgement) -> float | None:
    if not judgement.about.workload:
        return None
    return _s(max((gap.to_ns - gap.from_ns for gap in judgement.timeline.gaps), default=0))


def _most(spread: Spread | None) -> float | None:
    return _s(spread.max_ns) if spread and spread.count else None


def _s(length_ns: float) -> float | None:
    seconds = length_ns / NS
    return seconds if math.isfinite(seconds) else None


def _id(text: str) -> str:
    return text if re.fullmatch(r"[a-z_]{1,40}", text) else OTHER


def _began(text: str) -> float | None:
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S UTC").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
