"""A balancer's access log -> which pod each failed hit went to.

Of any format that holds, on one line, an id that zdtest sends with each hit and the address of the pod: ingress-nginx's own
(`$upstream_addr ... $req_id`; it takes X-Request-ID over), an ALB's (`target:port ... "Root=1-..."`), HAProxy's with `%si:%sp`
and X-Request-ID captured. Of several addresses on a line (nginx lists those it tried) the last one gave the answer.
"""

from __future__ import annotations

import gzip
import re
import zlib
from typing import TYPE_CHECKING

from harness.errors import UsageError
from harness.judge.numbers.hits import COLUMNS, classify
from harness.judge.timeline.observed import lifelines
from harness.recording import trace

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from harness.model import RunRecord
    from harness.recording.read import Recording
    from harness.recording.upstreams import Upstreams

_LONGEST_LINE = 1 << 20
_ADDRESS = re.compile(r"(?<![\d.])((?:\d{1,3}\.){3}\d{1,3}):\d+|\[([0-9a-fA-F:]+)\]:\d+")


def upstreams_of(recording: Recording, logs: Iterable[Path]) -> Upstreams:
    """Return the address that each failed hit was sent to, of those that the logs speak of.

    Raises UsageError, one line, when a log cannot be read or none holds anything of this run.
    """
    hits = classify(recording.hits((*COLUMNS, "seq")), recording.run)
    lost = hits.frame[hits.failed]
    wanted = set(zip(lost["worker"].tolist(), lost["seq"].tolist(), strict=True))
    pods = {pod.address for pod in lifelines(recording.run, recording.events()) if pod.address}
    found: Upstreams = {}
    ours = 0
    for log in logs:
        for key, address in entries(_lines(log), recording.run, pods):
            ours += 1
            if key in wanted and address:
                found[key] = address
    if not ours:
        raise UsageError(
            "no line of the access log holds an id of this run: it must have X-Request-ID (ingress-nginx: $req_id) or X-Amzn-Trace-Id "
            "on it, and be of the time of the run"
        )
    if wanted and not found:
        raise UsageError(
            f"the access log has {ours:,} lines of this run, and none of a failed request names a pod's address (nginx: $upstream_addr)"
        )
    return found


def entries(
    lines: Iterable[str], run: RunRecord, addresses: Collection[str]
) -> Iterator[tuple[tuple[int, int], str]]:
    """Yield ((worker, seq), the address of the pod or "") of each line that is about this run."""
    digits = trace.run_digits(run.wall_ns, run.monotonic_ns)
    row = "([0-9a-fA-F]{4})([0-9a-fA-F]{12})"
    known = re.compile(
        f"(?:{digits}|Root=1-[0-9a-fA-F]{{8}}-{digits[:8]}){row}(?![0-9a-fA-F])", re.IGNORECASE
    )
    for line in lines:
        seen = known.search(line)
        if seen is None:
            continue
        named = [four or six for four, six in _ADDRESS.findall(line) if (four or six) in addresses]
        yield (int(seen[1], 16), int(seen[2], 16)), named[-1] if named else ""


def _lines(log: Path) -> Iterator[str]:
    try:
        with log.open("rb") as raw, gzip.open(raw) if log.suffix == ".gz" else raw as file:
            while line := file.readline(_LONGEST_LINE):
                if len(line) == _LONGEST_LINE:
                    raise UsageError(
                        f"{log} is not an access log: it has a line of over {_LONGEST_LINE:,} bytes long"
                    )
                yield line.decode(errors="replace")
    except EOFError:
        raise UsageError(
            f"the access log {log} is cut off: the end of it is missing; bring the whole file, or unpack what there is of it"
        ) from None
    except (OSError, zlib.error) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UsageError(f"cannot read the access log {log}: {why}") from None
