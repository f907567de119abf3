"""What a scoreboard says: services, their deploys, and what was not seen. Pure data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DeployRow:
    """One recorded change. Unknown texts are empty, unknown numbers None."""

    folder: str
    when: str  # UTC, to the minute
    what: str  # who changed what
    grade: str  # PASS | FAIL | INCONCLUSIVE, "" while it is not judged
    headline: str = ""
    lost: int | None = None
    cause: str = ""
    fix: str = ""
    headroom: str = ""
    hits: int = 0  # requests while the change went on
    hidden_ns: int | None = None  # the longest full outage that may have gone unseen, at 95 %
    deploys: int = 1  # a deploy that came upon another is in the same recording
    page: bool = False  # it has a report.html


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """One service, and its deploys, newest first."""

    key: str
    url: str
    rate: str  # "2/s, 20/s during a deploy"
    doing: str  # what the watch does there now
    watched: bool = True
    deploys: tuple[DeployRow, ...] = ()
    gaps: int = 0

    @property
    def count(self) -> int:
        """How many changes are on record."""
        return sum(one.deploys for one in self.deploys)

    @property
    def lost(self) -> int:
        """Requests lost in all of them."""
        return sum(one.lost or 0 for one in self.deploys)

    @property
    def lossy(self) -> int:
        """How many recordings have lost requests."""
        return sum(bool(one.lost) for one in self.deploys)


@dataclass(frozen=True, slots=True)
class MissedRow:
    """Deploys that nobody saw."""

    service: str
    count: int  # at least
    text: str


@dataclass(frozen=True, slots=True)
class Board:
    """The whole scoreboard."""

    namespace: str
    now: str
    since: str
    services: tuple[ServiceRow, ...]
    not_watched: tuple[tuple[str, str, str], ...] = ()  # name, why, what to do
    missed: tuple[MissedRow, ...] = ()
    keep: int = 0
