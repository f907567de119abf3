"""A rollout on a lab: the losses that clients see are the ones in truth.jsonl."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio
import httpx
import yaml

from harness.lab.lab import running
from harness.model import LabPlan
from tests.lab.control_plane import deployment, env, service

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.model import LabEndpoint


class Clients:
    """Some threads that ask, each on its own connection, with an id on every request; all that failed, by id."""

    def __init__(self, url: str, threads: int = 4) -> None:
        self.failed: dict[str, int] = {}
        self.good = 0
        self._address = urlsplit(url)
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(n,), daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def _ask(self, number: int) -> None:
        connection, n = HTTPConnection(self._address.netloc, timeout=20), 0
        while not self._over.is_set():
            n += 1
            ident = f"{number}-{n}"
            try:
                connection.request("GET", "/", headers={"X-Request-ID": ident})
                with connection.getresponse() as response:
                    response.read()
                    status = response.status
            except (OSError, HTTPException):
                status = 0
                connection.close()
            if status == 200:
                self.good += 1
            else:
                self.failed[ident] = status
                time.sleep(0.01)
        connection.close()

    def end(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(30)


def restart(up: LabEndpoint, home: Path) -> None:
    config = yaml.safe_load(Path(up.kubeconfig).read_text())
    server, token = config["clusters"][0]["cluster"]["server"], config["users"][0]["user"]["token"]
    patch: dict[str, Any] = {"spec": {"template": {"metadata": {"annotations": {"again": "1"}}}}}
    url = f"{server}/apis/apps/v1/namespaces/{up.namespace}/deployments/web"
    headers = {
        "Content-Type": "application/strategic-merge-patch+json",
        "Authorization": f"Bearer {token}",
    }
    trusted = ssl.create_default_context(cafile=home / "ca.pem")
    httpx.patch(url, content=json.dumps(patch), headers=headers, verify=trusted).raise_for_status()


def test_every_request_that_a_client_lost_is_in_the_truth_with_its_id_status_and_cause(
    write: Callable[..., str], tmp_path: Path
) -> None:
    probe = {"httpGet": {"path": "/alive", "port": 8080}, "periodSeconds": 1}
    web = deployment(
        container={"env": env(STARTUP_DELAY=0, WORK_MS=2, ON_TERM="drain"), "readinessProbe": probe}
    )
    plan = LabPlan(manifests=(write(web, service()),), tls=False, lag_ns=400_000_000)
    home = tmp_path / "lab"
    begun_ns = time.monotonic_ns()

    async def whole() -> Clients:
        async with running(plan, home) as up:
            clients = Clients(up.url)
            await asyncio.sleep(1)
            restart(up, home)
            await asyncio.sleep(6)
            await anyio.to_thread.run_sync(clients.end)
        return clients

    clients = asyncio.run(whole())
    truth = [json.loads(line) for line in (home / "truth.jsonl").read_text().splitlines()]
    assert clients.good > 100
    assert clients.failed, "a rollout without a hook loses some"
    assert {line["request_id"]: line["status"] for line in truth} == clients.failed
    assert {line["cause"] for line in truth} <= {"B1", "B2", "C6"}
    assert "B1" in {line["cause"] for line in truth}
    assert all(begun_ns < line["t_ns"] < time.monotonic_ns() for line in truth)
    assert all(line["pod"].startswith("web-") for line in truth)
