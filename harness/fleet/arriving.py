"""The logs of a fleet as they arrive: copied into the run's folder byte by byte, each byte once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.fleet.frames import ANSWERS, CONNECTIONS, HEALTH, HITS, FrameError, LogName, Piece
from harness.model import HealthSample
from harness.recording import folder
from harness.recording.jsontext import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from typing import BinaryIO

_ENDINGS = {HITS: "arrow", CONNECTIONS: "arrow", ANSWERS: "jsonl"}
_LONGEST_LINE = 1 << 16


class Arriving:
    """What one pod's workers have sent of their logs. `health` gets each sample, once."""

    def __init__(
        self, directory: Path, workers: Iterable[int], health: Callable[[HealthSample], None]
    ) -> None:
        self._directory = directory
        self._workers = frozenset(workers)
        self._health = health
        self._files: dict[LogName, BinaryIO] = {}
        self._lines: dict[LogName, bytes] = {}
        self.have: dict[LogName, int] = {}

    def take(self, part: Piece) -> None:
        """Keep what is new of a piece. Raises FrameError if it is another pod's, or leaves a gap."""
        name, have = part.log, self.have.get(part.log, 0)
        if name.worker not in self._workers:
            raise FrameError(f"a pod sent the log {name}, which is another's")
        if part.offset > have:
            raise FrameError(f"the log {name} has a gap: {part.offset - have:,} bytes are missing")
        if new := part.content[have - part.offset :]:
            self._keep(name, new)
            self.have[name] = have + len(new)

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()
        self._files.clear()

    def _keep(self, name: LogName, new: bytes) -> None:
        if name.kind == HEALTH:
            self._keep_health(name, new)
            return
        file = self._files.get(name)
        if file is None:
            path = self._directory / name.kind / f"{name.worker}.{_ENDINGS[name.kind]}"
            path.parent.mkdir(mode=folder.FOLDER_MODE, exist_ok=True)
            file = self._files[name] = folder.create(path)
        file.write(new)
        file.flush()

    def _keep_health(self, name: LogName, new: bytes) -> None:
        *whole, rest = (self._lines.get(name, b"") + new).split(b"\n")
        if len(rest) > _LONGEST_LINE:
            raise FrameError(f"the log {name} is no log of health samples")
        self._lines[name] = rest
        for line in whole:
            try:
                sample = HealthSample(**parse(line))
            except (ValueError, TypeError):
                raise FrameError(f"the log {name} is no log of health samples") from None
            if sample.worker != name.worker:
                raise FrameError(f"the log {name} has a sample of another worker")
            self._health(sample)
