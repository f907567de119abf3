"""A connection that fails in its TLS handshake is no answer of the API server's."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
import trustme

from harness.cluster.client import resources
from harness.cluster.client.answers import ApiUnreachableError
from harness.cluster.client.api import Api

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Serve each connection with `answer`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    answer(listener.accept()[0])

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def api(folder: Path, port: int) -> Api:
    path = folder / "kubeconfig"
    whole = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": f"https://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "real", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "real",
    }
    path.write_text(json.dumps(whole))
    return Api.connect(str(path), None)


def hello_and_no_more(sock: socket.socket) -> None:
    with sock:
        sock.recv(65536)


def test_a_handshake_that_is_cut_off_is_a_server_that_cannot_be_reached(tmp_path: Path) -> None:
    with server(hello_and_no_more) as port:
        client = api(tmp_path, port)
        with pytest.raises(ApiUnreachableError):
            client.list_all(resources.PODS, "default")


def test_behind_a_certificate_that_nobody_vouches_for_nothing_was_sent(tmp_path: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)

    def shake(sock: socket.socket) -> None:
        with suppress(OSError), context.wrap_socket(sock, server_side=True) as tls:
            tls.recv(1)

    with server(shake) as port:
        client = api(tmp_path, port)
        with pytest.raises(ApiUnreachableError, match="certificate") as raised:
            client.list_all(resources.PODS, "default")
    assert raised.value.unsent
