"""What was cut in one moment was cut by one act: of what may explain a burst of cut requests, that which explains the most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.judge.rules import CUT_OFF, RULES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from harness.judge.hits import Hits

TOGETHER_NS = 20_000_000
LONG_NS = 200_000_000  # what took so long had been accepted: it was cut, not refused

Fits = dict[tuple[int, int], "NDArray[np.bool_]"]


def one_act_each(fits: Fits, lost: Hits, kinds: Mapping[int, str]) -> Fits:
    """Drop, for each burst, what fits fewer of its hits than another rule or pod of the stop side does."""
    codes = [code for code, kind in kinds.items() if kind in CUT_OFF]
    cut = np.flatnonzero(np.isin(lost.kind, codes) & (lost.done_ns - lost.begun_ns > LONG_NS))
    stops = [key for key in fits if RULES[key[0]].side == "stop"]
    if len(cut) < 2 or len(stops) < 2:
        return fits
    kept = {key: fit.copy() if key in stops else fit for key, fit in fits.items()}
    cut = cut[np.argsort(lost.done_ns[cut], kind="stable")]
    for burst in np.split(cut, np.flatnonzero(np.diff(lost.done_ns[cut]) > TOGETHER_NS) + 1):
        covered = {key: int(fits[key][burst].sum()) for key in stops}
        most = max(covered.values())
        best = np.zeros(len(burst), dtype=bool)
        for key in stops:
            if covered[key] == most:
                best |= fits[key][burst]
        for key in stops:
            if 0 < covered[key] < most:
                kept[key][burst[best]] = False
    return {key: fit for key, fit in kept.items() if fit.any()}
