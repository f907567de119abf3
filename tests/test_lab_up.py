"""`zdtest lab up`, used as its user would: with kubectl and curl's kind of client."""

from __future__ import annotations

import os
import shutil
import signal
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from harness.scenario.resolve import shipped
from tests.processes import descendants, ended_within

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def lab() -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    words = [sys.executable, "-m", "harness", "lab", "up", str(shipped() / "seed/2-readiness")]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said: dict[str, str] = {}
    assert process.stdout
    for line in process.stdout:
        if line.startswith("Ctrl-C"):
            break
        name, _, value = line.partition(":")
        said[name] = value.strip()
    yield process, said
    if process.poll() is None:
        process.kill()
    process.communicate()


@pytest.mark.skipif(not shutil.which("kubectl"), reason="no kubectl on this machine")
def test_a_lab_left_running_is_a_cluster_for_kubectl_and_ctrl_c_leaves_nothing(
    lab: tuple[subprocess.Popen[str], dict[str, str]],
) -> None:
    process, said = lab
    environment = os.environ | {"KUBECONFIG": said["API server"].removeprefix("export KUBECONFIG=")}

    def kubectl(*words: str) -> str:
        done = subprocess.run(
            ["kubectl", *words], env=environment, capture_output=True, text=True, check=False, timeout=90
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert kubectl("get", "pods").count("Running") == 3
    kubectl("rollout", "restart", "deployment/web")
    assert "successfully rolled out" in kubectl("rollout", "status", "deployment/web", "--timeout=80s")
    url, _, ca = said["balancer"].partition(" ")
    trusted = ssl.create_default_context(cafile=ca.strip().removeprefix("(CA: ").removesuffix(")"))
    assert httpx.get(url, verify=trusted, trust_env=False).status_code == 200

    below = descendants(process.pid)
    assert len(below) >= 5
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    assert ended_within(below, 10)


@pytest.mark.skipif(not shutil.which("kubectl"), reason="no kubectl on this machine")
def test_kubectl_finds_zdtest_as_its_plugin() -> None:
    scripts = os.path.dirname(sys.executable)  # noqa: PTH120  a PATH entry is text
    environment = os.environ | {"PATH": scripts + os.pathsep + os.environ["PATH"]}
    done = subprocess.run(
        ["kubectl", "zdtest", "--version"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("zdtest")
