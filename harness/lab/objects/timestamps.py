"""Kubernetes' timestamps."""

from __future__ import annotations

from datetime import UTC, datetime


def timestamp(when: datetime | None = None) -> str:
    """Format a time as metav1.Time: UTC, truncated to whole seconds."""
    return (when or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_timestamp(text: str) -> datetime:
    """Read a metav1.Time or metav1.MicroTime."""
    return datetime.fromisoformat(text)
