"""Which ends of streams are clean ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

OURS = "over"
BODY = "end of the body"
_ANNOUNCED_CODES = (1000, 1001, 1005, 1012, 1013)  # and 3000 to 4999, as load/streams/websocket.py has them


def is_clean(end: str) -> bool:
    """Whether an end by this name is a clean one."""
    return end == BODY or (end.isdigit() and (int(end) in _ANNOUNCED_CODES or 3000 <= int(end) < 5000))


def is_cut(streams: pd.DataFrame) -> NDArray[np.bool_]:
    """Say which streams ended neither cleanly nor with the load."""
    how, code = streams["how"].astype(str).to_numpy(), streams["code"].to_numpy().astype(np.int64)
    named = np.isin(code, _ANNOUNCED_CODES) | ((code >= 3000) & (code < 5000))
    cut: NDArray[np.bool_] = ~((how == OURS) | (how == "end") | ((how == "close") & named))
    return cut
