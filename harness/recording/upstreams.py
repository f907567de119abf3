"""To which pod's address the balancer sent the hits that failed, by its own access log: upstreams.jsonl of a run directory.

A line is [worker, seq, address]. It is written when somebody brings the log, and read whenever the run is judged from then on.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from harness.errors import RecordingError
from harness.recording.folder import MIB, read, write_below
from harness.recording.jsontext import parse

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILE = "upstreams.jsonl"
_MOST = 256 * MIB
Upstreams = dict[tuple[int, int], str]  # (worker, seq) -> address without a port


def keep(path: Path, found: Mapping[tuple[int, int], str]) -> None:
    """Write them into a run directory, in place of earlier ones. Raises RecordingError when it cannot be written."""
    lines = [json.dumps([worker, seq, address]) for (worker, seq), address in sorted(found.items())]
    try:
        write_below(path, FILE, "".join(line + "\n" for line in lines))
    except OSError as error:
        raise RecordingError(f"cannot keep what the log tells in {path / FILE}: {error.strerror}") from None


def kept(path: Path) -> Upstreams:
    """Read them back; {} where nobody brought a log. Raises RecordingError."""
    try:
        text = read(path, FILE, _MOST)
    except FileNotFoundError:
        return {}
    try:
        rows = [parse(line) for line in text.splitlines()]
        return {(int(worker), int(seq)): str(address) for worker, seq, address in rows}
    except (ValueError, TypeError) as error:
        raise RecordingError(
            f"{path / FILE} does not hold [worker, seq, address] on each line: {error}"
        ) from error
