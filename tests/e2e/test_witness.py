"""The report's moments of each pod agree with what the pods themselves logged, on the same clock."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from harness.clock import NS
from harness.judge.verdict.judgement import Judgement, judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.real_cluster import Deployed

APP = Path(__file__).with_name("witness_app.py")
LAG_S = 3
# The kubelet's clock is read in whole seconds, and so is what it says of starts and exits.
TO_THE_SECOND_NS = int(1.2 * NS)
NEAR_NS = NS // 4


@dataclass(frozen=True)
class Witness:
    """The moments of one pod, as it wrote them."""

    started: int
    listening: int
    requests: list[int]
    term: int | None
    exit: int | None

    @classmethod
    def read(cls, path: Path, zero_ns: int) -> Witness:
        """Read a pod's log; `zero_ns` is when the run's clock began, on the machine's."""
        moments = defaultdict(list)
        for line in path.read_text().splitlines():
            word, t_ns = line.split()
            moments[word].append(int(t_ns) - zero_ns)
        first = {word: times[0] for word, times in moments.items()}
        return cls(
            first["started"], first["listening"], moments["request"], first.get("term"), first.get("exit")
        )


def scenario(folder: Path, pre_stop_s: int) -> Path:
    """Three pods that log to a file on the host, with a readiness probe and a hook of this length (0: none)."""
    book = folder / "book"
    book.mkdir()
    book.chmod(0o777)
    container = {
        "name": "web",
        "image": "python:3.12-slim",
        "command": ["python3", "/app/witness_app.py"],
        "env": [
            {"name": "STARTUP_DELAY", "value": "2"},
            {"name": "TERM_IS", "value": "drain"},
            {"name": "POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
        ],
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1},
        "volumeMounts": [{"name": "app", "mountPath": "/app"}, {"name": "book", "mountPath": "/witness"}],
    }
    if pre_stop_s:
        container["lifecycle"] = {"preStop": {"exec": {"command": ["/bin/sh", "-c", f"sleep {pre_stop_s}"]}}}
    pods = {
        "containers": [container],
        "terminationGracePeriodSeconds": 20,
        "volumes": [
            {"name": "app", "configMap": {"name": "witness"}},
            {"name": "book", "hostPath": {"path": str(book)}},
        ],
    }
    labels = {"app": "web"}
    workload = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pods},
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    code = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "witness"},
        "data": {APP.name: APP.read_text()},
    }
    place = folder / "scenario"
    place.mkdir()
    (place / "app.yaml").write_text(yaml.safe_dump_all([workload, service, code]))
    (place / "zdtest.yaml").write_text(yaml.safe_dump({"name": "witness", "manifests": ["app.yaml"]}))
    return place


def judged(
    deployed: Callable[..., Deployed], folder: Path, kind: str, pre_stop_s: int
) -> tuple[Judgement, dict[str, Witness], int]:
    """Return the judgement, what each pod wrote by its uid, and the exit code of the run."""
    web = deployed(str(scenario(folder, pre_stop_s)), "--lag", str(LAG_S), kind=kind)
    run = web.zdtest("-c", "10", "-d", "20s", "--trigger-after", "5s", "--settle", "6s")
    assert run.path.is_dir(), run.stderr
    zero_ns = run.recording.run.monotonic_ns
    books = {path.stem.split(":")[1]: Witness.read(path, zero_ns) for path in (folder / "book").iterdir()}
    return judge(run.recording), books, run.code


@pytest.mark.parametrize(
    "kind",
    [
        "StatefulSet",
        pytest.param("Deployment", marks=pytest.mark.matrix),
        pytest.param("DaemonSet", marks=pytest.mark.matrix),
    ],
)
def test_each_moment_and_the_lag_are_those_that_the_pods_wrote_down(
    deployed: Callable[..., Deployed], tmp_path: Path, kind: str
) -> None:
    found, books, code = judged(deployed, tmp_path, kind, pre_stop_s=8)
    assert found.measured is not None
    measured = {row.pod: row for row in found.measured.pods}
    old = [pod for pod in found.timeline.pods if pod.old]
    assert len(old) == (1 if kind == "DaemonSet" else 3)
    for pod in found.timeline.pods:
        book, row = books[pod.uid], measured[pod.name]
        if pod.old:
            assert book.term is not None
            assert book.exit is not None
            assert pod.deleted_ns is not None
            assert row.reach_ns is not None
            reach_ns = book.requests[-1] - pod.deleted_ns
            assert abs(row.reach_ns - reach_ns) < NEAR_NS, pod.name
            assert LAG_S * NS - NEAR_NS < row.reach_ns < LAG_S * NS + 2 * NS, pod.name
            if pod.exited_ns is not None:  # the last pod of a DaemonSet may be gone before its exit is said
                assert abs(pod.exited_ns - book.exit) < TO_THE_SECOND_NS, pod.name
            assert not row.censored, pod.name
        else:
            assert pod.started_ns is not None
            assert row.listen_ns is not None
            assert abs(pod.started_ns - book.started) < TO_THE_SECOND_NS, pod.name
            assert abs(row.listen_ns - (book.listening - book.started)) < 2 * TO_THE_SECOND_NS, pod.name
    if kind != "DaemonSet":  # its one pod is away while the next one starts
        assert (code, found.causes) == (0, ()), found.verdict


@pytest.mark.matrix
def test_a_statefulset_that_exits_at_once_is_advised_what_its_pods_wrote_down(
    deployed: Callable[..., Deployed], tmp_path: Path
) -> None:
    found, books, code = judged(deployed, tmp_path, "StatefulSet", pre_stop_s=0)
    assert code == 1
    ids = {cause_id for cause in found.causes for cause_id in cause.ids}
    assert ids <= {"B1", "B2", "C6", "D2"}
    assert "B1" in ids
    assert found.measured is not None
    late = {row.pod: row.late_least_ns or 0 for row in found.measured.pods if row.old}
    # The balancer went on for LAG_S after each deletion, and no longer: what failed later was another pod's.
    assert max(late.values()) <= (LAG_S + 1) * NS, late
    last = {
        pod.uid: books[pod.uid].requests[-1] - pod.deleted_ns for pod in found.timeline.pods if pod.deleted_ns
    }
    assert len(last) == 3
    assert max(last.values()) < NEAR_NS, "each pod exits at once: what came later than that, it did not hear"
