"""A whole `zdtest run --pods`, judged and reported, against the fleet's own API server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.recording.read import Recording
from tests.fleet.job_api import JobApi
from tests.load.scripted_server import ScriptedServer, always
from tests.program import zdtest

if TYPE_CHECKING:
    from collections.abc import Iterator

OK = b"HTTP/1.1 200 OK\r\nX-Pod: web-1\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str, int, JobApi]]:
    home = tmp_path_factory.mktemp("fleet")
    (home / "pods.yaml").write_text("spec: {priorityClassName: low}\n")
    with JobApi(home) as api, ScriptedServer(always(OK)) as server:
        ran = zdtest(
            "run", server.url, "--no-rollout", "--pods", "2", "-c", "5", "-d", "3s", "-n", "shop", "--context", "made",
            "--kubeconfig", api.kubeconfig, "--pod-template", str(home / "pods.yaml"), "-o", str(home / "results"),
            "-H", "Authorization: Bearer canary-of-the-fleet", cwd=home,
        )  # fmt: skip
        (path,) = (home / "results").iterdir()
        assert ran.returncode in {0, 3}, ran.stderr
        yield path, ran.stdout + ran.stderr, server.seen["requests"], api


def test_the_recording_is_read_as_any_other(done: tuple[Path, str, int, JobApi]) -> None:
    path, _, requests, _ = done
    recording = Recording.open(path)
    asked_before = 3
    assert len(recording.hits()) == requests - asked_before
    assert (recording.run.workers, recording.run.concurrency) == (2, 5)
    assert sum(sample.completed for sample in recording.health()) == requests - asked_before
    verdict = json.loads((path / "verdict.json").read_text())
    findings = {one["objective"]: one["grade"] for one in verdict["verdict"]["findings"]}
    assert findings["every worker lives to the end"] == "PASS"
    assert findings["every request is on record"] == "PASS"
    assert findings["the pods begin together"] in {"PASS", "INCONCLUSIVE"}  # a busy machine begins late


def test_each_workers_clock_and_place_are_in_run_json_and_in_the_summary(
    done: tuple[Path, str, int, JobApi],
) -> None:
    path, _, _, api = done
    clocks = Recording.open(path).run.worker_clocks
    (job,) = list(api.secrets)
    assert [(one.worker, one.pod, one.node) for one in clocks] == [
        (0, f"{job}-0", "node-0"),
        (1, f"{job}-1", "node-1"),
    ]
    assert all(one.uncertainty_ns > 0 for one in clocks)
    assert "Sent from     2 pods on 2 nodes, 2 workers" in (path / "summary.txt").read_text()


def test_the_job_is_gone_and_the_request_is_in_no_object_of_the_cluster(
    done: tuple[Path, str, int, JobApi],
) -> None:
    path, said, _, api = done
    assert not api.jobs
    assert "created job/zdtest-load-" in said
    (secret,) = api.secrets.values()
    assert set(secret["data"]) == {"ca.crt", "tls.crt", "tls.key"}
    assert not any(b"canary-of-the-fleet" in file.read_bytes() for file in path.rglob("*") if file.is_file())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--lab", "--pods", "2"], "the lab has no nodes for the load's pods"),
        (["http://h/", "--no-rollout", "--pods", "0"], "pods"),
        (["http://h/", "--no-rollout", "--worker-image", "x"], "add pods"),
        (["http://h/", "--no-rollout", "--pods", "2"], "without a terminal the namespace must be given"),
    ],
)
def test_what_does_not_go_together_is_a_usage_error(tmp_path: Path, words: list[str], said: str) -> None:
    ran = zdtest("run", *words, cwd=tmp_path)
    assert ran.returncode == 2
    assert said in ran.stderr
    assert len(ran.stderr.strip().splitlines()) == 1


def test_too_few_connections_are_refused_before_anything_is_created(tmp_path: Path) -> None:
    with JobApi(tmp_path) as api:
        words = ["--no-rollout", "--pods", "4", "-c", "3", "-n", "shop", "--context", "made", "-d", "2s"]
        ran = zdtest("run", "http://127.0.0.1:9/", *words, "--kubeconfig", api.kubeconfig, cwd=tmp_path)
        assert ran.returncode == 2
        assert "raise -c to at least 4" in ran.stderr
        assert not any(path.startswith("POST") for path in api.asked)


def test_a_context_that_looks_like_production_is_refused_without_a_rollout_too(tmp_path: Path) -> None:
    with JobApi(tmp_path) as api:
        file = Path(api.kubeconfig)
        file.write_text(file.read_text().replace("made", "prod-eu"))
        words = [
            "--no-rollout",
            "--pods",
            "2",
            "-n",
            "shop",
            "--context",
            "prod-eu",
            "--kubeconfig",
            str(file),
        ]
        ran = zdtest("run", "http://127.0.0.1:9/", *words, "-d", "2s", cwd=tmp_path)
        assert ran.returncode == 2
        assert "looks like production and is protected" in ran.stderr
        assert not any(path.startswith("POST") for path in api.asked)
