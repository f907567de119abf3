"""Starts the parts of a lab, waits until they work, and stops them."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import ssl
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError
from harness.k8s.timestamps import timestamp
from harness.lab import kubeconfig, manifests, truth
from harness.lab.apiserver.server import ApiServer
from harness.lab.checks import http_get
from harness.lab.controllers.conditions import condition
from harness.lab.controllers.loops import controllers
from harness.lab.feed import BalancerProcess, balancer
from harness.lab.kubelet.addresses import Addresses
from harness.lab.kubelet.journal import Journal
from harness.lab.kubelet.kubelet import Kubelet, Pace
from harness.lab.kubelet.process import ParentPipe, Program
from harness.lab.objects.recorder import NODE, Recorder
from harness.lab.objects.resources import version
from harness.lab.objects.store import Object, Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.model import LabPlan

ANSWER_S = 30.0  # how long the balancer may answer 502, 503 or 504 after the pods are available

_log = logging.getLogger("lab")


async def supervise(
    plan: LabPlan, directory: Path, private: Path, answer: Callable[[dict[str, object]], None]
) -> None:
    """Run a lab until standard input ends or SIGTERM arrives. Raises HarnessError if it does not come up.

    `directory` is kept as part of a recording; secrets go into `private`.
    """
    loaded = manifests.load(plan.manifests)
    for note in loaded.notes:
        _log.info("%s", note)
    logs = directory / "pods"
    logs.mkdir(parents=True, exist_ok=True)
    owner = kubeconfig.issue(directory, private)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(owner.cert, owner.key)
    ahead = timedelta(microseconds=plan.clock_offset_ns // 1000)
    store, stop = Store(lambda: datetime.now(UTC) + ahead), await _stop_requested()
    store.subresources = plan.minor > 21
    recorder, addresses, parent_pipe, journal = Recorder(store), Addresses(), ParentPipe(), Journal()
    kubelet = Kubelet(store, recorder, addresses, Program(logs, parent_pipe, journal), Pace.of(plan.minor))
    loops = [loop.run() for loop in controllers(store, recorder, addresses.mapped, plan.minor)]
    parts: set[asyncio.Task[Any]] = {
        asyncio.create_task(loop) for loop in (journal.follow(store), kubelet.run(), *loops)
    }
    try:
        async with ApiServer(
            store,
            logs,
            token=owner.token,
            minor=plan.minor,
            wall=lambda: time.time() + plan.clock_offset_ns / 1e9,
            drop_s=plan.drop_watches_ns / 1e9,
            tls=tls,
        ) as api:
            path = kubeconfig.write(private, api.url, owner, loaded.namespace)
            _populate(store, loaded.items, addresses.node, plan.minor)
            async with balancer(plan, owner.cert, owner.key, directory / "balancer.log") as proxy:
                parts.add(asyncio.create_task(proxy.follow(store, loaded.namespace, loaded.service)))
                started = asyncio.create_task(_started(store, plan, proxy.port))
                parts.add(started)
                await _until(started, stop, proxy, parts)
                if started.done():
                    parts.discard(started)
                    proxy.up = True
                    ready = {
                        "url": f"{'https' if plan.tls else 'http'}://127.0.0.1:{proxy.port}/",
                        "ca_file": owner.ca if plan.tls else None,
                        "kubeconfig": path,
                        "context": kubeconfig.CONTEXT,
                        "namespace": loaded.namespace,
                        "pid": os.getpid(),
                        "notes": [*loaded.notes, *started.result()],
                    }
                    (directory / "lab.json").write_text(json.dumps(ready, indent=1) + "\n", encoding="utf-8")
                    journal.up_ns = time.monotonic_ns()
                    answer({"ready": ready})
                    _log.info("up: %s", ready["url"])
                    await _until(stop, stop, proxy, parts)
    finally:
        await kubelet.end()
        parent_pipe.close()
        for part in parts:
            part.cancel()
        await asyncio.gather(*parts, return_exceptions=True)
        addresses.close()
        truth.write(directory, journal, plan)
    _log.info("ended")


async def _until(
    wanted: asyncio.Task[Any], stop: asyncio.Task[None], proxy: BalancerProcess, parts: set[asyncio.Task[Any]]
) -> None:
    """Wait until `wanted` or `stop` is done. Raises when a part of the lab fails first."""
    done, _ = await asyncio.wait({wanted, stop, proxy.ended, *parts}, return_when=asyncio.FIRST_COMPLETED)
    if stop in done:
        return
    if proxy.ended in done:
        raise HarnessError("the lab's balancer exited unexpectedly: see balancer.log in the lab's folder")
    for part in done:
        part.result()  # raises what failed in it


async def _stop_requested() -> asyncio.Task[None]:
    """Return a task that is done when standard input ends or SIGTERM arrives."""
    loop, requested = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, requested.set)
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)

    async def drained() -> None:
        while await reader.read(65536):
            pass
        requested.set()

    async def stop() -> None:
        reading = asyncio.create_task(drained())
        await requested.wait()
        reading.cancel()

    return asyncio.create_task(stop())


def _populate(store: Store, items: tuple[Object, ...], node_address: str, minor: int) -> None:
    """Create the node, the namespaces and the manifests' objects."""
    spaces = {item["metadata"].get("namespace", "default") for item in items if item["kind"] != "Namespace"}
    own = {item["metadata"]["name"] for item in items if item["kind"] == "Namespace"}
    for name in sorted({"default", *spaces} - own):
        store.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastTransitionTime": timestamp()}
    store.create(
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": NODE, "labels": {"kubernetes.io/hostname": NODE}},
            "spec": {},
            "status": {
                "conditions": [ready],
                "addresses": [{"type": "InternalIP", "address": node_address}],
                "nodeInfo": {"kubeletVersion": version(minor)["gitVersion"]},
            },
        }
    )
    for item in items:
        store.create(item)


async def _started(store: Store, plan: LabPlan, port: int) -> list[str]:
    """Wait until every workload is available and the balancer answers; return notes. Raises HarnessError."""
    kinds = ("Deployment", "StatefulSet", "DaemonSet", "Rollout")
    with store.subscribe(frozenset(kinds)) as changes:
        while waiting := [item for kind in kinds for item in store.list(kind) if not _available(item)]:
            for deployment in waiting:
                progress = condition(deployment["status"], "Progressing")
                if progress is not None and progress["reason"] == "ProgressDeadlineExceeded":
                    raise HarnessError(_why_not(store, deployment))
            await changes.next()
    if all(item["spec"].get("replicas") == 0 for kind in kinds for item in store.list(kind)):
        return ["no workload has a pod (replicas: 0): the balancer has nobody to send to"]
    action = {"scheme": "HTTPS" if plan.tls else "HTTP", "path": "/"}
    until = asyncio.get_running_loop().time() + ANSWER_S
    while asyncio.get_running_loop().time() < until:
        good, said = await http_get("balancer", "127.0.0.1", port, action, plan.idle_timeout_ns / 1e9)
        if good or ("statuscode" in said and said[-3:] not in {"502", "503", "504"}):
            return []
        await asyncio.sleep(0.05)
    return [f"the pods are available, but the balancer gets no answer from them: {said}"]


def _available(deployment: Object) -> bool:
    status, spec = deployment["status"], deployment["spec"]
    if spec.get("paused"):
        return True  # it never starts a pod
    current = int(status.get("observedGeneration", 0)) >= deployment["metadata"]["generation"]
    if deployment["kind"] == "DaemonSet":
        wanted = status["desiredNumberScheduled"]
        counts = (status.get("updatedNumberScheduled", 0), status.get("numberAvailable", 0))
        return bool(current and wanted and counts == (wanted, wanted))
    counts = (status.get("updatedReplicas", 0), status.get("availableReplicas", 0))
    return bool(current and counts == (spec["replicas"], spec["replicas"]))


def _why_not(store: Store, deployment: Object) -> str:
    """Explain why a Deployment did not become available: the last warning about one of its pods."""
    name, space = deployment["metadata"]["name"], deployment["metadata"]["namespace"]
    warnings = [
        e
        for e in store.list("Event", space)
        if e["type"] == "Warning" and e["involvedObject"]["name"].startswith(f"{name}-")
    ]
    last = max(warnings, key=lambda event: int(event["metadata"]["resourceVersion"]), default=None)
    said = f": {last['reason']}: {last['message']}" if last else ""
    return f"Deployment {name} did not become available within its progressDeadlineSeconds{said}"
