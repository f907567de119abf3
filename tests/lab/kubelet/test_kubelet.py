"""Pods as real processes: how they start, are probed, and end."""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from harness.lab.kubelet.linux import BlackholeAddress
from harness.lab.kubelet.process import ParentPipe, Process, Program
from harness.lab.objects.podstatus import pod_condition
from tests.lab.control_plane import Cluster, control_plane, env, gone, service

if TYPE_CHECKING:
    from harness.lab.objects.store import Object

HTTP = {"httpGet": {"port": 8080, "path": "/status/200"}}


Scenario = Callable[[Path], Coroutine[None, None, None]]
SCENARIOS: dict[str, Scenario] = {}
Outcomes = dict[str, BaseException | None]


def together(scenario: Scenario) -> Callable[[Outcomes], None]:
    """Make a scenario a test. All of them run at the same time, for mostly they wait."""
    name = scenario.__name__
    SCENARIOS[name] = scenario

    def test(outcomes: Outcomes) -> None:
        if (failure := outcomes[name]) is not None:
            raise failure

    test.__name__ = name
    return test


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """How each scenario that was asked for went: None, or what it raised."""
    wanted = sorted({item.name for item in request.session.items} & SCENARIOS.keys())

    async def all_of_them() -> Outcomes:
        running = (SCENARIOS[name](tmp_path_factory.mktemp("pods")) for name in wanted)
        results = await asyncio.gather(*running, return_exceptions=True)
        return dict(zip(wanted, results, strict=True))

    return asyncio.run(all_of_them())


def bare(pod: Object | None = None, **container: Any) -> Object:
    spec = {"containers": [{"name": "web", "image": "x:1", **container}], **(pod or {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "default"},
        "spec": spec,
    }


def current(cluster: Cluster) -> Any:
    return cluster.store.find("Pod", "default", "p")


def container(cluster: Cluster) -> Any:
    return (current(cluster)["status"].get("containerStatuses") or [{}])[0]


def ready(cluster: Cluster) -> bool:
    found = pod_condition(current(cluster), "Ready")
    return found is not None and bool(found["status"] == "True")


async def answers(cluster: Cluster) -> str:
    """Wait until the pod's process answers HTTP (it is started before it listens)."""
    await cluster.until(lambda: "podIP" in current(cluster)["status"])
    address: str = current(cluster)["status"]["podIP"]
    async with httpx.AsyncClient() as client:
        for _ in range(500):
            try:
                await client.get(f"http://{address}:8080/")
            except httpx.TransportError:
                await asyncio.sleep(0.02)
            else:
                return address
    return pytest.fail("the pod never answered")


def process_of(cluster: Cluster) -> Process:
    """The process of the only container there is."""
    assert cluster.kubelet is not None
    [worker] = cluster.kubelet._workers.values()
    process = worker._containers[0]._process
    assert process is not None
    return process


async def end_of(cluster: Cluster, grace_s: int | None = None) -> tuple[Object, str, float]:
    """Delete the pod; return its last containers' terminated state, its phase, and how long the end took."""
    begun = time.monotonic()
    with cluster.store.subscribe(frozenset({"Pod"})) as changes:
        cluster.store.delete(current(cluster), grace_s=grace_s)
        last: Object = {}
        while (change := await changes.next(60)) and change.type != "DELETED":
            last = change.item
    took = time.monotonic() - begun
    assert change is not None
    return last["status"]["containerStatuses"][0]["state"]["terminated"], last["status"]["phase"], took


@together
async def test_a_pod_without_a_readiness_probe_is_ready_as_soon_as_its_container_runs(folder: Path) -> None:
    async with control_plane(folder) as cluster:
        cluster.store.create(bare(env=env(MINE="yes")))
        await cluster.until(lambda: ready(cluster))
        status = current(cluster)["status"]
        assert status["phase"] == "Running"
        assert {c["type"] for c in status["conditions"]} >= {
            "PodScheduled",
            "Initialized",
            "ContainersReady",
            "Ready",
        }
        assert status["podIP"].startswith("127.")
        assert container(cluster)["state"]["running"]["startedAt"].endswith("Z")
        assert cluster.reasons() == ["Scheduled", "Pulled", "Created", "Started"]
        address = await answers(cluster)
        log = (folder / "p.log").read_text()
        assert f"at {address} 8080" in log
        assert "'MINE'" in log
        assert "'HOME'" not in log  # nothing of our own environment but what Python needs


@together
async def test_a_sidecar_that_stands_first_leaves_the_usual_port_to_the_application(folder: Path) -> None:
    async with control_plane(folder) as cluster:
        both = [{"name": name, "image": "x:1"} for name in ("istio-proxy", "web")]
        cluster.store.create(bare({"containers": both}))
        address = await answers(cluster)
        await cluster.until((folder / "p.web.log").exists)
        for _ in range(500):
            if f"at {address} 8080" in (folder / "p.web.log").read_text():
                return
            await asyncio.sleep(0.02)
        pytest.fail("the application did not get the port")


async def ends_with(cluster: Cluster, term: str, code: int, reason: str, phase: str) -> None:
    cluster.store.create(bare(env=env(TERM_IS=term)))
    await answers(cluster)
    terminated, last_phase, took = await end_of(cluster)
    assert (terminated["exitCode"], terminated["reason"], last_phase) == (code, reason, phase)
    assert took < 25  # it did not wait for the grace period of 30 s
    assert cluster.reasons()[-1] == "Killing"


@together
async def test_a_process_that_leaves_sigterm_alone_ends_with_143_reported_before_the_object_goes(
    folder: Path,
) -> None:
    async with control_plane(folder) as cluster:
        await ends_with(cluster, "default", 143, "Error", "Failed")


@together
async def test_a_process_that_ends_itself_on_sigterm_ends_with_0(folder: Path) -> None:
    async with control_plane(folder) as cluster:
        await ends_with(cluster, "clean", 0, "Completed", "Succeeded")


@together
async def test_sigterm_ignored_ends_by_sigkill_when_the_grace_period_is_over(folder: Path) -> None:
    async with control_plane(folder) as cluster:
        cluster.store.create(bare({"terminationGracePeriodSeconds": 3}, env=env(TERM_IS="ignore")))
        await answers(cluster)
        ended, _, took = await end_of(cluster)
        assert (ended["exitCode"], ended["reason"]) == (137, "Error")
        assert took > 3


@together
async def test_a_pre_stop_sleep_runs_before_sigterm_and_inside_the_grace_period(folder: Path) -> None:
    async with control_plane(folder) as cluster:
        hook = {"preStop": {"exec": {"command": ["/bin/sh", "-c", "sleep 1.5"]}}}
        cluster.store.create(bare(env=env(TERM_IS="clean"), lifecycle=hook))
        address = await answers(cluster)
        ending = asyncio.create_task(end_of(cluster))
        await cluster.until(lambda: "Killing" in cluster.reasons())
        async with httpx.AsyncClient() as client:
            assert (
                await client.get(f"http://{address}:8080/")
            ).status_code == 200  # the hook runs, the app serves
        ended, _, took = await ending
        assert ended["exitCode"] == 0
        assert took > 1.5
        assert "FailedPreStopHook" not in cluster.reasons()


@together
async def test_a_pre_stop_longer_than_the_grace_period_is_cut_and_sigterm_gets_two_seconds(
    folder: Path,
) -> None:
    async with control_plane(folder) as cluster:
        hook = {"preStop": {"sleep": {"seconds": 60}}}
        grace = {"terminationGracePeriodSeconds": 1}
        cluster.store.create(bare(grace, env=env(TERM_IS="ignore"), lifecycle=hook))
        await answers(cluster)
        ended, _, took = await end_of(cluster)
        assert ended["exitCode"] == 137
        assert 3 < took < 15
        assert cluster.reasons()[-2:] == ["Killing", "FailedPreStopHook"]


@together
async def test_an_http_pre_stop_is_really_sent(folder: Path) -> None:
    async with control_plane(folder) as cluster:
        hook = {"preStop": {"httpGet": {"port": 8080, "path": "/status/500"}}}
        cluster.store.create(bare(env=env(TERM_IS="clean"), lifecycle=hook))
        await answers(cluster)
        await end_of(cluster)
        assert cluster.reasons()[-1] == "FailedPreStopHook"


@together
async def test_a_readiness_probe_decides_in_both_directions(folder: Path) -> None:
    async with control_plane(folder) as cluster:
        probe = {"httpGet": {"port": 8080, "path": "/flag"}, "periodSeconds": 1, "failureThreshold": 1}
        cluster.store.create(bare(env=env(FLAG=folder / "flag"), readinessProbe=probe))
        await answers(cluster)
        await cluster.until(lambda: "Unhealthy" in cluster.reasons())
        assert not ready(cluster)
        assert (pod_condition(current(cluster), "Ready") or {}).get("reason") == "ContainersNotReady"
        (folder / "flag").touch()
        await cluster.until(lambda: ready(cluster))
        (folder / "flag").unlink()
        await cluster.until(lambda: not ready(cluster))
        texts = [event["message"] for event in cluster.store.list("Event") if event["reason"] == "Unhealthy"]
        assert "Readiness probe failed: HTTP probe failed with statuscode: 503" in texts


@together
async def test_a_readiness_probe_waits_for_its_initial_delay(folder: Path) -> None:
    async with control_plane(folder) as cluster:
        probe = {"tcpSocket": {"port": 8080}, "initialDelaySeconds": 2, "periodSeconds": 1}
        cluster.store.create(bare(readinessProbe=probe))
        await cluster.until(lambda: "Started" in cluster.reasons())
        begun = process_of(cluster).begun_at
        await cluster.until(lambda: ready(cluster))
        assert asyncio.get_running_loop().time() - begun >= 2


@together
async def test_a_failed_liveness_probe_restarts_the_container(folder: Path) -> None:
    async with control_plane(folder) as cluster:
        probe = {"httpGet": {"port": 8080, "path": "/flag"}, "periodSeconds": 1, "failureThreshold": 1}
        (folder / "flag").touch()
        startup = {"tcpSocket": {"port": 8080}, "periodSeconds": 1, "failureThreshold": 30}
        cluster.store.create(bare(env=env(FLAG=folder / "flag"), livenessProbe=probe, startupProbe=startup))
        await cluster.until(lambda: ready(cluster))
        (folder / "flag").unlink()
        await cluster.until(lambda: container(cluster).get("restartCount") == 1)
        (folder / "flag").touch()
        await cluster.until(lambda: ready(cluster))
        assert container(cluster)["lastState"]["terminated"]["exitCode"] == 143
        messages = [event["message"] for event in cluster.store.list("Event") if event["reason"] == "Killing"]
        assert messages == ["Container web failed liveness probe, will be restarted"]


@together
async def test_a_crashing_container_is_started_again_once_and_then_waits(folder: Path) -> None:
    async with control_plane(folder) as cluster:
        cluster.store.create(bare(env=env(CRASH=3)))
        waiting = await cluster.until(
            lambda: container(cluster).get("state", {}).get("waiting", {}).get("reason") == "CrashLoopBackOff"
        )
        assert waiting
        assert container(cluster)["restartCount"] == 1
        assert container(cluster)["lastState"]["terminated"]["exitCode"] == 3
        assert "BackOff" in cluster.reasons()
        cluster.store.delete(current(cluster))  # a pod in back-off ends at once
        await cluster.until(lambda: current(cluster) is None, within=10)


@together
async def test_a_missing_config_map_keeps_the_container_waiting_until_it_is_there(folder: Path) -> None:
    async with control_plane(folder) as cluster:
        cluster.store.create(bare(envFrom=[{"configMapRef": {"name": "c"}}]))
        await cluster.until(
            lambda: (
                container(cluster).get("state", {}).get("waiting", {}).get("reason")
                == "CreateContainerConfigError"
            )
        )
        cluster.store.create(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "c", "namespace": "default"},
                "data": {},
            }
        )
        await cluster.until(lambda: ready(cluster))


@together
async def test_a_pod_removed_by_force_still_has_its_process_ended(folder: Path) -> None:
    async with control_plane(folder) as cluster:
        cluster.store.create(bare(env=env(TERM_IS="ignore")))
        await answers(cluster)
        pid = process_of(cluster).pid
        cluster.store.delete(current(cluster), grace_s=0)
        await cluster.until(lambda: gone(pid))


@together
async def test_a_second_deletion_shortens_the_grace_period_of_the_first(folder: Path) -> None:
    async with control_plane(folder) as cluster:
        cluster.store.create(bare({"terminationGracePeriodSeconds": 60}, env=env(TERM_IS="ignore")))
        await answers(cluster)
        ending = asyncio.create_task(end_of(cluster))
        await asyncio.sleep(0.2)
        cluster.store.delete(current(cluster), grace_s=1)
        ended, _, took = await ending
        assert ended["exitCode"] == 137
        assert took < 20


@together
async def test_a_dead_pods_address_first_refuses_and_then_is_silent(folder: Path) -> None:
    async with control_plane(folder) as cluster:
        cluster.store.create(bare(env=env(TERM_IS="clean")))
        address = await answers(cluster)
        at_once: list[int] = []

        def knock(_: object) -> None:
            with socket.socket() as client:
                client.settimeout(0.5)
                at_once.append(client.connect_ex((address, 8080)))

        process_of(cluster).exited.add_done_callback(knock)
        await end_of(cluster)
        assert at_once == [errno.ECONNREFUSED]
        with socket.socket() as client:
            client.settimeout(0.5)
            with pytest.raises(TimeoutError):
                client.connect((address, 8080))


def test_silence_ends_when_it_is_closed() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    silence = BlackholeAddress("127.0.0.1", port)
    with socket.socket() as client:
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.connect(("127.0.0.1", port))
    silence.close()
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED


@together
async def test_a_port_that_cannot_be_bound_is_replaced_by_a_free_one_in_the_endpoint(folder: Path) -> None:
    async with control_plane(folder) as cluster:
        prefix = cluster.addresses.node.rpartition(".")[0]
        with socket.socket() as squatter:
            squatter.bind((f"{prefix}.2", 8080))
            squatter.listen()
            cluster.store.create(service())
            pod = bare()
            pod["metadata"]["labels"] = {"app": "web"}
            cluster.store.create(pod)
            await cluster.until(lambda: ready(cluster))
            port = await cluster.until(
                lambda: (cluster.store.list("EndpointSlice")[0]["ports"] or [{}])[0].get("port")
            )
            assert port != 8080
            async with httpx.AsyncClient() as client:
                for _ in range(300):
                    try:
                        assert (await client.get(f"http://{prefix}.2:{port}/")).status_code == 200
                    except httpx.TransportError:
                        await asyncio.sleep(0.02)
                    else:
                        return
            pytest.fail("nothing listened there")


def test_no_process_starts_once_the_pipe_that_ends_it_is_closed(tmp_path: Path) -> None:
    """Its number is another file's by then: a pod that got that as its input kept the lab waiting for it for ever."""
    pipe = ParentPipe()
    program = Program(tmp_path, pipe)
    pipe.close()
    place = {"HOSTNAME": "p", "BIND": "127.0.0.1", "BIND_PORT": "0"}
    with pytest.raises(OSError, match="starts no more processes"):
        asyncio.run(Process.start(program, {}, place, tmp_path / "p.log"))
    pipe.close()
