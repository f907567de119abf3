"""The API server's faults, and the older Kubernetes version that it can imitate."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import httpx
import pytest

from harness.k8s import schema
from harness.lab.apiserver.server import ApiServer
from harness.lab.controllers.endpoints import EndpointsController, ready_addresses, slices_for
from harness.lab.fields.fieldsets import from_json, to_json
from harness.lab.objects.resources import MINOR
from harness.lab.objects.store import Store
from harness.model import LabPlan
from harness.scenario.labpart import LabPart
from tests.lab.control_plane import OWNER, TOKEN, control_plane, deployment, env, new_store, service

if TYPE_CHECKING:
    from pathlib import Path

    from harness.lab.objects.store import Object

PATH = "/apis/apps/v1/namespaces/default/deployments"


def test_an_api_server_whose_clock_is_ahead_says_so_everywhere(tmp_path: Path) -> None:
    ahead = timedelta(minutes=7)

    async def scenario() -> None:
        store = Store(lambda: datetime.now(UTC) + ahead)
        store.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}})

        def wall() -> float:
            return (datetime.now(UTC) + ahead).timestamp()

        async with (
            ApiServer(store, tmp_path, token=TOKEN, wall=wall) as api,
            httpx.AsyncClient(base_url=api.url, headers=OWNER) as client,
        ):
            answer = await client.post(PATH, json=deployment())
            said = [
                parsedate_to_datetime(answer.headers["Date"]),
                datetime.fromisoformat(answer.json()["metadata"]["creationTimestamp"]),
            ]
            for moment in said:
                assert abs((moment - datetime.now(UTC) - ahead).total_seconds()) < 5

    asyncio.run(scenario())


def test_a_dropped_watch_breaks_in_mid_stream_and_resumes(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = new_store()
        async with (
            ApiServer(store, tmp_path, token=TOKEN, drop_s=0.3) as api,
            httpx.AsyncClient(base_url=api.url, headers=OWNER) as client,
        ):
            since = (await client.get(PATH)).json()["metadata"]["resourceVersion"]
            await client.post(PATH, json=deployment())
            events: list[Object] = []

            async def watch(version: str) -> None:
                query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": "60"}
                async with client.stream("GET", PATH, params=query) as answer:
                    async for line in answer.aiter_lines():
                        events.append(json.loads(line))  # noqa: PERF401  what came before the break counts

            with pytest.raises(httpx.RemoteProtocolError):
                await watch(since)
            [first] = events
            await client.delete(f"{PATH}/web")
            with pytest.raises(httpx.RemoteProtocolError):
                await watch(first["object"]["metadata"]["resourceVersion"])
            assert [event["type"] for event in events] == ["ADDED", "DELETED"]

    asyncio.run(scenario())


def test_an_old_kubernetes_takes_a_terminating_pod_out_of_its_slice(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with control_plane(tmp_path) as cluster:
            cluster.store.create(deployment(replicas=1, container={"env": env(TERM_IS="ignore")}))
            cluster.store.create(service())

            def slices() -> list[Object]:
                return slices_for(cluster.store, "default", "web")

            await cluster.until(lambda: ready_addresses(slices()))
            old = EndpointsController(cluster.store, cluster.addresses.mapped, minor=20)
            async with (
                ApiServer(cluster.store, tmp_path, token=TOKEN, minor=20) as api,
                httpx.AsyncClient(base_url=api.url, headers=OWNER) as client,
            ):
                path = "/apis/discovery.k8s.io/v1beta1/endpointslices"
                [shown] = (await client.get(path)).json()["items"]
                [endpoint] = shown["endpoints"]
                assert endpoint["conditions"] == {"ready": True}
                assert endpoint["topology"]["kubernetes.io/hostname"]
                assert "nodeName" not in endpoint
                assert (await client.get(path.replace("v1beta1", "v1"))).status_code == 404
            [pod] = cluster.pods()
            cluster.store.update({**cluster.store.get("Deployment", "default", "web")})
            cluster.store.delete(pod)
            old.sync(("default", "web"))
            assert not any(
                endpoint["targetRef"]["uid"] == pod["metadata"]["uid"]
                for found in slices()
                for endpoint in found["endpoints"] or ()
            )

    asyncio.run(scenario())


def test_fields_that_kubernetes_does_not_have_are_found_by_their_path() -> None:
    item = deployment(container={"readinessProb": {}}, pod={"terminationGracePeriodSeconds": "30"})
    node = schema.root("apps/v1", "Deployment")
    assert schema.unknown_fields(item, node) == ["spec.template.spec.containers[0].readinessProb"]
    [wrong] = schema.wrong_types(item, node)
    assert wrong.startswith("spec.template.spec.terminationGracePeriodSeconds")
    assert "readinessProb" not in schema.pruned(item, node)["spec"]["template"]["spec"]["containers"][0]
    newer = deployment(container={"lifecycle": {"preStop": {"sleep": {"seconds": 3}}}})
    assert schema.unknown_fields(newer, node) == []


def test_field_sets_survive_serialization() -> None:
    item = 'k:{"containerPort":8080,"protocol":"TCP"}'
    fields = {
        ("f:spec", "f:ports", item),
        ("f:spec", "f:ports", item, "f:name"),
        ("f:data",),
        ("f:data", "f:a"),
    }
    assert from_json(to_json(fields)) == fields


@pytest.mark.parametrize(
    ("written", "served"), [(1.2, "1.20"), ("1.20", "1.20"), (1.33, "1.33"), (1.36, "1.36")]
)
def test_a_kubernetes_version_may_be_written_as_the_number_that_yaml_makes_of_it(
    written: object, served: str
) -> None:
    assert LabPart.model_validate({"kubernetes": written}).kubernetes == served


def test_without_a_version_the_lab_is_the_newest_that_it_knows() -> None:
    assert LabPart().kubernetes == f"1.{MINOR}"
    assert LabPlan(manifests=()).minor == MINOR
