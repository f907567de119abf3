"""Every kind and every trigger on a real Kubernetes behind real balancers. Long: `nox -s matrix`; writes docs/matrix.md."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from harness.model import NEVER, Mark
from harness.scenario.resolve import shipped
from tests.e2e.bed import Bed, for_the_bed, kubectl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.bed import Run

pytestmark = pytest.mark.matrix
TABLE = Path(__file__).parents[2] / "docs" / "matrix.md"
QUICK = ["-c", "20", "-d", "8s", "--trigger-after", "3s", "--settle", "4s"]
# A slow request takes 4.5 s; a busy machine needs room above that before the balancer calls it a 504.
PATIENT = ("--read-timeout", "15")


@dataclass(frozen=True)
class Row:
    kind: str
    trigger: str
    balancer: str
    run: Run

    def line(self) -> str:
        record, verdict = self.run.recording.run, self.run.stdout.rstrip().splitlines()[-1].split(":")[0]
        hits = self.run.recording.hits(["status", "outcome"])
        lost = int((~hits["status"].between(200, 299)).sum())
        rollout = record.rollout
        took = (record.mark(Mark.ENDPOINTS_SETTLED) - record.mark(Mark.TRIGGER)) / 1e9
        state, gone = (rollout.state, len(rollout.old_pods)) if rollout else ("-", 0)
        return f"| {self.kind} | {self.trigger} | {self.balancer} | {state} | {gone} | {took:.1f} s | {len(hits):,} | {lost:,} | {verdict} |"


rows: list[Row] = []


@pytest.fixture(scope="module", autouse=True)
def _table() -> Iterator[None]:
    yield
    if rows:
        head = "| kind | change | balancer | rollout | pods gone | trigger to settled | requests | failed | verdict |\n|---|---|---|---|---|---|---|---|---|\n"
        TABLE.parent.mkdir(exist_ok=True)
        note = (
            "# Every kind, every change, on a real Kubernetes\n\nKubernetes 1.20.2 on one node, the pods of `scenarios/seed/4-grace` "
            "(readiness probe, preStop 3 s, grace 10 s), 20 connections. Written by `nox -s matrix`.\nA DaemonSet on one node has no second pod: its "
            "503s are true. Scaling and deleting keep the template: only the pods that go are counted.\n\n"
        )
        TABLE.write_text(note + head + "\n".join(row.line() for row in rows) + "\n")


def covered(run: Run) -> None:
    """The phases are whole, and every pod that was to go is on record until it was gone."""
    record = run.recording.run
    assert record.rollout
    assert record.rollout.state == "complete", run.stdout
    trigger, gone, settled = (
        record.mark(m) for m in (Mark.TRIGGER, Mark.OLD_PODS_GONE, Mark.ENDPOINTS_SETTLED)
    )
    assert NEVER < record.mark(Mark.WARMUP_END) < trigger <= gone <= settled
    stopped = any(
        "the load was stopped" in note for note in record.notes
    )  # as a service that is down deserves
    assert stopped or settled < record.mark(Mark.LOAD_END)
    deleted = {e.uid for e in run.recording.events() if e.kind == "Pod" and e.change == "DELETED"}
    assert {ref.uid for ref in record.rollout.old_pods} <= deleted


def manifest_of(bed: Bed, folder: Path) -> Path:
    """The workload's manifest with a longer hook: what one would apply to try a change."""
    docs = list(yaml.safe_load_all((shipped() / bed.scenario / "app.yaml").read_text()))
    doc = for_the_bed(next(d for d in docs if d["kind"] == "Deployment"), bed.kind)
    doc["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 12
    path = folder / "new.yaml"
    path.write_text(yaml.safe_dump(doc))
    return path


def test_a_deployment_under_every_trigger(bed: Callable[..., Bed], tmp_path: Path) -> None:
    web = bed("seed/4-grace", *PATIENT)
    name = f"-n {web.namespace}"
    budget: dict[str, Any] = {
        "apiVersion": "policy/v1beta1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web"},
    }
    budget["spec"] = {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}
    kubectl("-n", web.namespace, "apply", "-f", "-", stdin=yaml.safe_dump(budget))
    for trigger, pods in (
        ("restart", 3),
        (f"apply {manifest_of(web, tmp_path)}", 3),
        ("scale 5", 0),
        ("scale 3", 2),
        ("delete-pod", 1),
        ("evict-pod", 1),
        (f"command kubectl {name} set env deployment/web CHANGED=yes", 3),
    ):
        run = web.zdtest(*QUICK, "--trigger", trigger)
        assert run.code == 0, run.stderr + run.stdout
        covered(run)
        rollout = run.recording.run.rollout
        assert rollout
        assert len(rollout.old_pods) == pods, trigger
        rows.append(Row("Deployment", trigger.split()[0], "nginx", run))


def test_somebody_else_s_rollout_is_waited_for_and_judged(bed: Callable[..., Bed]) -> None:
    web = bed("seed/4-grace", *PATIENT)
    later = threading.Timer(14, lambda: kubectl("-n", web.namespace, "rollout", "restart", "deployment/web"))
    later.start()
    run = web.zdtest(*QUICK, "--trigger", "observe")
    later.join()
    assert run.code == 0, run.stderr + run.stdout
    covered(run)
    rows.append(Row("Deployment", "observe", "nginx", run))


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
def test_the_other_kinds(bed: Callable[..., Bed], kind: str) -> None:
    web = bed("seed/4-grace", *PATIENT, kind=kind)
    for trigger in ("restart", "delete-pod"):
        run = web.zdtest(*QUICK, "--trigger", trigger)
        # A DaemonSet on one node has one pod: replacing it is an outage, and says so.
        assert run.code == (1 if kind == "DaemonSet" else 0), run.stderr + run.stdout
        covered(run)
        rows.append(Row(kind, trigger, "nginx", run))


@pytest.mark.parametrize(
    "options", [("--proxy", "haproxy"), ("--proxy", "haproxy", "--retry"), ("--retry",)], ids=" ".join
)
def test_other_balancers_and_their_retries(bed: Callable[..., Bed], options: tuple[str, ...]) -> None:
    for scenario, code in (("seed/1-no-probe", {1}), ("seed/4-grace", {0})):
        web = bed(scenario, *options, *PATIENT, port=8091 if code == {1} else 8092)
        run = web.zdtest(*QUICK)
        # With retries nginx and HAProxy hide most of what a manifest without a probe loses from a GET.
        assert run.code in (code | {0} if "--retry" in options else code), run.stderr + run.stdout
        covered(run)
        rows.append(
            Row("Deployment", f"restart ({scenario})", " ".join(options).removeprefix("--proxy "), run)
        )


def test_a_rollout_that_cannot_start_its_pods_is_named_in_kubernetes_words(bed: Callable[..., Bed]) -> None:
    web = bed("seed/4-grace", *PATIENT)
    kubectl(
        "-n", web.namespace, "patch", "deployment", "web", "-p", '{"spec":{"progressDeadlineSeconds":15}}'
    )
    run = web.zdtest(*QUICK, "--trigger", "set-image web=docker.io/local/nothing:1")
    assert run.code == 3, run.stdout
    rollout = run.recording.run.rollout
    assert rollout
    assert rollout.state == "stalled"
    assert "ErrImageNeverPull" in rollout.reason
    assert "ProgressDeadlineExceeded" in rollout.reason


def test_a_change_by_somebody_else_half_way_ends_the_run_as_inconclusive(bed: Callable[..., Bed]) -> None:
    web = bed("seed/4-grace", *PATIENT)
    later = threading.Timer(
        12, lambda: kubectl("-n", web.namespace, "set", "env", "deployment/web", "OTHER=1")
    )
    later.start()
    run = web.zdtest(*QUICK)
    later.join()
    assert run.code == 3, run.stdout
    assert run.recording.run.ended_by == "changed"


def test_a_second_run_at_once_is_refused(bed: Callable[..., Bed]) -> None:
    web = bed("seed/4-grace", *PATIENT)
    first = subprocess.Popen(
        [sys.executable, "-m", "harness", "run", web.url, "-f", str(shipped() / web.scenario), "--context", "realk8s",
         "-n", web.namespace, "-o", str(web.home / "first"), *QUICK], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    time.sleep(7)
    second = web.zdtest(*QUICK)
    out, err = first.communicate(timeout=200)
    assert second.code == 2, second.stderr
    assert "another run" in second.stderr
    assert first.returncode == 0, out + err
    annotations = kubectl(
        "-n", web.namespace, "get", "deployment", "web", "-o", "jsonpath={.metadata.annotations}"
    )
    assert "zdtest.dev/run" not in annotations, "the lock is taken away at the end"


def test_the_api_server_away_for_ten_seconds_is_a_gap_that_the_report_names(bed: Callable[..., Bed]) -> None:
    web = bed("seed/4-grace", *PATIENT)
    restart = Path(os.environ["ZDTEST_BED"]) / "restart"
    later = threading.Timer(10, lambda: subprocess.run([str(restart), "apiserver", "10"], check=True))
    later.start()
    run = web.zdtest(*QUICK)
    later.join()
    assert run.code in {1, 3}, run.stdout + run.stderr
    gaps = run.recording.gaps()
    assert any(gap.blind for gap in gaps)
    assert run.recording.run.rollout
    assert run.recording.run.rollout.state == "complete"
    assert "blind" in run.stdout or "not watched" in run.stdout or "gap" in run.stdout
    rows.append(Row("Deployment", "restart, API server away 10 s", "nginx", run))
