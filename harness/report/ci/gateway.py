"""Where a run's metrics go in a Prometheus Pushgateway. Pure.

The grouping key is in the path, by the rules of github.com/prometheus/pushgateway#url: a value with a slash in it is
base64 with the URL-safe alphabet, and its label ends in @base64.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

JOB = "zdtest"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def address(base: str, labels: Mapping[str, str]) -> str:
    """Return the address of one group: each combination of these labels has its own, and keeps its latest run."""
    steps = [f"job/{JOB}", *(_step(label, value) for label, value in labels.items() if value)]
    return "/".join([base.rstrip("/"), "metrics", *steps])


def _step(label: str, value: str) -> str:
    if "/" in value or value in {".", ".."}:  # a dot would be a step upwards
        return f"{label}@base64/{urlsafe_b64encode(value.encode()).decode().rstrip('=')}"
    return f"{label}/{quote(value, safe='')}"
