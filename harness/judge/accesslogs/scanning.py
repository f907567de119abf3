"""Finds the lines of access logs that are about one run, in files of millions of lines.

A log is read in blocks of whole lines, and each block is searched for the run's digits as bytes. Only the lines of
the requests in question are parsed.
"""

from __future__ import annotations

import gzip
import re
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from harness.errors import UsageError
from harness.judge.accesslogs.formats import parse
from harness.recording import trace

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from harness.model import RunRecord
    from harness.recording.upstreams import Entry

_BLOCK = 1 << 20
_LONGEST_LINE = 1 << 20


def own_ids(run: RunRecord) -> re.Pattern[bytes]:
    """Return a pattern for the ids of a run's requests, in lower case (see recording/trace.py).

    Group 1 is worker and seq, 16 digits. The pattern begins with the digits that an X-Request-ID and an
    X-Amzn-Trace-Id share, so that a search for it is quick.
    """
    digits = trace.run_digits(run.wall_ns, run.monotonic_ns).encode()
    return re.compile(digits[:8] + b"(?:" + digits[8:] + b")?([0-9a-f]{16})(?![0-9a-f])")


def key_of(digits: bytes) -> tuple[int, int]:
    """Decode 16 digits into worker and seq."""
    return int(digits[:4], 16), int(digits[4:], 16)


@dataclass(slots=True)
class Scan:
    """The lines found so far."""

    lines: int = 0
    ids: list[NDArray[np.uint64]] = field(default_factory=list)  # worker << 48 | seq, of each line of the run
    entries: dict[tuple[int, int], Entry] = field(default_factory=dict)  # of the wanted ones
    families: set[str] = field(default_factory=set)

    @property
    def keys(self) -> NDArray[np.uint64]:
        """Which requests have a line, each as worker << 48 | seq, sorted."""
        return np.unique(np.concatenate(self.ids)) if self.ids else np.zeros(0, dtype=np.uint64)


def scan(
    log: Path, ids: re.Pattern[bytes], wanted: Collection[bytes], pods: Collection[str], found: Scan
) -> None:
    """Read one log. `wanted`: the digits of the requests whose lines are parsed.

    Raises UsageError, one line, if it cannot be read.
    """
    for block in _blocks(log):
        lower = block.lower()
        found.lines += lower.count(b"\n") + (not lower.endswith(b"\n"))
        seen = ids.findall(lower)
        if not seen:
            continue
        found.ids.append(np.frombuffer(bytes.fromhex(b"".join(seen).decode()), ">u8").astype(np.uint64))
        if wanted and not set(seen).isdisjoint(wanted):
            _parse(block, lower, ids, wanted, pods, found)


def _parse(
    block: bytes,
    lower: bytes,
    ids: re.Pattern[bytes],
    wanted: Collection[bytes],
    pods: Collection[str],
    found: Scan,
) -> None:
    like = ""
    for match in ids.finditer(lower):
        if match[1] not in wanted:
            continue
        since = block.rfind(b"\n", 0, match.start()) + 1
        until = block.find(b"\n", match.end())
        line = block[since : until if until >= 0 else len(block)].decode(
            "latin-1"
        )  # one character for each byte
        entry = parse(line, pods, match.start() - since, match.end() - since, like)
        like = entry.family
        found.families.add(entry.family)
        key = key_of(match[1])
        if (
            entry.address or key not in found.entries
        ):  # of two balancers in a chain, only the last one names pods
            found.entries[key] = entry


def _blocks(log: Path) -> Iterator[bytes]:
    """Yield a log in blocks of whole lines; the last one may end within a line."""
    rest = b""
    try:
        with log.open("rb") as raw, gzip.open(raw) if log.suffix == ".gz" else raw as file:
            while data := file.read(_BLOCK):
                end = data.rfind(b"\n") + 1
                if not end:
                    rest += data
                elif rest or end < len(data):
                    yield rest + data[:end]
                    rest = data[end:]
                else:
                    yield data
                if len(rest) >= _LONGEST_LINE:
                    raise UsageError(
                        f"{log} is not an access log: it has a line of over {_LONGEST_LINE:,} bytes"
                    )
    except EOFError:
        raise UsageError(
            f"the access log {log} is cut off: its end is missing; "
            "give the whole file, or unpack as much of it as there is"
        ) from None
    except (OSError, zlib.error) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UsageError(f"cannot read the access log {log}: {why}") from None
    if rest:
        yield rest
