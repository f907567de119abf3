"""suite.json: which scenarios one night runs, in which order and why, and what became of each.

Written anew whenever a run begins or ends, so that a suite killed at any moment can be resumed, and so that others can
read how far it is. The runs lie beside it in `runs/`, what they printed in `logs/`.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from math import isfinite
from typing import TYPE_CHECKING, Any

from harness.errors import RecordingError
from harness.recording import folder
from harness.recording.series import paper

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE = "suite.json"
RUNS, LOGS = "runs", "logs"
MOST = 10_000  # scenarios
STATES = ("running", "complete", "interrupted")
_MOST_BYTES = 16 * folder.MIB
_LONGEST = 2000  # characters of a text
_LARGEST = 1 << 62


class Result(StrEnum):
    """What became of one scenario. The first three are verdicts; only they end it for good."""

    PASS = "PASS"  # noqa: S105  no password
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    REFUSED = "refused"  # exit code 2: nothing was touched
    BUSY = "busy"  # another run held the workload for longer than the suite waits
    CRASHED = "crashed"  # exit code 4, or an end without a verdict
    KILLED = "killed"  # by a signal that was not ours
    TIMED_OUT = "timed_out"  # it did not end within its limit
    INTERRUPTED = "interrupted"  # the suite was, while it ran
    LEFT_OUT = "left_out"  # no room in the budget
    NOT_RUN = "not_run"  # not begun yet, or the suite was interrupted before


VERDICTS = frozenset({Result.PASS, Result.FAIL, Result.INCONCLUSIVE})


@dataclass(frozen=True, slots=True)
class Cause:
    """A cause that counts against the rollout, in words, and what fixes it."""

    ids: tuple[str, ...]
    name: str
    requests: int
    fix: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Before:
    """The last verdict that this scenario had in an earlier run; began: UTC, ISO 8601."""

    verdict: str = ""
    began: str = ""
    run: str = ""  # its folder, below the one that holds the suites


@dataclass(frozen=True, slots=True)
class Entry:
    """One scenario of a suite. Times in seconds; None where unknown."""

    name: str  # of its runs; no other in the suite has it
    scenario: str  # the file, as it was found
    workload: str = ""  # deployment shop/web
    shares: tuple[str, ...] = ()  # what it must share with no other run at the same time
    why: str = ""  # why it stands at this place
    digest: str = ""  # of its manifests' files; "" without any
    expected_s: float = 0.0
    limit_s: float = 0.0  # it is ended after this
    before: Before = Before()
    result: Result = Result.NOT_RUN
    said: str = ""  # the headline, or why there is no verdict
    run: str = ""  # its folder, below the suite's
    log: str = ""  # what it printed, below the suite's
    exit_code: int | None = None
    tries: int = 0
    began: str = ""  # UTC, ISO 8601
    took_s: float | None = None
    requests: int | None = None
    lost: int | None = None
    causes: tuple[Cause, ...] = ()

    @property
    def judged(self) -> bool:
        """Whether it has a verdict, so that a resumed suite leaves it alone."""
        return self.result in VERDICTS


@dataclass(frozen=True, slots=True)
class Suite:
    """What a suite is to do and has done. `entries` are in the order in which they were to run."""

    name: str
    entries: tuple[Entry, ...]
    state: str = "running"
    parallel: int = 1
    budget_s: float | None = None
    began: str = ""  # UTC, ISO 8601
    took_s: float = 0.0  # of all its processes, if it was resumed
    exit_code: int | None = None
    notes: tuple[str, ...] = ()
    request: dict[str, Any] = field(default_factory=dict)  # what the command line said, without secrets
    version: str = ""  # zdtest's

    def changed(self, at: int, **fields: Any) -> Suite:
        """Return the same with fields of one entry changed."""
        entries = list(self.entries)
        entries[at] = replace(entries[at], **fields)
        return replace(self, entries=tuple(entries))


def write(directory: Path, suite: Suite) -> None:
    """Replace a suite's file in one step. Raises OSError."""
    text = json.dumps({"format": paper.FORMAT, **asdict(suite)}, indent=1, ensure_ascii=False)
    folder.write_below(directory, FILE, text + "\n")


@contextmanager
def mine(results: Path) -> Iterator[None]:
    """Keep every other suite out of a folder of results; the kernel ends that with this process, however it ends.

    Raises RecordingError if another suite is under way in it.
    """
    try:
        with folder.locked(results):
            yield
    except BlockingIOError:
        raise RecordingError(
            f"another suite is under way in {results}: wait for its end, or choose another folder with -o"
        ) from None


def is_suite(directory: Path) -> bool:
    """Tell whether a folder is a suite's."""
    return folder.stamp(directory, FILE) is not None


def read(directory: Path) -> Suite:
    """Read a suite. Raises RecordingError, one line, if it is none or cannot be understood."""
    return paper.read(directory, FILE, "suite", _MOST_BYTES, _read)


def _read(raw: dict[str, Any]) -> Suite:
    entries = tuple(_entry(one) for one in _objects(raw["entries"]))
    if len({entry.name for entry in entries}) < len(entries):
        raise ValueError("two scenarios have one name")
    if raw["state"] not in STATES:
        raise ValueError(f"{str(raw['state'])[:40]!r} is no state of a suite")
    return Suite(
        name=_text(raw["name"]),
        entries=entries,
        state=raw["state"],
        parallel=_whole(raw.get("parallel", 1)),
        budget_s=_maybe(raw.get("budget_s"), _seconds),
        began=_text(raw.get("began", "")),
        took_s=_seconds(raw.get("took_s", 0)),
        exit_code=_maybe(raw.get("exit_code"), _code),
        notes=_texts(raw.get("notes", [])),
        request=raw["request"] if isinstance(raw.get("request"), dict) else {},
        version=_text(raw.get("version", "")),
    )


def _entry(raw: dict[str, Any]) -> Entry:
    before = raw.get("before") or {}
    if not isinstance(before, dict):
        raise TypeError("an object was expected")
    return Entry(
        **{key: _text(raw[key]) for key in ("name", "scenario")},
        **{key: _text(raw.get(key, "")) for key in ("workload", "why", "digest", "said", "began")},
        shares=_texts(raw.get("shares", [])),
        expected_s=_seconds(raw.get("expected_s", 0)),
        limit_s=_seconds(raw.get("limit_s", 0)),
        before=Before(*(_text(before.get(key, "")) for key in ("verdict", "began", "run"))),
        result=Result(raw.get("result", Result.NOT_RUN)),
        run=_below(raw.get("run", ""), RUNS),
        log=_below(raw.get("log", ""), LOGS),
        exit_code=_maybe(raw.get("exit_code"), _code),
        tries=_whole(raw.get("tries", 0)),
        took_s=_maybe(raw.get("took_s"), _seconds),
        requests=_maybe(raw.get("requests"), _whole),
        lost=_maybe(raw.get("lost"), _whole),
        causes=tuple(
            Cause(_texts(one["ids"]), _text(one["name"]), _whole(one["requests"]), _texts(one.get("fix", [])))
            for one in _objects(raw.get("causes", []))
        ),
    )


def _objects(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or len(value) > MOST or not all(isinstance(one, dict) for one in value):
        raise TypeError("a list of objects was expected")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a text was expected, not {type(value).__name__}")
    return value[:_LONGEST]


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MOST:
        raise TypeError("a list of texts was expected")
    return tuple(map(_text, value))


def _maybe(value: Any, kind: Any) -> Any:
    return None if value is None else kind(value)


def _code(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not -256 < value < 256:
        raise TypeError("an exit code was expected")
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _LARGEST:
        raise TypeError("a whole number was expected")
    return value


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or value < 0:
        raise TypeError("a number of seconds was expected")
    return float(value)


def _below(value: Any, room: str) -> str:
    """Return the path of a run or a log; only one in its room can be the suite's."""
    text = _text(value)
    first, _, name = text.partition("/")
    if text and (first != room or not name or "/" in name or name in {".", ".."}):
        raise ValueError("a run lies outside of the suite's folder")
    return text
