"""What the reports of a suite say in words, each in one place. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.model import Grade
from harness.recording.series.suite import VERDICTS, Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.recording.series.suite import Entry, Suite

# What asks for attention first. Also the order of the page.
URGENT = (
    Result.FAIL, Result.CRASHED, Result.KILLED, Result.TIMED_OUT, Result.REFUSED, Result.INCONCLUSIVE, Result.BUSY,
    Result.INTERRUPTED, Result.NOT_RUN, Result.LEFT_OUT, Result.PASS,
)  # fmt: skip
_NAMES = {
    Result.TIMED_OUT: "timed out",
    Result.LEFT_OUT: "left out",
    Result.NOT_RUN: "not run",
}


def name_of(result: Result) -> str:
    """Return a result as people read it."""
    return _NAMES.get(result, result.value)


def urgent_first(entries: Sequence[Entry]) -> list[Entry]:
    """Return entries with those first that ask for attention; otherwise in the order in which they were to run."""
    return sorted(entries, key=lambda entry: URGENT.index(entry.result))


def length(seconds: float | None) -> str:
    """Return a length of time to read at a glance: "45 s", "3m05s", "2h10m"; "-" if it is unknown."""
    if seconds is None:
        return "-"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    return (
        f"{whole // 60}m{whole % 60:02d}s" if whole < 3600 else f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    )


def told(entry: Entry) -> str:
    """Say in one line what became of a scenario."""
    if entry.result is Result.NOT_RUN and not entry.said:
        return "the suite ended before its turn"
    return entry.said or "-"


def news(entry: Entry) -> str:
    """Say how a verdict compares with the one before; "" if nothing is new."""
    if entry.result not in VERDICTS or not entry.before.verdict:
        return ""
    day = entry.before.began[:10]
    if entry.result.value == entry.before.verdict:
        return f"also on {day}" if entry.result is not Result.PASS else ""
    new = "new: " if entry.result is Result.FAIL and entry.before.verdict == Grade.PASS else ""
    return f"{new}was {entry.before.verdict} on {day}"


def how_it_ran(suite: Suite) -> list[str]:
    """Say how a suite ran: when, for how long, how many at a time, within which budget."""
    found = [f"{suite.began[:16].replace('T', ' ')} UTC", f"took {length(suite.took_s)}"]
    if suite.parallel > 1:
        found.append(f"up to {suite.parallel} at a time")
    if suite.budget_s is not None:
        found.append(f"budget {length(suite.budget_s)}, in the order of risk")
    if suite.state == "interrupted":
        found.append("interrupted")
    return found
