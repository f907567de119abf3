"""The logs of a pod's containers."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.api_client import pod_spec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.contract.api_client import Object, Server

# On a real cluster this says what the sample app says in the lab, where no command is run.
SAYS = ["sh", "-c", "echo listening on 0.0.0.0:8080; sleep 3600"]


def talking(name: str, *containers: str) -> Object:
    spec = pod_spec()
    spec["containers"] = [
        spec["containers"][0] | {"name": container, "command": SAYS} for container in containers or ("main",)
    ]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


@pytest.fixture
def pod(server: Server, name: str) -> Iterator[str]:
    """Return the path of the log of a pod that has printed something."""
    server("POST", server.path("pods"), talking(name)).good(201)
    path = server.path("pods", name, "log")
    until = time.monotonic() + 40
    while "listening" not in str((answer := server("GET", path)).body):
        if "no such host" in str(answer.body):
            server("DELETE", server.path("pods", name))
            pytest.skip("this server cannot reach its kubelet by the node's name")
        assert time.monotonic() < until, answer
        time.sleep(0.05)
    yield path
    server("DELETE", server.path("pods", name))


def test_the_last_lines_and_the_first_bytes_of_an_output_can_be_asked_for(server: Server, pod: str) -> None:
    assert server("GET", pod).good().endswith(":8080\n")
    assert server("GET", pod, tailLines=1).good().startswith("listening on ")
    assert server("GET", pod, tailLines=0).good() == ""
    assert server("GET", pod, limitBytes=9).good() == "listening"


def test_an_output_is_followed_to_the_end_of_its_pod(server: Server, pod: str, name: str) -> None:
    answers: list[Any] = []
    reader = threading.Thread(target=lambda: answers.append(server("GET", pod, follow=True)))
    reader.start()
    time.sleep(0.5)
    assert reader.is_alive()
    server("DELETE", server.path("pods", name)).good()
    reader.join(30)
    assert answers
    assert "listening" in answers[0].good()


def test_with_two_containers_an_existing_one_must_be_named(server: Server, name: str) -> None:
    server("POST", server.path("pods"), talking(name, "a", "b")).good(201)
    path = server.path("pods", name, "log")
    said = server("GET", path).refused(400, "BadRequest")
    assert said == f"a container name must be specified for pod {name}, choose one of: [a b]"
    said = server("GET", path, container="other").refused(400, "BadRequest")
    assert said == f"container other is not valid for pod {name}"
    server("DELETE", server.path("pods", name))
