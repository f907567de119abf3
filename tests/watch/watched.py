"""A watch of the fast lab, as a process of its own, and somebody who deploys there."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import yaml

from harness.cluster.client.api import Api
from harness.cluster.client.resources import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.fastlab import FastLab

PATIENCE_S = 60


def until(met: Callable[[], Any], what: str) -> Any:
    """Wait until something holds, and return it."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if found := met():
            return found
        time.sleep(0.1)
    raise AssertionError(f"in vain waited until {what}")


def release(lab: FastLab, version: str) -> None:
    """Give the pods another template."""
    template = {"metadata": {"annotations": {"version": version}}}
    Api.connect(lab.kubeconfig, None).patch(
        "Deployment", "default", "web", {"spec": {"template": template}}, field_manager="pipeline"
    )


def revision(lab: FastLab) -> int:
    """The newest revision. Of two templates in quick succession the controller may make one."""
    found = Api.connect(lab.kubeconfig, None).get(WORKLOADS["Deployment"], "default", "web")
    return int(found["metadata"]["annotations"]["deployment.kubernetes.io/revision"])


@dataclass
class Watching:
    process: subprocess.Popen[str]
    url: str  # of its page
    out: Path
    log: Path

    @property
    def server(self) -> str:
        """Its address without the page's secret."""
        return "/".join(self.url.split("/")[:3])

    def metrics(self) -> dict[str, float]:
        """The values of the one service, by name (and verdict)."""
        text = httpx.get(f"{self.server}/metrics", trust_env=False).text
        lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
        found = {}
        for name, _, value in lines:
            verdict = re.search(r'verdict="(\w+)"', name)
            short = name.partition("{")[0].removeprefix("zdtest_watch_")
            found[short + (f" {verdict[1]}" if verdict else "")] = float(value)
        return found

    def said(self, words: str) -> bool:
        return words in self.log.read_text()

    def recordings(self) -> list[Path]:
        return sorted(path.parent for path in self.out.glob("*/run.json"))

    def judged(self, count: int) -> list[Path]:
        """The recordings, once there are so many and all of them have their verdict."""

        def there() -> list[Path]:
            found = self.recordings()
            whole = len(found) >= count and all((path / "report.html").is_file() for path in found)
            return found if whole else []

        found: list[Path] = until(there, f"{count} recordings were judged: {self.log.read_text()}")
        return found

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(PATIENCE_S)


def verdict(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((path / "verdict.json").read_text())
    return found


@contextmanager
def watch(lab: FastLab, out: Path, *options: str) -> Iterator[Watching]:
    """Watch the lab's one service; it is watched when this begins, and the watch has ended when it ends."""
    file = out.parent / "watch.yaml"
    service = {"workload": "web", "url": lab.url, "rollout": {"settle": "1s"}}
    file.write_text(yaml.safe_dump({"services": [service]}))
    words = [
        sys.executable, "-m", "harness", "watch", "-f", str(file), "--kubeconfig", lab.kubeconfig, "-o", str(out),
        "--listen", "127.0.0.1:0", *options,
    ]  # fmt: skip
    log = out.parent / f"watch-{time.monotonic_ns()}.log"
    with (
        log.open("w") as said,
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=said, text=True) as process,
    ):
        assert process.stdout
        running = Watching(process, process.stdout.readline().strip(), out, log)
        try:
            until(
                lambda: running.said("watching http") or process.poll() is not None, "the service was watched"
            )
            assert process.poll() is None, log.read_text()
            yield running
        finally:
            if process.poll() is None:
                process.terminate()
