"""Header blocks (RFC 7541): ours are encoded without a dynamic table; the peer's are decoded and judged once. Pure.

The peer may use no dynamic table either (see `frames.settings`), so the same bytes always are the same headers, and
what they mean is remembered by them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from hpack import Decoder
from hpack.exceptions import HPACKError
from hpack.hpack import encode_integer
from hpack.table import HeaderTable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

T = TypeVar("T")
Pair = tuple[bytes, bytes]
MAX_BLOCK = 1024 * 1024  # bytes of a block, and of the headers in it
_KNOWN = 512  # how many blocks to remember, and how many fields,
_KNOWN_SIZE = 8 * 1024  # and up to what size
_LONGEST_INTEGER = 28  # bits after the prefix
_STATUS = re.compile(rb"[1-9][0-9][0-9]")
_LENGTH = re.compile(rb"[0-9]{1,18}")
# RFC 9113 (8.2.1, 8.2.2).
_NAME = re.compile(rb"[^\x00-\x20A-Z:\x7f-\xff]+")
_VALUE = re.compile(rb"(?:[^\x00\r\n\t ](?:[^\x00\r\n]*[^\x00\r\n\t ])?)?")
_OF_A_CONNECTION = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)
_INDEXED = {pair: at for at, pair in enumerate(HeaderTable.STATIC_TABLE, 1) if pair[1]}
_NAMED = {pair[0]: at for at, pair in reversed([*enumerate(HeaderTable.STATIC_TABLE, 1)])}


class CompressionError(Exception):
    """A block that cannot be decoded: a connection error, because decoding the next one would be guessing."""


def field(name: bytes, value: bytes) -> Pair:
    """Return a header field encoded, in two parts: what stands before its value, and its value.

    Either one entry of the static table, or a literal that nobody indexes, not Huffman-coded: so the value is in it
    byte by byte.
    """
    if at := _INDEXED.get((name, value)):
        return bytes([0x80 | at]), b""
    if at := _NAMED.get(name):
        begin = bytes(encode_integer(at, 4))
    else:
        begin = b"\0" + bytes(encode_integer(len(name), 7)) + name
    return begin + bytes(encode_integer(len(value), 7)), value


@dataclass(frozen=True, slots=True)
class Head:
    """What a header block of a response says.

    `fault`: why no response may have it; "" if one may. `status` is 0 where there is none, as in trailers.
    `length`: of the content, if it is given.
    """

    pairs: tuple[Pair, ...]
    fault: str = ""
    status: int = 0
    length: int | None = None
    pod: str = ""
    content_type: str = ""
    grpc_status: str | None = None

    def headers(self) -> list[tuple[str, str]]:
        """Return all headers but the status, as text."""
        return [
            (name.decode(errors="replace"), value.decode(errors="replace"))
            for name, value in self.pairs
            if not name.startswith(b":")
        ]


class Blocks:
    """Decodes the blocks of all connections of a worker, and remembers those that it has seen, and their fields.

    Without a dynamic table, a field means the same in any block. So of a block with an id in it, only that is decoded.
    """

    def __init__(self, pod_headers: Mapping[bytes, int]) -> None:
        self._pod_headers = pod_headers  # names in lower case; the lowest number names the pod
        self._known: dict[bytes, Head] = {}
        self._fields: dict[bytes, Pair] = {}
        self._decoder = Decoder(MAX_BLOCK)
        # A table of no bytes keeps nothing, so this decoder has no state.
        self._decoder.header_table_size = self._decoder.max_allowed_table_size = 0

    def head(self, block: bytes) -> Head:
        """Return what a block says. Raises CompressionError."""
        head = self._known.get(block)
        if head is None:
            head = judge(tuple(self._pairs(block)), self._pod_headers)
            _remember(self._known, block, head)
        return head

    def _pairs(self, block: bytes) -> Iterator[Pair]:
        size = 0
        for field in fields(block):
            pair = self._fields.get(field)
            if pair is None:
                pair = self._decode(field)
                _remember(self._fields, field, pair)
            size += len(pair[0]) + len(pair[1]) + 32  # as RFC 9113 (6.5.2) counts
            if size > MAX_BLOCK:
                raise CompressionError(f"headers of more than {MAX_BLOCK} bytes")
            yield pair

    def _decode(self, field: bytes) -> Pair:
        try:
            ((name, value),) = self._decoder.decode(field, raw=True)
        except (HPACKError, IndexError, ValueError) as error:
            raise CompressionError(str(error)) from error
        return bytes(name), bytes(value)


def fields(block: bytes) -> list[bytes]:
    """Split a block into its fields (RFC 7541, 6), undecoded. Raises CompressionError."""
    found: list[bytes] = []
    at = 0
    try:
        while at < len(block):
            begin, first = at, block[at]
            if first & 0x80:  # indexed
                at = _integer(block, at, 0x7F)[1]
            elif first & 0xE0 == 0x20:  # a new size of the table
                size, at = _integer(block, at, 0x1F)
                if size or found:
                    raise CompressionError(
                        "a table that we do not allow" if size else "its size after a field"
                    )
                continue
            else:
                index, at = _integer(block, at, 0x3F if first & 0x40 else 0x0F)
                for _ in range(1 if index else 2):  # value, or name and value
                    length, at = _integer(block, at, 0x7F)
                    at += length
            found.append(block[begin:at])
    except IndexError:
        raise CompressionError("a block that ends in the middle of a field") from None
    if at > len(block):
        raise CompressionError("a block that ends in the middle of a field")
    return found


def _integer(data: bytes, at: int, mask: int) -> tuple[int, int]:
    """Return the integer that begins at `at` (RFC 7541, 5.1), and where it ends."""
    value, at = data[at] & mask, at + 1
    if value == mask:
        shift = 0
        while True:
            value += (data[at] & 0x7F) << shift
            at += 1
            if not data[at - 1] & 0x80:
                break
            shift += 7
            if shift > _LONGEST_INTEGER:
                raise CompressionError("an integer that is too long")
    return value, at


def _remember(known: dict[bytes, T], key: bytes, value: T) -> None:
    if len(key) <= _KNOWN_SIZE:
        if len(known) >= _KNOWN:
            known.clear()
        known[key] = value


def judge(pairs: tuple[Pair, ...], pod_headers: Mapping[bytes, int]) -> Head:
    """Read decoded headers, or trailers, and check them by RFC 9113 (8.2 and 8.3)."""
    status, length, pod, kind, grpc = 0, None, "", "", None
    rank = len(pod_headers)
    regular = False
    for name, value in pairs:
        if name == b":status" and not regular and not status and _STATUS.fullmatch(value):
            status = int(value)
            continue
        if fault := _fault(name, value):
            return Head(pairs, fault)
        regular = True
        if name == b"content-length":
            if not _LENGTH.fullmatch(value) or length not in {None, int(value)}:
                return Head(pairs, "an invalid content-length")
            length = int(value)
        elif name == b"content-type":
            kind = kind or value.decode("latin-1")
        elif name == b"grpc-status":
            grpc = value.decode("latin-1")
        elif pod_headers.get(name, rank) < rank:
            rank = pod_headers[name]
            pod = value.decode("latin-1")[:253]  # the longest name in Kubernetes
    return Head(pairs, "", status, length, pod, kind, grpc)


def _fault(name: bytes, value: bytes) -> str:
    """Return what is wrong with a header, or "". Names no header and no value."""
    if name.startswith(b":"):
        return "a pseudo-header that a response may not have, or not there"
    if not _NAME.fullmatch(name):
        return "a header name that HTTP/2 does not allow"
    if not _VALUE.fullmatch(value):
        return "a header value that HTTP/2 does not allow"
    if name in _OF_A_CONNECTION or (name == b"te" and value.lower() != b"trailers"):
        return "a header about the connection"
    return ""
