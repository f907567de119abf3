"""Details found by comparison with a real Kubernetes (docs/fidelity.md)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.lab.control_plane import control_plane, deployment

if TYPE_CHECKING:
    from pathlib import Path

    from harness.lab.objects.store import Object


def test_a_container_killed_by_its_probe_starts_again_at_once_the_first_two_times(tmp_path: Path) -> None:
    probe = {"httpGet": {"path": "/status/500", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1}

    async def scenario() -> None:
        async with control_plane(tmp_path) as cluster:
            cluster.store.create(deployment(replicas=1, container={"livenessProbe": probe}))

            def status() -> Object:
                found: Object = (cluster.pods()[0]["status"].get("containerStatuses") or [{}])[0]
                return found

            await cluster.until(lambda: "BackOff" in cluster.reasons(), 60)
            # Only now does it wait, 10 s at the least: so the two restarts before were at once.
            await cluster.until(lambda: "waiting" in (status().get("state") or {}))
            assert status()["restartCount"] == 2
            assert status()["lastState"]["terminated"]["exitCode"] == 143

    asyncio.run(scenario())


@pytest.mark.parametrize(("surge", "unavailable", "most"), [(0, 1, 3), (1, 0, 4), (1, 1, 4)])
def test_a_new_pod_is_created_only_after_an_old_one_is_deleted(
    tmp_path: Path, surge: int, unavailable: int, most: int
) -> None:
    limits = {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}

    async def scenario() -> None:
        async with control_plane(tmp_path) as cluster:
            store = cluster.store
            store.create(deployment(replicas=3, strategy=limits))

            def done(generation: int) -> bool:
                item = store.get("Deployment", "default", "web")
                counts = {item["status"].get(k) for k in ("replicas", "updatedReplicas", "availableReplicas")}
                return item["status"].get("observedGeneration") == generation and counts == {3}

            await cluster.until(lambda: done(1))
            living: set[str] = {pod["metadata"]["name"] for pod in cluster.pods()}
            sizes = [len(living)]
            with store.subscribe(frozenset({"Pod"})) as changes:
                item = store.get("Deployment", "default", "web")
                template = item["spec"]["template"]
                metadata = {**template["metadata"], "annotations": {"again": "1"}}
                store.update(
                    {**item, "spec": {**item["spec"], "template": {**template, "metadata": metadata}}}
                )
                await cluster.until(lambda: done(2))
                while change := await changes.next(0.05):
                    ended = change.type == "DELETED" or "deletionTimestamp" in change.item["metadata"]
                    (living.discard if ended else living.add)(change.item["metadata"]["name"])
                    sizes.append(len(living))
            assert max(sizes) == most

    asyncio.run(scenario())
