"""A lab of two small pods that come and go fast, kept up by `zdtest lab up` while others work on it."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from harness.scenario.resolve import shipped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READY = {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1}


@dataclass(frozen=True)
class FastLab:
    url: str
    kubeconfig: str
    app: Path  # the manifests of the Deployment and its Service


def web(**env: str) -> list[dict[str, Any]]:
    """A Deployment and its Service; `env` goes to the app."""
    found = list(yaml.safe_load_all((shipped() / "clean/prestop-sleep/app.yaml").read_text()))
    found[0]["spec"]["replicas"] = 2
    container = found[0]["spec"]["template"]["spec"]["containers"][0]
    container["lifecycle"] = {"preStop": {"sleep": {"seconds": 1}}}
    container["readinessProbe"] = READY
    settings = {"STARTUP_DELAY": "0.1", "WORK_MS": "20", "ON_TERM": "drain", **env}
    container["env"] = [{"name": name, "value": value} for name, value in settings.items()]
    return found


@contextmanager
def fast_lab(folder: Path) -> Iterator[FastLab]:
    """Start it, with its scenario in `folder`; it ends with the block."""
    base = shipped() / "seed/base/configmap.yaml"
    folder.mkdir()
    (folder / "app.yaml").write_text(yaml.safe_dump_all(web()))
    scenario = {
        "name": "fast", "workload": "deployment/web", "manifests": [str(base), "app.yaml"],
        "lab": {"profile": "alb", "lag": "200ms", "tls": False},
    }  # fmt: skip
    (folder / "zdtest.yaml").write_text(yaml.safe_dump(scenario))
    words = [sys.executable, "-m", "harness", "lab", "up", str(folder)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        said = {}
        assert process.stdout
        for line in process.stdout:
            if line.startswith("Ctrl-C"):
                break
            name, _, value = line.partition(":")
            said[name] = value.strip()
        kubeconfig = said["API server"].removeprefix("export KUBECONFIG=")
        yield FastLab(said["balancer"].split()[0], kubeconfig, folder / "app.yaml")
        process.terminate()
