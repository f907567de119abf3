"""Advice goes by what the server knows: its version, and the native sidecars of the pods."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from tests.judge.synthetic import SyntheticRun, event
from tests.judge.test_measured import facts, judged, spec

if TYPE_CHECKING:
    from pathlib import Path

    from harness.model import ClusterEvent


@pytest.mark.parametrize(
    ("version", "says", "not_said"),
    [
        ("v1.32.4", "let it act on SIGTERM", "stopSignal"),
        ("v1.36.0", "lifecycle.stopSignal (before 1.37 only with the feature gate", "nothing else"),
        ("v1.37.1", "lifecycle.stopSignal with spec.os.name", "feature gate"),
        ("", "let it act on SIGTERM", "stopSignal"),
    ],
)
def test_another_stop_signal_is_named_where_the_server_can_send_one(
    tmp_path: Path, version: str, says: str, not_said: str
) -> None:
    deaf = SyntheticRun.rolling(grace=8, deaf=True, direct=True, lag=9.0, work=0.5, concurrency=40)
    deaf.record = {"cluster": facts(deaf, version=version)}
    found = judged(tmp_path, deaf)
    assert found.advice is not None
    (said,) = [warning for warning in found.advice.warnings if "SIGTERM does not reach" in warning]
    assert says in said
    assert not_said not in said


def test_native_sidecars_get_time_of_the_grace_period_for_they_end_last(tmp_path: Path) -> None:
    plain = SyntheticRun.rolling(lag=3.0)
    manifest = plain.deployment()
    manifest["spec"]["template"]["spec"]["initContainers"] = [
        {"name": "migrate", "image": "m:1"},
        {"name": "mesh", "image": "m:1", "restartPolicy": "Always"},
    ]
    without = judged(tmp_path / "without", plain)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SyntheticRun, "deployment", lambda _: manifest)
        found = judged(tmp_path / "with", plain)
    grace: list[Any] = [spec(one)["terminationGracePeriodSeconds"] for one in (without, found)]
    assert grace[1] == grace[0] + 5
    assert found.advice is not None
    (line,) = [line for line in found.advice.lines if line.path.endswith("GracePeriodSeconds")]
    assert "+ 5 s for mesh, which ends last" in line.reason


def _unready_at(tmp_path: Path, after_s: float, version: str = "v1.36.0") -> list[str]:
    """Judge a run in which the only pod goes before the next one serves, and turns not ready so long after its
    deletion.
    """
    run = SyntheticRun.rolling(replicas=1, recreate=True, prestop=4, grace=20)
    run.strategy = "RollingUpdate"
    run.record = {"cluster": facts(run, version=version)}
    old = run.pods[0]
    assert old.deleted is not None
    at = old.deleted + after_s
    original = SyntheticRun.events

    def events(self: SyntheticRun) -> list[ClusterEvent]:
        found = original(self)
        seen = copy.deepcopy([one.object for one in found if one.uid == old.uid and one.kind == "Pod"][-3])
        seen["metadata"]["deletionTimestamp"] = "2026-11-25T14:00:00Z"
        seen["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
        seen["status"]["containerStatuses"][0] |= {"ready": False}
        return sorted(
            [*found, event(at, "MODIFIED", "Pod", old.name, old.uid, seen)], key=lambda one: one.t_ns
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SyntheticRun, "events", events)
        found = judged(tmp_path, run)
    assert {"D1", "D9"} & {name for cause in found.causes for name in cause.ids}
    assert found.advice is not None
    return [warning for warning in found.advice.warnings if "turned not ready" in warning]


def test_a_lone_pod_that_fails_its_readiness_while_it_still_runs_is_told_to_stay_ready(
    tmp_path: Path,
) -> None:
    (said,) = _unready_at(tmp_path, 0.5)
    assert said.startswith("1 old pod turned not ready while still running (web-")


def test_a_pod_that_is_not_ready_because_it_has_ended_is_not_told_so(tmp_path: Path) -> None:
    assert _unready_at(tmp_path, 4.06) == []


def test_a_server_without_the_fallback_gets_no_such_advice(tmp_path: Path) -> None:
    assert _unready_at(tmp_path, 0.5, "v1.20.2") == []
