"""Reads a file of requests in vegeta's formats. Every error is one line that names the file and the line in it.

The http format: blocks of a request line (`GET https://shop.example/cart`), header lines, and at last `@FILE` with the
body, which is found beside the targets file. A blank line ends a block, `#` begins a comment. The JSON format: an
object a line with `method`, `url`, and if wanted `header` (name to a list of values) and `body` (base64).

On top of vegeta: a target has a weight (a comment `# weight: 9` above its request line, or the field `weight`), its
URL may be a path on the run's own URL, and a header's value may name environment variables, `${TOKEN}`.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from binascii import Error as Base64Error
from dataclasses import dataclass, replace
from math import gcd
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from harness import masking
from harness.errors import UsageError
from harness.model import Target
from harness.scenario import yamltext
from harness.scenario.reading import expand
from harness.scenario.values import METHODS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

MOST = 10_000  # targets of one file
_HEAVIEST = 999
_ROUND = 1_000_000  # longest round of hits until it repeats
# A line of another form is not a request, and may be part of a secret.
_REQUEST = re.compile(rf"((?i:{'|'.join(METHODS)})(?=\s)|[A-Za-z]+(?=\s+(?:https?:/|/)))\s+(\S.*)")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_WEIGHT = re.compile(r"#\s*weight\s*:\s*(.*)", re.IGNORECASE)
_FIELDS = frozenset({"method", "url", "header", "body", "weight"})


@dataclass(frozen=True, slots=True)
class Listed:
    """A target of a file, and its line. Its URL may still be a path."""

    target: Target
    place: str  # "targets.http:3"

    @property
    def is_path(self) -> bool:
        """Whether the target is a path on the run's own URL."""
        return self.target.url.startswith("/")


def read_targets(path: Path) -> tuple[Listed, ...]:
    """Read a file of targets in either format. Raises UsageError."""
    try:
        text = yamltext.read_text(path)
    except OSError as error:
        raise UsageError(f"cannot read the targets file {path}: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"the targets file {path} cannot be read: {error}") from None
    lines = text.splitlines()
    first = next((line for line in map(str.strip, lines) if line and not line.startswith("#")), "")
    listed = tuple((_json if first.startswith("{") else _Http().read)(path, lines))
    if not listed:
        raise UsageError(f"{path} lists no target; write a line such as GET https://shop.example/")
    if len(listed) > MOST:
        raise UsageError(f"{path} lists {len(listed):,} targets; one run takes {MOST:,} at most")
    weights = [each.target.weight for each in listed]
    if sum(weights) // gcd(*weights) > _ROUND:
        raise UsageError(f"the weights in {path} add up to more than {_ROUND:,}; choose smaller ones")
    return listed


def aimed(
    listed: Sequence[Listed], url: str, headers: Sequence[tuple[str, str]], body: bytes
) -> tuple[Target, ...]:
    """Complete targets: paths get the origin of `url`; `headers` and `body` are for targets without their own.

    Raises UsageError for a path without a URL, and for a URL that no target needs.
    """
    origin = ""
    if url:
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
    found = []
    for each in listed:
        target = each.target
        if each.is_path and not origin:
            raise UsageError(
                f"{each.place}: {masking.url(target.url)} is a path; give the URL it belongs to on the command line"
            )
        own = {name.lower() for name, _ in target.headers}
        found.append(
            replace(
                target,
                url=origin + target.url if each.is_path else target.url,
                headers=(*((n, v) for n, v in headers if n.lower() not in own), *target.headers),
                body=target.body or (body if target.method in {"POST", "PUT", "PATCH"} else b""),
            )
        )
    return tuple(found)


def whole_url(listed: Iterable[Listed]) -> str:
    """Return the URL of the first target that has one, or ""."""
    return next((each.target.url for each in listed if not each.is_path), "")


class _Http:
    """Reads the http format."""

    def __init__(self) -> None:
        self._found: list[Listed] = []
        self._target: Target | None = None  # the target of the current block
        self._place = ""
        self._weight = 1
        self._heredoc: tuple[str, int, list[str]] | None = (
            None  # the end of its body, where that began, its lines so far
        )

    def read(self, path: Path, lines: Sequence[str]) -> list[Listed]:
        for number, raw in enumerate(lines, 1):
            place, line = f"{path}:{number}", raw.strip()
            if self._heredoc is not None:
                self._in_heredoc(raw)
            elif not line:
                self._close()
            elif line.startswith("#"):
                if match := _WEIGHT.fullmatch(line):
                    self._weight = _weight(match[1], place)
            elif line.startswith("@"):
                self._body(path, line[1:].strip(), place)
            elif match := _REQUEST.fullmatch(line):
                self._close()
                self._place = place
                self._target = Target(_url(match[2], place), _method(match[1], place), weight=self._weight)
                self._weight = 1
            else:
                self._header(line, place)
        if self._heredoc is not None:
            raise UsageError(f"{path}:{self._heredoc[1]}: this body has no closing line {self._heredoc[0]!r}")
        self._close()
        return self._found

    def _close(self) -> None:
        if self._target is not None:
            self._found.append(Listed(_fits(self._target, self._place), self._place))
        self._target = None

    def _header(self, line: str, place: str) -> None:
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not colon or not _NAME.fullmatch(name) or not value:
            # The line may be a secret value whose name is missing.
            raise UsageError(
                f"{place}: this is not a request line (GET https://shop.example/), a header (Name: value) or @FILE"
            )
        if self._target is None:
            raise UsageError(
                f"{place}: the header {name} belongs to no target: remove the blank line above it"
            )
        added = (name, _value(value, name, place))
        self._target = replace(self._target, headers=(*self._target.headers, added))

    def _body(self, path: Path, name: str, place: str) -> None:
        if self._target is None:
            raise UsageError(f"{place}: this body belongs to no target: remove the blank line above it")
        if name.startswith("<<"):
            self._heredoc = name[2:].strip(), int(place.rpartition(":")[2]), []
            return
        file = path.parent / name
        try:
            self._target = replace(self._target, body=yamltext.read_bytes(file))
        except OSError as error:
            raise UsageError(f"{place}: cannot read the body file {file}: {error.strerror}") from None
        except ValueError as error:
            raise UsageError(f"{place}: cannot read the body file {file}: {error}") from None
        self._close()

    def _in_heredoc(self, line: str) -> None:
        if self._heredoc is None or self._target is None:
            raise AssertionError("a body that nobody began")
        end, _, so_far = self._heredoc
        if line != end:
            so_far.append(line)
            return
        self._target = replace(self._target, body="".join(f"{part}\n" for part in so_far).encode())
        self._heredoc = None
        self._close()


def _json(path: Path, lines: Sequence[str]) -> list[Listed]:
    found = []
    for number, raw in enumerate(lines, 1):
        place, line = f"{path}:{number}", raw.strip()
        if not line or line.startswith("#"):
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UsageError(
                f"{place}: not JSON ({error}); each line must be one object with a method and a url"
            ) from None
        if not isinstance(row, dict):
            raise UsageError(f"{place}: each line must be one JSON object with a method and a url")
        found.append(Listed(_from_json(row, place), place))
    return found


def _from_json(row: dict[str, Any], place: str) -> Target:
    odd = sorted(set(row) - _FIELDS)
    if odd:
        raise UsageError(f"{place}: no such field: {odd[0]}; use {', '.join(sorted(_FIELDS))}")
    url, header, body = row.get("url"), row.get("header") or {}, row.get("body") or ""
    if not isinstance(url, str) or not isinstance(row.get("method"), str):
        raise UsageError(f"{place}: method and url must both be given, as text")
    if not isinstance(header, dict) or not all(
        _NAME.fullmatch(name) and isinstance(values, list) and all(isinstance(value, str) for value in values)
        for name, values in header.items()
    ):
        raise UsageError(f'{place}: header must be an object of lists of text, such as {{"Accept": ["*/*"]}}')
    try:
        content = b64decode(body, validate=True)
    except (Base64Error, TypeError, ValueError):
        raise UsageError(f"{place}: the body is not base64 text") from None
    target = Target(
        url=_url(url, place),
        method=_method(row["method"], place),
        headers=tuple(
            (name, _value(value, name, place)) for name, values in header.items() for value in values
        ),
        body=content,
        weight=_weight(row.get("weight", 1), place),
    )
    return _fits(target, place)


def _fits(target: Target, place: str) -> Target:
    if target.body and target.method == "HEAD":
        raise UsageError(f"{place}: a HEAD request has no body")
    return target


def _method(text: str, place: str) -> str:
    if text.upper() not in METHODS:
        raise UsageError(f"{place}: no such method: {text}; use one of {', '.join(METHODS)}")
    return text.upper()


def _url(text: str, place: str) -> str:
    shown = masking.broken_url(text)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:  # whose text may be a part of a password
        raise UsageError(f"{place}: {shown!r} is not a URL: its host or port cannot be read") from None
    path = text.startswith("/") and not text.startswith("//")
    if re.search(r"\s", text) or (
        not path and (parts.scheme not in {"http", "https"} or not parts.hostname or port == 0)
    ):
        raise UsageError(
            f"{place}: {shown!r} is neither an http:// or https:// URL nor a path that begins with /"
        )
    return text


def _value(text: str, name: str, place: str) -> str:
    try:
        value = expand(text, name)
    except UsageError as error:
        raise UsageError(f"{place}: {error}") from None
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        raise UsageError(
            f"{place}: the header {name} contains a character that a header cannot carry"
        ) from None
    return value


def _weight(value: object, place: str) -> int:
    text = str(value).strip()
    if isinstance(value, bool) or not re.fullmatch(r"[1-9]\d{0,2}", text):
        raise UsageError(f"{place}: a weight must be a whole number from 1 to {_HEAVIEST}, not {text[:20]}")
    return int(text)
