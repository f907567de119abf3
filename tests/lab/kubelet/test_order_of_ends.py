"""Native sidecars start before the containers and end after them; a pod is stopped with the signal that it asks for."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from harness.lab.kubelet.process import signal_of
from harness.lab.objects.podstatus import ContainerState, pod_condition, status_of
from harness.lab.objects.validation import check
from tests.lab.control_plane import Cluster, control_plane, env
from tests.lab.kubelet.test_kubelet import bare, current, ready

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from harness.lab.objects.store import Object


def with_sidecars(*names: str, term: str = "clean", grace_s: int = 20, **fields: Any) -> Object:
    """A pod with native sidecars, which end at once on SIGTERM."""
    beside = [
        {"name": name, "image": "s:1", "restartPolicy": "Always", "env": env(TERM_IS="clean"), **fields}
        for name in names
    ]
    return bare(
        {"initContainers": beside, "terminationGracePeriodSeconds": grace_s},
        env=env(TERM_IS=term),
        ports=[{"containerPort": 8080}],
    )


def processes(cluster: Cluster) -> dict[str, Any]:
    """The process of each container, by name."""
    assert cluster.kubelet is not None
    [worker] = cluster.kubelet._workers.values()
    return {container.state.name: container._process for container in worker._all}


async def listening(folder: Path, *logs: str) -> None:
    """Wait until these containers have told where they listen, so that they act on signals."""
    for log in logs:
        for _ in range(500):
            file = folder / log
            if file.exists() and "at " in file.read_text():
                break
            await asyncio.sleep(0.02)
        else:
            pytest.fail(f"{log} tells of no address")


async def ends(cluster: Cluster, folder: Path) -> tuple[dict[str, float], dict[str, int], float]:
    """Delete the pod: return when each container ended, with which code, and when the deletion was asked for."""
    await cluster.until(lambda: ready(cluster))
    running = processes(cluster)
    await listening(folder, "p.log", *(f"p.{name}.log" for name in running if name != "web"))
    begun = asyncio.get_running_loop().time()
    cluster.store.delete(current(cluster))
    await cluster.until(lambda: current(cluster) is None)
    return (
        {name: process.ended_at for name, process in running.items()},
        {name: process.code for name, process in running.items()},
        begun,
    )


def test_native_sidecars_end_after_the_containers_and_in_reverse_order(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with control_plane(tmp_path) as cluster:
            pod = with_sidecars("log", "mesh")
            pod["spec"]["containers"][0]["lifecycle"] = {"preStop": {"sleep": {"seconds": 1}}}
            cluster.store.create(pod)
            ended, codes, begun = await ends(cluster, tmp_path)
            assert set(codes.values()) == {0}
            assert begun + 1 <= ended["web"] <= ended["mesh"] <= ended["log"]

    asyncio.run(scenario())


def test_a_sidecars_hook_runs_beside_the_containers_and_only_its_signal_waits(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with control_plane(tmp_path) as cluster:
            pod = with_sidecars("mesh", lifecycle={"preStop": {"sleep": {"seconds": 1}}})
            pod["spec"]["containers"][0]["lifecycle"] = {"preStop": {"sleep": {"seconds": 1}}}
            cluster.store.create(pod)
            ended, _, begun = await ends(cluster, tmp_path)
            assert begun + 1 <= ended["mesh"] < begun + 2, "one second after the other would be two"

    asyncio.run(scenario())


def test_a_container_that_uses_up_the_grace_period_leaves_its_sidecars_two_seconds(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with control_plane(tmp_path) as cluster:
            cluster.store.create(with_sidecars("mesh", term="ignore", grace_s=2))
            ended, codes, begun = await ends(cluster, tmp_path)
            assert codes == {"web": 137, "mesh": 0}
            assert ended["mesh"] >= begun + 2, "not before the grace period was over"

    asyncio.run(scenario())


def test_the_containers_start_when_their_sidecars_have_started_and_the_status_tells_of_both(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with control_plane(tmp_path) as cluster:
            probe = {"httpGet": {"port": 9000, "path": "/flag"}, "periodSeconds": 1, "failureThreshold": 60}
            flag = tmp_path / "flag"
            pod = with_sidecars("mesh", startupProbe=probe, ports=[{"containerPort": 9000}])
            pod["spec"]["initContainers"][0]["env"] += env(FLAG=str(flag))
            cluster.store.create(pod)
            await listening(tmp_path, "p.mesh.log")
            await cluster.until(lambda: "Unhealthy" in cluster.reasons())
            assert processes(cluster)["web"] is None
            found = pod_condition(current(cluster), "Initialized")
            assert found is not None
            assert (found["status"], found["message"]) == (
                "False",
                "containers with incomplete status: [mesh]",
            )
            flag.touch()
            await cluster.until(lambda: ready(cluster))
            (status,) = current(cluster)["status"]["initContainerStatuses"]
            assert (status["name"], status["started"]) == ("mesh", True)

    asyncio.run(scenario())


def test_a_pod_is_not_ready_while_a_sidecar_with_a_probe_is_not(now: datetime) -> None:
    def state(name: str, *, ready: bool) -> ContainerState:
        return ContainerState(name, "x:1", state={"running": {}}, container_id="c", started=True, ready=ready)

    pod = {"spec": {"restartPolicy": "Always"}}
    for up in (False, True):
        status = status_of(
            pod, [state("web", ready=True)], now, ip="", host_ip="", sidecars=[state("mesh", ready=up)]
        )
        found = pod_condition({"status": status}, "Ready")
        assert found is not None
        assert found["status"] == str(up)


@pytest.fixture
def now() -> datetime:
    from datetime import UTC, datetime

    return datetime.now(UTC)


def test_a_pod_is_stopped_with_the_signal_that_it_asks_for_and_its_status_names_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with control_plane(tmp_path) as cluster:
            spec = {"os": {"name": "linux"}, "terminationGracePeriodSeconds": 30}
            cluster.store.create(bare(spec, env=env(TERM_IS="ignore"), lifecycle={"stopSignal": "SIGUSR1"}))
            await cluster.until(lambda: ready(cluster))
            await listening(tmp_path, "p.log")
            (status,) = current(cluster)["status"]["containerStatuses"]
            assert status["stopSignal"] == "SIGUSR1"
            process, begun = processes(cluster)["web"], time.monotonic()
            cluster.store.delete(current(cluster))
            await cluster.until(lambda: current(cluster) is None)
            assert process.code == 128 + signal.SIGUSR1
            assert time.monotonic() - begun < 25, (
                "SIGTERM, which it ignores, would have taken the whole grace period"
            )

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("", signal.SIGTERM),
        ("SIGQUIT", signal.SIGQUIT),
        ("SIGRTMIN+3", signal.SIGRTMIN + 3),
        ("SIGNONE", signal.SIGTERM),
    ],
)
def test_signals_have_kubernetes_names(name: str, number: int) -> None:
    assert signal_of(name) == number


def _wrong(spec: Object) -> list[tuple[str, str]]:
    return check(bare(spec))


@pytest.mark.parametrize(
    ("system", "name", "says"),
    [
        ({}, "SIGQUIT", "Forbidden: may not be set for containers with empty os.name"),
        ({"os": {"name": "linux"}}, "SIGQUIT", ""),
        ({"os": {"name": "linux"}}, "SIGRTMIN+15", ""),
        ({"os": {"name": "linux"}}, "QUIT", 'Unsupported value: "QUIT"'),
        ({"os": {"name": "windows"}}, "SIGQUIT", 'Unsupported value: "SIGQUIT"'),
    ],
)
def test_a_stop_signal_needs_the_name_of_a_system_that_has_it(system: Object, name: str, says: str) -> None:
    container = {"name": "web", "image": "x:1", "lifecycle": {"stopSignal": name}}
    found = _wrong({"containers": [container], **system})
    assert found == ([("spec.containers[0].lifecycle.stopSignal", says)] if says else [])


def test_a_readiness_probe_with_a_grace_period_of_its_own_is_refused_and_a_liveness_probe_is_not() -> None:
    probe = {"tcpSocket": {"port": 8080}, "terminationGracePeriodSeconds": 5}
    container = {"name": "web", "image": "x:1", "livenessProbe": probe}
    assert _wrong({"containers": [container]}) == []
    (wrong,) = _wrong({"containers": [{**container, "readinessProbe": probe}]})
    assert wrong[0] == "spec.containers[0].readinessProbe.terminationGracePeriodSeconds"


def test_an_init_container_is_restarted_always_or_says_nothing() -> None:
    web = {"name": "web", "image": "x:1"}
    for policy, good in (("Always", True), (None, True), ("OnFailure", False)):
        first = {"name": "first", "image": "x:1", **({"restartPolicy": policy} if policy else {})}
        assert (_wrong({"containers": [web], "initContainers": [first]}) == []) == good
