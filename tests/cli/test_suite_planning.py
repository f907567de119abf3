"""What earlier runs tell a suite: the order, how long a run takes, and whether the manifest changed since."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio.from_thread
import pytest
import yaml

from harness.cli.baselines import _earlier, wanted
from harness.cli.suite.planning import planned
from harness.cluster.client.api import Api
from harness.cluster.client.resources import WORKLOADS
from harness.cluster.watching.reduce import manifest
from harness.lab import lab
from harness.model import LabPlan
from harness.recording.folder import write_below
from harness.recording.series import suite as file
from harness.recording.series.suite import Entry, Suite
from harness.recording.write import write_json
from harness.suite.files import find_all
from harness.suite.jobs import jobs_of
from tests.history.folders import record, verdict
from tests.lab.control_plane import deployment, service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.suite.jobs import Job


def past_run(
    results: Path, night: int, name: str, grade: str = "PASS", suite: str = "", **about: Any
) -> Path:
    """A run as it lies in `results`, or in a suite's folder there."""
    room = results / f"202611{night + 1:02d}T020000Z-suite-{suite}" if suite else results
    path = (room / file.RUNS if suite else room) / f"202611{night + 1:02d}T030007Z-{name}"
    path.mkdir(parents=True)
    cluster = {"context": "staging", "namespace": "shop", "kind": "Deployment", "name": name, "lab": False}
    write_json(path / "run.json", record(night, name, cluster={**cluster, "server": "s"}, **about))
    write_json(path / "verdict.json", verdict(grade))
    if suite and not file.is_suite(room):
        file.write(room, Suite(suite, (Entry(name, "x.yaml", run=f"runs/{path.name}", digest="old"),)))
    return path


def began_with(run: Path, *live: dict[str, Any]) -> None:
    """The objects that a run found on the cluster."""
    write_below(run, "manifests/before.json", json.dumps(live))


def scenarios(folder: Path, *names: str, **fields: Any) -> tuple[Job, ...]:
    folder.mkdir(exist_ok=True)
    for name in names:
        whole = {
            "name": name, "target": {"url": f"http://{name}.example"}, "workload": name, "namespace": "shop",
            "cluster": {"context": "staging"}, **fields,
        }  # fmt: skip
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(whole))
    return jobs_of(find_all([folder]), {}, (), folder, interactive=True, limit=None)


def order(plan: Any) -> list[tuple[str, str]]:
    return [(job.entry.name, job.entry.why) for job in plan.jobs]


def test_runs_of_earlier_suites_and_single_runs_decide_the_order(tmp_path: Path) -> None:
    results = tmp_path / "results"
    past_run(results, 1, "a")
    past_run(results, 2, "b", "FAIL", suite="nightly")
    past_run(results, 3, "d", "INCONCLUSIVE")
    jobs = scenarios(tmp_path / "all", "a", "b", "c", "d")
    plan = planned(jobs, results, 1, 1e6, live=False)
    assert [name for name, _ in order(plan)] == ["b", "c", "d", "a"]
    assert plan.jobs[0].entry.before == file.Before(
        "FAIL", "2026-11-03T03:00:09+00:00", "20261103T020000Z-suite-nightly/runs/20261103T030007Z-b"
    )
    assert [name for name, _ in order(planned(jobs, results, 1, None))] == ["a", "b", "c", "d"]


def test_a_run_on_another_workload_of_the_same_name_tells_nothing(tmp_path: Path) -> None:
    past_run(tmp_path / "results", 1, "a", "FAIL")
    for other in ({"namespace": "other"}, {"workload": "sts/a"}, {"cluster": {"context": "edge"}}):
        jobs = scenarios(tmp_path / "all", "a", **other)
        assert order(planned(jobs, tmp_path / "results", 1, 1e6, live=False)) == [("a", "never tested")]


def test_a_run_takes_as_long_as_the_last_ones(tmp_path: Path) -> None:
    past_run(tmp_path / "results", 1, "a")  # its load took 60 s
    plan = planned(scenarios(tmp_path / "all", "a"), tmp_path / "results", 1, None)
    assert plan.turns[0].expected_s == 75


def test_a_manifests_file_that_changed_since_the_last_suite_makes_it_urgent(tmp_path: Path) -> None:
    results = tmp_path / "results"
    past_run(results, 1, "a", suite="nightly")
    past_run(results, 2, "b", suite="nightly")
    (tmp_path / "app.yaml").write_text("kind: Deployment\n")
    jobs = scenarios(tmp_path / "all", "a", "b", manifests=["../app.yaml"])
    changed = order(planned(jobs, results, 1, 1e6, live=False))[0]
    assert changed == ("a", "changed since the last run: a manifest's file")


def test_last_pass_is_looked_up_in_earlier_suites(tmp_path: Path) -> None:
    results = tmp_path / "results"
    earlier = past_run(results, 1, "a", suite="nightly")
    past_run(results, 2, "a", "FAIL", suite="nightly")
    mine = past_run(results, 3, "a", suite="nightly")
    assert _earlier(mine, wanted("last-pass", 0.01, results)) == [earlier]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Api, str]]:
    home = tmp_path_factory.mktemp("lab")
    (home / "all.yaml").write_text(yaml.safe_dump_all([deployment(replicas=0), service()]))
    plan = LabPlan(manifests=(str(home / "all.yaml"),), tls=False, lag_ns=0)
    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(lab.running(plan, home / "lab")) as endpoint,
    ):
        yield Api.connect(endpoint.kubeconfig, endpoint.context), endpoint.kubeconfig


def test_a_live_workload_that_a_person_changed_since_the_last_run_makes_it_urgent(
    tmp_path: Path, api: tuple[Api, str]
) -> None:
    client, kubeconfig = api
    results = tmp_path / "results"
    path = past_run(results, 1, "web")
    began_with(path, manifest(client.get(WORKLOADS["Deployment"], "default", "web")))
    cluster = {
        "context": "lab",
        "namespace": "default",
        "kind": "Deployment",
        "name": "web",
        "server": "s",
        "lab": False,
    }
    write_json(path / "run.json", record(1, "web", cluster=cluster))
    jobs = scenarios(tmp_path / "all", "web", namespace="default", cluster={"kubeconfig": kubeconfig})
    assert "last tested" in planned(jobs, results, 1, 1e6).jobs[0].entry.why
    patch = {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 7}}}}
    client.patch("Deployment", "default", "web", patch, field_manager="kubectl")
    assert order(planned(jobs, results, 1, 1e6)) == [
        ("web", "changed since the last run: spec.template.spec.terminationGracePeriodSeconds")
    ]


def test_a_cluster_that_cannot_be_asked_is_one_line_and_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    path = past_run(results, 1, "a")
    began_with(path, {"kind": "Deployment", "metadata": {"name": "a"}, "spec": {"replicas": 1}})
    where = {"cluster": {"kubeconfig": str(tmp_path / "none")}}
    plan = planned(scenarios(tmp_path / "all", "a", **where), results, 1, 1e6)
    assert "last tested" in plan.jobs[0].entry.why
    said = capsys.readouterr().err
    assert "a: whether its manifest changed is not known: " in said
    assert said.count("\n") == 1
