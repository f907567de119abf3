"""Folders of runs for tests: run.json and verdict.json as zdtest writes them, with as much in them as a list reads."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from harness.recording.write import write_json

if TYPE_CHECKING:
    from pathlib import Path

FIRST = datetime(2026, 11, 1, 3, 0, 7, tzinfo=UTC)
MS, S = 1_000_000, 1_000_000_000


def deployment(**spec: Any) -> list[dict[str, Any]]:
    """The live objects of a run: one Deployment whose pods have this spec."""
    return [
        {
            "kind": "Deployment",
            "apiVersion": "apps/v1",
            "metadata": {"name": "web", "namespace": "shop", "resourceVersion": "17"},
            "spec": {"replicas": 3, "template": {"spec": {"containers": [{"name": "web"}], **spec}}},
        }
    ]


def record(night: int, name: str = "nightly", **changed: Any) -> dict[str, Any]:
    """run.json of the run of one night."""
    return {
        "format": 1,
        "state": "complete",
        "ended_by": "settled",
        "name": name,
        "wall_ns": int((FIRST + timedelta(days=night)).timestamp() * S) + 2 * S,
        "versions": {"zdtest": "0.2.0"},
        "targets": [{"method": "GET", "url": "https://shop.example/"}],
        "concurrency": 200,
        "rate": None,
        "marks": [{"mark": "load_start", "t_ns": S}, {"mark": "load_end", "t_ns": 61 * S}],
        "cluster": {"context": "staging", "server": "https://10.0.0.1", "namespace": "shop",
                    "kind": "Deployment", "name": "web", "lab": False},
        "rollout": {"trigger": "restart"},
        **changed,
    }  # fmt: skip


def verdict(
    grade: str = "PASS",
    *,
    lost: int = 0,
    p99_ms: float = 40,
    outage_ms: float = 0,
    causes: tuple[tuple[tuple[str, ...], int], ...] = (),
    settled: bool = True,
    **changed: Any,
) -> dict[str, Any]:
    """verdict.json of a run."""
    outage = {"from_ns": 0, "to_ns": int(outage_ms * MS), "failed": lost} if outage_ms else None
    return {
        "format": 1,
        "verdict": {
            "grade": grade,
            "headline": f"{lost:,} of 9,000 requests failed",
            "lost": lost,
            "of": 9000,
        },
        "about": {"settled_ns": 18 * S if settled else None, "status_done_ns": 9 * S if settled else None},
        "numbers": {
            "requests": 9000,
            "failed": lost,
            "outage": outage,
            "parts": [
                {"name": "before", "latency": {"percentiles": {"99": 1}}},
                {"name": "during", "latency": {"percentiles": {"99": int(p99_ms * MS)}}},
            ],
        },
        "causes": [{"ids": list(ids), "hits": hits} for ids, hits in causes],
        "measured": {
            "lag": {"count": 3, "p50_ns": 1, "p99_ns": 700 * MS, "max_ns": 700 * MS, "at_least": 0},
            "reach": {"count": 3, "p50_ns": 1, "p99_ns": 900 * MS, "max_ns": 900 * MS, "at_least": 2},
        },
        "rollouts": [],
        **changed,
    }


def folder_name(night: int, name: str = "nightly") -> str:
    return f"{FIRST + timedelta(days=night):%Y%m%dT%H%M%SZ}-{name}"


def make_run(
    root: Path,
    night: int,
    judged: dict[str, Any] | None = None,
    objects: list[dict[str, Any]] | None = None,
    name: str = "nightly",
    **changed: Any,
) -> Path:
    """Write the run of one night; without `judged` it has no verdict."""
    path = root / folder_name(night, name)
    (path / "manifests").mkdir(parents=True)
    write_json(path / "run.json", record(night, name, **changed))
    if judged is not None:
        write_json(path / "verdict.json", judged)
    if objects is not None:
        write_json(path / "manifests" / "before.json", objects)
    return path


def lines_of(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]
