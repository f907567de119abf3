"""state.json: what the watch must know after a restart and no recording tells. All else is in the recordings."""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from harness.errors import RecordingError
from harness.recording import folder, jsontext
from harness.watch.changed import Missed

if TYPE_CHECKING:
    from pathlib import Path

FILE = "state.json"
FORMAT = 1
_MOST_MISSED = 200
_MOST = 4 * folder.MIB
_LONGEST = 500
_SECRET = re.compile(r"[\w-]{16,64}", re.ASCII)


@dataclass(slots=True)
class State:
    """`revisions`: of each service, the revision that was last seen. `secret`: a part of the page's address."""

    revisions: dict[str, str] = field(default_factory=dict)
    missed: list[Missed] = field(default_factory=list)
    seen: str = ""  # when this was last true, UTC
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(16), repr=False)

    def miss(self, one: Missed) -> None:
        """Keep that deploys were missed; the oldest such note goes when there are too many."""
        self.missed = [*self.missed, one][-_MOST_MISSED:]


def load(root: Path) -> State:
    """Return the state of an earlier watch; a new one where there is none, or none that can be read."""
    try:
        raw = jsontext.parse(folder.read(root, FILE, _MOST))
    except (OSError, ValueError, RecordingError):
        return State()
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        return State()
    revisions, missed = raw.get("revisions"), raw.get("missed")
    state = State(
        revisions={key: value for key, value in revisions.items() if _text(key) and _text(value)}
        if isinstance(revisions, dict)
        else {},
        missed=[one for item in missed[-_MOST_MISSED:] if (one := _missed(item))]
        if isinstance(missed, list)
        else [],
        seen=raw["seen"] if _text(raw.get("seen")) else "",
    )
    if isinstance(raw.get("secret"), str) and _SECRET.fullmatch(raw["secret"]):
        state.secret = raw["secret"]
    return state


def save(root: Path, state: State) -> None:
    """Write the state in one step. Raises OSError."""
    whole = {"format": FORMAT, **asdict(state)}
    folder.write_below(root, FILE, json.dumps(whole, indent=1) + "\n")


def _missed(raw: Any) -> Missed | None:
    names = {one.name for one in fields(Missed)}
    if not isinstance(raw, dict) or raw.keys() != names:
        return None
    count = raw["count"]
    fine = isinstance(count, int) and not isinstance(count, bool) and 0 < count < 1 << 31
    return Missed(**raw) if fine and all(_text(raw[name]) for name in names - {"count"}) else None


def _text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST
