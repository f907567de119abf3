"""What is written down for the other end: an assignment with the files that it names, and a pod's report. Pure, but
for those files.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import UsageError
from harness.load import messages
from harness.model import NEVER, FirstFailure, LiveCounts

if TYPE_CHECKING:
    from harness.clock import Clock
    from harness.fleet.clocks import Course, Estimate
    from harness.load.generator import Load
    from harness.load.messages import Assignment

_FILES = ("ca_file", "cert_file", "key_file")  # of a plan: paths here, and files of the same content there


def packed(assignments: list[Assignment]) -> dict[str, Any]:
    """Write down a pod's assignments, with the content of the files that the plan names. Raises UsageError."""
    plan = assignments[0].plan
    files = {}
    for name in _FILES:
        if path := getattr(plan, name):
            try:
                files[name] = b64encode(Path(path).read_bytes()).decode()
            except OSError as error:
                raise UsageError(f"cannot read {path}: {error.strerror}") from None
    return {"assignments": [messages.encode(each) for each in assignments], "files": files}


def unpacked(command: dict[str, Any], clock: Clock, directory: Path, scratch: Path) -> list[Assignment]:
    """Read assignments back, for this clock and this folder; the plan's files are written to `scratch`."""
    paths: dict[str, Any] = {}
    for name, content in command["files"].items():
        if name in _FILES:
            path = scratch / name
            path.touch(mode=0o600)
            path.write_bytes(b64decode(content))
            paths[name] = str(path)
    found = [messages.decode(each) for each in command["assignments"]]
    return [
        replace(each, clock=clock, directory=directory, plan=replace(each.plan, **paths)) for each in found
    ]


def report(
    load: Load | None, course: Course, *, refused: str, finished: bool, clock: Estimate, sizes: dict[str, int]
) -> dict[str, Any]:
    """Write down how a pod's part of the load stands. Moments are on the run's clock."""
    workers = load.workers if load else ()

    def moved(t_ns: int) -> int:
        return t_ns if t_ns == NEVER else t_ns + course.offset_ns(t_ns)

    return {
        "workers": {
            each.assignment.worker: {
                "counts": asdict(
                    replace(
                        each.counts,
                        t_ns=moved(each.counts.t_ns),
                        last_failed_ns=moved(each.counts.last_failed_ns),
                    )
                ),
                "backed_off": each.backed_off,
                "late_ns": each.late_ns,
                "ended": each.ended,
            }
            for each in workers
        },
        "lost": load.last_words if load else {},
        "samples": load.error_samples if load else {},
        "failures": [asdict(replace(one, t_ns=moved(one.t_ns))) for one in load.first_failures.values()]
        if load
        else [],
        "clock": [clock.offset_ns, clock.uncertainty_ns],
        "refused": refused,
        "finished": finished,
        "sizes": sizes,
    }


@dataclass(frozen=True, slots=True)
class WorkerState:
    """How one worker stood at the last report."""

    counts: LiveCounts = field(default_factory=LiveCounts)
    backed_off: int = 0
    late_ns: int = 0
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """A pod's report, read back."""

    workers: dict[int, WorkerState]
    lost: dict[int, str]
    samples: dict[str, str]
    failures: tuple[FirstFailure, ...]
    offset_ns: int
    uncertainty_ns: int
    refused: str
    finished: bool
    sizes: dict[str, int]


def reported(found: dict[str, Any]) -> Report:
    """Read a report. What a pod says is data from a network: AttributeError, KeyError, TypeError and ValueError mean
    that it is none.
    """
    offset_ns, uncertainty_ns = found["clock"]
    return Report(
        {
            int(number): WorkerState(
                messages.counts(one["counts"]),
                int(one["backed_off"]),
                int(one["late_ns"]),
                bool(one["ended"]),
            )
            for number, one in found["workers"].items()
        },
        {int(number): str(words) for number, words in found["lost"].items()},
        dict(found["samples"]),
        tuple(FirstFailure(**one) for one in found["failures"]),
        int(offset_ns),
        int(uncertainty_ns),
        str(found["refused"]),
        bool(found["finished"]),
        dict(found["sizes"]),
    )
