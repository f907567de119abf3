"""A night over six services of a real cluster, each in a namespace and behind a balancer of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.e2e.real_cluster import CONTEXT, one_load_at_a_time

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.real_cluster import Deployed

FAILING = "cart"
SERVICES = {  # behind which balancer; one of them has no readiness probe
    "checkout": "nginx",
    "orders": "envoy",
    "search": "haproxy",
    FAILING: "nginx",
    "stock": "envoy",
    "users": "nginx",
}


def scenario(web: Deployed, name: str) -> str:
    return yaml.safe_dump(
        {
            "name": name,
            "target": {"url": f"{web.url}/"},
            "load": {"concurrency": 10, "duration": "15s"},
            "workload": "deployment/web",
            "namespace": web.namespace,
            "rollout": {"trigger_after": "6s", "settle": "4s", "max_time": "3m"},
        }
    )


@pytest.mark.matrix
@pytest.mark.timeout(900)
def test_of_six_services_the_one_that_loses_requests_fails_the_night(
    deployed: Callable[..., Deployed], tmp_path: Path
) -> None:
    services, out = tmp_path / "services", tmp_path / "out"
    services.mkdir()
    for port, (name, proxy) in enumerate(SERVICES.items(), 18300):
        shipped = "seed/1-no-probe" if name == FAILING else "seed/4-grace"
        web = deployed(shipped, "--proxy", proxy, "--read-timeout", "15", port=port, word=name)
        (services / f"{name}.yaml").write_text(scenario(web, name))

    command = [
        sys.executable, "-m", "harness", "suite", str(services), "-o", str(out), "--budget", "30m",
        "--context", CONTEXT,
    ]  # fmt: skip
    with one_load_at_a_time():
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=800)

    assert done.returncode == 1, done.stdout + done.stderr
    (night,) = out.iterdir()
    entries = {entry["name"]: entry for entry in json.loads((night / "suite.json").read_text())["entries"]}
    assert {name: entry["result"] for name, entry in entries.items()} == {
        name: "FAIL" if name == FAILING else "PASS" for name in SERVICES
    }, done.stdout
    assert "readinessProbe" in str(entries[FAILING]["causes"])
    page = (night / "suite.html").read_text()
    assert all(f"{entry['run']}/report.html" in page for entry in entries.values())
