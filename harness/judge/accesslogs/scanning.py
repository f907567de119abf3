"""Finds the lines of access logs that are about one run, in files of millions of lines.

A log is read in blocks of whole lines, and each block is searched for the run's digits as bytes. Only the lines of
the requests in question are parsed.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.errors import UsageError
from harness.judge.accesslogs import quick
from harness.judge.accesslogs.formats import CADDY, parse
from harness.judge.accesslogs.unpacking import Unpacked
from harness.recording import trace
from harness.recording.upstreams import Entry

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from harness.model import RunRecord

_LONGEST_LINE = 1 << 20
_EITHER = {
    (True, False),
    (False, True),
}  # weights of a line with an address alone, and of one with a reason alone
_MOST_MET = 1 << 16  # different lines that are remembered


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
    found: dict[bytes, Entry] = field(default_factory=dict)  # of the wanted ones, by their digits
    families: set[str] = field(default_factory=set)
    cut: list[Path] = field(default_factory=list)  # the logs whose end is missing
    like: str = ""  # the family of the last line that was parsed
    # By family: what lines with the same deciding parts say.
    met: dict[str, dict[Any, Entry]] = field(default_factory=dict)

    @property
    def keys(self) -> NDArray[np.uint64]:
        """Which requests have a line, each as worker << 48 | seq, sorted."""
        return np.unique(np.concatenate(self.ids)) if self.ids else np.zeros(0, dtype=np.uint64)

    @property
    def entries(self) -> dict[tuple[int, int], Entry]:
        """What is said of the wanted requests, by worker and seq."""
        return {key_of(digits): entry for digits, entry in self.found.items()}

    def add(self, digits: bytes, entry: Entry) -> None:
        """Keep a line. Of several about one request, one that names a pod counts more, then one with a reason; then the
        the later one: of two balancers in a chain only the last one names pods.

        Caddy writes two lines about a failure: the error has the reason, the access has the address.
        """
        before = self.found.setdefault(digits, entry)
        if before is entry:
            return
        if entry.family == before.family == CADDY and {_weight(before), _weight(entry)} == _EITHER:
            self.found[digits] = Entry(before.address or entry.address, CADDY, before.said or entry.said)
        elif _weight(entry) >= _weight(before):
            self.found[digits] = entry


def scan(
    log: Path, ids: re.Pattern[bytes], wanted: Collection[bytes], pods: Collection[str], found: Scan
) -> None:
    """Read one log. `wanted`: the digits of the requests whose lines are parsed.

    Raises UsageError, one line, if it cannot be read.
    """
    unpacked = Unpacked(log)
    for block in _blocks(unpacked):
        lower = block.lower()
        found.lines += lower.count(b"\n") + (not lower.endswith(b"\n"))
        seen = ids.findall(lower)
        if not seen:
            continue
        found.ids.append(np.frombuffer(bytes.fromhex(b"".join(seen).decode()), ">u8").astype(np.uint64))
        if wanted and (mine := set(seen).intersection(wanted)):
            _parse(
                block,
                lower,
                ids,
                {digits: n for digits, n in Counter(seen).items() if digits in mine},
                pods,
                found,
            )
    if unpacked.cut:
        found.cut.append(log)


def _parse(
    block: bytes,
    lower: bytes,
    ids: re.Pattern[bytes],
    times: Mapping[bytes, int],
    pods: Collection[str],
    found: Scan,
) -> None:
    """Read the lines of the wanted requests of one block: many at once if the format is known, the rest one by one.

    `times`: how often the block holds the digits of each of them.
    """
    wanted: Collection[bytes] = times
    if quick.known(found.like):
        wanted = _many(block, lower, ids, times, pods, found)
    if not wanted:
        return
    last = (b"", -1)
    for match in ids.finditer(lower):
        if match[1] not in wanted:
            continue
        here = (match[1], block.find(b"\n", match.end()))
        if here != last:  # else the same id once more on the same line
            found.add(match[1], _line(block, match.start(1), ids, lower, pods, found))
        last = here


def _many(
    block: bytes,
    lower: bytes,
    ids: re.Pattern[bytes],
    times: Mapping[bytes, int],
    pods: Collection[str],
    found: Scan,
) -> set[bytes]:
    """Read the lines of a block that are like the last one, and return whose lines are not all of them.

    The lines of such a request are then read once more, all of them in their order: of two balancers' logs in one
    file each has a line about it.
    """
    family, kept, done = found.like, found.found, []
    met = found.met.setdefault(family, {})
    for digits, parts, start in quick.Quick(family, ids).lines(block):
        if digits not in times:
            continue
        done.append(digits)
        entry = met.get(parts)
        if entry is None:
            entry = _line(block, start, ids, lower, pods, found)
            if len(met) >= _MOST_MET:
                met.clear()
            if entry.family == family:  # else the line is damaged
                met[parts] = entry
        if kept.setdefault(digits, entry) is not entry:
            found.add(digits, entry)
    matched = Counter(done)
    return {digits for digits, n in times.items() if matched[digits] < n}


def _line(
    block: bytes, at: int, ids: re.Pattern[bytes], lower: bytes, pods: Collection[str], found: Scan
) -> Entry:
    """Parse the line of the id whose last 16 digits begin at a place in the block."""
    since = block.rfind(b"\n", 0, at) + 1
    until = block.find(b"\n", at)
    match = ids.search(lower, max(since, at - 16)) or ids.search(lower, since)
    begin, end = (match.start(), match.end()) if match else (at, at + 16)
    # one character for each byte
    line = block[since : until if until >= 0 else len(block)].decode("latin-1")
    entry = parse(line, pods, begin - since, end - since, found.like)
    found.like = entry.family
    found.families.add(entry.family)
    return entry


def _weight(entry: Entry) -> tuple[bool, bool]:
    return bool(entry.address), bool(entry.said)


def _blocks(unpacked: Unpacked) -> Iterator[bytes]:
    """Yield a log in blocks of whole lines; the last one may end within a line."""
    rest = b""
    for data in unpacked.parts():
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
                f"{unpacked.log} is not an access log: it has a line of over {_LONGEST_LINE:,} bytes"
            )
    if rest:
        yield rest
