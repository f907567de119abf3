"""A balancer's access log -> which pod each failed hit went to, and what the balancer says of it.

A line is about a hit when it holds the id that zdtest sent with it: X-Request-ID (ingress-nginx: $req_id; HAProxy
captures it) or X-Amzn-Trace-Id, which an ALB logs. accesslogs/ knows the formats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.errors import UsageError
from harness.judge.accesslogs.formats import ALB, CADDY, ENVOY, HAPROXY, NGINX, NO_SERVER, TRAEFIK, parse
from harness.judge.accesslogs.scanning import Scan, key_of, own_ids, scan
from harness.judge.numbers.hits import COLUMNS
from harness.judge.numbers.piecewise.allhits import AllHits
from harness.judge.timeline.observed import lifelines
from harness.recording.upstreams import AccessLog, Coverage

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from harness.model import RunRecord
    from harness.recording.read import Recording
    from harness.recording.upstreams import Entry, Upstreams

_TELLS = {  # what makes a log name the pod, where it does not
    NGINX: "nginx: put $upstream_addr into the log_format",
    # httplog's own format as HAProxy's manual writes it out, with the address at its end
    HAPROXY: (
        'HAProxy names a slot, not an address: in place of option httplog set log-format "%ci:%cp [%tr] %ft %b/%s'
        ' %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r %si:%sp"'
    ),
    ENVOY: "Envoy: put %UPSTREAM_HOST% into the access log's format",
    CADDY: "Caddy: log_append upstream {http.reverse_proxy.upstream.hostport}",
    TRAEFIK: "Traefik: keep the field ServiceAddr",
    ALB: "",
}
# What has a field for the pod in any case: a request without one was sent to nobody.
_NAME = frozenset({NGINX, ALB})
_NAMELESS = frozenset(
    {HAPROXY, TRAEFIK}
)  # these give a reason in any case, and name the pod where they are told to


def upstreams_of(recording: Recording, logs: Iterable[Path]) -> Upstreams:
    """Return the address that each failed hit was sent to, of those that the logs speak of. Raises as `told_by`
    does.
    """
    return told_by(recording, logs).addresses


def told_by(recording: Recording, logs: Iterable[Path], *, strict: bool = True) -> AccessLog:
    """Return what the logs say of the hits that failed.

    Raises UsageError, one line, when a log cannot be read, and if `strict` also when none holds anything of this run,
    or when there are failed hits and no line names the pod of one or gives a reason.
    """
    hits = AllHits.of(recording, (*COLUMNS, "seq"))
    lost = _keys(hits.failed.frame)
    wanted = {b"%016x" % key for key in lost.tolist()}
    pods = {pod.address for pod in lifelines(recording.run, recording.events()) if pod.address}
    found = Scan()
    for log in logs:
        scan(log, own_ids(recording.run), wanted, pods, found)
    logged, entries = found.keys, found.entries
    named = sum(1 for entry in entries.values() if entry.address)
    if strict and not len(logged):
        cut = f"{found.cut[0]} is cut off, and in what there is of it " if found.cut else ""
        raise UsageError(
            f"{cut}no line of the access log holds an id of this run: it must have X-Request-ID (ingress-nginx:"
            " $req_id; HAProxy: captured; Envoy: with preserve_external_request_id) or X-Amzn-Trace-Id on it, and be"
            " of the time of the run"
        )
    if (
        strict
        and len(lost)
        and not named
        and not any(entry.said or entry.family in _NAME for entry in entries.values())
    ):
        raise UsageError(
            f"the access log has {sum(map(len, found.ids)):,} lines of this run, and none of a failed request names a"
            f" pod's address ({_what_tells(found.families)})"
        )
    ours = np.zeros(len(logged), dtype=bool)
    for piece in hits.pieces("seq"):
        ours |= np.isin(logged, _keys(piece.frame))
    coverage = Coverage(
        lines=found.lines,
        ours=sum(map(len, found.ids)),
        strays=int((~ours).sum()),
        failed=len(lost),
        named=named,
        unlogged=int((~np.isin(lost, logged)).sum()),
        cut=len(found.cut),
    )
    return AccessLog(entries, coverage)


def notes(log: AccessLog) -> tuple[str, ...]:
    """Return what the summary says of a log: how well it fits the run, and what would make it name pods."""
    families = {entry.family for entry in log.entries.values() if _went_to_a_pod(entry)}
    if not families or not families <= _NAMELESS or any(entry.address for entry in log.entries.values()):
        return log.notes
    return (*log.notes, f"the access log gives reasons, and names no pod: {_what_tells(families)}")


def _went_to_a_pod(entry: Entry) -> bool:
    """Whether the reason in a line is about a pod: else no field can name one."""
    nobody = entry.said.startswith("503 ") if entry.family == TRAEFIK else entry.said.endswith(NO_SERVER)
    return bool(entry.said) and not nobody


def entries(
    lines: Iterable[str], run: RunRecord, addresses: Collection[str]
) -> Iterator[tuple[tuple[int, int], str]]:
    """Yield ((worker, seq), the address of the pod or "") of each line that is about this run."""
    ids = own_ids(run)
    for line in lines:
        seen = ids.search(line.lower().encode("latin-1", "replace"))
        if seen is not None:
            yield key_of(seen[1]), parse(line, addresses, seen.start(), seen.end()).address


def _keys(frame: pd.DataFrame) -> NDArray[np.uint64]:
    """Return worker << 48 | seq of each hit."""
    worker, seq = (frame[name].to_numpy().astype(np.uint64) for name in ("worker", "seq"))
    return (worker << np.uint64(48)) | seq


def _what_tells(families: Collection[str]) -> str:
    told = [_TELLS[family] for family in sorted(families) if _TELLS.get(family)]
    return "; ".join(told) or _TELLS[NGINX]
