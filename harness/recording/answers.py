"""What an answer said: its status, the headers that identify its server, and the beginning of its body.

`answers/<worker>.jsonl` of a run directory has one line for each distinct answer of a worker:

    {"index": 0, "status": 503, "headers": [["server", "envoy"]], "body": "no healthy upstream",
     "closes": false, "good": false}

The column `answer` of the hits points to them. A line is written before the rows that point to it, so a run that
was killed has what its rows point to. Standard library only: workers import it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import RecordingError
from harness.recording import folder, jsontext

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

LONGEST_BODY = 256  # characters of a body that are kept
LONGEST_VALUE = 128  # characters of a header's value that are kept
MOST_HEADERS = 32  # of one answer
MOST = 256  # distinct answers that one worker keeps
NONE = -1  # in the column `answer`: the hit was not answered, or it succeeded
OTHER = -2  # in the column `answer`: it was answered, but the answer was not kept, or was lost
FOLDER = "answers"

_LONGEST_NAME = 64
_LONGEST_SAID = 100  # characters of what an answer said
_TAG = re.compile(r"<[^<>]*>")
_UNSAID = re.compile(r"<(style|script|head)\b.*?(</\1>|$)", re.IGNORECASE | re.DOTALL)
_LONGEST_LINE = 64 * 1024  # bytes; ours are shorter even where every character is escaped
_LARGEST = 2 * MOST * _LONGEST_LINE
_LAST_STATUS = 999
_ESCAPE_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])?")


@dataclass(frozen=True, slots=True)
class Answer:
    """One distinct answer. Names of headers are in lower case; `closes`: it announced the end of the connection.

    Texts contain no control characters and nothing that was sent with the request. `good`: the answer to a hit that
    succeeded, kept without its body to identify the server. No row points to it.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""
    closes: bool = False
    good: bool = False

    def header(self, name: str) -> str:
        """Return the value of a header by its name in lower case, or ""."""
        return next((value for key, value in self.headers if key == name), "")


def clean(text: str, most: int) -> str:
    """Return at most `most` characters of a text, without escape sequences, invisible characters and double spaces."""
    if not (text.isascii() and text.isprintable()):
        text = _ESCAPE_SEQUENCE.sub("", text)
        text = "".join(c for c in text if c.isprintable() or c.isspace())
    return " ".join(text.split())[:most].rstrip()


def words(answer: Answer, who: str = "") -> str:
    """Return in one line who gave an answer, and what it said: `nginx: "502 Bad Gateway"`.

    `who`: the server's name where it is known better than from its own header.
    """
    said = answer.body or answer.header("grpc-message")
    body = " ".join(_TAG.sub(" ", _UNSAID.sub(" ", said)).split())
    if len(body) > _LONGEST_SAID:
        half = _LONGEST_SAID // 2
        body = f"{body[:half].rstrip()} ... {body[-half:].lstrip()}"
    by = (who or answer.header("server")).removeprefix("an ")
    quoted = f'"{body}"' if body else "(no words)"
    return f"{by}: {quoted}" if by else quoted


def line(index: int, answer: Answer) -> dict[str, Any]:
    """Return an answer as a line of its file."""
    return {
        "index": index,
        "status": answer.status,
        "headers": answer.headers,
        "body": answer.body,
        "closes": answer.closes,
        "good": answer.good,
    }


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of a whole recording. `places` maps (worker, index) to a place in `known`.

    `lost`: how many lines are damaged. A row that points to such a line reads OTHER.
    """

    known: tuple[Answer, ...] = ()
    places: Mapping[tuple[int, int], int] | None = None
    lost: int = 0

    def place(self, worker: int, index: int) -> int:
        """Translate a row's `answer`: return a place in `known`, NONE or OTHER."""
        return index if index < 0 else (self.places or {}).get((worker, index), OTHER)


def kept(root: Path, workers: Iterable[int]) -> Answers:
    """Read the answers of these workers. A worker without a file (an older recording) kept none.

    Raises RecordingError, one line, if a file is not a regular one, or is larger than any of ours. Only damaged lines
    are lost.
    """
    known: list[Answer] = []
    places: dict[tuple[int, int], int] = {}
    lost = 0
    for worker in workers:
        try:
            text = folder.read(root, f"{FOLDER}/{worker}.jsonl", _LARGEST)
        except FileNotFoundError:
            continue
        rows = text.split(b"\n")
        if len(rows) > 2 * MOST:
            raise RecordingError(f"{root / FOLDER / str(worker)}.jsonl is damaged: it has over {MOST} lines")
        for number, row in enumerate(rows, 1):
            if not row.strip():
                continue
            found = _read(row)
            if found is not None and (worker, found[0]) not in places:
                places[worker, found[0]] = len(known)
                known.append(found[1])
            elif number < len(rows):  # a kill leaves half a last line, and no row points to it
                lost += 1
    return Answers(tuple(known), places, lost)


def _read(row: bytes) -> tuple[int, Answer] | None:
    if len(row) > _LONGEST_LINE:
        return None
    try:
        found = jsontext.parse(row)
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    index: Any = found.get("index")
    status: Any = found.get("status")
    headers: Any = found.get("headers")
    body: Any = found.get("body")
    closes, good = found.get("closes"), found.get("good", False)
    fine = (
        type(index) is int
        and 0 <= index < MOST
        and type(status) is int
        and 0 <= status <= _LAST_STATUS
        and isinstance(headers, list)
        and len(headers) <= MOST_HEADERS
        and all(map(_is_header, headers))
        and isinstance(body, str)
        and len(body) <= LONGEST_BODY
    )
    if not (fine and isinstance(closes, bool) and isinstance(good, bool)):
        return None
    pairs = tuple((clean(name, _LONGEST_NAME), clean(value, LONGEST_VALUE)) for name, value in headers)
    return index, Answer(status, pairs, clean(body, LONGEST_BODY), closes, good)


def _is_header(pair: object) -> bool:
    return (
        isinstance(pair, list)
        and len(pair) == 2
        and all(isinstance(part, str) for part in pair)
        and 0 < len(pair[0]) <= _LONGEST_NAME
        and len(pair[1]) <= LONGEST_VALUE
    )
