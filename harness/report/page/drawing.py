"""A Picture and its Judgement -> what the page's script draws: small things as JSON, columns packed.

Times are seconds from the zero of the timeline, latencies milliseconds. All texts are escaped for one line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from harness.clock import NS
from harness.judge.streams.words import in_words
from harness.judge.wording import cause_in_words, lasting
from harness.model import Mark, Phase
from harness.recording import answers
from harness.report import looks
from harness.report.page.encoding import Packer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harness.judge.picture.buckets import Latencies
    from harness.judge.picture.failures import Failures
    from harness.judge.picture.picture import Picture
    from harness.judge.timeline.lifeline import Lifeline
    from harness.judge.timeline.timeline import Span
    from harness.judge.verdict.judgement import Judgement

_FINE_NS, _ROUGH_NS = 10_000, 10_000_000  # units of time in columns: fine while 32 bits hold a run
_MOMENTS = (
    ("created", "created_ns"),
    ("started", "started_ns"),
    ("ready", "ready_ns"),
    ("in endpoints", "in_endpoints_ns"),
    ("deleted", "deleted_ns"),
    ("out of endpoints", "out_of_endpoints_ns"),
    ("exited", "exited_ns"),
    ("gone", "gone_ns"),
)


def drawn(judgement: Judgement, picture: Picture) -> dict[str, Any]:
    """Return the page's data. Both are escaped already."""
    timeline = picture.timeline
    zero = timeline.zero_ns
    packer = Packer()
    unit_ns = _FINE_NS if picture.whole.length_ns // _FINE_NS < 1 << 31 else _ROUGH_NS
    _buckets(packer, picture)
    _failures(packer, picture.failures, picture.whole.from_ns, unit_ns)

    def span(one: Span) -> list[float]:
        return [_s(one.from_ns, zero), _s(one.to_ns, zero)]

    return {
        "triggered": timeline.triggered,
        "zero": _zero(judgement),
        "whole": span(picture.whole),
        "focus": span(picture.focus),
        "rollouts": [
            {"span": span(one), "lost": judged.verdict.lost}
            for one, judged in zip(picture.focuses, judgement.rollouts, strict=False)
        ],
        "phases": [{"name": _phase(p.phase, judgement), "span": span(p.span)} for p in timeline.phases],
        "control": span(timeline.control) if timeline.control else None,
        "moments": _marked(judgement, picture),
        "outage": _outage(judgement),
        "gaps": [
            {"kind": gap.kind, "span": [_s(gap.from_ns, zero), _s(gap.to_ns, zero)], "reason": gap.reason}
            for gap in timeline.gaps
            if gap.blind
        ],
        "stalls": [
            {
                "span": [_s(one.from_ns, zero), _s(one.to_ns, zero)],
                "worker": one.worker,
                "lag": one.lag_max_ns / 1e6,
            }
            for one in picture.stalls
        ],
        "pods": [
            _pod(pod, sigterm, picture)
            for pod, sigterm in zip(timeline.pods, picture.sigterms_ns, strict=True)
        ],
        "warnings": [
            {
                "at": _s(one.t_ns, zero),
                "pod": next((n for n, pod in enumerate(timeline.pods) if pod.uid == one.uid), -1),
                "about": f"{one.kind} {one.name}",
                "reason": one.reason,
                "message": one.message,
            }
            for one in picture.warnings
        ],
        "bursts": [
            {
                "cause": picture.failures.causes.index(burst.ids),
                "span": [_s(burst.from_ns, zero), _s(burst.to_ns, zero)],
                "hits": burst.hits,
            }
            for burst in picture.bursts
        ],
        "bucket": {
            "from": _s(picture.buckets.from_ns, zero),
            "width": picture.buckets.width_ns / NS,
            "count": picture.buckets.count,
            "held": picture.buckets.held,
            "good": list(picture.buckets.good),
            "failed": [_kind(judgement, kind) for kind in picture.buckets.failed],
        },
        "failures": _words(judgement, picture, unit_ns),
        "looks": {
            "groups": {
                name: {"label": look.label, "colour": look.colour} for name, look in looks.FAILURES.items()
            },
            "states": {
                name: {"label": look.label, "colour": look.colour} for name, look in looks.STATES.items()
            },
        },
        "layout": packer.layout,
        "columns": packer.text(),
    }


def _outage(judgement: Judgement) -> dict[str, Any] | None:
    outage, zero = judgement.numbers.outage, judgement.timeline.zero_ns
    if outage is None:
        return None
    words = lasting(outage.to_ns - outage.from_ns)
    return {"span": [_s(outage.from_ns, zero), _s(outage.to_ns, zero)], "words": words}


def _zero(judgement: Judgement) -> str:
    if not judgement.timeline.triggered:
        return "the end of the warm-up"
    return "the first trigger" if judgement.rollouts else "the trigger"


def _phase(phase: Phase, judgement: Judgement) -> str:
    if phase is Phase.WARMUP:
        return "warm-up"
    return phase.value if judgement.timeline.triggered else "load"


def _buckets(packer: Packer, picture: Picture) -> None:
    found = picture.buckets
    for number, column in enumerate(found.good.values()):
        (packer.real if found.held else packer.whole)(f"good{number}", column)
    for number, column in enumerate(found.failed.values()):
        packer.whole(f"failed{number}", column)
    for name, latency, shown in (
        ("good", found.good_latency, ("p50", "p99", "max")),
        ("failed", found.failed_latency, ("p50", "p99")),
    ):
        for part in shown:
            packer.real(f"{name}_{part}", _ms(latency, part))


def _ms(latency: Latencies, part: str) -> NDArray[np.float64]:
    values: NDArray[np.int64] = getattr(latency, f"{part}_ns")
    return np.where(values < 0, np.nan, values / 1e6)


def _failures(packer: Packer, failed: Failures, from_ns: int, unit_ns: int) -> None:
    packer.whole("t", (failed.done_ns - from_ns) // unit_ns, rising=True)
    packer.whole("took", (failed.done_ns - failed.began_ns) // unit_ns)
    for name in ("kind", "cause", "pod", "near", "worker", "seq", "conn", "carried", "target", "peer", "answer",
                 "logged"):  # fmt: skip
        packer.whole(name, getattr(failed, name))


def _words(judgement: Judgement, picture: Picture, unit_ns: int) -> dict[str, Any]:
    failed = picture.failures
    words = {cause.ids: cause_in_words(cause.name, cause.ids) for cause in reversed(judgement.causes)}
    return {
        "unit": unit_ns / NS,
        "total": failed.total,
        "drawn": len(failed),
        "left_out": {_kind(judgement, kind): number for kind, number in failed.left_out.items()},
        "noun": "failed request" if judgement.streams is None else "cut stream or failed handshake",
        "nouns": "failed requests" if judgement.streams is None else "cut streams and failed handshakes",
        "in_warmup": judgement.numbers.warmup_failed,
        "kinds": [{"name": _kind(judgement, kind), "group": looks.group(kind)} for kind in failed.kinds],
        "causes": [
            {"id": " or ".join(ids), "words": words.get(ids, " or ".join(ids))} for ids in failed.causes
        ],
        "pods": list(failed.pods),
        "nearby": [list(one) for one in failed.nearby],
        "targets": list(judgement.about.targets),
        "peers": list(failed.peers),
        "answers": [
            {"status": answer.status, "said": answers.words(answer, ""), "closes": answer.closes}
            for answer in failed.answers
        ],
        "log": [" ".join(part for part in (one.family, one.said, one.address) if part) for one in failed.log],
    }


def _kind(judgement: Judgement, kind: str) -> str:
    return kind if judgement.streams is None else in_words(kind)


def _pod(pod: Lifeline, sigterm_ns: int | None, picture: Picture) -> dict[str, Any]:
    zero, end_ns = picture.timeline.zero_ns, picture.whole.to_ns
    exit_words = "" if pod.exit_code is None else f"exit {pod.exit_code}"
    if pod.exit_reason and pod.exit_reason not in {"Completed", "Error"}:
        exit_words += f" {pod.exit_reason}"
    moments = [(word, getattr(pod, name)) for word, name in _MOMENTS]
    moments.append(("SIGTERM (by deletion and preStop)", sigterm_ns))
    moments += [(f"target {one.state} ({one.group})", one.t_ns) for one in pod.targets]
    if pod.resized_ns is not None:
        moments.append((f"resized ({pod.resized})", pod.resized_ns))
    return {
        "name": pod.name,
        "label": looks.label(pod),
        "old": pod.old,
        "place": ", ".join(word for word in (pod.node, pod.address) if word),
        "segments": [[one.state, _s(one.from_ns, zero), _s(one.to_ns, zero)] for one in pod.segments(end_ns)],
        "moments": sorted(
            ([word, _s(t_ns, zero)] for word, t_ns in moments if t_ns is not None), key=lambda one: one[1]
        ),
        "deleted": _maybe(pod.deleted_ns, zero),
        "sigterm": _maybe(sigterm_ns, zero),
        "exited": _maybe(pod.exited_ns, zero),
        "gone": _maybe(pod.gone_ns, zero),
        "exit": exit_words,
        "restarts": pod.restarts,
    }


def _marked(judgement: Judgement, picture: Picture) -> list[dict[str, Any]]:
    """Return the moments of the whole workload: what the run did, and what others did."""
    timeline, zero = picture.timeline, picture.timeline.zero_ns
    triggers = [mark.t_ns for mark in timeline.marks if mark.mark is Mark.TRIGGER and timeline.triggered]
    words = [one.about.trigger or "trigger" for one in judgement.rollouts or (judgement,)]
    found = [
        {
            "at": _s(t_ns, zero),
            "sort": "trigger",
            "words": f"rollout {number}: {said}" if judgement.rollouts else said,
        }
        for number, (t_ns, said) in enumerate(zip(triggers, words, strict=False), 1)
    ]
    found += [
        {"at": _s(mark.t_ns, zero), "sort": "done", "words": "`rollout status` done"}
        for mark in timeline.marks
        if mark.mark is Mark.ROLLOUT_DONE
    ]
    found += [
        {
            "at": _s(one.t_ns, zero),
            "sort": "other",
            "words": f"{one.before} to {one.after} replicas{f', by {one.by}' if one.by else ''}",
        }
        for one in timeline.scalings
    ]
    found += [
        {"at": _s(one.at_ns, zero), "sort": "other", "words": one.told}
        for one in timeline.changes
        if one.kind not in {"scaled", "autoscaled"}
    ]
    found += [{"at": _s(one.t_ns, zero), "sort": "other", "words": one.words} for one in timeline.steps]
    return sorted(found, key=lambda one: float(str(one["at"])))


def _s(t_ns: int, zero_ns: int) -> float:
    return round((t_ns - zero_ns) / NS, 5)


def _maybe(t_ns: int | None, zero_ns: int) -> float | None:
    return None if t_ns is None else _s(t_ns, zero_ns)
