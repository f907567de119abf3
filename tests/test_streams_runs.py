"""Whole runs on the lab that hold streams: an app that ends its streams cleanly passes, one that is killed fails."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from harness.scenario.resolve import shipped

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

WEBSOCKET, EVENTS = "websocket", "http"
PATHS = {WEBSOCKET: "/ws", EVENTS: "/events"}
CLOSES = {"ON_TERM": "drain", "STREAM_ON_TERM": "close", "STREAM_SPREAD": "2"}
EXITS = {"ON_TERM": "exit"}
HOLDS = {"ON_TERM": "drain", "STREAM_ON_TERM": "hold"}  # until SIGKILL
HOOK, SHORT_GRACE = 3, 6


def held(root: Path, kind: str, env: dict[str, str], grace: int = 20) -> tuple[int, dict[str, Any]]:
    """Run the scenario that ships with another app, and return its exit code and its verdict.json."""
    base = shipped() / "clean/streams"
    scenario = yaml.safe_load((base / "zdtest.yaml").read_text())
    scenario |= {
        "target": {"path": PATHS[kind]}, "stream": {"kind": kind}, "load": {"concurrency": 18, "duration": "12s"},
        "manifests": [str(shipped() / "seed/base/configmap.yaml"), "app.yaml"],
        "rollout": {"trigger_after": "4s", "settle": "5s", "max_time": "2m"},
    }  # fmt: skip
    del scenario["label"]
    app = list(yaml.safe_load_all((base / "app.yaml").read_text()))
    pod = app[0]["spec"]["template"]["spec"]
    pod["terminationGracePeriodSeconds"] = grace
    settings = {"STARTUP_DELAY": "0.5", "STREAM_EVERY_MS": "250", **env}
    pod["containers"][0]["env"] = [{"name": name, "value": value} for name, value in settings.items()]
    root.mkdir(parents=True, exist_ok=True)
    (root / "app.yaml").write_text(yaml.safe_dump_all(app))
    (root / "zdtest.yaml").write_text(yaml.safe_dump(scenario))
    words = [
        sys.executable,
        "-m",
        "harness",
        "run",
        "-f",
        str(root / "zdtest.yaml"),
        "-o",
        str(root / "runs"),
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=170)
    (run,) = (root / "runs").iterdir()
    assert done.stdout.splitlines(), done.stderr
    return done.returncode, json.loads((run / "verdict.json").read_text())


@pytest.mark.parametrize(
    ("kind", "code", "end"),
    [(WEBSOCKET, "1001", "1001"), (WEBSOCKET, "1012", "1012"), (EVENTS, "1001", "end of the body")],
)
def test_an_app_that_ends_its_streams_cleanly_passes(tmp_path: Path, kind: str, code: str, end: str) -> None:
    exit_code, verdict = held(tmp_path, kind, {**CLOSES, "STREAM_CODE": code})
    streams = verdict["streams"]
    assert exit_code == 0, verdict["verdict"]["headline"]
    assert verdict["verdict"]["grade"] == "PASS"
    assert streams["cut"] == streams["cut_before"] == streams["away"] == streams["over"] == 0
    assert streams["announced"] >= 18  # each was on an old pod once
    assert set(streams["ends"]) == {end}
    assert streams["messages"] > 18 * 40
    assert (streams["skipped"], streams["limit"]) == (0, "")


@pytest.mark.parametrize("kind", [WEBSOCKET, EVENTS])
@pytest.mark.parametrize(
    ("env", "grace", "cause"),
    [(EXITS, 20, {"B2"}), (HOLDS, SHORT_GRACE, {"B3", "B4"})],
    ids=["exits", "is killed"],
)
def test_an_app_that_does_not_end_its_streams_fails_with_the_reason(
    tmp_path: Path, kind: str, env: dict[str, str], grace: int, cause: set[str]
) -> None:
    exit_code, verdict = held(tmp_path, kind, env, grace)
    streams = verdict["streams"]
    assert exit_code == 1, verdict["verdict"]["headline"]
    assert streams["cut"] >= 18
    assert streams["announced"] == streams["limited"] == 0
    against = [one for one in verdict["causes"] if not one["apart"]]
    assert {name for one in against for name in one["ids"]} <= cause, against
    assert sum(one["hits"] for one in against) == verdict["verdict"]["lost"] == streams["cut"]
    assert any("end each stream cleanly" in line for one in against for line in one["mend"])
