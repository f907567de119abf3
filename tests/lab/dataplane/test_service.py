"""The profile `service`: connections go to pods as they are, nothing speaks HTTP in between."""

from __future__ import annotations

import json
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.dataplane.conftest import BalancerProcess, MakeApp, MakeBalancer


@pytest.fixture
def service(own_balancer: MakeBalancer, tmp_path: Path) -> BalancerProcess:
    return own_balancer(profile="service", losses_file=str(tmp_path / "losses.jsonl"))


def lost(service: BalancerProcess, folder: Path) -> list[tuple[str, str, int]]:
    assert service.let_go() == 0
    found = [json.loads(line) for line in (folder / "losses.jsonl").read_text().splitlines()]
    return [(line["loss"], line["stage"], line["uses"]) for line in found if line["what"] == "lost"]


def test_a_service_without_endpoints_refuses_and_one_with_some_answers_on_the_same_port(
    service: BalancerProcess, app: MakeApp
) -> None:
    with pytest.raises(ConnectionRefusedError):
        service.socket()
    service.set(app().endpoint())
    answer = service.get()
    assert (answer.status, answer.headers["X-Pod"], answer.headers["Server"]) == (200, "web-1", None)
    service.set()
    with pytest.raises(ConnectionRefusedError):
        service.socket()
    service.set(app().endpoint())
    assert service.get().status == 200


def test_a_connection_stays_with_its_pod_even_after_it_left_the_endpoints(
    service: BalancerProcess, app: MakeApp
) -> None:
    service.set(app().endpoint())
    with closing(service.client()) as client:
        for _ in range(2):
            client.request("GET", "/?bytes=300000")
            assert len(client.answer().body) == 300_000
            service.set()


def test_a_pod_that_refuses_resets_the_client(service: BalancerProcess, app: MakeApp, tmp_path: Path) -> None:
    gone = app(wait=False)
    gone.let_go()
    service.set(gone.endpoint())
    with (
        pytest.raises(ConnectionResetError),
        service.socket() as sock,
    ):  # as soon as at the connect, or a little later
        sock.recv(100)
    assert lost(service, tmp_path) == [("refused", "connecting", 0)]


def test_a_pod_that_dies_takes_its_connections_with_it(
    service: BalancerProcess, app: MakeApp, tmp_path: Path
) -> None:
    running = app()
    service.set(running.endpoint())
    with closing(service.client()) as client:
        client.request("GET", "/")
        assert client.answer().status == 200
        client.request("GET", "/?ms=60000")
        time.sleep(0.2)
        running.process.kill()
        with pytest.raises((ConnectionError, EOFError)):
            client.answer()
    (line,) = lost(service, tmp_path)
    assert line[1:] == ("waiting", 2)


def test_a_client_that_closes_between_requests_is_not_a_loss(
    service: BalancerProcess, app: MakeApp, tmp_path: Path
) -> None:
    service.set(app().endpoint())
    assert service.get().status == 200
    time.sleep(0.1)
    assert lost(service, tmp_path) == []
