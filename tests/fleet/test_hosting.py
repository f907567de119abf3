from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from harness.clock import NS, Clock
from harness.cluster.client.api import Api
from harness.errors import HarnessError, UsageError
from harness.fleet import collector, hosting, keys
from harness.fleet.collector import running
from harness.fleet.job import Wanted
from tests.fleet.job_api import JobApi
from tests.load.load_run import LoadResult, plan_for, read, wait_until
from tests.load.scripted_server import ScriptedServer, always

if TYPE_CHECKING:
    from pathlib import Path

SECRETS = keys.issue()


def wanted(pods: int = 2) -> Wanted:
    return Wanted(hosting.new_name(), "shop", "run-1", pods, 1, "zdtest:1", 60, "v1.20.2", {"app": "web"})


def hold(api: JobApi, url: str, folder: Path) -> tuple[LoadResult, list[str]]:
    """Hold a load from two pods of a Job, and read what is on disk then."""
    result, said = LoadResult(), list[str]()

    async def main() -> None:
        run = folder / "run"
        run.mkdir()
        async with (
            hosting.hosted(Api.connect(api.kubeconfig, None), wanted(), SECRETS, said.append) as host,
            running(plan_for(url, 4), Clock.start(), run, host, 2, SECRETS) as load,
        ):
            await wait_until(lambda: load.counts.completed > 200)
            await load.finish(5 * NS)
            result.lost, result.counts = load.lost, load.counts
        read(run, result)

    anyio.run(main)
    return result, said


def test_pods_whose_addresses_lead_nowhere_are_reached_through_the_api_server_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That they are reached at their addresses is what test_whole_run.py does."""
    monkeypatch.setattr(hosting, "_REFUSED_S", 0.2)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    with JobApi(tmp_path) as api, ScriptedServer(always(answer)) as server:
        api.unreachable = True
        result, said = hold(api, server.url, tmp_path)
        assert result.lost == ()
        assert len(result.hits) == server.seen["requests"]
        assert not api.jobs
    (secret,) = api.secrets.values()
    assert secret["metadata"]["ownerReferences"][0]["uid"] == "uid-of-the-job"
    assert any("port-forward" in line for line in said)
    assert any(path.endswith("/portforward") for path in api.asked)


def test_why_no_pod_can_be_reached_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosting, "_REFUSED_S", 0.2)
    monkeypatch.setattr(collector, "READY_S", 4)
    with JobApi(tmp_path) as api:
        api.unreachable = True
        api.refuse = {"portforward"}
        with pytest.raises(
            HarnessError, match=r"2 of 2 pods did not start.*in 4 s.*dialing backend: no such host"
        ):
            hold(api, "http://127.0.0.1:9/", tmp_path)
        assert not api.jobs


def test_the_job_is_removed_when_the_run_ends_in_an_error(tmp_path: Path) -> None:
    async def main() -> None:
        async with hosting.hosted(Api.connect(api.kubeconfig, None), wanted(), SECRETS, print):
            assert api.jobs
            raise RuntimeError("in the middle")

    with JobApi(tmp_path) as api:
        with pytest.raises(RuntimeError, match="in the middle"):
            anyio.run(main)
        assert not api.jobs


@pytest.mark.parametrize("refused", ["jobs", "secrets"])
def test_who_may_not_create_what_it_takes_is_told_and_leaves_nothing(tmp_path: Path, refused: str) -> None:
    async def main() -> None:
        async with hosting.hosted(Api.connect(api.kubeconfig, None), wanted(), SECRETS, print):
            raise AssertionError("it was created")

    with JobApi(tmp_path) as api:
        api.refuse.add(refused)
        with pytest.raises(
            UsageError, match=f"cannot create the load's pods in shop: .*{refused} is forbidden"
        ):
            anyio.run(main)
        assert not api.jobs


def test_what_keeps_pods_from_running_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosting, "STARTED_S", 0.1)

    async def main() -> None:
        async with hosting.hosted(Api.connect(api.kubeconfig, None), wanted(), SECRETS, print) as host:
            await host.members()

    with JobApi(tmp_path) as api:
        api.waiting = "ErrImagePull"
        with pytest.raises(UsageError, match="0 of 2 load pods run in namespace shop: ErrImagePull"):
            anyio.run(main)


def test_an_image_that_cannot_be_had_is_not_waited_for(tmp_path: Path) -> None:
    async def main() -> None:
        async with hosting.hosted(Api.connect(api.kubeconfig, None), wanted(), SECRETS, print) as host:
            await host.members()

    with JobApi(tmp_path) as api:
        api.waiting = "ImagePullBackOff"
        with pytest.raises(UsageError, match="ImagePullBackOff; the image is zdtest:1: say --worker-image"):
            anyio.run(main)


def test_a_pod_that_somebody_deleted_is_gone(tmp_path: Path) -> None:
    async def main() -> str:
        async with hosting.hosted(Api.connect(api.kubeconfig, None), wanted(), SECRETS, print) as host:
            first, _ = await host.members()
            assert await host.fate(first) == ""
            del api.pods[first.name]
            await anyio.sleep(1.1)
            return await host.fate(first)

    with JobApi(tmp_path) as api:
        assert anyio.run(main) == "it was deleted"
