"""One scenario's workload on the real cluster, and `zdtest` run against it."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import yaml

from harness.recording.read import Recording
from harness.scenario.resolve import shipped

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTEXT = "realk8s"
PROGRAMS = {"python3": "/python/bin/python3", "node": "/usr/bin/node"}  # in the pod
MOUNTS = {"python": sys.base_prefix, "usr": "/usr", "lib": "/usr/lib", "lib64": "/usr/lib64"}


def kubectl(*words: str, stdin: str | None = None) -> str:
    done = subprocess.run(
        ["kubectl", *words], input=stdin, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, f"kubectl {' '.join(words)}: {done.stderr}"
    return done.stdout


@contextmanager
def one_load_at_a_time() -> Iterator[None]:
    """Wait until no other test sends load. Tests that run side by side on a small machine take from each other what a
    load generator needs; what they do around their runs may overlap.
    """
    with (Path(tempfile.gettempdir()) / "zdtest-e2e-load.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # let go when the file is closed, however the test ends
        yield


def for_real_cluster(manifest: dict[str, Any], kind: str = "Deployment") -> dict[str, Any]:
    """Exchange a Deployment's public image for the host's Python (or node); all else stays as it is.

    With another `kind` the same pods become a StatefulSet's or a DaemonSet's.
    """
    if manifest["kind"] != "Deployment":
        return manifest
    manifest["kind"] = kind
    if kind != "Deployment":
        manifest["spec"].pop("strategy", None)
    if kind == "StatefulSet":
        manifest["spec"]["serviceName"] = "web"
    if kind == "DaemonSet":
        manifest["spec"].pop("replicas", None)
    spec = manifest["spec"]["template"]["spec"]
    spec["dnsPolicy"] = "Default"
    for container in spec["containers"]:
        container |= {"image": "docker.io/local/box:1", "imagePullPolicy": "Never"}
        program, *words = container["command"]
        container["command"] = [PROGRAMS[program], *words]
        container.setdefault("volumeMounts", []).extend(
            {"name": n, "mountPath": f"/{n}", "readOnly": True} for n in MOUNTS
        )
    spec.setdefault("volumes", []).extend({"name": n, "hostPath": {"path": p}} for n, p in MOUNTS.items())
    return manifest


@dataclass(frozen=True)
class Run:
    code: int
    stdout: str
    stderr: str
    path: Path

    @property
    def recording(self) -> Recording:
        return Recording.open(self.path)

    @property
    def verdict(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.path / "verdict.json").read_text())
        return loaded


@dataclass(frozen=True)
class Deployed:
    scenario: str
    namespace: str
    port: int
    home: Path
    kind: str = "Deployment"

    @property
    def folder(self) -> Path:
        """The scenario's folder: a shipped one by name, or a test's own by its full path."""
        return shipped() / self.scenario

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def apply(self) -> None:
        listed = yaml.safe_load((self.folder / "zdtest.yaml").read_text())["manifests"]
        docs = [doc for name in listed for doc in yaml.safe_load_all((self.folder / name).read_text()) if doc]
        kubectl("create", "namespace", self.namespace)
        kubectl(
            "-n",
            self.namespace,
            "apply",
            "-f",
            "-",
            stdin=yaml.safe_dump_all(for_real_cluster(doc, self.kind) for doc in docs),
        )
        kubectl("-n", self.namespace, "rollout", "status", f"{self.kind.lower()}/web", "--timeout=90s")

    def wait_until_it_answers(self) -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                if httpx.get(self.url, timeout=2, trust_env=False).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.3)
        raise AssertionError(f"{self.url} does not answer")

    def delete(self) -> None:
        """Delete everything, and wait until its pods are gone: the next test wants the node to itself. What the cluster
        does about the empty namespace costs nothing."""
        kubectl("delete", "namespace", self.namespace, "--wait=false")
        kubectl("-n", self.namespace, "delete", "pods", "--all", "--grace-period=1", "--ignore-not-found")

    def zdtest(self, *options: str, path: str = "/", loads: bool = True) -> Run:
        """Run zdtest on it. What sends load waits until it may; `loads` is false where it is refused before."""
        out = self.home / f"out-{time.monotonic_ns()}"
        command = [
            sys.executable, "-m", "harness", "run", self.url + path, "-f", str(self.folder),
            "--context", CONTEXT, "-n", self.namespace, "-o", str(out), "--deployment", f"{self.kind.lower()}/web",
            *options,
        ]  # fmt: skip
        with one_load_at_a_time() if loads else nullcontext():
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        runs = sorted(out.glob("*")) if out.exists() else []
        return Run(done.returncode, done.stdout, done.stderr, runs[0] if runs else out)
