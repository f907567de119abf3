"""The API server over real HTTP: raw, by the official client, and by kubectl."""

from __future__ import annotations

import asyncio
import json
import ssl
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import httpx
import kubernetes
import pytest

from harness.lab import kubeconfig
from harness.lab.apiserver.server import ApiServer
from tests.lab.control_plane import OWNER, TOKEN, deployment, new_store, service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from pathlib import Path

    from harness.lab.objects.store import Object, Store
    from tests.lab.conftest import Kubectl

PATH = "/apis/apps/v1/namespaces/default/deployments"
MERGE = {"Content-Type": "application/merge-patch+json"}


def run(scenario: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(scenario())


@asynccontextmanager
async def served(logs: Path) -> AsyncIterator[tuple[Store, str]]:
    """An API server alone: its store and its URL."""
    store = new_store()
    async with ApiServer(store, logs, token=TOKEN) as api:
        yield store, api.url


async def first_lines(client: httpx.AsyncClient, url: str, count: int, **params: str) -> list[Object]:
    """The first `count` events of a watch."""
    events: list[Object] = []
    async with client.stream("GET", url, params={"watch": "true", **params}) as response:
        assert response.status_code == 200
        async for line in response.aiter_lines():
            events.append(json.loads(line))
            if len(events) == count:
                break
    return events


def test_a_created_deployment_gets_defaults_and_a_generation_that_counts_its_spec(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(tmp_path) as (_, url), httpx.AsyncClient(base_url=url, headers=OWNER) as client:
            made = (await client.post(PATH, json=deployment())).json()
            spec = made["spec"]
            assert (spec["revisionHistoryLimit"], spec["progressDeadlineSeconds"]) == (10, 600)
            assert spec["strategy"] == {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
            }
            assert spec["template"]["spec"]["terminationGracePeriodSeconds"] == 30
            assert made["metadata"]["generation"] == 1
            labelled = await client.patch(
                f"{PATH}/web", json={"metadata": {"labels": {"a": "b"}}}, headers=MERGE
            )
            assert labelled.json()["metadata"]["generation"] == 1
            scaled = await client.patch(f"{PATH}/web", json={"spec": {"replicas": 5}}, headers=MERGE)
            assert scaled.json()["metadata"]["generation"] == 2
            again = await client.patch(f"{PATH}/web", json={"spec": {"replicas": 5}}, headers=MERGE)
            assert again.json()["metadata"]["resourceVersion"] == scaled.json()["metadata"]["resourceVersion"]

    run(scenario)


def test_refusals_are_status_objects_with_kubernetes_codes_and_reasons(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(tmp_path) as (_, url), httpx.AsyncClient(base_url=url, headers=OWNER) as client:
            await client.post(PATH, json=deployment())

            async def refused(code: int, reason: str, method: str, path: str, **kwargs: Any) -> Object:
                response = await client.request(method, path, **kwargs)
                body: Object = response.json()
                assert (response.status_code, body["kind"], body["code"], body["reason"]) == (
                    code,
                    "Status",
                    code,
                    reason,
                ), body
                return body

            missing = await refused(404, "NotFound", "GET", f"{PATH}/nope")
            assert missing["message"] == 'deployments.apps "nope" not found'
            await refused(404, "NotFound", "GET", "/apis/none/v1/things")
            await refused(409, "AlreadyExists", "POST", PATH, json=deployment())
            stale = {"metadata": {"resourceVersion": "1"}, "spec": {"replicas": 9}}
            await refused(409, "Conflict", "PATCH", f"{PATH}/web", json=stale, headers=MERGE)
            wrong = await refused(
                422,
                "Invalid",
                "POST",
                PATH,
                json=deployment("x", selector={"matchLabels": {"app": "y"}}),
            )
            assert "selector" in wrong["message"]
            zero = {
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}
            }
            await refused(422, "Invalid", "PATCH", f"{PATH}/web", json={"spec": zero}, headers=MERGE)
            await refused(
                415,
                "UnsupportedMediaType",
                "PATCH",
                f"{PATH}/web",
                content="x",
                headers={"Content-Type": "text/plain"},
            )
            await refused(400, "BadRequest", "POST", PATH, content="{")
            await refused(
                404,
                "NotFound",
                "POST",
                PATH.replace("default", "other"),
                json=deployment() | {"metadata": {"name": "x"}},
            )
            await refused(405, "MethodNotAllowed", "POST", f"{PATH}/web", json={})
            uid = {"preconditions": {"uid": "another"}}
            await refused(409, "Conflict", "DELETE", f"{PATH}/web", content=json.dumps(uid))

    run(scenario)


def test_a_dry_run_answers_as_if_and_changes_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(tmp_path) as (store, url), httpx.AsyncClient(base_url=url, headers=OWNER) as client:
            assert (await client.post(PATH, json=deployment(), params={"dryRun": "All"})).status_code == 201
            assert store.list("Deployment") == []
            await client.post(PATH, json=deployment())
            rv = store.rv
            scaled = await client.patch(
                f"{PATH}/web", json={"spec": {"replicas": 7}}, headers=MERGE, params={"dryRun": "All"}
            )
            assert scaled.json()["spec"]["replicas"] == 7
            await client.delete(f"{PATH}/web", params={"dryRun": "All"})
            assert (store.rv, store.get("Deployment", "default", "web")["spec"]["replicas"]) == (rv, 2)

    run(scenario)


def test_status_is_written_only_through_its_subresource(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(tmp_path) as (_, url), httpx.AsyncClient(base_url=url, headers=OWNER) as client:
            made = (await client.post(PATH, json=deployment())).json()
            made["status"] = {"replicas": 9}
            assert (await client.put(f"{PATH}/web", json=made)).json()["status"] == {}
            written = await client.patch(
                f"{PATH}/web/status", json={"status": {"replicas": 3}, "spec": {"replicas": 8}}, headers=MERGE
            )
            assert (written.json()["status"]["replicas"], written.json()["spec"]["replicas"]) == (3, 2)

    run(scenario)


@pytest.mark.parametrize("true", ["true", "True", "1"])
def test_a_watch_resumes_from_a_resource_version_and_follows_a_selection(tmp_path: Path, true: str) -> None:
    async def scenario() -> None:
        async with served(tmp_path) as (store, url), httpx.AsyncClient(base_url=url, headers=OWNER) as client:
            listed = (await client.get(PATH)).json()
            for name in ("a", "b"):
                await client.post(PATH, json=deployment(name))
            item = store.get("Deployment", "default", "b")
            store.update({**item, "metadata": {**item["metadata"], "labels": {"in": "yes"}}})
            item = store.get("Deployment", "default", "b")
            store.update({**item, "metadata": {**item["metadata"], "labels": {}}})
            store.delete(store.get("Deployment", "default", "a"))
            since = listed["metadata"]["resourceVersion"]
            events = await first_lines(client, PATH, 5, watch=true, resourceVersion=since)
            seen = [(event["type"], event["object"]["metadata"]["name"]) for event in events]
            assert seen == [
                ("ADDED", "a"),
                ("ADDED", "b"),
                ("MODIFIED", "b"),
                ("MODIFIED", "b"),
                ("DELETED", "a"),
            ]
            chosen = await first_lines(client, PATH, 2, resourceVersion=since, labelSelector="in=yes")
            assert [event["type"] for event in chosen] == ["ADDED", "DELETED"]
            named = await first_lines(client, PATH, 1, fieldSelector="metadata.name=b")
            assert named[0]["object"]["metadata"]["name"] == "b"

    run(scenario)


def test_a_watch_window_ends_cleanly_with_a_bookmark_to_resume_from(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(tmp_path) as (store, url), httpx.AsyncClient(base_url=url, headers=OWNER) as client:
            await client.post(PATH, json=deployment())
            query = {
                "watch": "1",
                "resourceVersion": "1",
                "timeoutSeconds": "1",
                "allowWatchBookmarks": "true",
            }
            response = await client.get(PATH, params=query)
            events = [json.loads(line) for line in response.text.splitlines()]
            assert [event["type"] for event in events] == ["ADDED", "BOOKMARK"]
            assert events[1]["object"]["metadata"]["resourceVersion"] == str(store.rv)
            assert events[1]["object"]["kind"] == "Deployment"

    run(scenario)


def test_a_watch_from_before_a_compaction_gets_410(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(tmp_path) as (_, url), httpx.AsyncClient(base_url=url, headers=OWNER) as client:
            await client.post(PATH, json=deployment())
            await client.post("/zdtest/compact")
            [event] = await first_lines(client, PATH, 1, resourceVersion="1")
            assert (event["type"], event["object"]["code"], event["object"]["reason"]) == (
                "ERROR",
                410,
                "Expired",
            )

    run(scenario)


def test_every_answer_says_the_servers_time(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(tmp_path) as (_, url), httpx.AsyncClient(base_url=url, headers=OWNER) as client:
            date = parsedate_to_datetime((await client.get("/version")).headers["Date"])
            assert abs((datetime.now(UTC) - date).total_seconds()) < 5

    run(scenario)


def test_a_pod_that_runs_is_deleted_in_two_steps_and_its_grace_can_only_shrink() -> None:
    store = new_store()
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}
    item = store.create({**pod, "spec": {"nodeName": "n", "containers": [{"name": "a", "image": "x"}]}})
    marked = store.delete(item)
    asked = datetime.fromisoformat(marked["metadata"]["deletionTimestamp"])
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 30
    assert 27 <= (asked - datetime.now(UTC)).total_seconds() <= 30
    assert store.delete(item, grace_s=60)["metadata"]["deletionGracePeriodSeconds"] == 30
    shorter = store.delete(item, grace_s=5)
    assert (asked - datetime.fromisoformat(shorter["metadata"]["deletionTimestamp"])).total_seconds() == 25
    store.delete(item, grace_s=0)
    assert store.find("Pod", "default", "p") is None


def test_the_official_client_lists_patches_and_reads_discovery(tmp_path: Path) -> None:
    def work(url: str) -> None:
        config = kubernetes.client.Configuration(host=url)
        config.api_key = {"authorization": TOKEN}
        config.api_key_prefix = {"authorization": "Bearer"}
        with kubernetes.client.ApiClient(config) as client:
            # Its models are typed since 37 only, and dicts have always done.
            apps: Any = kubernetes.client.AppsV1Api(client)
            apps.create_namespaced_deployment("default", deployment())
            apps.patch_namespaced_deployment(
                "web", "default", {"spec": {"template": {"metadata": {"annotations": {"a": "b"}}}}}
            )
            [item] = apps.list_namespaced_deployment("default").items
            assert (item.metadata.generation, item.spec.template.metadata.annotations) == (2, {"a": "b"})
            custom = kubernetes.client.CustomObjectsApi(client)
            names = [r.name for r in custom.get_api_resources("discovery.k8s.io", "v1").resources]
            assert names == ["endpointslices"]
            assert kubernetes.client.VersionApi(client).get_code().major == "1"
            groups = [group.name for group in kubernetes.client.ApisApi(client).get_api_versions().groups]
            assert "apps" in groups
            review = {
                "spec": {"resourceAttributes": {"verb": "patch", "resource": "deployments", "group": "apps"}}
            }
            authorization: Any = kubernetes.client.AuthorizationV1Api(client)
            answer = authorization.create_self_subject_access_review(review)
            assert answer.status.allowed
            with pytest.raises(kubernetes.client.ApiException) as refused:
                apps.read_namespaced_deployment("nope", "default")
            assert refused.value.status == 404

    async def scenario() -> None:
        async with served(tmp_path) as (_, url):
            await asyncio.to_thread(work, url)

    run(scenario)


def test_kubectl_applies_edits_and_deletes_without_knowing_the_difference(
    tmp_path: Path, write: Callable[..., str], kubectl: Kubectl
) -> None:
    async def scenario() -> None:
        owner, store = kubeconfig.issue(tmp_path, tmp_path), new_store()
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(owner.cert, owner.key)
        async with ApiServer(store, tmp_path, token=owner.token, tls=tls) as api:
            path = kubeconfig.write(tmp_path, api.url, owner, "default")
            file = write(deployment(), service())

            async def ok(*args: str) -> str:
                code, output = await kubectl(path, *args)
                assert code == 0, output
                return output

            assert "deployment.apps/web created" in await ok("apply", "--validate=false", "-f", file)
            assert "deployment.apps/web unchanged" in await ok("apply", "--validate=false", "-f", file)
            await ok("set", "image", "deployment/web", "web=x:2")
            await ok("scale", "deployment/web", "--replicas=4")
            await ok("rollout", "restart", "deployment/web")
            item = store.get("Deployment", "default", "web")
            assert (item["spec"]["replicas"], item["metadata"]["generation"]) == (4, 4)
            assert item["spec"]["template"]["spec"]["containers"][0]["image"] == "x:2"
            assert "kubectl.kubernetes.io/restartedAt" in item["spec"]["template"]["metadata"]["annotations"]
            assert "deployment.apps/web configured" in await ok("apply", "--validate=false", "-f", file)
            assert (
                store.get("Deployment", "default", "web")["spec"]["template"]["spec"]["containers"][0][
                    "image"
                ]
                == "x:1"
            )
            shown = (await ok("get", "deploy")).split()
            assert shown[:5] == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
            assert shown[5:7] == ["web", "0/2"]
            assert "ClusterIP" in await ok("get", "svc")
            assert "web" in await ok("describe", "deployment", "web")
            assert await ok("auth", "can-i", "patch", "deployments") == "yes\n"
            await ok("delete", "service", "web")
            assert store.find("Service", "default", "web") is None

    run(scenario)
