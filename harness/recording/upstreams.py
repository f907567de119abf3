"""What the balancer's access log says about failed hits: upstreams.jsonl of a run directory.

A line is [worker, seq, address], or [worker, seq, address, family, said]. `address` is that of the pod that the hit
was sent to, without a port, or "" if the log does not name one. `family` is the log's kind (nginx, haproxy, envoy,
caddy, traefik, alb), and `said` the reason in that balancer's words. If the first line is an object, it says how much
the log covers (Coverage). The file is written when a log is given, or after a run on the lab, and is read whenever
the run is judged from then on.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.errors import RecordingError
from harness.recording.folder import MIB, read, write_below
from harness.recording.jsontext import parse

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILE = "upstreams.jsonl"
_MOST = 256 * MIB
_AT_ONCE = 10_000  # lines that are parsed together
_CUT = "the log is cut off: its end is missing, and was not read"
Upstreams = dict[tuple[int, int], str]  # (worker, seq) -> address without a port


class Entry(NamedTuple):
    """What a log says about one hit.

    `said` is, by family: Envoy's response flags ("UF,URX"), HAProxy's termination state ("SC", or "SC NOSRV" where it
    had no server to send it to), nginx's list of upstream statuses ("502, 504"), an ALB's and Traefik's status and the
    target's ("502 -"), what Caddy's error log says ("dial: connection refused"); "" where the log gives no reason.
    """

    address: str
    family: str = ""
    said: str = ""


@dataclass(frozen=True, slots=True)
class Coverage:
    """How well a log and a run fit together."""

    lines: int  # in the log
    ours: int  # lines of this run
    strays: int  # hits that have a line of this run, but are not in the recording
    failed: int  # failed hits
    named: int  # those of them whose pod a line names
    unlogged: int  # those of them without a line
    cut: int = 0  # logs whose end is missing

    def sentence(self) -> str:
        """Say it in one line."""
        covered = f"the access log names the pod of {self.named:,} of {self.failed:,} failed requests"
        unnamed = self.failed - self.named - self.unlogged
        more = [
            f"{self.unlogged:,} {_are(self.unlogged)} on none of its lines" if self.unlogged else "",
            f"{unnamed:,} {_are(unnamed)} on a line that names no pod" if unnamed else "",
            f"{self.strays:,} on its lines {_are(self.strays)} not in the recording" if self.strays else "",
            _CUT if self.cut else "",
        ]
        return "; ".join([covered, *(part for part in more if part)])


@dataclass(frozen=True, slots=True)
class AccessLog:
    """What an access log says about a run. `entries` are by (worker, seq)."""

    entries: Mapping[tuple[int, int], Entry]
    coverage: Coverage | None = None  # None: not counted when it was kept

    @property
    def addresses(self) -> Upstreams:
        """The pods' addresses, as far as they are named."""
        return {key: entry.address for key, entry in self.entries.items() if entry.address}

    @property
    def notes(self) -> tuple[str, ...]:
        """How well the log and the run fit together, as a line for the summary."""
        count = self.coverage
        return (count.sentence(),) if count and (count.failed or count.strays or count.cut) else ()


def keep(path: Path, found: Mapping[tuple[int, int], str | Entry], coverage: Coverage | None = None) -> None:
    """Write them into a run directory, replacing earlier ones. Raises RecordingError if that fails."""
    lines = [json.dumps(dataclasses.asdict(coverage))] if coverage else []
    written: dict[str | Entry, str] = {}  # there are many hits, and few different entries
    for (worker, seq), entry in sorted(found.items()):
        text = written.get(entry)
        if text is None:
            fields = [entry] if isinstance(entry, str) else list(entry) if any(entry[1:]) else [entry.address]
            text = written[entry] = json.dumps(fields)[1:]
        lines.append(f"[{worker}, {seq}, {text}")
    try:
        write_below(path, FILE, "".join(line + "\n" for line in lines))
    except OSError as error:
        raise RecordingError(f"cannot keep what the log tells in {path / FILE}: {error.strerror}") from None


def kept(path: Path) -> Upstreams:
    """Read back the addresses; {} if no log was given. Raises RecordingError."""
    return access_log(path).addresses


def access_log(path: Path) -> AccessLog:
    """Read all of it back; empty if no log was given. Raises RecordingError."""
    try:
        text = read(path, FILE, _MOST)
    except FileNotFoundError:
        return AccessLog({})
    try:
        lines = text.splitlines()
        parts = (b",".join(lines[at : at + _AT_ONCE]) for at in range(0, len(lines), _AT_ONCE))
        rows = [row for part in parts for row in parse(b"[" + part + b"]")]
        coverage = _coverage(rows.pop(0)) if rows and isinstance(rows[0], dict) else None
        return AccessLog(dict(_row(*row) for row in rows), coverage)
    except (ValueError, TypeError, KeyError) as error:
        raise RecordingError(
            f"{path / FILE} does not hold [worker, seq, address] on each line: {error}"
        ) from error


def _row(
    worker: Any, seq: Any, address: Any, family: Any = "", said: Any = ""
) -> tuple[tuple[int, int], Entry]:
    return (int(worker), int(seq)), Entry(str(address), str(family), str(said))


def _coverage(row: Mapping[str, Any]) -> Coverage:
    counts = {"cut": 0, **row}  # what was kept by an earlier version has no such count
    return Coverage(**{part.name: int(counts[part.name]) for part in dataclasses.fields(Coverage)})


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
