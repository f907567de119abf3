"""From hits to meanings: each distinct way of failing is read once, and all hits by their codes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from harness.judge.balancers.family import GATEWAY, QUICK_NS, Failure
from harness.judge.balancers.known import BY_NAME
from harness.judge.balancers.meaning import GRPC_STATUS, NONE, in_words
from harness.judge.balancers.recognise import Met, recognise, shown_by
from harness.judge.balancers.shown import Balancers, Sample
from harness.judge.numbers.hits import FIRST_OUTCOME, IDEMPOTENT, kind_name
from harness.model import OUTCOMES, Outcome
from harness.recording.answers import NONE as NO_ANSWER, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from harness.judge.balancers.known import Chain
    from harness.judge.balancers.meaning import Meaning
    from harness.judge.numbers.hits import Hits
    from harness.judge.numbers.piecewise.allhits import AllHits
    from harness.model import RunRecord
    from harness.recording.answers import Answer
    from harness.recording.upstreams import Entry

_SAMPLES = 8  # kinds of answers that are shown


def balancers_of(
    hits: AllHits,
    run: RunRecord,
    answers: Sequence[Answer],
    pods: Iterable[str],
    objects: Iterable[Mapping[str, Any]],
    logs: Iterable[Entry] = (),
) -> Balancers:
    """Recognise the balancers of a run, and choose a sample of each kind of failed answer. `pods` are the pods'
    addresses, `logs` what access logs say.
    """
    failed = hits.failed
    met = replace(
        _met(failed, answers, frozenset(pods)), logs=tuple(sorted({entry.family for entry in logs} - {""}))
    )
    chain = recognise(run, met, objects)
    methods = tuple(str(target.get("method", "GET")).upper() for target in run.targets)
    return Balancers(chain.seen, tuple(_samples(failed, answers, chain, methods)[:_SAMPLES]))


def meanings(
    lost: Hits,
    answers: Sequence[Answer],
    chain: Chain,
    methods: Sequence[str],
    log: Sequence[Entry | None] | None = None,
) -> NDArray[np.int64]:
    """Return the set of meanings of each hit, as a sum of Meaning. `log`: what an access log says of each hit."""
    ways = _ways(lost, answers, methods, log)
    table = np.array([int(chain.meaning(one)) for one in ways.failures], dtype=np.int64)
    return table[ways.codes] if len(table) else np.zeros(0, dtype=np.int64)


def answer_column(hits: Hits) -> NDArray[np.int64]:
    """Return which answer each hit had: an index, NONE or OTHER. Older recordings have none."""
    if "answer" not in hits.frame:
        return np.full(len(hits), NO_ANSWER, dtype=np.int64)
    column: NDArray[np.int64] = hits.frame["answer"].to_numpy().astype(np.int64)
    return column


@dataclass(frozen=True, slots=True)
class _Ways:
    """The distinct ways in which hits failed, and the number of each hit's."""

    failures: tuple[Failure, ...]
    codes: NDArray[np.int64]


def _ways(
    lost: Hits, answers: Sequence[Answer], methods: Sequence[str], log: Sequence[Entry | None] | None = None
) -> _Ways:
    if not len(lost):
        return _Ways((), np.zeros(0, dtype=np.int64))
    said = answer_column(lost)
    flags: list[NDArray[np.bool_]] = [
        lost.frame["conn_hits"].to_numpy() > 0,
        _idempotent(lost, methods),
        lost.done_ns - lost.begun_ns < QUICK_NS,
        _names_its_pod(lost),
    ]
    key = (said + 2) * 65536 + lost.kind
    for flag in flags:
        key = key * 2 + flag
    reasons, reason = _reasons(log, len(lost))
    key = key * len(reasons) + reason
    _, first, codes = np.unique(key, return_index=True, return_inverse=True)
    failures = tuple(
        Failure(
            outcome=outcome,
            status=status,
            kind=kind_name(kind),
            answer=answers[place] if 0 <= place < len(answers) else None,
            reused=reused,
            idempotent=idempotent,
            quick=quick,
            named=named,
            logged=reasons[number][0],
            log=reasons[number][1],
        )
        for (outcome, status), kind, place, number, reused, idempotent, quick, named in zip(
            map(_answer_of, lost.kind[first].tolist()),
            lost.kind[first].tolist(),
            said[first].tolist(),
            reason[first].tolist(),
            *(flag[first].tolist() for flag in flags),
            strict=True,
        )
    )
    return _Ways(failures, codes.reshape(-1))


def _answer_of(kind: int) -> tuple[Outcome, int]:
    """Return a kind's outcome and status. A status of gRPC is an answer like any other."""
    if kind < FIRST_OUTCOME:
        return Outcome.RESPONSE, kind
    outcome = OUTCOMES[kind - FIRST_OUTCOME]
    return (Outcome.RESPONSE, GRPC_STATUS[outcome]) if outcome in GRPC_STATUS else (outcome, 0)


def _reasons(
    log: Sequence[Entry | None] | None, number: int
) -> tuple[list[tuple[Meaning, str]], NDArray[np.int64]]:
    """Return the distinct meanings of what a log says, each with the log's family, and the place of each hit's."""
    found: dict[tuple[Meaning, str], int] = {(NONE, ""): 0}
    if log is None:
        return list(found), np.zeros(number, dtype=np.int64)
    known: dict[tuple[str, str, bool] | None, int] = {None: 0}
    codes = np.zeros(number, dtype=np.int64)
    for row, entry in enumerate(log):
        said = (entry.family, entry.said, bool(entry.address)) if entry is not None and entry.said else None
        code = known.get(said)
        if code is None and said is not None:
            family = BY_NAME.get(said[0])
            meaning = family.logs(said[1], said[2]) if family is not None else NONE
            code = known[said] = found.setdefault((meaning, said[0]) if meaning else (NONE, ""), len(found))
        codes[row] = code or 0
    return list(found), codes


def _names_its_pod(hits: Hits) -> NDArray[np.bool_]:
    column = hits.frame["pod"].cat
    named = np.array([bool(word) for word in column.categories] + [False])
    found: NDArray[np.bool_] = named[column.codes.to_numpy()]
    return found


def _idempotent(hits: Hits, methods: Sequence[str]) -> NDArray[np.bool_]:
    known = np.array([method in IDEMPOTENT for method in methods] or [True])
    found: NDArray[np.bool_] = known[np.minimum(hits.frame["target"].to_numpy(), len(known) - 1)]
    return found


def _met(failed: Hits, answers: Sequence[Answer], pods: frozenset[str]) -> Met:
    """Count what recognition goes by. Answers that name their pod are the pod's own, and tell of nobody else."""
    unnamed = ~_names_its_pod(failed)
    column = answer_column(failed)
    places, counts = np.unique(column[unnamed & (column >= 0)], return_counts=True)
    told = zip(places.tolist(), counts.tolist(), strict=True)
    gateway = np.isin(failed.kind, sorted(GATEWAY))
    peers = {str(peer).rpartition(":")[0].strip("[]") for peer in failed.frame["peer"].cat.categories if peer}
    return Met(
        failed=[(answers[place], count) for place, count in told if place < len(answers)],
        good=[answer for answer in answers if answer.good],
        to_pods=bool(peers) and peers <= pods,
        unworded=int((gateway & unnamed & (column < 0)).sum()),
    )


def _samples(failed: Hits, answers: Sequence[Answer], chain: Chain, methods: Sequence[str]) -> list[Sample]:
    ways = _ways(failed, answers, methods)
    counts = np.bincount(ways.codes, minlength=len(ways.failures)).tolist() if len(failed) else []
    merged: dict[tuple[str, str], tuple[int, Meaning]] = {}
    for failure, count in zip(ways.failures, counts, strict=True):
        if failure.answer is not None:
            shown = shown_by(failure.answer)
            text = words(failure.answer, shown[0][0].title if shown else "")
            n, meaning = merged.get((failure.kind, text), (0, NONE))
            merged[failure.kind, text] = (n + count, meaning | chain.meaning(failure))
    found = [Sample(kind, n, text, in_words(meaning)) for (kind, text), (n, meaning) in merged.items()]
    return sorted(found, key=lambda one: (-one.count, one.kind, one.text))
