"""Advice goes by what the server knows: its version, and the native sidecars of the pods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.judge.synthetic import SyntheticRun
from tests.judge.test_measured import facts, judged, spec

if TYPE_CHECKING:
    from pathlib import Path


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
