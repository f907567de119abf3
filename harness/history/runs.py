"""What is known of one run without judging it: a row of the list, and of the index file. Pure, standard library only.

A run folder may come from a stranger, and so may the index: every value is checked here before it becomes a Run.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any

from harness.clock import NS
from harness.model import Grade

LONGEST_TEXT = 500  # characters of one text
MOST_CAUSES = 100
_LARGEST = 1 << 62

OF_A_RUN = re.compile(
    r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)\d\dZ-", re.ASCII
)  # how the name of a run's folder begins

RUNS = Path("results")  # where `run` puts them without -o
RUNNING, KILLED = "running", "killed"


@dataclass(frozen=True, slots=True)
class Cause:
    """A cause that counts against the rollout: its ids (several: one of them) and how many hits it explains."""

    ids: tuple[str, ...]
    hits: int

    @property
    def text(self) -> str:
        """Return the cause as one word: "B1", "B1|C1"."""
        return "|".join(self.ids)


@dataclass(frozen=True, slots=True)
class Run:
    """One run, as its folder tells of it. Times are in ns, None where unknown; unknown texts are empty.

    `grade` is "" where there is no verdict that can be read; `missing` then says why. Of a run of
    several rollouts the times are medians over them. With `lag_least` or `reach_least` that number is a lower bound.
    """

    folder: str
    name: str
    began_ns: int  # wall time
    state: str = ""  # complete | interrupted | running | killed
    ended_by: str = ""
    version: str = ""  # of the zdtest that made it
    workload: str = ""  # "Deployment shop/web"
    cluster: str = ""  # the context, or the server where there is none
    server: str = ""
    lab: bool = False
    target: str = ""  # "GET https://…"
    trigger: str = ""
    load: str = ""  # "200 connections", "500 requests/s"
    length_ns: int | None = None  # of the load
    objects: str = ""  # digest of the live objects before the change
    grade: str = ""
    headline: str = ""
    missing: str = ""
    requests: int | None = None
    failed: int | None = None
    lost: int | None = None
    causes: tuple[Cause, ...] = ()
    rollouts: int = 0  # seen to their end
    proven: int = 0  # of these, with a verdict about losses: PASS, FAIL, or requests that were lost
    lossy: int = 0  # of these, with lost requests
    p99_ns: int | None = None  # of good answers during the rollout
    outage_ns: int | None = None
    lag_ns: int | None = None
    lag_least: bool = False
    reach_ns: int | None = None
    reach_least: bool = False
    rollout_ns: int | None = None  # from the trigger to the end of the rollout
    streams: int | None = None  # open since the trigger; None where requests were sent
    cut: int | None = None  # of those
    back_ns: int | None = None  # the longest from the loss of one to the first message on the next
    status_ns: int | None = None  # from the trigger to what `kubectl rollout status` calls done

    @property
    def began(self) -> datetime:
        """Return when it began, UTC."""
        return datetime.fromtimestamp(self.began_ns / NS, tz=UTC)

    @property
    def when(self) -> str:
        """Return when it began, to the minute, UTC: as its folder says, whose name begins with it, so that it can be
        given as the name of the run.
        """
        found = OF_A_RUN.match(own_name(self.folder))
        year, month, day, hour, minute = found.groups() if found else f"{self.began:%Y %m %d %H %M}".split()
        return f"{year}-{month}-{day} {hour}:{minute}"

    @property
    def judged(self) -> bool:
        """Whether there is a verdict."""
        return bool(self.grade)

    def unjudged(self, where: str = "") -> str:
        """Say why there is no verdict and what to do; `where` is the folder of the run's folder, if it must be said."""
        named = f"{where}/{self.folder}" if where else self.folder
        return (
            self.missing if self.state == RUNNING else f"{self.missing}: judge it with zdtest report {named}"
        )

    @property
    def complete(self) -> bool:
        """Whether a rollout was seen to its end, so that its numbers may be compared with those of other nights."""
        return self.rollouts > 0

    @property
    def verdict(self) -> str:
        """Return the verdict in one word, or why there is none."""
        return self.grade or (self.state if self.state in {RUNNING, KILLED} else "not judged")


def own_name(folder: str) -> str:
    """Return the name of a run's own folder, which may lie in a suite's: "20261125T…Z-web"."""
    return folder.rpartition("/")[2]


def to_json(run: Run) -> dict[str, Any]:
    """Return a run as plain data."""
    return dataclasses.asdict(run)


def from_json(raw: object) -> Run | None:
    """Return the run that `to_json` made this of; None if it did not."""
    if not isinstance(raw, dict) or raw.keys() != _FIELDS.keys():
        return None
    values = dict(raw)
    values["causes"] = causes(raw["causes"])
    if values["causes"] is None or not all(fits(values[name], kind) for name, kind in _FIELDS.items()):
        return None
    found = Run(**values)
    return found if found.grade in _GRADES else None


def causes(raw: object) -> tuple[Cause, ...] | None:
    """Return causes of plain data, such as those of verdict.json; None if they are none."""
    if not isinstance(raw, list) or len(raw) > MOST_CAUSES:
        return None
    found = []
    for one in raw:
        ids, hits = (one.get("ids"), whole(one.get("hits"))) if isinstance(one, dict) else (None, None)
        if not isinstance(ids, list) or not all(fits(name, str) for name in ids) or hits is None:
            return None
        found.append(Cause(tuple(ids), hits))
    return tuple(found)


def fits(value: Any, kind: object) -> bool:
    """Whether a value from a file may be a field of a run of this kind: str, int, bool, or int | None."""
    if kind is int or kind == "int | None":
        fine = isinstance(value, int) and not isinstance(value, bool) and -_LARGEST < value < _LARGEST
        return fine or (kind is not int and value is None)
    if kind is str:
        return isinstance(value, str) and len(value) <= LONGEST_TEXT
    return isinstance(value, bool) if kind is bool else True


def text(value: object, most: int = LONGEST_TEXT) -> str:
    """Return a text of a file, shortened; "" for anything else."""
    return value[:most] if isinstance(value, str) else ""


def whole(value: object) -> int | None:
    """Return a number of a file as an integer; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return None
    return int(value) if -_LARGEST < value < _LARGEST else None


_KINDS: dict[str, object] = {"str": str, "int": int, "bool": bool}
_FIELDS = {field.name: _KINDS.get(str(field.type), str(field.type)) for field in dataclasses.fields(Run)}
_GRADES = frozenset({"", *(grade.value for grade in Grade)})
