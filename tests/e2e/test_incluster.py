"""The image in a real cluster: installed by Helm, run as the CronJob's Job, its results on a volume and in storage.

The node's containerd takes the image as a tar (`nox -s image`), and pods reach an S3 server on the node's address.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from harness.recording.read import Recording
from tests.deploy import image
from tests.e2e.real_cluster import Deployed, kubectl, one_load_at_a_time
from tests.program import zdtest
from tests.storage.bucket import Bucket, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

CHART = Path(__file__).parents[2] / "deploy" / "chart"
CONTAINERD = os.environ.get("ZDTEST_CONTAINERD", "/tmp/realk8s/containerd.sock")  # noqa: S108  the test bed's
USER = 10001
PORT = 18102

pytestmark = pytest.mark.matrix
helm: Any = pytest.importorskip("helm_python", reason="the extra deploy is not installed")


@dataclass(frozen=True)
class Nightly:
    """A workload that loses requests, and the chart that tests it."""

    web: Deployed
    bucket: Bucket
    folder: Path  # behind the claim

    @property
    def namespace(self) -> str:
        return self.web.namespace

    def job(self, name: str, *more: str) -> None:
        """Start the CronJob's Job now, as `kubectl create job --from` does, with more arguments."""
        cron = json.loads(kubectl("-n", self.namespace, "get", "cronjob", "nightly", "-o", "json"))
        job = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": cron["spec"]["jobTemplate"]["spec"],
        }
        job["spec"]["template"]["spec"]["containers"][0]["args"] += more
        kubectl("apply", "-f", "-", stdin=json.dumps(job))

    def pod(self, job: str) -> dict[str, Any]:
        listed = kubectl("-n", self.namespace, "get", "pods", "-l", f"job-name={job}", "-o", "json")
        found: dict[str, Any] = json.loads(listed)["items"][0]
        return found

    def ended(self, job: str, seconds: float = 240) -> dict[str, Any]:
        """Wait for its container's end, and return how it ended."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            statuses = self.pod(job)["status"].get("containerStatuses") or [{}]
            if ended := statuses[0].get("state", {}).get("terminated"):
                found: dict[str, Any] = ended
                return found
            time.sleep(1)
        raise AssertionError(self.pod(job)["status"])


def node_address() -> str:
    nodes = json.loads(kubectl("get", "nodes", "-o", "json"))["items"]
    return next(str(a["address"]) for a in nodes[0]["status"]["addresses"] if a["type"] == "InternalIP")


def has_image() -> bool:
    words = ["ctr", "-a", CONTAINERD, "-n", "k8s.io", "images", "ls", "-q", f"name=={image.NAME}"]
    return bool(subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip())


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> None:
    given = os.environ.get("ZDTEST_IMAGE")
    if not given and has_image():
        return
    tar = Path(given) if given else tmp_path_factory.mktemp("image") / "zdtest.tar"
    if not given:
        image.build(tar)
    subprocess.run(["ctr", "-a", CONTAINERD, "-n", "k8s.io", "images", "import", str(tar)], check=True)


@pytest.fixture(scope="module")
def nightly(imported: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nightly]:
    _ = imported
    home = tmp_path_factory.mktemp("nightly")
    web = Deployed("seed/1-no-probe", f"incluster-{os.getpid()}", 0, home)
    shared = Path("/var/tmp") / web.namespace  # noqa: S108  what a hostPath volume is made of
    shared.mkdir()
    shutil.chown(shared, USER, USER)
    try:
        with serving(home / "s3", node_address(), PORT) as bucket:
            web.apply()
            kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(volume(web.namespace, shared)))
            secret = [f"--from-literal={key}={value}" for key, value in bucket.environment.items()]
            kubectl("-n", web.namespace, "create", "secret", "generic", "storage", *secret)
            install(web, bucket)
            yield Nightly(web, bucket, shared)
    finally:
        web.delete()
        kubectl("delete", "persistentvolume", web.namespace, "--ignore-not-found", "--wait=false")
        shutil.rmtree(shared)


def volume(namespace: str, folder: Path) -> list[dict[str, Any]]:
    """A volume of a folder of the node, and the claim that takes it."""
    size = {"storage": "1Gi"}
    spec = {"capacity": size, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": str(folder)}}
    claim = {"volumeName": namespace, "storageClassName": "", "accessModes": ["ReadWriteOnce"]}
    return [
        {
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": namespace},
            "spec": spec | {"claimRef": {"namespace": namespace, "name": "nights"}},
        },
        {
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": "nights", "namespace": namespace}, "spec": claim | {"resources": {"requests": size}},
        },
    ]  # fmt: skip


def install(web: Deployed, bucket: Bucket) -> None:
    """`helm install nightly deploy/chart`, by Helm's own library."""
    service = json.loads(kubectl("-n", web.namespace, "get", "service", "web", "-o", "json"))
    values = {
        "image": {"repository": image.NAME.rpartition(":")[0], "pullPolicy": "Never"},
        "suspend": True,
        "url": f"http://{service['spec']['clusterIP']}/",
        "args": ["--concurrency", "10", "--duration", "8s", "--settle", "3s", "--trigger-after", "3s"],
        "scenario": {"zdtest.yaml": "target: {timeout: 10s}\n"},
        "results": {"url": bucket.url, "claim": {"existing": "nights"}},
        "envFrom": [{"secretRef": {"name": "storage"}}],
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}},
    }
    with helm.Config(kubeconfig_path=os.environ["KUBECONFIG"], namespace=web.namespace) as config:
        release = config.install(str(CHART), "nightly", values, namespace=web.namespace)
    assert "kind: CronJob" in str(release)


def test_the_job_s_verdict_volume_and_storage_agree_and_fetch_brings_it_here(
    nightly: Nightly, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in nightly.bucket.environment.items():
        monkeypatch.setenv(name, value)
    with one_load_at_a_time():
        nightly.job("try")
        ended = nightly.ended("try")
    assert ended["exitCode"] == 1, ended["message"]
    assert ended["message"].rstrip().splitlines()[-1].startswith("stored s3://")
    status = nightly.pod("try")["spec"]
    assert status["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
    (run,) = (path for path in nightly.folder.iterdir() if path.is_dir())
    assert run.stat().st_uid == USER
    assert "sent from inside the cluster" in (run / "summary.txt").read_text()
    fetched = zdtest("fetch", nightly.bucket.url, cwd=tmp_path)
    assert fetched.returncode == 0, fetched.stderr
    here = tmp_path / "results" / run.name
    record = Recording.open(here).run
    assert record.load_from == "cluster"
    assert record.cluster
    assert record.cluster.context == "in-cluster"
    again = zdtest("report", "last", cwd=tmp_path)
    assert again.returncode == 1
    there = json.loads((run / "verdict.json").read_text())
    assert json.loads((here / "verdict.json").read_text())["verdict"] == there["verdict"]


def test_a_pod_that_is_deleted_leaves_its_report_within_the_grace_period(
    nightly: Nightly, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in nightly.bucket.environment.items():
        monkeypatch.setenv(name, value)
    before = set(nightly.folder.iterdir())

    def begun() -> list[Path]:
        runs = [path for path in nightly.folder.iterdir() if path not in before]
        return [path for path in runs if any(f.stat().st_size > 20_000 for f in path.glob("hits/*.arrow"))]

    with one_load_at_a_time():
        nightly.job("long", "--duration", "300s", "--trigger-after", "200s")
        until = time.monotonic() + 90
        while not begun() and time.monotonic() < until:
            time.sleep(0.5)
        (run,) = begun()
        name = nightly.pod("long")["metadata"]["name"]
        asked = time.monotonic()
        kubectl("-n", nightly.namespace, "delete", "pod", name, "--timeout=120s")
        took_s = time.monotonic() - asked
    assert took_s < 110  # or Kubernetes had killed it
    assert Recording.open(run).run.ended_by == "interrupted"
    assert (run / "summary.txt").exists()
    assert (run / "report.html").exists()
    fetched = zdtest("fetch", f"{nightly.bucket.url}/{run.name}", cwd=tmp_path)
    assert fetched.returncode == 0, fetched.stderr
    assert zdtest("report", "last", cwd=tmp_path).returncode == 130


def test_runs_on_the_volume_are_fetched_from_a_pod_that_mounts_it(nightly: Nightly, tmp_path: Path) -> None:
    reader = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "reader", "namespace": nightly.namespace},
        "spec": {
            "terminationGracePeriodSeconds": 1, "securityContext": {"runAsUser": USER, "runAsGroup": USER},
            "containers": [{
                "name": "reader", "image": image.NAME, "imagePullPolicy": "Never", "command": ["sleep", "600"],
                "volumeMounts": [{"name": "r", "mountPath": "/results", "readOnly": True}],
            }],
            "volumes": [{"name": "r", "persistentVolumeClaim": {"claimName": "nights"}}],
        },
    }  # fmt: skip
    kubectl("apply", "-f", "-", stdin=json.dumps(reader))
    kubectl("-n", nightly.namespace, "wait", "--for=condition=Ready", "pod/reader", "--timeout=60s")
    asked = ["kubectl", "-n", nightly.namespace, "exec", "reader", "--"]
    if subprocess.run([*asked, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this cluster's API server does not reach the node by its name, so nothing runs in a pod")
    by_pod = zdtest("fetch", "pod/reader:/results", "-n", nightly.namespace, "-o", "by-pod", cwd=tmp_path)
    assert by_pod.returncode == 0, by_pod.stderr
    for run in nightly.folder.iterdir():
        brought = tmp_path / "by-pod" / run.name
        assert (brought / "run.json").read_bytes() == (run / "run.json").read_bytes()


def test_the_pod_may_do_what_its_role_says_and_nothing_else(nightly: Nightly) -> None:
    def may(*words: str) -> bool:
        account = f"--as=system:serviceaccount:{nightly.namespace}:nightly"
        command = ["kubectl", "-n", nightly.namespace, "auth", "can-i", *words, account]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() == "yes"

    assert may("patch", "deployment/web")
    assert may("watch", "pods")
    for words in (
        ("patch", "deployment/other"), ("delete", "deployment/web"), ("delete", "pods"), ("create", "pods"),
        ("get", "secrets"), ("list", "secrets"), ("create", "pods/exec"), ("get", "configmaps"),
    ):  # fmt: skip
        assert not may(*words), words
