"""Header blocks (RFC 7541): ours are encoded without a dynamic table; the peer's are decoded and judged once. Pure.

The peer may use no dynamic table either (see `frames.settings`), so the same bytes always are the same headers, and
what they mean is remembered by them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpack import Decoder
from hpack.exceptions import HPACKError
from hpack.hpack import encode_integer
from hpack.table import HeaderTable

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_BLOCK = 1024 * 1024  # bytes of a block, and of the headers in it
_KNOWN = 512  # how many blocks to remember,
_KNOWN_SIZE = 8 * 1024  # and up to what size
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


def field(name: bytes, value: bytes) -> tuple[bytes, bytes]:
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

    pairs: tuple[tuple[bytes, bytes], ...]
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
    """Decodes the blocks of all connections of a worker, and remembers those that it has seen."""

    def __init__(self, pod_headers: Mapping[bytes, int]) -> None:
        self._pod_headers = pod_headers  # names in lower case; the lowest number names the pod
        self._known: dict[bytes, Head] = {}
        self._decoder = Decoder(MAX_BLOCK)
        # A table of no bytes keeps nothing, so this decoder has no state.
        self._decoder.header_table_size = self._decoder.max_allowed_table_size = 0

    def head(self, block: bytes) -> Head:
        """Return what a block says. Raises CompressionError."""
        head = self._known.get(block)
        if head is None:
            try:
                pairs = tuple(
                    (bytes(name), bytes(value)) for name, value in self._decoder.decode(block, raw=True)
                )
            except (HPACKError, IndexError, ValueError) as error:
                raise CompressionError(str(error)) from error
            head = judge(pairs, self._pod_headers)
            if len(block) <= _KNOWN_SIZE:
                if len(self._known) >= _KNOWN:
                    self._known.clear()
                self._known[block] = head
        return head


def judge(pairs: tuple[tuple[bytes, bytes], ...], pod_headers: Mapping[bytes, int]) -> Head:
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
