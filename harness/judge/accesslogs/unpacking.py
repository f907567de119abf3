"""Yields the bytes of a log, unpacked. A packed one that is cut off is read as far as it goes."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, BinaryIO

from harness.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLOCK = 1 << 20
_GZIP = b"\x1f\x8b"  # RFC 1952, 2.3.1
_WITH_HEADER = 16 + zlib.MAX_WBITS


class Unpacked:
    """One log. `cut`: it is packed and its end is missing, which is known once all of it was read."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.cut = False

    def parts(self) -> Iterator[bytes]:
        """Yield it in parts of at most BLOCK bytes. Raises UsageError, one line, if it cannot be read."""
        try:
            with self.log.open("rb") as file:
                begin = file.peek(len(_GZIP))[: len(_GZIP)]
                if begin == _GZIP:
                    yield from self._members(file)
                    return
                if self.log.suffix == ".gz" and begin:
                    raise UsageError(f"cannot read the access log {self.log}: Not a gzipped file ({begin!r})")
                while data := file.read(BLOCK):
                    yield data
        except (OSError, zlib.error) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise UsageError(f"cannot read the access log {self.log}: {why}") from None

    def _members(self, file: BinaryIO) -> Iterator[bytes]:
        """Unpack one member after the other, as gzip does; zeros between them are padding."""
        member = None
        while data := file.read(BLOCK):
            while data:
                if member is None:
                    data = data.lstrip(b"\0")
                    if not data:
                        break
                    member = zlib.decompressobj(_WITH_HEADER)
                yield member.decompress(data, BLOCK)
                data = member.unconsumed_tail
                if member.eof:
                    data = member.unused_data
                    member = None
        if member is not None:
            yield member.flush()
            self.cut = not member.eof
