"""Runs that test the same thing, in the order of time, and what changed between two of them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from harness.history.runs import Run
    from harness.judge.verdict.fieldchanges import FieldChange

    Compared = Callable[[Run, Run], Sequence[FieldChange]]

MANIFEST, IMAGE, SETTING, VERSION = "manifest", "image", "setting", "version"
_SETTINGS = ("trigger", "load", "target")


@dataclass(frozen=True, slots=True)
class Change:
    """Something that a person changed between two runs: in the manifest, in what the run does, or in zdtest."""

    kind: str  # manifest | image | setting | version
    what: str  # a field's path, or the setting's name
    before: str
    after: str

    @property
    def text(self) -> str:
        """Return it in one line."""
        return f"{self.what}: {self.before or '(none)'} -> {self.after or '(none)'}"


@dataclass(frozen=True, slots=True)
class Night:
    """One run of a group, and what changed since the one before it."""

    run: Run
    changes: tuple[Change, ...] = ()

    @property
    def breaks(self) -> bool:
        """Whether what is tested is another thing from here on, so that numbers before and after are two series.

        A new image alone is no such change: where every night has one, there would be no series at all.
        """
        return any(change.kind in {MANIFEST, SETTING} for change in self.changes)


@dataclass(frozen=True, slots=True)
class Group:
    """Runs of the same name on the same workload of the same cluster, oldest first."""

    nights: tuple[Night, ...]

    @property
    def runs(self) -> tuple[Run, ...]:
        """Return the runs, oldest first."""
        return tuple(night.run for night in self.nights)

    @property
    def title(self) -> str:
        """Say what these runs test: "Deployment shop/web on staging, nightly"."""
        run = self.nights[-1].run
        where = "the embedded lab" if run.lab else run.cluster
        return f"{run.workload or run.target}{f' on {where}' if where else ''}, {run.name}"

    @property
    def stretches(self) -> tuple[tuple[Night, ...], ...]:
        """Cut the nights where what is tested changed; the last stretch is the one since the last change."""
        found: list[list[Night]] = []
        for night in self.nights:
            if night.breaks or not found:
                found.append([])
            found[-1].append(night)
        return tuple(map(tuple, found))


def grouped(runs: Iterable[Run], compared: Compared) -> tuple[Group, ...]:
    """Group runs; the group with the newest run comes first.

    `compared` returns the fields of the manifest that a person changed from one run to another. It is asked only of
    runs whose live objects differ in a field that a person may have written.
    """
    found: dict[tuple[str, ...], list[Run]] = {}
    for run in sorted(runs, key=lambda run: (run.began_ns, run.folder)):
        found.setdefault(_key(run), []).append(run)
    groups = (Group(_nights(of_one, compared)) for of_one in found.values())
    return tuple(sorted(groups, key=lambda group: group.runs[-1].began_ns, reverse=True))


def _key(run: Run) -> tuple[str, ...]:
    if not run.workload:
        return run.name, "", run.target
    # Each lab has another address, and a context may be renamed.
    return run.name, run.workload, "the lab" if run.lab else run.server


def _nights(runs: Sequence[Run], compared: Compared) -> tuple[Night, ...]:
    nights = []
    before: Run | None = None  # the run before
    kept: Run | None = None  # the last one that kept its live objects
    for run in runs:
        changes: list[Change] = []
        if kept and run.objects and run.objects != kept.objects:
            fields = compared(kept, run)
            changes += (Change(_kind(field.path), field.path, field.before, field.after) for field in fields)
        if before:
            changes += _settings(before, run)
        nights.append(Night(run, tuple(changes)))
        before, kept = run, run if run.objects else kept
    return tuple(nights)


def _kind(path: str) -> str:
    return IMAGE if path.endswith("].image") else MANIFEST


def _settings(before: Run, run: Run) -> Iterable[Change]:
    for name in _SETTINGS:
        was, now = getattr(before, name), getattr(run, name)
        if was != now:
            yield Change(SETTING, name, was, now)
    if before.version != run.version:
        yield Change(VERSION, "zdtest", before.version, run.version)
