"""The control loops over a store. Pods are made ready by hand here; their processes are the kubelet's tests."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from harness.k8s.timestamps import timestamp
from harness.lab.controllers.conditions import condition
from harness.lab.controllers.deployments import template_hash
from harness.lab.controllers.endpoints import slices_for
from harness.lab.controllers.replicasets import ReplicaSets, available_in, doomed_first
from tests.lab.control_plane import Cluster, control_plane, deployment, service

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from harness.lab.objects.store import Object

UNREADY = {"type": "Ready", "status": "False"}


def run(scenario: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(scenario())


def make_ready(cluster: Cluster, pod: Object, *, ready: bool = True) -> None:
    now = timestamp()
    found = {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": now}
    address = f"127.9.9.{len(cluster.pods())}"
    status = {"phase": "Running", "conditions": [found], "podIP": pod["status"].get("podIP", address)}
    cluster.store.update({**pod, "status": status}, part="status")


def finish(cluster: Cluster, pod: Object) -> None:
    cluster.store.delete(pod, grace_s=0)


async def serve_pods(cluster: Cluster, slow: frozenset[str] = frozenset()) -> None:
    """Stand in for a kubelet: every new pod becomes ready, every deleted one goes."""
    while True:
        for pod in cluster.pods():
            if "deletionTimestamp" in pod["metadata"]:
                finish(cluster, pod)
            elif (
                pod["spec"].get("nodeName")
                and "podIP" not in pod["status"]
                and pod["spec"]["containers"][0]["image"] not in slow
            ):
                make_ready(cluster, pod)
        await asyncio.sleep(0.01)


def reason_of(item: Object, kind: str) -> str:
    found = condition(item["status"], kind)
    assert found is not None
    return str(found["reason"])


def images(cluster: Cluster) -> set[str]:
    living = [pod for pod in cluster.pods() if "deletionTimestamp" not in pod["metadata"]]
    return {pod["spec"]["containers"][0]["image"] for pod in living}


def rollout_done(cluster: Cluster, name: str = "web") -> bool:
    item = cluster.store.get("Deployment", "default", name)
    status, wanted = item["status"], item["spec"]["replicas"]
    counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "availableReplicas")]
    seen: bool = status.get("observedGeneration") == item["metadata"]["generation"]
    return seen and counts == [wanted] * 3


def change_image(cluster: Cluster, image: str, **spec: Any) -> None:
    item = cluster.store.get("Deployment", "default", "web")
    template = item["spec"]["template"]
    container = {**template["spec"]["containers"][0], "image": image}
    template = {**template, "spec": {**template["spec"], "containers": [container]}}
    cluster.store.update({**item, "spec": {**item["spec"], "template": template, **spec}})


def test_a_rollout_keeps_its_fences_and_says_so_in_status_and_events() -> None:
    async def scenario() -> None:
        async with control_plane() as cluster:
            kubelet = asyncio.create_task(serve_pods(cluster))
            cluster.store.create(deployment(replicas=4))
            await cluster.until(lambda: rollout_done(cluster))
            old = {pod["metadata"]["name"] for pod in cluster.pods()}
            most, least = 0, 99

            def count(pods: list[Object]) -> tuple[int, int]:
                living = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
                ready = [
                    p
                    for p in living
                    if any(
                        c["type"] == "Ready" and c["status"] == "True"
                        for c in p["status"].get("conditions", ())
                    )
                ]
                return len(living), len(ready)

            with cluster.store.subscribe(frozenset({"Pod"})) as changes:
                change_image(cluster, "x:2")
                while not rollout_done(cluster):
                    await changes.next(0.1)
                    living, ready = count(cluster.pods())
                    most, least = max(most, living), min(least, ready)
            assert (most, least) == (5, 3)
            assert not old & {pod["metadata"]["name"] for pod in cluster.pods()}
            item = cluster.store.get("Deployment", "default", "web")
            assert reason_of(item, "Progressing") == "NewReplicaSetAvailable"
            assert reason_of(item, "Available") == "MinimumReplicasAvailable"
            assert item["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"
            sets = {
                rs["metadata"]["annotations"]["deployment.kubernetes.io/revision"]: rs
                for rs in cluster.store.list("ReplicaSet")
            }
            assert (sets["1"]["spec"]["replicas"], sets["2"]["spec"]["replicas"]) == (0, 4)
            hashes = {pod["metadata"]["labels"]["pod-template-hash"] for pod in cluster.pods()}
            assert hashes == {sets["2"]["metadata"]["labels"]["pod-template-hash"]}
            assert {"ScalingReplicaSet", "SuccessfulCreate", "SuccessfulDelete", "Scheduled"} <= set(
                cluster.reasons()
            )
            kubelet.cancel()

    run(scenario)


def test_status_replicas_leaves_out_pods_that_are_being_deleted() -> None:
    async def scenario() -> None:
        async with control_plane() as cluster:
            cluster.store.create(deployment(replicas=2))
            pods = await cluster.until(lambda: len(cluster.pods()) == 2 and cluster.pods())
            await cluster.until(lambda: all(p["spec"].get("nodeName") for p in cluster.pods()))
            for pod in cluster.pods():
                make_ready(cluster, pod)
            await cluster.until(lambda: rollout_done(cluster))
            item = cluster.store.get("Deployment", "default", "web")
            cluster.store.update({**item, "spec": {**item["spec"], "replicas": 1}})
            await cluster.until(
                lambda: cluster.store.get("Deployment", "default", "web")["status"].get("replicas") == 1
            )
            assert len(cluster.pods()) == len(pods) == 2  # one of them only marked

    run(scenario)


def test_pods_that_are_being_deleted_are_counted_apart_by_set_and_deployment_as_since_1_35() -> None:
    async def scenario() -> None:
        async with control_plane() as cluster:
            cluster.store.create(deployment(replicas=2))
            await cluster.until(
                lambda: len(cluster.pods()) == 2 and all(p["spec"].get("nodeName") for p in cluster.pods())
            )

            def counted(kind: str) -> Any:
                (item,) = cluster.store.list(kind, "default")
                return item["status"].get("terminatingReplicas")

            await cluster.until(lambda: (counted("ReplicaSet"), counted("Deployment")) == (0, 0))
            item = cluster.store.get("Deployment", "default", "web")
            cluster.store.update({**item, "spec": {**item["spec"], "replicas": 1}})
            await cluster.until(lambda: (counted("ReplicaSet"), counted("Deployment")) == (1, 1))
            going = next(p for p in cluster.pods() if "deletionTimestamp" in p["metadata"])
            cluster.store.delete(going, grace_s=0)
            await cluster.until(lambda: (counted("ReplicaSet"), counted("Deployment")) == (0, 0))
            (rs,) = cluster.store.list("ReplicaSet", "default")
            ReplicaSets(cluster.store, cluster.recorder, 33).sync(("default", rs["metadata"]["name"]))
            assert counted("ReplicaSet") is None, "a server of before has no such field"

    run(scenario)


def test_recreate_makes_nothing_new_before_the_last_old_pod_is_gone() -> None:
    async def scenario() -> None:
        async with control_plane() as cluster:
            kubelet = asyncio.create_task(serve_pods(cluster))
            cluster.store.create(deployment(strategy={"type": "Recreate"}))
            await cluster.until(lambda: rollout_done(cluster))
            kubelet.cancel()
            change_image(cluster, "x:2")
            await cluster.until(lambda: all("deletionTimestamp" in p["metadata"] for p in cluster.pods()))
            await asyncio.sleep(0.3)
            assert len(cluster.pods()) == 2
            kubelet = asyncio.create_task(serve_pods(cluster))
            await cluster.until(lambda: rollout_done(cluster))
            assert images(cluster) == {"x:2"}
            kubelet.cancel()

    run(scenario)


def test_a_paused_deployment_scales_but_does_not_roll() -> None:
    async def scenario() -> None:
        async with control_plane() as cluster:
            kubelet = asyncio.create_task(serve_pods(cluster))
            cluster.store.create(deployment(replicas=1))
            await cluster.until(lambda: rollout_done(cluster))
            change_image(cluster, "x:2", paused=True, replicas=3)
            await cluster.until(lambda: len(cluster.pods()) == 3)
            assert images(cluster) == {"x:1"}
            item = cluster.store.get("Deployment", "default", "web")
            assert reason_of(item, "Progressing") == "DeploymentPaused"
            cluster.store.update({**item, "spec": {**item["spec"], "paused": False}})
            await cluster.until(lambda: rollout_done(cluster))
            assert images(cluster) == {"x:2"}
            kubelet.cancel()

    run(scenario)


def test_a_second_rollout_drops_the_half_made_first_at_once() -> None:
    async def scenario() -> None:
        async with control_plane() as cluster:
            kubelet = asyncio.create_task(serve_pods(cluster, slow=frozenset({"x:2"})))
            cluster.store.create(deployment(replicas=3))
            await cluster.until(lambda: rollout_done(cluster))
            change_image(cluster, "x:2")
            await cluster.until(lambda: "x:2" in images(cluster))
            change_image(cluster, "x:3")
            await cluster.until(lambda: rollout_done(cluster))
            assert images(cluster) == {"x:3"}
            kubelet.cancel()

    run(scenario)


def test_a_rollout_without_progress_is_past_its_deadline() -> None:
    async def scenario() -> None:
        async with control_plane() as cluster:
            cluster.store.create(deployment(replicas=1, progressDeadlineSeconds=1))

            def reason() -> Any:
                found = condition(cluster.store.get("Deployment", "default", "web")["status"], "Progressing")
                return found and found["status"] == "False" and found["reason"]

            assert await cluster.until(reason) == "ProgressDeadlineExceeded"

    run(scenario)


def test_min_ready_seconds_delays_available_and_not_ready() -> None:
    now = datetime.now(UTC)
    pod = {
        "status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": timestamp(now)}]}
    }
    assert available_in(pod, 0, now) == 0
    assert 9 <= (available_in(pod, 10, now) or 0) <= 10
    assert available_in(pod, 10, now + timedelta(seconds=10)) == 0
    assert available_in({"status": {"conditions": [UNREADY]}}, 0, now) is None


def test_old_replica_sets_beyond_the_history_limit_are_pruned() -> None:
    async def scenario() -> None:
        async with control_plane() as cluster:
            kubelet = asyncio.create_task(serve_pods(cluster))
            cluster.store.create(deployment(replicas=1, revisionHistoryLimit=1))
            for image in ("x:1", "x:2", "x:3"):
                change_image(cluster, image)
                await cluster.until(lambda: rollout_done(cluster))
            await cluster.until(lambda: len(cluster.store.list("ReplicaSet")) == 2)
            kubelet.cancel()

    run(scenario)


def test_going_back_to_an_old_template_takes_its_old_replica_set_with_a_new_revision() -> None:
    async def scenario() -> None:
        async with control_plane() as cluster:
            kubelet = asyncio.create_task(serve_pods(cluster))
            cluster.store.create(deployment(replicas=1))
            for image in ("x:1", "x:2", "x:1"):
                change_image(cluster, image)
                await cluster.until(lambda: rollout_done(cluster))
            sets = cluster.store.list("ReplicaSet")
            revisions = {rs["metadata"]["annotations"]["deployment.kubernetes.io/revision"] for rs in sets}
            assert (len(sets), revisions) == (2, {"2", "3"})
            kubelet.cancel()

    run(scenario)


def test_deleting_a_deployment_takes_its_sets_and_pods_with_it() -> None:
    async def scenario() -> None:
        async with control_plane() as cluster:
            kubelet = asyncio.create_task(serve_pods(cluster))
            cluster.store.create(deployment())
            await cluster.until(lambda: rollout_done(cluster))
            cluster.store.delete(cluster.store.get("Deployment", "default", "web"))
            await cluster.until(lambda: not cluster.pods() and not cluster.store.list("ReplicaSet"))
            kubelet.cancel()

    run(scenario)


def pod(
    name: str,
    *,
    ready: int | None = None,
    phase: str = "Running",
    node: str = "n",
    created: int = 0,
    cost: int | None = None,
) -> Object:
    conditions = (
        []
        if ready is None
        else [{"type": "Ready", "status": "True", "lastTransitionTime": f"2026-01-01T00:00:{ready:02}Z"}]
    )
    metadata: Object = {
        "name": name,
        "creationTimestamp": f"2026-01-01T00:00:{created:02}Z",
        "resourceVersion": "1",
    }
    if cost is not None:
        metadata["annotations"] = {"controller.kubernetes.io/pod-deletion-cost": str(cost)}
    return {
        "metadata": metadata,
        "spec": {"nodeName": node} if node else {},
        "status": {"phase": phase, "conditions": conditions},
    }


def test_too_many_pods_shrink_from_the_least_useful() -> None:
    pods = [
        pod("long-ready", ready=1),
        pod("newly-ready", ready=9),
        pod("cheap", ready=1, cost=-5),
        pod("not-ready"),
        pod("pending", phase="Pending"),
        pod("unassigned", phase="Pending", node=""),
        pod("newest-not-ready", created=7),
    ]
    order = [p["metadata"]["name"] for p in sorted(pods, key=doomed_first)]
    assert order == [
        "unassigned",
        "pending",
        "newest-not-ready",
        "not-ready",
        "cheap",
        "newly-ready",
        "long-ready",
    ]


@pytest.mark.parametrize("published", [False, True])
def test_endpoints_follow_readiness_and_deletion(*, published: bool) -> None:
    async def scenario() -> None:
        async with control_plane() as cluster:
            cluster.store.create(service(publishNotReadyAddresses=published))
            cluster.store.create(deployment(replicas=1))
            await cluster.until(lambda: cluster.pods() and cluster.pods()[0]["spec"].get("nodeName"))

            def conditions() -> list[Object]:
                [found] = slices_for(cluster.store, "default", "web")
                return [entry["conditions"] for entry in found["endpoints"] or ()]

            def subsets() -> tuple[int, int]:
                found = cluster.store.get("Endpoints", "default", "web").get("subsets") or [{}]
                return len(found[0].get("addresses", ())), len(found[0].get("notReadyAddresses", ()))

            make_ready(cluster, cluster.pods()[0], ready=False)
            await cluster.until(
                lambda: conditions() == [{"ready": published, "serving": False, "terminating": False}]
            )
            assert subsets() == ((1, 0) if published else (0, 1))
            make_ready(cluster, cluster.pods()[0])
            await cluster.until(
                lambda: conditions() == [{"ready": True, "serving": True, "terminating": False}]
            )
            assert subsets() == (1, 0)
            doomed = cluster.pods()[0]
            cluster.store.delete(doomed)
            await cluster.until(
                lambda: {"ready": published, "serving": True, "terminating": True} in conditions()
            )
            assert subsets() == ((1, 0) if published else (0, 0))
            finish(cluster, doomed)
            await cluster.until(lambda: not conditions())

    run(scenario)


def test_a_named_target_port_is_found_in_the_pod() -> None:
    async def scenario() -> None:
        async with control_plane() as cluster:
            cluster.store.create(service(ports=[{"port": 80, "targetPort": "http"}]))
            ports = [{"name": "http", "containerPort": 9000}]
            cluster.store.create(deployment(replicas=1, container={"ports": ports}))
            await cluster.until(lambda: cluster.pods() and cluster.pods()[0]["spec"].get("nodeName"))
            make_ready(cluster, cluster.pods()[0])
            await cluster.until(
                lambda: (
                    (slices_for(cluster.store, "default", "web")[0]["ports"] or [{}])[0].get("port") == 9000
                )
            )

    run(scenario)


def test_the_same_template_has_the_same_hash_whatever_the_order_of_its_keys() -> None:
    assert template_hash({"a": 1, "b": 2}) == template_hash({"b": 2, "a": 1})
    assert template_hash({"a": 1}) != template_hash({"a": 2})
