"""Answers that came while no request was out: then nobody knows which of the others belong to which request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.judge.finding import PAIRED, Finding
from harness.judge.wording import count
from harness.model import Grade

if TYPE_CHECKING:
    from harness.judge.sending import Sending


def finding(sent: Sending | None) -> Finding | None:
    """Withhold the PASS where a connection brought an answer to no request; None where none did."""
    if sent is None or sent.connections is None:
        return None
    ends = sent.connections.ends.get("us unasked", 0)
    if not ends:
        return None
    observed = (
        f"{count(ends, 'connection')} brought an answer that nobody had asked for: which answer belongs to which "
        "request cannot be told, and good ones may be none"
    )
    return Finding(PAIRED, observed, Grade.INCONCLUSIVE)
