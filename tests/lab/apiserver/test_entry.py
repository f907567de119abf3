"""Who may use the lab's API server: the bearer of its token, but no web page that guesses the port."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import kubernetes
import pytest
import yaml

from harness.lab.apiserver.server import ApiServer
from harness.lab.lab import running
from harness.model import LabPlan
from tests.lab.control_plane import OWNER, TOKEN, deployment, descendants, env, new_store, service

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.model import LabEndpoint
    from tests.lab.conftest import Kubectl

    Write = Callable[..., str]

PATH = "/apis/apps/v1/namespaces/default/deployments"
PLAIN = {"Content-Type": "application/json"}


def asked(tmp_path: Path, *requests: dict[str, Any]) -> tuple[list[httpx.Response], list[str]]:
    """Ask a server; return the answers, and the names of the Deployments that were made."""

    async def scenario() -> tuple[list[httpx.Response], list[str]]:
        store = new_store()
        async with ApiServer(store, tmp_path, token=TOKEN) as api:
            address = api.url.removeprefix("http://")
            async with httpx.AsyncClient(base_url=api.url, trust_env=False) as client:
                answers = []
                for given in requests:
                    request: dict[str, Any] = {"method": "POST", "url": PATH, "headers": {}, **given}
                    if "content" not in request and request["method"] != "GET":
                        request["json"] = deployment()
                    port = address.partition(":")[2]
                    request["headers"] = [
                        (name.encode(), value.format(address=address, port=port).encode("latin-1"))
                        for name, value in request["headers"].items()
                    ]
                    answers.append(await client.request(**request))
        return answers, [item["metadata"]["name"] for item in store.list("Deployment")]

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer zdtest-lab"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"Authorization": "Bearer \xc3\xa9"},
        {"Impersonate-User": "zdtest-lab", "Impersonate-Group": "system:masters"},
    ],
)
def test_without_the_token_nothing_can_be_created_read_or_watched(
    tmp_path: Path, given: dict[str, str]
) -> None:
    paths = [PATH, f"{PATH}?watch=true&timeoutSeconds=1", "/api", "/apis", "/version", "/openapi/v2", "/nope"]
    answers, made = asked(
        tmp_path,
        {"headers": given},
        {"url": "/zdtest/compact", "headers": given},
        *({"method": "GET", "url": path, "headers": given} for path in paths),
    )
    assert made == []
    for answer in answers:
        body = answer.json()
        assert (answer.status_code, body["kind"], body["reason"]) == (401, "Status", "Unauthorized")


def test_only_health_is_answered_without_a_token(tmp_path: Path) -> None:
    answers, _ = asked(
        tmp_path, *({"method": "GET", "url": path} for path in ("/healthz", "/livez", "/readyz/ping"))
    )
    assert [(a.status_code, a.text) for a in answers] == [(200, "ok")] * 3
    answers, _ = asked(
        tmp_path,
        {"url": "/healthz"},
        {"method": "GET", "url": "/healthz", "headers": {"Host": "evil.example"}},
    )
    assert [answer.status_code for answer in answers] == [401, 403]


@pytest.mark.parametrize(
    "foreign",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:{port}"},
        {"Host": "127.0.0.1.evil.example:{port}"},
        {"Host": ""},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://{address}"},
    ],
)
def test_a_web_page_is_refused_even_with_the_token(tmp_path: Path, foreign: dict[str, str]) -> None:
    [answer], made = asked(tmp_path, {"headers": OWNER | foreign})
    assert (answer.status_code, answer.json()["reason"], made) == (403, "Forbidden", [])


@pytest.mark.parametrize("host", ["{address}", "localhost:{port}", "LOCALHOST:{port}", "127.0.0.1:1"])
def test_its_own_names_are_served(tmp_path: Path, host: str) -> None:
    [answer], made = asked(tmp_path, {"headers": OWNER | {"Host": host}})
    assert (answer.status_code, made) == (201, ["web"])


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "text/plain;charset=UTF-8",
        "TEXT/PLAIN",
        "text/plain; x=application/json",
        "text/plain; x=yaml",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=yaml",
        "multipart/form-data; boundary=application/vnd.kubernetes.protobuf",
        "application/octet-stream",
    ],
)
def test_a_body_that_a_form_can_send_is_refused_with_every_verb(tmp_path: Path, kind: str) -> None:
    body = json.dumps(deployment())
    [created, patched, deleted], made = asked(
        tmp_path,
        *(
            {
                "method": method,
                "url": path,
                "content": body,
                "headers": OWNER | {"Content-Type": kind},
            }
            for method, path in (("POST", PATH), ("PATCH", f"{PATH}/web"), ("DELETE", f"{PATH}/web"))
        ),
    )
    assert made == []
    for answer in (created, patched, deleted):
        assert (answer.status_code, answer.json()["reason"]) == (415, "UnsupportedMediaType")


@pytest.mark.parametrize("name", ["Host", "Authorization", "Content-Type", "Content-Length", "Origin"])
def test_a_header_that_decides_access_may_not_come_twice(tmp_path: Path, name: str) -> None:
    """Otherwise one of two readers would take the first and the other the last."""

    async def scenario() -> bytes:
        async with ApiServer(new_store(), tmp_path, token=TOKEN) as api:
            address = api.url.removeprefix("http://")
            values = {"Host": address, "Content-Type": "application/json", "Content-Length": "0", **OWNER}
            lines = [f"{key}: {value}" for key, value in values.items()]
            lines.append(f"{name.lower()}: {values.get(name, 'null')}")
            if name == "Origin":
                lines.append("Origin: null")
            reader, writer = await asyncio.open_connection("127.0.0.1", int(address.partition(":")[2]))
            writer.write("\r\n".join([f"POST {PATH} HTTP/1.1", *lines, "", ""]).encode())
            status = await reader.readline()
            writer.close()
            return status

    assert asyncio.run(scenario()).split()[1] == b"400"


def test_a_service_account_s_token_is_not_the_owner_s(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = new_store()
        account = {"apiVersion": "v1", "kind": "ServiceAccount"}
        store.create(account | {"metadata": {"name": "ci", "namespace": "default"}})
        async with (
            ApiServer(store, tmp_path, token=TOKEN) as api,
            httpx.AsyncClient(base_url=api.url, trust_env=False) as client,
        ):
            path = "/api/v1/namespaces/default/serviceaccounts/ci/token"
            given = (await client.post(path, json={}, headers=OWNER)).json()["status"]["token"]
            ci = {"Authorization": f"Bearer {given}"}
            assert (await client.get("/version", headers=ci)).status_code == 200
            assert (await client.get(PATH, headers=ci)).status_code == 403
            assert (await client.post("/zdtest/compact", headers=ci)).status_code == 403
            assert (await client.post("/zdtest/compact", headers=OWNER)).status_code == 200

    asyncio.run(scenario())


def _plan(write: Write) -> LabPlan:
    file = write(deployment(replicas=1, container={"env": env(STARTUP_DELAY=0)}), service())
    return LabPlan(manifests=(file,), lag_ns=0)


def token_and_server(lab: LabEndpoint) -> tuple[str, str]:
    config = yaml.safe_load(Path(lab.kubeconfig).read_text())
    return str(config["users"][0]["user"]["token"]), str(config["clusters"][0]["cluster"]["server"])


def shown(pid: int, what: str) -> str:
    """What anybody (cmdline) or its owner (environ) can see of a process."""
    return Path(f"/proc/{pid}/{what}").read_bytes().decode(errors="replace")


def test_the_token_is_the_kubeconfig_s_alone_and_goes_with_the_lab(
    tmp_path: Path, write: Write, kubectl: Kubectl
) -> None:
    home = tmp_path / "recording" / "lab"

    async def scenario() -> tuple[str, Path, list[str]]:
        async with running(_plan(write), home) as lab:
            kubeconfig = Path(lab.kubeconfig)
            token, server = token_and_server(lab)
            for path in (kubeconfig, *kubeconfig.parent.glob("*key*")):
                assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert stat.S_IMODE(kubeconfig.parent.stat().st_mode) == 0o700
            assert kubeconfig.parent.stat().st_uid == os.getuid()
            code, listed = await kubectl(lab.kubeconfig, "get", "deploy", "-o", "name")
            assert (code, listed) == (0, "deployment.apps/web\n")
            with kubernetes.config.new_client_from_config(lab.kubeconfig) as client:
                apps: Any = kubernetes.client.AppsV1Api(client)
                assert len(apps.list_namespaced_deployment("default").items) == 1
            async with httpx.AsyncClient(verify=False, trust_env=False) as client:
                assert (await client.get(f"{server}/api/v1/namespaces/default/pods")).status_code == 401
            lines = [
                shown(pid, what)
                for pid in (lab.pid, *descendants(lab.pid))
                for what in ("cmdline", "environ")
            ]
            return token, kubeconfig.parent, lines

    token, private, lines = asyncio.run(scenario())
    assert len(token) >= 32
    assert not private.exists()
    assert not [line for line in lines if token in line]
    written = [path for path in (tmp_path / "recording").rglob("*") if path.is_file()]
    assert home / "lab.json" in written
    for path in written:
        content = path.read_bytes()
        assert token.encode() not in content, path
        assert b"PRIVATE KEY" not in content, path


def test_each_lab_has_a_token_of_its_own(tmp_path: Path, write: Write) -> None:
    async def scenario() -> set[str]:
        tokens = set()
        for name in "ab":
            async with running(_plan(write), tmp_path / name) as lab:
                tokens.add(token_and_server(lab)[0])
        return tokens

    assert len(asyncio.run(scenario())) == 2


def test_a_lab_listens_for_requests_only(tmp_path: Path, write: Write) -> None:
    """Its parts take commands through pipes, not from sockets."""

    async def scenario() -> None:
        async with running(_plan(write), tmp_path / "lab") as lab:
            listening = {pid: sorted(_listening(pid)) for pid in (lab.pid, *descendants(lab.pid))}
            sockets = listening.pop(lab.pid)
            # The API server, and what marks its block of addresses as taken, where nobody answers.
            assert len(sockets) == 2, sockets
            assert ":10250" in sockets
            assert [len(each) for each in listening.values()] == [1, 1], listening  # balancer, pod

    asyncio.run(scenario())


def _listening(pid: int) -> set[str]:
    """The sockets of a process on which somebody can connect: TCP ones by their port, others by their path."""
    held = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    found = set()
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and f"socket:[{words[9]}]" in held:
                found.add(f":{int(words[1].rpartition(':')[2], 16)}")
    for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]:
        words = line.split()
        if int(words[3], 16) & 0x10000 and f"socket:[{words[6]}]" in held:
            found.add(words[-1])
    return found
