"""Kubernetes' timestamps: RFC 3339, in whole seconds or (metav1.MicroTime) in microseconds."""

from __future__ import annotations

from datetime import UTC, datetime


def timestamp(when: datetime | None = None) -> str:
    """Format a time as metav1.Time: UTC, truncated to whole seconds."""
    return (when or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_timestamp(text: str) -> datetime:
    """Read a metav1.Time or metav1.MicroTime. Raises ValueError."""
    return datetime.fromisoformat(text)


def since_epoch_ns(stamp: object) -> int | None:
    """Return a timestamp as ns since 1970; None where it is none, or names no time zone."""
    if not isinstance(stamp, str):
        return None
    try:
        moment = parse_timestamp(stamp)
    except ValueError:
        return None
    return round(moment.timestamp() * 1_000_000) * 1000 if moment.tzinfo else None
