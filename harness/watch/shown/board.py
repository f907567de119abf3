"""The scoreboard, from the recordings alone: what their verdicts say, and how small a loss each could have hidden."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness import masking
from harness.errors import RecordingError
from harness.history import reading
from harness.history.runs import OF_A_RUN, RUNNING, text, whole
from harness.recording import folder, jsontext
from harness.report.watch.rows import DeployRow
from harness.watch.changed import NOTE

if TYPE_CHECKING:
    from pathlib import Path

    from harness.history.runs import Run

_MOST = 64 * folder.MIB
# Of outages into which this many hits are expected, one in 20 meets none: -ln(0.05), the "rule of three"
# (Hanley and Lippman-Hand, JAMA 1983).
_UNSEEN = 2.996
_MORE = " more came before this one had settled"


def hidden_ns(hits: int, lasted_ns: int) -> int | None:
    """Return how long all requests could have failed without a single hit of ours among them, at 95 %.

    `hits` were sent evenly over `lasted_ns`. A loss of a part of the requests hides for that much longer: 1 s of all
    counts as much as 5 s of a fifth. None where nothing was sent: anything could have hidden.
    """
    return round(_UNSEEN * lasted_ns / hits) if hits > 0 and lasted_ns > 0 else None


def rows(root: Path) -> dict[str, list[DeployRow]]:
    """Return all recordings in a folder by service ("deployment/web"), newest first."""
    found: dict[str, list[DeployRow]] = {}
    try:
        names, _ = folder.below(root)
    except OSError:
        return {}
    for name in sorted(names, reverse=True):
        if OF_A_RUN.match(name) and (read := row(root, name)):
            found.setdefault(read[0], []).append(read[1])
    return found


def row(root: Path, name: str) -> tuple[str, DeployRow] | None:
    """Return a recording's service and its row; None if it is no recording of a workload, or cannot be read."""
    try:
        run = reading.read(root, name)
    except reading.NoRunError:
        return None
    kind, _, place = run.workload.partition(" ")
    if not place:
        return None
    record, verdict = _json(root, f"{name}/run.json"), _json(root, f"{name}/verdict.json")
    notes = [text(note) for note in record.get("notes") or [] if isinstance(note, str)]
    hits, hidden = _power(verdict)
    return f"{kind.lower()}/{place.partition('/')[2]}", DeployRow(
        folder=name,
        when=run.when,
        what=masking.prose(next((note.removeprefix(NOTE) for note in notes if note.startswith(NOTE)), "")),
        grade=run.grade,
        headline=run.headline or _pending(run),
        lost=run.lost,
        cause=_cause(verdict, run),
        fix=_fix(verdict),
        headroom=_headroom(verdict),
        hits=hits,
        hidden_ns=hidden,
        deploys=1 + _more(notes),
        page=folder.stamp(root, f"{name}/report.html") is not None,
    )


def _pending(run: Run) -> str:
    return "it is being recorded" if run.state == RUNNING else "it has yet to be judged"


def _power(verdict: dict[str, Any]) -> tuple[int, int | None]:
    """Return the hits while the change went on, and what they may have missed."""
    numbers = verdict.get("numbers")
    parts = numbers.get("parts") if isinstance(numbers, dict) else None
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, dict) and part.get("name") == "during":
            hits, from_ns, to_ns = (whole(part.get(key)) for key in ("requests", "from_ns", "to_ns"))
            if hits is not None and from_ns is not None and to_ns is not None:
                return hits, hidden_ns(hits, to_ns - from_ns)
    return 0, None


def _cause(verdict: dict[str, Any], run: Run) -> str:
    """Return the largest cause that counts against the rollout, by its ids and in words."""
    if not run.causes:
        return ""
    largest = run.causes[0]
    listed = verdict.get("causes")
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, dict) and one.get("ids") == list(largest.ids):
            return f"{largest.text}: {text(one.get('name'))}"
    return largest.text


def _fix(verdict: dict[str, Any]) -> str:
    """Return the first lines that the advice changes."""
    advice = verdict.get("advice")
    lines = advice.get("lines") if isinstance(advice, dict) else None
    if not isinstance(lines, list) or not isinstance(verdict.get("causes"), list) or not verdict["causes"]:
        return ""
    found = [
        f"{text(one.get('path')).rpartition('.')[2]}: {text(one.get('value'))}"
        for one in lines[:3]
        if isinstance(one, dict)
    ]
    return "; ".join(found)


def _headroom(verdict: dict[str, Any]) -> str:
    """Return the first margin that was measured."""
    listed = verdict.get("headroom")
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, dict) and whole(one.get("used_ns")) is not None:
            return text(one.get("sentence"))
    return ""


def _more(notes: list[str]) -> int:
    for note in notes:
        number, found, _ = note.partition(_MORE)
        if found and number.isdecimal() and len(number) < 6:
            return int(number)
    return 0


def _json(root: Path, name: str) -> dict[str, Any]:
    try:
        found = jsontext.parse(folder.read(root, name, _MOST))
    except (OSError, ValueError, RecordingError):
        return {}
    return found if isinstance(found, dict) else {}
