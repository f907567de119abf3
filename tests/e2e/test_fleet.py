"""A load from four pods on a real cluster. The target's pods count for themselves, and read the machine's own clock."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from harness.fleet.frames import PORT
from harness.load.worker.pacer import SPREAD_NS
from harness.recording.read import Recording
from tests.e2e.real_cluster import CONTEXT, MOUNTS, Deployed, kubectl, one_load_at_a_time
from tests.e2e.test_witness import scenario

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
PACKAGES = Path(yaml.__file__).parents[1]
COMMAND = ["/python/bin/python3", "-m", "harness.fleet.pod", "/etc/zdtest/keys"]
# Not taken from the count of what the load sent: what zdtest asked beforehand, and the readiness probe is not counted.
ASKED_BEFORE = 3


def template(folder: Path, *, before: tuple[str, ...] = (), limits: dict[str, str] | None = None) -> Path:
    """What these pods need instead of an image: the host's Python, and this checkout."""
    mounts = {**MOUNTS, "code": str(ROOT), "packages": str(PACKAGES)}
    container: dict[str, Any] = {
        "name": "zdtest",
        "imagePullPolicy": "Never",
        "command": [*before, *COMMAND],
        "env": [
            {"name": "PYTHONPATH", "value": "/code:/packages"},
            {"name": "PYTHONDONTWRITEBYTECODE", "value": "1"},
            {"name": "LD_LIBRARY_PATH", "value": "/python/lib"},  # not the libpython of the host's own Python
        ],
        "volumeMounts": [{"name": n, "mountPath": f"/{n}", "readOnly": True} for n in mounts],
        "resources": {
            "requests": {"cpu": "20m", "memory": "64Mi"},
            "limits": limits or {"cpu": "2", "memory": "1Gi"},
        },
    }
    spec: dict[str, Any] = {
        "dnsPolicy": "Default",
        "containers": [container],
        "volumes": [{"name": n, "hostPath": {"path": p}} for n, p in mounts.items()],
    }
    if before:  # a clock of its own takes a right that no pod has by default
        container["securityContext"] = {
            "privileged": True,
            "allowPrivilegeEscalation": None,
            "capabilities": None,
        }
        spec["securityContext"] = {"runAsNonRoot": False, "runAsUser": 0}
    path = folder / "pods.yaml"
    path.write_text(yaml.safe_dump({"spec": spec}))
    return path


def requests(web: Deployed) -> list[int]:
    """When the target's pods took up each request, on the machine's clock."""
    return sorted(
        int(line.split()[1])
        for book in (web.home / "book").glob("*.txt")
        for line in book.read_text().splitlines()
        if line.startswith("request ")
    )


class Sent:
    """A run from four pods, under way or over."""

    def __init__(self, web: Deployed, *options: str) -> None:
        self.web = web
        self._before = len(requests(web))
        self.out = web.home / f"out-{time.monotonic_ns()}"
        address = kubectl("-n", web.namespace, "get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
        command = [
            sys.executable, "-m", "harness", "run", f"http://{address}/", "--context", CONTEXT, "-n", web.namespace,
            "--pods", "4", "-c", "18", "-o", str(self.out), "--worker-image", "docker.io/local/box:1", *options,
        ]  # fmt: skip
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.said = ""

    def under_load(self) -> list[str]:
        """Wait until rows of all four workers have come; return the names of the load's pods."""
        until = time.monotonic() + 120
        while len(list(self.out.glob("*/hits/*.arrow"))) < 4:
            assert time.monotonic() < until
            assert self._process.poll() is None
            time.sleep(0.2)
        chosen = ["-l", "app.kubernetes.io/component=load", "-o", "jsonpath={.items[*].metadata.name}"]
        return kubectl("-n", self.web.namespace, "get", "pods", *chosen).split()

    def end(self) -> int:
        self.said, _ = self._process.communicate(timeout=240)
        return self._process.returncode

    @property
    def recording(self) -> Recording:
        assert list(self.out.iterdir()), self.said
        (path,) = self.out.iterdir()
        return Recording.open(path)

    @property
    def served(self) -> int:
        """What the target's pods counted themselves, since this run began."""
        return len(requests(self.web)) - self._before

    def leftovers(self) -> str:
        return kubectl(
            "-n", self.web.namespace, "get", "jobs,secrets", "-l", "app.kubernetes.io/component=load"
        )


@contextmanager
def sending(web: Deployed, *options: str) -> Iterator[Sent]:
    with one_load_at_a_time():
        yield Sent(web, *options)


@pytest.fixture
def web(deployed: Callable[..., Deployed], tmp_path: Path) -> Deployed:
    return deployed(str(scenario(tmp_path, 8)), port=18200, word="pods")


@pytest.mark.parametrize("reach", ["auto", pytest.param("port-forward", marks=pytest.mark.matrix)])
def test_four_pods_send_what_the_servers_count(web: Deployed, reach: str) -> None:
    options = ("--no-rollout", "-d", "6s", "--pod-template", str(template(web.home)), "--pods-reach", reach)
    with sending(web, *options) as sent:
        sent.end()
    if reach == "port-forward" and "error dialing backend" in sent.said:
        pytest.skip("this cluster's API server does not find its nodes by name: no port can be forwarded")
    hits = sent.recording.hits()
    assert len(hits) == sent.served - ASKED_BEFORE, sent.said
    assert set(hits["worker"]) == {0, 1, 2, 3}
    assert hits.groupby("worker")["slot"].nunique().tolist() == [5, 5, 4, 4]
    first = hits.astype({"slot": "int64"}).groupby("worker")[["due_ns", "slot"]].min()
    starts = first["due_ns"] - first["slot"] * SPREAD_NS // 18
    assert starts.max() - starts.min() < 20_000_000
    assert "No resources found" in sent.leftovers() or not sent.leftovers()


@pytest.mark.matrix
def test_a_pod_that_is_killed_withholds_the_pass_and_is_named(web: Deployed) -> None:
    with sending(web, "--no-rollout", "-d", "20s", "--pod-template", str(template(web.home))) as sent:
        victim = sent.under_load()[1]
        time.sleep(3)
        kubectl("-n", web.namespace, "delete", "pod", victim, "--force", "--grace-period=0")
        code = sent.end()
    assert code == 3, sent.said
    run = sent.recording.run
    assert run.ended_by == "worker_lost"
    (lost,) = run.workers_lost
    assert next(one.pod for one in run.worker_clocks if one.worker == lost) == victim
    assert f"(pod {victim} on node" in sent.said
    assert set(sent.recording.hits()["worker"]) == {0, 1, 2, 3}  # also what the victim had sent


@pytest.mark.matrix
def test_pods_with_a_clock_of_their_own_are_on_the_runs_clock(web: Deployed) -> None:
    ahead = ("/usr/bin/unshare", "--time", "--fork", "--kill-child", "--monotonic", "5000", "--")
    with sending(
        web, "--no-rollout", "-d", "6s", "--pod-template", str(template(web.home, before=ahead))
    ) as sent:
        sent.end()
    recording = sent.recording
    hits, zero = recording.hits(), recording.run.monotonic_ns
    assert len(hits) == sent.served - ASKED_BEFORE, sent.said
    served = [t_ns - zero for t_ns in requests(web)[-len(hits) :]]
    sent_ns = sorted(hits["sent_ns"])
    # The servers read the very clock of the run: the n-th request was sent before it was served, and hardly so.
    late = sorted(got - went for got, went in zip(served, sent_ns, strict=True))
    assert -5_000_000 < late[len(late) // 2] < 50_000_000


@pytest.mark.matrix
def test_pods_without_enough_cpu_withhold_the_pass_and_are_named(web: Deployed) -> None:
    slow = template(web.home, limits={"cpu": "60m", "memory": "1Gi"})
    with sending(web, "--no-rollout", "-d", "15s", "--pod-template", str(slow)) as sent:
        assert sent.end() == 3, sent.said
    assert "saturated: p99 over 50 ms" in sent.said or "began over 20 ms late" in sent.said
    assert "(pod zdtest-load-" in sent.said


@pytest.mark.matrix
@pytest.mark.parametrize("how", ["DROP", "REJECT"])
def test_a_connection_that_is_cut_for_five_seconds_loses_and_doubles_nothing(web: Deployed, how: str) -> None:
    with sending(web, "--no-rollout", "-d", "20s", "--pod-template", str(template(web.home))) as sent:
        sent.under_load()
        to_pods = ["OUTPUT", "-p", "tcp", "--dport", str(PORT), "-j", how]
        if how == "REJECT":
            to_pods += ["--reject-with", "tcp-reset"]
        subprocess.run(["iptables", "-I", *to_pods], check=True)
        try:
            time.sleep(5)
        finally:
            subprocess.run(["iptables", "-D", *to_pods], check=True)
        sent.end()
    hits = sent.recording.hits()
    assert sent.recording.run.workers_lost == (), sent.said
    assert len(hits) == sent.served - ASKED_BEFORE, sent.said
    assert not hits.duplicated(["worker", "seq"]).any()


@pytest.mark.matrix
def test_a_rollout_is_judged_under_the_load_of_four_pods(web: Deployed) -> None:
    options = ("--deployment", "web", "-d", "12s", "--settle", "3s", "--trigger-after", "4s", "--path-proven")
    with sending(web, *options, "--pod-template", str(template(web.home))) as sent:
        code = sent.end()
    assert code in {0, 1, 3}
    run = sent.recording.run
    assert run.rollout is not None
    assert run.rollout.state == "complete", sent.said
    assert run.workers_lost == ()
