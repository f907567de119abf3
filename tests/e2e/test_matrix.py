"""Every kind and every trigger on a real Kubernetes behind real balancers.

Takes half an hour: `nox -s matrix`, which writes docs/matrix.md.
"""

from __future__ import annotations

import base64
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
from tests.e2e.real_cluster import Deployed, for_real_cluster, kubectl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.real_cluster import Run

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
        state, gone, took = (rollout.state, "-", "-") if rollout else ("-", "-", "-")
        if rollout and rollout.state == "complete":
            gone = str(len(rollout.old_pods))
            took = f"{(record.mark(Mark.ENDPOINTS_SETTLED) - record.mark(Mark.TRIGGER)) / 1e9:.1f} s"
        return (
            f"| {self.kind} | {self.trigger} | {self.balancer} | {state} | {gone} | {took} "
            f"| {len(hits):,} | {lost:,} | {verdict} |"
        )


rows: list[Row] = []


@pytest.fixture(scope="module", autouse=True)
def _table() -> Iterator[None]:
    yield
    if rows:
        head = (
            "| kind | change | balancer | rollout | pods gone | trigger to settled | requests | failed | "
            "verdict |\n|---|---|---|---|---|---|---|---|---|\n"
        )
        TABLE.parent.mkdir(exist_ok=True)
        note = (
            "# Every workload kind and every change, on a real Kubernetes\n\n"
            "Kubernetes 1.20.2 on one node, the pods of `scenarios/seed/4-grace` (readiness probe, preStop 3 s, "
            "grace 10 s), 20 connections. Written by `nox -s matrix`.\n"
            "A DaemonSet has one pod on one node, so replacing it is an outage: those FAILs are correct. "
            "*pods gone* counts old pods that ended; a scale-up ends none.\n\n"
        )
        TABLE.write_text(note + head + "\n".join(row.line() for row in rows) + "\n")


def covered(run: Run) -> None:
    """The phases are complete, and every replaced pod is recorded until it was gone."""
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


def manifest_of(deployed: Deployed, folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """The workload's manifest with a change, ready to apply."""
    docs = list(yaml.safe_load_all((shipped() / deployed.scenario / "app.yaml").read_text()))
    doc = for_real_cluster(next(d for d in docs if d["kind"] == "Deployment"), deployed.kind)
    change(doc["spec"]["template"]["spec"])
    path = folder / f"new-{time.monotonic_ns()}.yaml"
    path.write_text(yaml.safe_dump(doc))
    return path


def allow_one_eviction(deployed: Deployed) -> None:
    budget: dict[str, Any] = {
        "apiVersion": "policy/v1beta1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web"},
    }
    budget["spec"] = {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "web"}}}
    kubectl("-n", deployed.namespace, "apply", "-f", "-", stdin=yaml.safe_dump(budget))


# A StatefulSet takes one pod after the other, and a DaemonSet has one pod a node: of each change, how many pods go.
GO = {"Deployment": 3, "StatefulSet": 3, "DaemonSet": 1}


@pytest.mark.parametrize("kind", GO)
def test_every_kind_under_every_trigger(deployed: Callable[..., Deployed], tmp_path: Path, kind: str) -> None:
    web = deployed("seed/4-grace", *PATIENT, kind=kind)
    workload, all_of_them = f"{kind.lower()}/web", GO[kind]
    if kind != "DaemonSet":  # the policy controller of this version cannot count a DaemonSet's pods
        allow_one_eviction(web)
    longer = manifest_of(web, tmp_path, lambda spec: spec.update(terminationGracePeriodSeconds=12))
    cases = [
        ("restart", all_of_them),
        (f"apply {longer}", all_of_them),
        ("set-image web=local/box:1", all_of_them),  # the same image by its short name
        ("scale 5", 0),
        ("scale 3", 2),
        ("delete-pod", 1),
        ("evict-pod", 1),
        (f"command kubectl -n {web.namespace} set env {workload} CHANGED=yes", all_of_them),
    ]
    failed = []
    for trigger, pods in cases:
        if kind == "DaemonSet" and trigger.startswith("scale"):
            continue
        run = web.zdtest(*QUICK, "--trigger", trigger)
        # A DaemonSet on one node has one pod: replacing it is an outage, and says so.
        if run.code != (1 if kind == "DaemonSet" else 0):
            failed.append(f"{trigger}: exit code {run.code}\n{run.stderr}{run.stdout}")
            continue
        covered(run)
        rollout = run.recording.run.rollout
        assert rollout
        assert len(rollout.old_pods) == pods, trigger
        rows.append(Row(kind, trigger.split()[0], "nginx", run))
    assert not failed, "\n\n".join(failed)


@pytest.mark.parametrize("kind", GO)
def test_someone_else_s_rollout_is_waited_for_and_judged(
    deployed: Callable[..., Deployed], kind: str
) -> None:
    web = deployed("seed/4-grace", *PATIENT, kind=kind)
    later = threading.Timer(
        14, lambda: kubectl("-n", web.namespace, "rollout", "restart", f"{kind.lower()}/web")
    )
    later.start()
    run = web.zdtest(*QUICK, "--trigger", "observe")
    later.join()
    assert run.code == (1 if kind == "DaemonSet" else 0), run.stderr + run.stdout
    covered(run)
    rows.append(Row(kind, "observe", "nginx", run))


def test_several_rollouts_are_each_covered_and_judged_by_themselves(
    deployed: Callable[..., Deployed],
) -> None:
    web = deployed("seed/4-grace", *PATIENT)
    run = web.zdtest(*QUICK, "--rollouts", "3")
    assert run.code == 0, run.stderr + run.stdout
    assert "3 of 10 revisions that are left will be used" in run.stderr
    covered(run)
    record = run.recording.run
    assert len(record.earlier) == 2
    deleted = {e.uid for e in run.recording.events() if e.kind == "Pod" and e.change == "DELETED"}
    for earlier in record.earlier:
        assert earlier.rollout.state == "complete"
        assert {ref.uid for ref in earlier.rollout.old_pods} <= deleted
    assert [one["verdict"]["grade"] for one in run.verdict["rollouts"]] == ["PASS"] * 3
    assert "3 clean rollouts" in run.verdict["verdict"]["bound"]
    rows.append(Row("Deployment", "restart, 3 times", "nginx", run))


def test_an_autoscaler_that_scales_meanwhile_is_named_and_withholds_no_pass(
    deployed: Callable[..., Deployed],
) -> None:
    web = deployed("seed/4-grace", *PATIENT)
    name = ("-n", web.namespace)
    kubectl(*name, "autoscale", "deployment", "web", "--min=3", "--max=6", "--cpu-percent=80")
    grow = threading.Timer(
        9, lambda: kubectl(*name, "patch", "hpa", "web", "-p", '{"spec":{"minReplicas":5}}')
    )
    grow.start()
    # An autoscaler looks every 15 s.
    run = web.zdtest("-c", "20", "-d", "30s", "--trigger-after", "3s", "--settle", "10s")
    grow.join()
    assert run.code == 0, run.stderr + run.stdout
    covered(run)
    assert "from 3 to 5 replicas, by HorizontalPodAutoscaler web" in run.stdout
    rows.append(Row("Deployment", "restart, scaled by an autoscaler meanwhile", "nginx", run))


# Each has ports of its own: another proxy's admin socket stays behind under a port that was used before.
BALANCERS = {"--proxy haproxy": 8091, "--proxy haproxy --retry": 8093, "--retry": 8095}


@pytest.mark.parametrize("words", BALANCERS)
def test_other_balancers_and_their_retries(deployed: Callable[..., Deployed], words: str) -> None:
    options = words.split()
    for scenario, code in (("seed/1-no-probe", {1}), ("seed/4-grace", {0})):
        web = deployed(scenario, *options, *PATIENT, port=BALANCERS[words] + (code == {0}))
        run = web.zdtest(*QUICK)
        # With retries nginx and HAProxy hide most of what a manifest without a probe loses from a GET.
        assert run.code in (code | {0} if "--retry" in options else code), run.stderr + run.stdout
        covered(run)
        rows.append(
            Row(
                "Deployment",
                f"restart ({scenario})",
                "nginx --retry" if words == "--retry" else words.removeprefix("--proxy "),
                run,
            )
        )


def crash(spec: dict[str, Any]) -> None:
    spec["containers"][0]["command"] = ["/bin/sh", "-c", "exit 7"]


def want_another_node(spec: dict[str, Any]) -> None:
    spec["nodeSelector"] = {"disk": "of-unobtainium"}


STUCK: dict[str, Callable[[dict[str, Any]], object] | None] = {
    "ErrImageNeverPull": None,
    "CrashLoopBackOff": crash,
    "Unschedulable": want_another_node,
    "exceeded quota": lambda spec: spec.update(terminationGracePeriodSeconds=11),
}


@pytest.mark.parametrize("reason", STUCK)
def test_a_rollout_that_cannot_start_its_pods_is_named_in_kubernetes_words(
    deployed: Callable[..., Deployed], tmp_path: Path, reason: str
) -> None:
    web = deployed("seed/4-grace", *PATIENT)
    name = ("-n", web.namespace)
    kubectl(*name, "patch", "deployment", "web", "-p", '{"spec":{"progressDeadlineSeconds":15}}')
    if reason == "exceeded quota":
        kubectl(*name, "create", "quota", "three", "--hard=pods=3")
    change = STUCK[reason]
    trigger = (
        f"apply {manifest_of(web, tmp_path, change)}" if change else "set-image web=docker.io/local/nothing:1"
    )
    run = web.zdtest(*QUICK, "--trigger", trigger)
    assert run.code == 3, run.stdout
    rollout = run.recording.run.rollout
    assert rollout
    assert rollout.state == "stalled"
    assert reason in rollout.reason
    assert "ProgressDeadlineExceeded" in rollout.reason
    rows.append(Row("Deployment", f"{trigger.split(maxsplit=1)[0]}: {reason}", "nginx", run))


def test_an_annotation_that_a_controller_takes_away_again_is_recognised(
    deployed: Callable[..., Deployed],
) -> None:
    web = deployed("seed/4-grace", *PATIENT)
    taken = '{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":null}}}}}'
    later = threading.Timer(
        12, lambda: kubectl("-n", web.namespace, "patch", "deployment", "web", "-p", taken)
    )
    later.start()
    run = web.zdtest(*QUICK)
    later.join()
    assert run.code == 3, run.stdout
    assert run.recording.run.ended_by == "changed"
    assert "kubectl.kubernetes.io/restartedAt was taken away again" in run.stdout


def test_what_argo_cd_tracks_is_not_changed_behind_its_back(deployed: Callable[..., Deployed]) -> None:
    web = deployed("seed/4-grace", *PATIENT)
    tracking = "argocd.argoproj.io/tracking-id=shop:apps/Deployment:shop/web"
    kubectl("-n", web.namespace, "annotate", "deployment", "web", tracking)
    refused = web.zdtest(*QUICK, "--trigger", "set-image web=local/box:1")
    assert refused.code == 2, refused.stdout
    assert "Argo CD" in refused.stderr
    assert "command" in refused.stderr
    assert "observe" in refused.stderr


def test_a_protected_name_is_let_through_only_when_it_is_spelled_out(
    deployed: Callable[..., Deployed],
) -> None:
    web = deployed("seed/4-grace", *PATIENT, word="shop-prod")
    refused = web.zdtest(*QUICK)
    assert refused.code == 2, refused.stdout
    spelled = f"realk8s/{web.namespace}/web"
    assert f"--allow {spelled}" in refused.stderr
    assert web.zdtest(*QUICK, "--allow", spelled.replace("/web", "/api")).code == 2
    run = web.zdtest(*QUICK, "--allow", spelled)
    assert run.code == 0, run.stderr + run.stdout
    covered(run)


def test_a_strategy_that_replaces_nothing_is_refused_and_one_that_is_an_outage_is_announced(
    deployed: Callable[..., Deployed],
) -> None:
    agent = deployed("seed/4-grace", *PATIENT, kind="DaemonSet")
    on_delete = '{"spec":{"updateStrategy":{"type":"OnDelete","rollingUpdate":null}}}'
    kubectl("-n", agent.namespace, "patch", "daemonset", "web", "-p", on_delete)
    refused = agent.zdtest(*QUICK)
    assert refused.code == 2
    assert "OnDelete" in refused.stderr
    web = deployed("seed/4-grace", *PATIENT, port=8089)
    recreate = '{"spec":{"strategy":{"type":"Recreate","rollingUpdate":null}}}'
    kubectl("-n", web.namespace, "patch", "deployment", "web", "-p", recreate)
    run = web.zdtest(*QUICK)
    assert "an outage by design" in run.stderr
    assert run.code == 1, run.stdout
    covered(run)
    rows.append(Row("Deployment", "restart, Recreate", "nginx", run))


def test_a_token_that_is_revoked_in_the_middle_is_exchanged_for_the_next_one(
    deployed: Callable[..., Deployed], tmp_path: Path
) -> None:
    """Credentials that expire during a run: the credential plugin is called again, as kubectl does."""
    web = deployed("seed/4-grace", *PATIENT)
    name = ("-n", web.namespace)
    kubectl(*name, "create", "serviceaccount", "nightly")
    kubectl(
        *name,
        "create",
        "rolebinding",
        "nightly",
        "--clusterrole=cluster-admin",
        f"--serviceaccount={web.namespace}:nightly",
    )
    for secret in ("first", "second"):
        made = {
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
            "metadata": {"name": secret, "annotations": {"kubernetes.io/service-account.name": "nightly"}},
        }  # fmt: skip
        kubectl(*name, "apply", "-f", "-", stdin=yaml.safe_dump(made))
    time.sleep(2)

    def token(secret: str) -> str:
        return base64.b64decode(
            kubectl(*name, "get", "secret", secret, "-o", "jsonpath={.data.token}")
        ).decode()

    current = tmp_path / "token"
    current.write_text(token("first"))
    second = token("second")
    program = tmp_path / "plugin"
    program.write_text(
        '#!/bin/sh\nprintf \'{"apiVersion":"client.authentication.k8s.io/v1beta1","kind":"ExecCredential",'
        f'"status":{{"token":"%s"}}}}\' "$(cat {current})"\n'
    )
    program.chmod(0o755)
    config = yaml.safe_load(kubectl("config", "view", "--raw", "--flatten"))
    config["users"][0]["user"] = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1beta1",
            "command": str(program),
            "interactiveMode": "Never",
        }
    }
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config))

    def log_out() -> None:
        current.write_text(second)
        kubectl(*name, "delete", "secret", "first")

    # The server remembers a token that it accepted for 10 s; watches that are open stay open, and end within 15 s.
    later = threading.Timer(4, log_out)
    later.start()
    run = web.zdtest(
        "-c", "20", "-d", "40s", "--trigger-after", "20s", "--settle", "5s", "--kubeconfig", str(kubeconfig)
    )
    later.join()
    assert run.code == 0, run.stderr + run.stdout
    covered(run)
    rows.append(Row("Deployment", "restart, token revoked before it", "nginx", run))


def test_another_change_during_the_rollout_makes_the_run_inconclusive(
    deployed: Callable[..., Deployed],
) -> None:
    web = deployed("seed/4-grace", *PATIENT)
    later = threading.Timer(
        12, lambda: kubectl("-n", web.namespace, "set", "env", "deployment/web", "OTHER=1")
    )
    later.start()
    run = web.zdtest(*QUICK)
    later.join()
    assert run.code == 3, run.stdout
    assert run.recording.run.ended_by == "changed"


def test_a_second_run_at_once_is_refused(deployed: Callable[..., Deployed]) -> None:
    web = deployed("seed/4-grace", *PATIENT)
    first = subprocess.Popen(
        [sys.executable, "-m", "harness", "run", web.url, "-f", str(shipped() / web.scenario), "--context", "realk8s",
         "-n", web.namespace, "-o", str(web.home / "first"), *QUICK], stdout=subprocess.PIPE,
         stderr=subprocess.PIPE, text=True,
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


def test_the_api_server_away_for_ten_seconds_is_a_gap_that_the_report_names(
    deployed: Callable[..., Deployed],
) -> None:
    web = deployed("seed/4-grace", *PATIENT)
    restart = Path(os.environ["ZDTEST_BED"]) / "restart"
    later = threading.Timer(10, lambda: subprocess.run([str(restart), "apiserver", "10"], check=True))
    later.start()
    run = web.zdtest(*QUICK)
    later.join()
    grade = run.stdout.rstrip().splitlines()[-1].partition(":")[0]
    assert (grade, run.code) in {("FAIL", 1), ("INCONCLUSIVE", 3)}, run.stdout + run.stderr
    gaps = run.recording.gaps()
    assert any(gap.blind for gap in gaps)
    assert run.recording.run.rollout
    assert run.recording.run.rollout.state == "complete"
    assert "the watch of" in run.stdout
    rows.append(Row("Deployment", "restart, API server away 10 s", "nginx", run))
