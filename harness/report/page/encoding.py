"""Columns of numbers as one short text for a page: differences, byte planes, deflate, base64.

A column's bytes are put apart by significance, the lowest bytes of all numbers first: the higher ones are nearly all
equal, and so deflate makes next to nothing of them. The page's data.js undoes it.
"""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TYPES = (("u8", np.uint8), ("u16", np.uint16), ("u32", np.uint32))


class Packer:
    """Takes columns, and gives their layout and their bytes."""

    def __init__(self) -> None:
        self.layout: list[dict[str, Any]] = []
        self._bytes: list[bytes] = []

    def whole(self, name: str, values: NDArray[np.int64], *, rising: bool = False) -> None:
        """Add whole numbers; `rising`: they never fall, so that their differences are small."""
        base = int(values.min()) if len(values) else 0
        kept = values - base
        if rising and len(kept):
            kept = np.diff(kept, prepend=0)
        most = int(kept.max(initial=0))
        found = next(((word, kind) for word, kind in _TYPES if most <= np.iinfo(kind).max), None)
        if found is None:  # no run's: a double is exact up to 2 ** 53
            self._add(_Column(name, "f64", base, rising=rising), kept.astype("<f8"))
            return
        word, kind = found
        self._add(_Column(name, word, base, rising=rising), kept.astype(np.dtype(kind).newbyteorder("<")))

    def real(self, name: str, values: NDArray[np.float64]) -> None:
        """Add numbers with about seven digits; NaN is nothing."""
        self._add(_Column(name, "f32", 0, rising=False), values.astype("<f4"))

    def text(self) -> str:
        """Return all columns as base64."""
        return base64.b64encode(zlib.compress(b"".join(self._bytes), 6)).decode("ascii")

    def _add(self, column: _Column, values: NDArray[Any]) -> None:
        planes = np.ascontiguousarray(values).view(np.uint8).reshape(len(values), values.dtype.itemsize).T
        self._bytes.append(planes.tobytes())
        self.layout.append(
            {
                "name": column.name,
                "type": column.word,
                "count": len(values),
                "base": column.base,
                "rising": column.rising,
            }
        )


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    word: str
    base: int
    rising: bool
