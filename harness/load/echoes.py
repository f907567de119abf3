"""Find what was sent with a request in the text of an answer, and hide it. Pure.

Servers put parts of a request into their error pages: the path, a header, a token that they refuse. None of that
may reach a recording. A text is searched in two ways: for whole values as they were sent, in the spellings in which
a page repeats them, and word by word, which also finds a part of a value or one that was cut. Words that balancers
use in their own errors stay: they are no secret, and the text would mean nothing without them.
"""

from __future__ import annotations

import binascii
import html
import re
from base64 import b64decode
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus, unquote, unquote_plus

from harness.masking import HIDDEN
from harness.recording.answers import clean

if TYPE_CHECKING:
    from collections.abc import Iterable

# Headers whose values are not secret. An answer may contain the same values with a meaning of its own.
_PLAIN = frozenset(
    {
        "host", "user-agent", "accept", "accept-encoding", "accept-language", "accept-charset", "connection",
        "content-type", "content-length", "cache-control", "pragma", "te", "upgrade-insecure-requests",
    }
)  # fmt: skip
_SHORTEST = 4  # characters of a value that is hidden
_ANYWHERE = 8  # from this length on it is hidden even inside a longer word
_SHORTEST_WORD = 5
_LONGEST = 256 * 1024  # bytes of a sent body that are searched for: more would stop the load
_MOST_VALUES = 256
_LONGEST_VALUE = 8 * 1024
_WORD = re.compile(r"[^\s\"'<>()\[\]{},;:=&?|\\`]+")
_LONG_WORD = re.compile(_WORD.pattern[:-1] + "{5,}")
_PART = re.compile(r"\w{5,}")
_EDGES = ".-!/_*~"
_UNICODE = re.compile(r"\\u([0-9a-fA-F]{4})")
_OF_ERRORS = frozenset(
    """
    upstream connect connection error errors disconnect/reset before headers reset reason remote local failure failed
    termination terminated timeout timed timed-out overflow protocol transport delayed refused no_healthy_upstream
    healthy
    service services unavailable temporarily temporary available server servers request requests response responses
    bad gateway gateway-timeout gateway_timeout internal maintenance downtime capacity problems unable handle found page
    please again later apache nginx openresty envoy istio-envoy haproxy caddy traefik cloudfront cloudflare varnish
    awselb awselb/2.0 google frontend kong tengine gunicorn uvicorn express kestrel tomcat jetty backend fetch cache
    forbidden unauthorized not_found content title center html text/html text/plain application/json application/grpc
    charset utf-8 application/xml application message status status_code statuscode description detail details
    could would while trying reach origin application-error applications shutting draining closed close client limit
    limited rate too-many many exceeded quota retry after generated route routes host circuit breaker breakers
    bearer basic true false null none
    """.split()  # noqa: SIM905  a list of words is easier to read so
)


def plain(text: str, most: int) -> str:
    """Return a text as a reader sees it: without HTML's and JSON's escapes, cleaned, on one line."""
    if "&" in text:
        text = html.unescape(text)
    if "\\" in text:
        text = _UNICODE.sub(lambda found: chr(int(found[1], 16)), text)
        text = text.replace("\\/", "/").replace('\\"', '"').replace("\\n", " ").replace("\\r", " ")
    return clean(text, most)


class Sent:
    """What one target's requests contain. Built once, when its first answer is kept."""

    def __init__(self, request: bytes) -> None:
        head, _, body = request.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        target = first.split(" ")[1]
        pairs = [line.partition(":")[::2] for line in lines]
        secret = [(name.lower(), value.strip()) for name, value in pairs if name.lower() not in _PLAIN]
        text = clean(body[:_LONGEST].decode(errors="replace"), _LONGEST)
        values = [
            *_of_target(target),
            *(part for name, value in secret for part in _of_header(name, value)),
            text,
        ]
        values += [unquote_plus(text)] if "%" in text or "+" in text else []
        values = [clean(value, len(value)) for value in values]
        spelled = {
            spelling for value in values if len(value) <= _LONGEST_VALUE for spelling in _spellings(value)
        }
        wholes = sorted({value.lower() for value in spelled if _is_hidden(value)}, key=len, reverse=True)
        self._wholes = wholes[:_MOST_VALUES]
        self._joined = "\n".join(values).lower()
        self._words = {word for value in values for word in _words(value.lower())}
        self._beginnings = "\n" + "\n".join(self._words)

    def hidden(self, text: str) -> str:
        """Return a text (from `plain`) with *** in place of what was sent."""
        lowered = text.lower()
        if found := tuple(value for value in self._wholes if value in lowered):
            text = _any_of(found).sub(HIDDEN, text)
        text = _LONG_WORD.sub(lambda found: self._word(found[0]), text)
        last = _last_word(text)
        # A page, or our own beginning of it, may end in the middle of what it repeats.
        if len(last) >= _SHORTEST and last not in _OF_ERRORS and f"\n{last}" in self._beginnings:
            return text[: len(text) - len(last)] + HIDDEN
        return text

    def _word(self, word: str) -> str:
        if self._was_sent(word):
            return HIDDEN
        return _PART.sub(lambda found: HIDDEN if self._was_sent(found[0]) else found[0], word)

    def _was_sent(self, word: str) -> bool:
        lowered = word.lower().strip(_EDGES)
        if len(lowered) < _SHORTEST_WORD or lowered in _OF_ERRORS:
            return False
        if lowered in self._words or (len(lowered) >= _ANYWHERE and lowered in self._joined):
            return True
        return "%" in lowered and self._was_sent(unquote(lowered))


def _of_target(target: str) -> Iterable[str]:
    path, _, query = target.partition("?")
    for part in (target, path, query):
        yield from (part, unquote(part))
    yield unquote_plus(query)
    for parameter in [*query.split("&"), *path.split(";")[1:]]:
        value = parameter.partition("=")[2] or parameter
        yield from (value, unquote_plus(value))


def _of_header(name: str, value: str) -> Iterable[str]:
    yield value
    yield unquote(value)
    if name == "cookie":
        for cookie in value.split(";"):
            yield cookie.partition("=")[2].strip().strip('"')
    scheme, _, rest = value.partition(" ")
    yield rest
    if scheme.lower() == "basic":
        try:
            pair = b64decode(rest, validate=True).decode(errors="replace")
        except binascii.Error:
            return
        yield pair
        yield from pair.partition(":")[::2]


def _spellings(value: str) -> Iterable[str]:
    return {value, quote(value, safe=""), quote(value, safe="/"), quote_plus(value)} if value else ()


def _is_hidden(value: str) -> bool:
    return len(value) >= _SHORTEST and value.lower() not in _OF_ERRORS


@lru_cache
def _any_of(values: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(_pattern, values)), re.IGNORECASE)


def _pattern(value: str) -> str:
    found = re.escape(value)
    return found if len(value) >= _ANYWHERE else rf"(?<![A-Za-z0-9]){found}(?![A-Za-z0-9])"


def _words(text: str) -> Iterable[str]:
    for word in _WORD.findall(text):
        for part in (word.strip(_EDGES), *_PART.findall(word)):
            if len(part) >= _SHORTEST_WORD and part not in _OF_ERRORS:
                yield part


def _last_word(text: str) -> str:
    words = _WORD.findall(text[-_LONGEST_VALUE:])
    return words[-1].lower() if words and text.endswith(words[-1]) else ""
