"""What controllers and the kubelet do with workloads, as the API shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.api_client import MERGE, deployment, pod_spec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.contract.api_client import Object, Server


@pytest.fixture
def two(server: Server, name: str) -> Iterator[str]:
    """The path of a Deployment of two pods that are available."""
    server("POST", server.path("deployments"), deployment(name, 2)).good(201)
    path = server.path("deployments", name)
    server.until(path, lambda item: item["status"].get("availableReplicas") == 2)
    yield path
    server("DELETE", path)


def pods(server: Server, name: str) -> list[Object]:
    found: list[Object] = server("GET", server.path("pods"), labelSelector=f"app={name}").good()["items"]
    return found


def test_the_observed_generation_follows_the_generation(server: Server, two: str) -> None:
    seen = server("GET", two).good()
    assert seen["metadata"]["generation"] == 1
    patch = {"spec": {"template": {"metadata": {"annotations": {"again": "1"}}}}}
    made = server("PATCH", two, patch, content_type=MERGE).good()
    assert made["metadata"]["generation"] == 2
    assert made["status"]["observedGeneration"] == 1  # an answer is older than any controller
    server.until(two, lambda item: item["status"]["observedGeneration"] == 2)


def test_a_deployment_that_is_up_says_so(server: Server, two: str) -> None:
    done = server.until(
        two,
        lambda item: any(c["reason"] == "NewReplicaSetAvailable" for c in item["status"]["conditions"]),
    )
    status = done["status"]
    counters = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    assert [status[key] for key in counters] == [2, 2, 2, 2]
    assert "unavailableReplicas" not in status
    conditions = {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]}
    assert conditions == {
        "Available": ("True", "MinimumReplicasAvailable"),
        "Progressing": ("True", "NewReplicaSetAvailable"),
    }
    assert done["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1"


def test_pods_belong_to_a_replica_set_and_it_to_the_deployment(server: Server, two: str, name: str) -> None:
    [owned] = server("GET", server.path("replicasets"), labelSelector=f"app={name}").good()["items"]
    top = server("GET", two).good()
    [ref] = owned["metadata"]["ownerReferences"]
    assert (ref["kind"], ref["uid"], ref["controller"]) == ("Deployment", top["metadata"]["uid"], True)
    digest = owned["metadata"]["labels"]["pod-template-hash"]
    assert owned["metadata"]["name"] == f"{name}-{digest}"
    assert owned["metadata"]["annotations"] == {
        "deployment.kubernetes.io/desired-replicas": "2",
        "deployment.kubernetes.io/max-replicas": "3",
        "deployment.kubernetes.io/revision": "1",
    }
    for pod in pods(server, name):
        assert pod["metadata"]["labels"]["pod-template-hash"] == digest
        assert pod["metadata"]["generateName"] == f"{name}-{digest}-"
        [ref] = pod["metadata"]["ownerReferences"]
        assert (ref["kind"], ref["uid"]) == ("ReplicaSet", owned["metadata"]["uid"])


@pytest.mark.usefixtures("two")
def test_a_pods_status_shows_its_containers_state(server: Server, name: str) -> None:
    pod = pods(server, name)[0]
    [status] = pod["status"]["containerStatuses"]
    assert (status["name"], status["ready"], status["started"], status["restartCount"]) == (
        "main",
        True,
        True,
        0,
    )
    assert status["state"]["running"]["startedAt"].endswith("Z")
    assert status["lastState"] == {}
    assert pod["status"]["qosClass"] == "BestEffort"
    assert pod["status"]["podIPs"] == [{"ip": pod["status"]["podIP"]}]


@pytest.mark.usefixtures("two")
def test_a_slice_names_each_ready_pod(server: Server, name: str) -> None:
    body = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    }
    server("POST", server.path("services"), body).good(201)
    path = f"{server.path('endpointslices')}?labelSelector=kubernetes.io/service-name={name}"
    listed = server.until(
        path, lambda found: found["items"] and len(found["items"][0]["endpoints"] or ()) == 2
    )
    [found] = listed["items"]
    assert found["ports"][0] | {"port": 0} == {"name": "http", "port": 0, "protocol": "TCP"}
    assert found["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] == (
        "endpointslice-controller.k8s.io"
    )
    by_uid = {endpoint["targetRef"]["uid"]: endpoint for endpoint in found["endpoints"]}
    for pod in pods(server, name):
        endpoint = by_uid[pod["metadata"]["uid"]]
        assert endpoint["addresses"] == [pod["status"]["podIP"]]
        assert endpoint["conditions"]["ready"] is True
        assert endpoint["targetRef"]["kind"] == "Pod"
    addresses = server("GET", server.path("endpoints", name)).good()["subsets"][0]["addresses"]
    assert {a["ip"] for a in addresses} == {pod["status"]["podIP"] for pod in pods(server, name)}


def test_events_tell_the_story_in_order(server: Server, two: str, name: str) -> None:
    pod = pods(server, name)[0]["metadata"]
    selector = f"involvedObject.uid={pod['uid']}"
    path = f"{server.path('events')}?fieldSelector={selector}"  # a kubelet sends them when it has time
    listed = server.until(path, lambda found: any(e["reason"] == "Started" for e in found["items"]))
    events = listed["items"]
    events.sort(key=lambda event: int(event["metadata"]["resourceVersion"]))
    reasons = [event["reason"] for event in events]
    assert [r for r in reasons if r != "MissingClusterDNS"] == ["Scheduled", "Pulled", "Created", "Started"]
    started = next(event for event in events if event["reason"] == "Started")
    assert (started["message"], started["type"], started["count"]) == ("Started container main", "Normal", 1)
    assert started["source"]["component"] == "kubelet"
    assert started["involvedObject"]["fieldPath"] == "spec.containers{main}"
    top = server("GET", two).good()["metadata"]["uid"]
    [scaled] = server("GET", server.path("events"), fieldSelector=f"involvedObject.uid={top}").good()["items"]
    assert (scaled["reason"], scaled["source"]["component"]) == ("ScalingReplicaSet", "deployment-controller")


def test_a_deleted_deployment_takes_its_pods_along(server: Server, two: str, name: str) -> None:
    server("DELETE", two).good()
    server.until(f"{server.path('pods')}?labelSelector=app={name}", lambda found: not found["items"])
    assert server("GET", server.path("replicasets"), labelSelector=f"app={name}").good()["items"] == []


def test_an_orphaning_delete_leaves_the_replica_set(server: Server, two: str, name: str) -> None:
    server("DELETE", two, {"propagationPolicy": "Orphan"}).good()
    server.until_gone(two)
    [left] = server("GET", server.path("replicasets"), labelSelector=f"app={name}").good()["items"]
    assert len(pods(server, name)) == 2
    server(
        "DELETE", server.path("replicasets", left["metadata"]["name"]), {"propagationPolicy": "Background"}
    ).good()


def test_a_paused_deployment_says_so_and_makes_no_new_replica_set(
    server: Server, two: str, name: str
) -> None:
    server("PATCH", two, {"spec": {"paused": True}}, content_type=MERGE).good()
    patch = {"spec": {"template": {"metadata": {"annotations": {"later": "1"}}}}}
    server("PATCH", two, patch, content_type=MERGE).good()
    paused = server.until(two, lambda item: item["status"]["observedGeneration"] == 3)
    reasons = {c["type"]: c["reason"] for c in paused["status"]["conditions"]}
    assert reasons["Progressing"] == "DeploymentPaused"
    assert len(server("GET", server.path("replicasets"), labelSelector=f"app={name}").good()["items"]) == 1


def budget(server: Server, name: str, **spec: Any) -> Object:
    group = f"policy/{server.version('policy')}"
    return {
        "apiVersion": group,
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"app": name}}, **spec},
    }


def eviction(server: Server, pod: str) -> Object:
    listed = {entry["name"]: entry for entry in server("GET", "/api/v1").good()["resources"]}
    version = listed["pods/eviction"]["version"]
    return {
        "apiVersion": f"policy/{version}",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": server.namespace},
    }


@pytest.mark.usefixtures("two")
def test_a_budget_counts_and_refuses_the_eviction_that_breaks_it(server: Server, name: str) -> None:
    server("POST", server.path("poddisruptionbudgets"), budget(server, name, minAvailable=2)).good(201)
    path = server.path("poddisruptionbudgets", name)
    counted = server.until(path, lambda item: item["status"].get("currentHealthy") == 2)["status"]
    keys = ("desiredHealthy", "expectedPods", "disruptionsAllowed", "observedGeneration")
    assert [counted[key] for key in keys] == [2, 2, 0, 1]
    victim = pods(server, name)[0]["metadata"]["name"]
    answer = server("POST", server.path("pods", victim, "eviction"), eviction(server, victim))
    assert answer.refused(429, "TooManyRequests") == (
        "Cannot evict pod as it would violate the pod's disruption budget."
    )
    [cause] = answer.body["details"]["causes"]
    assert cause["reason"] == "DisruptionBudget"
    assert cause["message"] == f"The disruption budget {name} needs 2 healthy pods and has 2 currently"
    server("DELETE", path).good()


@pytest.mark.parametrize(
    ("limit", "allowed"),
    [({"maxUnavailable": 1}, 1), ({"maxUnavailable": "50%"}, 1), ({"minAvailable": "50%"}, 1)],
)
@pytest.mark.usefixtures("two")
def test_a_budget_with_room_lets_one_pod_go(
    server: Server, name: str, limit: dict[str, Any], allowed: int
) -> None:
    server("POST", server.path("poddisruptionbudgets"), budget(server, name, **limit)).good(201)
    path = server.path("poddisruptionbudgets", name)
    server.until(path, lambda item: item["status"].get("disruptionsAllowed") == allowed)
    first, second = (pod["metadata"]["name"] for pod in pods(server, name))
    gone = server("POST", server.path("pods", first, "eviction"), eviction(server, first)).good(201)
    assert gone["status"] == "Success"
    server("POST", server.path("pods", second, "eviction"), eviction(server, second)).refused(
        429, "TooManyRequests"
    )
    server.until_gone(server.path("pods", first))
    server.until(path, lambda item: item["status"].get("disruptionsAllowed") == allowed)
    server("DELETE", path).good()


@pytest.mark.usefixtures("two")
def test_without_a_budget_an_eviction_is_a_deletion(server: Server, name: str) -> None:
    first, second = (pod["metadata"]["name"] for pod in pods(server, name))
    dry = eviction(server, first) | {"deleteOptions": {"dryRun": ["All"]}}
    server("POST", server.path("pods", first, "eviction"), dry).good(201)
    assert "deletionTimestamp" not in server("GET", server.path("pods", first)).good()["metadata"]
    for victim in (first, second):
        server("POST", server.path("pods", victim, "eviction"), eviction(server, victim)).good(201)
    server.until_gone(server.path("pods", first))


def test_the_end_of_a_pod_shows_its_exit_code_before_it_is_gone(server: Server, name: str) -> None:
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": pod_spec()}
    since = server("POST", server.path("pods"), body).rv
    path = server.path("pods", name)
    server.until(path, lambda pod: pod["status"]["phase"] == "Running")
    server("DELETE", path).good()
    last: Object = {}
    for event in server.watch(
        server.path("pods"), seconds=30, resourceVersion=since, fieldSelector=f"metadata.name={name}"
    ):
        if event["type"] == "DELETED":
            break
        last = event["object"]
    state = last["status"]["containerStatuses"][0]["state"]["terminated"]
    assert isinstance(state["exitCode"], int)
    assert state["finishedAt"].endswith("Z")
    assert last["status"]["containerStatuses"][0]["ready"] is False


def test_a_stateful_set_rolls_from_the_highest_number_down(server: Server, name: str) -> None:
    body = deployment(name, 2) | {"kind": "StatefulSet"}
    body["spec"]["serviceName"] = name
    made = server("POST", server.path("statefulsets"), body).good(201)
    assert made["spec"]["updateStrategy"] == {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}
    assert made["spec"]["podManagementPolicy"] == "OrderedReady"
    path = server.path("statefulsets", name)
    up = server.until(path, lambda item: item["status"].get("readyReplicas") == 2)
    assert [pod["metadata"]["name"] for pod in pods(server, name)] == [f"{name}-0", f"{name}-1"]
    assert up["status"]["currentRevision"] == up["status"]["updateRevision"]
    first = pods(server, name)[0]["metadata"]
    assert first["labels"]["controller-revision-hash"] == up["status"]["updateRevision"]
    assert first["labels"]["statefulset.kubernetes.io/pod-name"] == f"{name}-0"
    since = server("GET", server.path("pods")).rv
    patch = {"spec": {"template": {"metadata": {"annotations": {"again": "1"}}}}}
    server("PATCH", path, patch, content_type=MERGE).good()
    done = server.until(
        path,
        lambda item: (
            item["status"]["observedGeneration"] == 2
            and item["status"].get("updatedReplicas") == 2
            and item["status"].get("readyReplicas") == 2
            and item["status"]["currentRevision"] == item["status"]["updateRevision"]
        ),
        60,
    )
    assert done["status"]["updateRevision"] != up["status"]["updateRevision"]
    gone = [
        event["object"]["metadata"]["name"]
        for event in server.watch(
            server.path("pods"), seconds=1, resourceVersion=since, labelSelector=f"app={name}"
        )
        if event["type"] == "DELETED"
    ]
    assert gone == [f"{name}-1", f"{name}-0"]
    kept = server("GET", server.path("controllerrevisions"), labelSelector=f"app={name}").good()["items"]
    assert sorted(item["revision"] for item in kept) == [1, 2]
    server("DELETE", path).good()


def test_a_daemon_set_replaces_its_pod_on_every_node(server: Server, name: str) -> None:
    body = deployment(name) | {"kind": "DaemonSet"}
    del body["spec"]["replicas"]
    made = server("POST", server.path("daemonsets"), body).good(201)
    assert made["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"] == 1
    path = server.path("daemonsets", name)

    def up(item: Object) -> bool:
        status = item["status"]
        wanted = status["desiredNumberScheduled"]
        current = status.get("observedGeneration") == item["metadata"]["generation"]
        counts = (status.get("updatedNumberScheduled"), status.get("numberAvailable"))
        return bool(current and wanted and counts == (wanted, wanted))

    server.until(path, up)
    [old] = pods(server, name)
    patch = {"spec": {"template": {"metadata": {"annotations": {"again": "1"}}}}}
    assert server("PATCH", path, patch, content_type=MERGE).good()["metadata"]["generation"] == 2
    server.until(path, up)
    new = [pod for pod in pods(server, name) if pod["metadata"]["uid"] != old["metadata"]["uid"]]
    hashes = [p["metadata"]["labels"]["controller-revision-hash"] for p in (old, new[0])]
    assert hashes[0] != hashes[1]
    server("DELETE", path).good()
