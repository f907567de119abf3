"""Where the load was sent from: recorded by the run, and said by every report."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest

from harness.cli.origin import check_pods, defaults_for
from harness.errors import RecordingError
from harness.judge.verdict.judgement import judge
from harness.recording.read import Recording
from harness.report import text
from harness.run.planning import origin
from tests.complaints import complaint
from tests.judge.test_answers import clean

if TYPE_CHECKING:
    from pathlib import Path

IN_A_POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}


def summary(path: Path, load_from: str) -> str:
    run = clean(record={"load_from": load_from})
    return text.render(judge(Recording.open(run.write(path / (load_from or "old")))), latencies=False)


def test_a_machine_outside_is_local_and_a_pod_with_its_own_credentials_is_in_the_cluster() -> None:
    assert origin({}, "staging") == "local"
    assert origin({}, None) == "local"
    assert origin(IN_A_POD, "in-cluster") == "cluster"
    assert origin(IN_A_POD, None) == "cluster"


def test_a_pod_with_a_kubeconfig_may_be_in_another_cluster_so_nothing_is_claimed() -> None:
    assert origin(IN_A_POD, "staging") == ""


def test_pods_that_send_are_in_the_cluster_wherever_zdtest_is() -> None:
    assert origin({}, "staging", from_pods=True) == "cluster"


def test_from_cluster_sends_from_one_pod_unless_zdtest_is_in_one_or_the_scenario_says_how_many() -> None:
    assert defaults_for("cluster", {}, {"settle": "1s"}) == {"settle": "1s", "load": {"pods": 1}}
    assert defaults_for("cluster", {}, {"load": {"pods": 4}}) == {"load": {"pods": 4}}
    assert defaults_for("cluster", IN_A_POD, {}) == {}
    assert defaults_for(None, {}, {}) == defaults_for("local", {}, {}) == {}


def test_from_local_is_refused_in_a_pod_and_with_pods_that_send() -> None:
    assert "start it outside of the cluster" in complaint(partial(defaults_for, "local", IN_A_POD, {}))
    assert "drop one of them" in complaint(partial(check_pods, "local", 3))
    check_pods("cluster", 3)
    check_pods("local", None)


def test_the_summary_says_that_a_load_from_inside_may_not_have_gone_the_public_way(tmp_path: Path) -> None:
    said = " ".join(summary(tmp_path, "cluster").split())
    assert "sent from inside the cluster: the public way into it may not have been tested" in said


def test_the_summary_says_that_the_load_came_from_outside_and_nothing_of_an_old_recording(
    tmp_path: Path,
) -> None:
    assert "sent from outside the cluster" in summary(tmp_path, "local")
    assert "half sent from outside the cluster, half from inside" in summary(tmp_path, "both")
    assert "sent from" not in summary(tmp_path, "")


def test_no_recording_may_name_another_place(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="load_from: no run can have this value"):
        summary(tmp_path, "moon")


def test_the_embedded_lab_has_neither_an_inside_nor_an_outside(tmp_path: Path) -> None:
    run = clean()
    cluster = Recording.open(run.write(tmp_path / "plain")).run.cluster
    assert cluster is not None
    lab = clean(record={"load_from": "local", "cluster": replace(cluster, lab=True)})
    assert judge(Recording.open(lab.write(tmp_path / "lab"))).about.load_from == ""
