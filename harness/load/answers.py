"""The answers that a worker keeps: each distinct failed one, and some good ones that identify the server.

Only a few good answers a second are looked at, and only those whose bytes had to be parsed anyway. Two answers count
as the same if they differ only in digits, hexadecimal numbers and long tokens: an error page that contains the
request's id is one page. The first one's text is kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote

from harness import masking
from harness.load.echoes import Sent, plain
from harness.masking import HIDDEN
from harness.recording.answers import (
    LONGEST_BODY,
    LONGEST_VALUE,
    MOST,
    MOST_HEADERS,
    OTHER,
    Answer,
    line,
    words,
)
from harness.recording.write import JsonLines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from harness.load.request import PreparedRequest

    class Lines(Protocol):
        """Where answers go, a line each."""

        def append(self, line: dict[str, Any]) -> None:
            """Take one line."""

        def close(self) -> None:
            """Take no more."""


KEPT = 1024  # bytes of a body from which its recorded beginning is made
LOOKS = 16  # good answers that are looked at, at first,
_LOOKS_A_SECOND = 2  # and then
# Failed answers read in full per second. If each contains an id, reading is most of what a failure costs.
_READS = 100
_MOST_GOOD = 16
_FIRST_ERROR = 300
_GOOD = 0  # in place of a status
_SEARCHED = 640  # characters of a body that are searched for what was sent, to keep 256 of them
_MOST_SEEN = 1024  # answers remembered by their bytes
_NAMED = frozenset(
    {
        "server", "via", "retry-after", "content-type", "content-encoding", "x-powered-by", "x-cache", "x-cache-hits",
        "x-cache-status", "x-served-by", "x-backend-server", "cf-cache-status", "cf-mitigated", "proxy-status",
        "cache-status", "x-proxy-cache", "x-litespeed-cache", "x-application-context", "grpc-status", "grpc-message",
    }
)  # fmt: skip
_BEGIN_WITH = (
    "x-envoy-", "x-amz-cf-", "x-amzn-", "x-kong-", "x-traefik-", "x-haproxy-", "x-nginx-", "x-azure-", "x-akamai-",
    "x-ratelimit-", "ratelimit",
)  # fmt: skip
# Of these only that they are there: their values are ids, or repeat ours.
_PRESENT = frozenset(
    {
        "cf-ray", "x-amz-cf-id", "x-amzn-requestid", "x-amzn-trace-id", "x-azure-ref", "x-varnish", "akamai-grn",
        "x-iinfo", "x-envoy-original-path", "x-envoy-original-host",
        "x-envoy-peer-metadata", "x-envoy-peer-metadata-id",
    }
)  # fmt: skip
_DIGITS_ONLY, _HEX_ONLY = b"0123456789", b"0123456789abcdefABCDEF"
_TOKEN = re.compile(r"[A-Za-z0-9_+/=-]+")
_HEX = re.compile(r"(?<![A-Za-z0-9])(?=[A-Fa-f]*[0-9])[0-9A-Fa-f]+(?![A-Za-z0-9])")
_DIGITS = re.compile(r"[0-9]+")
_LAST_WORD = re.compile(r"[^\s<>\"'&,;:=]+\Z")
_HUMP = re.compile(r"[a-z](?=[A-Z])")
_LONG_TOKEN = 16
_LONGEST_HUMP = 6  # a token with fewer letters per change of case is not a word
_CHARSETS = frozenset({"latin-1", "iso-8859-1", "windows-1252", "us-ascii"})
_CHARSET = re.compile(r"charset=[\"']?([\w-]{1,20})", re.IGNORECASE)
_TEXTS = re.compile(
    r"text/|application/(?:[\w.+-]*(?:json|xml|javascript|html)|x-www-form-urlencoded)\b|$", re.IGNORECASE
)
_NAME = re.compile(r"[a-z0-9-]{1,64}")
_WORD = re.compile(r"[\w.+/-]{1,40}")


@dataclass(frozen=True, slots=True)
class Said:
    """An answer as received, complete or not. `size`: bytes of the whole body, as far as known."""

    status: int
    headers: Sequence[tuple[str, str]]  # names in lower case
    body: bytes  # its beginning
    cut: bool  # whether more of it came than that
    size: int
    whole: bool  # whether the answer came to its end
    closes: bool = False


class AnswerBook:
    """One worker's answers. Opens its file with the first of them, unless `lines` takes them."""

    def __init__(self, path: Path, pod_headers: Iterable[str], lines: Lines | None = None) -> None:
        self._path = path
        self._file: Lines | None = lines
        # Headers whose values tell pods apart, not answers.
        self._unlike = frozenset(name.lower() for name in pod_headers)
        self._known: dict[object, int] = {}
        self.words: dict[int, str] = {}  # what each failed answer said, in a line, by its index
        self._good = 0
        # By an answer's bytes without digits, and without hexadecimal ones.
        self._seen: dict[tuple[int, int, str, bytes], int] = {}
        self._sent: dict[int, Sent] = {}
        self._reads = 2 * MOST  # failed answers that may still be read in this second
        self.looks = LOOKS  # good answers that are still to be looked at

    @property
    def full(self) -> bool:
        """Whether no further answer can be told apart."""
        return len(self._known) >= MOST

    def second(self) -> None:
        """Begin a new second: some good answers may be read again, since the server may change, and failed ones too."""
        self.looks = max(self.looks, _LOOKS_A_SECOND) if self._good < _MOST_GOOD else 0
        self._reads = max(self._reads, _READS)

    def failed(
        self,
        prepared: PreparedRequest,
        seq: int,
        status: int,
        grpc: str,
        raw: bytes,
        read: Callable[[], Said],
    ) -> int:
        """Keep the failed answer to the hit `seq`, and return its index, or OTHER.

        `raw`: bytes that identify it. The answer is read only if these bytes, apart from digits, are new.
        """
        if prepared.places:
            raw = raw.replace(b"%012x" % seq, b"")
        key = prepared.index, status, grpc, raw.translate(None, _DIGITS_ONLY)
        index = self._seen.get(key)
        if index is not None:
            return index
        rough = prepared.index, status, grpc, raw.translate(None, _HEX_ONLY)
        if not self._reads:
            return self._seen.get(rough, OTHER)
        self._reads -= 1
        said = read()
        index = self._keep(self._answer(prepared, seq, said, grpc, good=False), whole=said.whole)
        if len(self._seen) >= _MOST_SEEN:
            self._seen.clear()
        self._seen[key] = self._seen[rough] = index
        return index

    def good(self, prepared: PreparedRequest, seq: int, raw: bytes, read: Callable[[], Said]) -> None:
        """Keep which server gave a good answer; `raw` and `read` as for a failed one."""
        self.looks -= 1
        key = prepared.index, _GOOD, "", raw.translate(None, _DIGITS_ONLY)
        if key not in self._seen and self._good < _MOST_GOOD:
            self._seen[key] = self._keep(self._answer(prepared, seq, read(), "", good=True), whole=True)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _keep(self, answer: Answer, *, whole: bool) -> int:
        key = alike(answer, self._unlike, whole=whole)
        index = self._known.get(key)
        if index is not None:
            return index
        if len(self._known) >= MOST:
            return OTHER
        if self._file is None:
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            self._file = JsonLines(self._path)
        index = self._known[key] = len(self._known)
        self._good += answer.good
        if not answer.good:
            self.words[index] = words(answer)
        self._file.append(line(index, answer))  # before any row that points to it is written
        return index

    def _answer(self, prepared: PreparedRequest, seq: int, said: Said, grpc: str, *, good: bool) -> Answer:
        sent = self._sent.get(prepared.index)
        if sent is None:
            sent = self._sent[prepared.index] = Sent(prepared.request)

        def fit(text: str, most: int) -> str:
            if prepared.places:  # ids of this hit look like those in the request that `sent` was made of
                text = text.replace(f"{seq:012x}", "0" * 12).replace(f"{seq:010d}", "0" * 10)
            shown = sent.hidden(plain(text, _SEARCHED))[:most]
            return masking.prose(shown)[:most].rstrip()

        headers = [
            (name, HIDDEN if name in _PRESENT else fit(value, LONGEST_VALUE))
            for name, value in identifying(said.headers)
        ]
        if grpc and not any(name == "grpc-status" for name, _ in headers):
            headers.append(("grpc-status", fit(grpc, LONGEST_VALUE)))
        # What a 2xx was cut from is the application's own data, not an error page.
        body = "" if good or said.status < _FIRST_ERROR else fit(text_of(said), LONGEST_BODY)
        return Answer(said.status, tuple(headers[:MOST_HEADERS]), body, said.closes, good)


def identifying(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the headers of an answer that identify its server or its reason. All others may hold an app's data."""
    found = []
    for name, value in headers:
        if name in _PRESENT or name in _NAMED or (name.startswith(_BEGIN_WITH) and _NAME.fullmatch(name)):
            found.append((name, unquote(value[:1024]) if name == "grpc-message" else value[:1024]))
    return found[:MOST_HEADERS]


def text_of(said: Said) -> str:
    """Return the beginning of a body as text, in its Content-Type's charset if that is a Latin one, else UTF-8.

    A body that is not text is described: "(gzip, 512 bytes)". What cannot be decoded becomes U+FFFD.
    """
    kinds = dict(reversed(said.headers))  # of a name that is given twice, the first
    coding, kind = kinds.get("content-encoding", "").strip().lower(), kinds.get("content-type", "").strip()
    if not said.body:
        return ""
    name = coding if coding != "identity" else ""
    if not name and not _TEXTS.match(kind):
        name = kind.partition(";")[0].strip()
    if name:
        return f"({name if _WORD.fullmatch(name) else 'encoded'}, {said.size} bytes)"
    found = _CHARSET.search(kind)
    charset = found[1].lower() if found and found[1].lower() in _CHARSETS else "utf-8"
    text = said.body.decode(charset, errors="replace")
    # Half a word may be half of a secret.
    return _LAST_WORD.sub("", text) if said.cut else text


def alike(answer: Answer, unlike: frozenset[str] = frozenset(), *, whole: bool = True) -> object:
    """Return the key by which two answers are the same. Where an answer was cut off is no part of it."""
    headers = tuple(
        (name, "" if name in unlike else value if name == "grpc-status" else _alike(value))
        for name, value in answer.headers
    )
    body = _alike(answer.body) if whole else None
    return answer.good, answer.status, answer.closes, headers, body


def _alike(text: str) -> str:
    return _TOKEN.sub(_without_id, text)


def _without_id(found: re.Match[str]) -> str:
    token = found[0]
    if not _DIGITS.search(token):
        random = len(token) >= _LONG_TOKEN and len(_HUMP.findall(token)) * _LONGEST_HUMP >= len(token)
        return "0" if random else token
    return "0" if len(token) >= _LONG_TOKEN else _DIGITS.sub("0", _HEX.sub("0", token))
