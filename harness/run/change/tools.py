"""What a change is made with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.clock import Clock
    from harness.cluster.client.api import Api
    from harness.recording.write import RunDirectory
    from harness.run.log import Log
    from harness.run.preflight.workload import Subject


@dataclass(frozen=True, slots=True)
class Tools:
    """What a change needs: the API, the subject, the run's clock and record, and somebody to report to."""

    api: Api
    subject: Subject
    clock: Clock
    directory: RunDirectory
    log: Log
    say: Callable[[str], None]
    base: Path  # what a manifest's path is relative to
    field_manager: str | None
    dry_run: bool
    interrupted: Callable[[], bool]
