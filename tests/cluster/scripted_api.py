"""A scripted API server on a real socket: each list and each watch is answered by the next step of a script."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Answer = "Callable[[_Request], None]"


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        watch = query.get("watch", ["false"])[0].lower() == "true"
        self.server.asked.append(("watch" if watch else "list", query.get("resourceVersion", [""])[0]))
        self.server.tokens.append(self.headers.get("Authorization", ""))
        script = self.server.watches if watch else self.server.lists
        step = script.popleft() if len(script) > 1 else script[0]
        step(self)

    def log_message(self, *_: Any) -> None:
        """Stay silent."""

    def json(self, value: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        for name, text in (headers or {}).items():
            self.send_header(name.replace("_", "-"), text)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def begin(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def line(self, value: dict[str, Any] | bytes) -> None:
        data = value if isinstance(value, bytes) else json.dumps(value).encode() + b"\n"
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()

    def end(self) -> None:
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    lists: deque[Callable[[_Request], None]]
    watches: deque[Callable[[_Request], None]]
    asked: list[tuple[str, str]]
    tokens: list[str]


class ScriptedApi:
    """The last step of each script repeats for ever."""

    def __init__(
        self, lists: list[Callable[[_Request], None]], watches: list[Callable[[_Request], None]]
    ) -> None:
        self._server = _Server(("127.0.0.1", 0), _Request)
        self._server.lists, self._server.watches, self._server.asked = deque(lists), deque(watches), []
        self.asked = self._server.asked
        self.tokens = self._server.tokens = []
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def kubeconfig(self, folder: Path, user: dict[str, Any] | None = None) -> str:
        """Write a kubeconfig that points here, with the credentials of `user`."""
        path = folder / "kubeconfig"
        cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{self._server.server_address[1]}"}}
        context = {"name": "scripted", "context": {"cluster": "c", "user": "u"}}
        path.write_text(
            json.dumps(
                {"apiVersion": "v1", "kind": "Config", "clusters": [cluster],
                 "users": [{"name": "u", "user": user or {}}], "contexts": [context], "current-context": "scripted"}
            )
        )  # fmt: skip
        return str(path)


def pod(name: str, version: int) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"uid-{name}",
            "resourceVersion": str(version),
        }
    }


def pods(version: int, *items: dict[str, Any]) -> Callable[[_Request], None]:
    return lambda r: r.json(
        {"kind": "PodList", "metadata": {"resourceVersion": str(version)}, "items": list(items)}
    )


def status(code: int, reason: str, **headers: str) -> Callable[[_Request], None]:
    return lambda r: r.json(
        {"kind": "Status", "code": code, "reason": reason, "message": reason}, code, headers
    )


def silence(r: _Request) -> None:
    """A watch that is open and says nothing, not even its end: a connection whose other side is gone."""
    r.begin()
    time.sleep(60)


def window(*changes: dict[str, Any] | bytes, lasting_s: float = 0.05) -> Callable[[_Request], None]:
    """A watch that says these and ends cleanly."""

    def step(r: _Request) -> None:
        r.begin()
        for change in changes:
            r.line(change)
        time.sleep(lasting_s)
        r.end()

    return step


def cut(*changes: dict[str, Any]) -> Callable[[_Request], None]:
    """A watch that says these and breaks off in the middle of a chunk."""

    def step(r: _Request) -> None:
        r.begin()
        for change in changes:
            r.line(change)
        r.wfile.write(b"ff\r\n{")
        r.wfile.flush()
        r.close_connection = True

    return step


def change(kind: str, obj: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "object": obj}
