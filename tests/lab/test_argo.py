"""Argo Rollouts on the lab: whole runs, whose controller is the lab's own imitation of Argo's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from harness.scenario.resolve import shipped
from tests.fastlab import web
from tests.program import zdtest

if TYPE_CHECKING:
    from pathlib import Path

CANARY: dict[str, Any] = {"canary": {"steps": [{"setWeight": 50}, {"pause": {"duration": "1s"}}]}}
BLUE_GREEN: dict[str, Any] = {
    "blueGreen": {"activeService": "web", "previewService": "preview", "scaleDownDelaySeconds": 2}
}
FOR_EVER: dict[str, Any] = {"canary": {"steps": [{"setWeight": 50}, {"pause": {}}]}}


def run(
    folder: Path, strategy: dict[str, Any], *options: str, **spec: Any
) -> tuple[dict[str, Any], str, str]:
    """Run a rollout by Argo on the lab; return the verdict, the summary and what was said."""
    workload, service = web()[:2]
    workload |= {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout"}
    workload["spec"] |= {"strategy": strategy, **spec}
    preview = {**service, "metadata": {**service["metadata"], "name": "preview"}}
    (folder / "app.yaml").write_text(yaml.safe_dump_all([workload, service, preview]))
    scenario = {
        "name": "argo", "workload": "rollout/web",
        "manifests": [str(shipped() / "seed/base/configmap.yaml"), "app.yaml"],
        "load": {"concurrency": 4, "duration": "5s"},
        "rollout": {"trigger_after": "2s", "settle": "1s", "max_time": "60s"},
        "lab": {"profile": "service", "lag": "200ms", "tls": False},
    }  # fmt: skip
    (folder / "zdtest.yaml").write_text(yaml.safe_dump(scenario))
    done = zdtest("run", "-f", str(folder), "-o", str(folder / "out"), *options)
    (made,) = (folder / "out").glob("*")
    verdict: dict[str, Any] = json.loads((made / "verdict.json").read_text())
    return verdict, (made / "summary.txt").read_text(), done.stderr


def steps(verdict: dict[str, Any]) -> list[str]:
    return [one["kind"] for one in verdict["timeline"]["steps"]]


def covered(verdict: dict[str, Any], said: str) -> None:
    assert verdict["about"]["rollout_state"] == "complete", (verdict["about"], said)
    findings = {one["objective"]: one for one in verdict["verdict"]["findings"]}
    assert findings["the rollout is covered to its end"]["grade"] == "PASS", findings
    assert verdict["timeline"]["changes"] == []
    pods = verdict["timeline"]["pods"]
    assert sum(pod["old"] for pod in pods) == 2
    assert all(pod["gone_ns"] for pod in pods if pod["old"])


def test_a_restart_replaces_every_pod_and_accuses_nobody(tmp_path: Path) -> None:
    verdict, _, said = run(tmp_path, CANARY)
    covered(verdict, said)
    assert "by patching spec.restartAt" in said
    assert steps(verdict) == ["restarted"]


def test_a_new_image_goes_through_the_steps_of_the_canary(tmp_path: Path) -> None:
    verdict, summary, said = run(tmp_path, CANARY, "--trigger", "set-image web=python:3.13-slim")
    covered(verdict, said)
    assert {"step", "paused", "resumed", "stable"} <= set(steps(verdict))
    assert "paused at step 2 of 2 (pause 1s), for 1 s" in summary
    assert "web: step 1 of 2 (setWeight 50)" in said or "web: step 2 of 2 (pause 1s)" in said


@pytest.mark.slow
def test_a_blue_green_switch_keeps_old_pods_until_their_time_is_over(tmp_path: Path) -> None:
    verdict, _, said = run(tmp_path, BLUE_GREEN, "--trigger", "set-image web=python:3.13-slim")
    covered(verdict, said)
    (switched,) = [one["t_ns"] for one in verdict["timeline"]["steps"] if one["kind"] == "active"]
    olds = [pod for pod in verdict["timeline"]["pods"] if pod["old"]]
    # scaleDownDelaySeconds is counted in whole seconds of the server's clock
    assert all(pod["deleted_ns"] - switched > 0.9e9 for pod in olds)
    news = [pod for pod in verdict["timeline"]["pods"] if not pod["old"]]
    # The Service for previews leads to them before the switch, and takes no users' requests.
    assert all(abs(pod["in_endpoints_ns"] - switched) < 0.5e9 for pod in news)


@pytest.mark.slow
def test_a_pause_that_nobody_ends_is_told_in_plain_words(tmp_path: Path) -> None:
    options = ("--trigger", "set-image web=python:3.13-slim", "--max-time", "12s")
    verdict, _, said = run(tmp_path, FOR_EVER, *options)
    assert verdict["verdict"]["grade"] == "INCONCLUSIVE", said
    waits = "paused at step 2 of 2 (pause without a duration), until somebody promotes it"
    assert waits in verdict["about"]["rollout_reason"]
    assert "kubectl argo rollouts promote web" in said
