"""The versions of a workload that an experiment compares, from the files that a user names."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cluster.trigger import documents_of, manifest_from, name_of
from harness.errors import UsageError
from harness.recording.series.experiment import Arm
from harness.scenario import yamltext

if TYPE_CHECKING:
    from collections.abc import Mapping

Object = dict[str, Any]

_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Rollout")


def arm(name: str, path: Path, about: str = "") -> Arm:
    """Return the version that a file describes. Raises UsageError if it cannot be read."""
    return Arm(name, str(path.absolute()), digest(path), about)


def digest(path: Path) -> str:
    """Return a fingerprint of a file. Raises UsageError if it cannot be read."""
    try:
        return hashlib.sha256(yamltext.read_bytes(path)).hexdigest()
    except OSError as error:
        raise UsageError(f"cannot read the manifest {path}: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from None


def document(path: Path, workload: Object) -> Object:
    """Return the workload's own document in a file. Raises UsageError."""
    return manifest_from(path, workload)


def workloads_of(path: Path) -> list[Object]:
    """Return the workloads in a file. Raises UsageError if it cannot be read."""
    return [doc for doc in documents_of(path) if doc.get("kind") in _WORKLOADS]


def only_workload(path: Path) -> tuple[str, str]:
    """Return kind (in lower case) and name of the one workload in a file. Raises UsageError."""
    names = [f"{doc['kind'].lower()}/{name_of(doc)}" for doc in workloads_of(path) if name_of(doc)]
    if len(set(names)) != 1:
        holds = f"it holds {', '.join(names)}" if names else "it holds no workload"
        raise UsageError(f"{path}: {holds}; name the one to roll out with --deployment")
    kind, _, name = names[0].partition("/")
    return kind, name


def check_the_rest(before: Path, after: Path, workload: Object) -> None:
    """Refuse two files that differ in anything but the workload: only the workload is switched. Raises UsageError."""
    rest = [_rest(path, workload) for path in (before, after)]
    for name in sorted(rest[0].keys() & rest[1].keys()):
        if rest[0][name] != rest[1][name]:
            raise UsageError(
                f"{name} is different in {before} and {after}, and only {_named(workload)} is switched between them;"
                " make that change for both, or leave it out of the files"
            )


def _rest(path: Path, workload: Object) -> Mapping[str, Object]:
    found = {_named(doc): doc for doc in documents_of(path) if doc.get("kind")}
    found.pop(_named(workload), None)
    return found


def _named(doc: Object) -> str:
    return f"{doc['kind']} {name_of(doc) or '?'}"


def unchanged(arms: tuple[Arm, ...]) -> None:
    """Refuse to go on with files that are not what they were. Raises UsageError."""
    for one in arms:
        if one.source and digest(Path(one.source)) != one.digest:
            raise UsageError(
                f"{one.source} has changed since the experiment began; put it back, or begin a new experiment"
            )
