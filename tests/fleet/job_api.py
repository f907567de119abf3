"""An API server, as much of it as a fleet needs: a Job's pods are real processes, each at an own loopback address.

Port-forward is the real protocol: a WebSocket with the channels of v4.channel.k8s.io.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from base64 import b64decode, b64encode
from contextlib import suppress
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import yaml

from harness.fleet.frames import PORT

if TYPE_CHECKING:
    from types import TracebackType

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class JobApi:
    """`with JobApi(folder) as api:`, then `api.kubeconfig`. `asked`: every request, as "VERB path"."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        self.jobs: dict[str, dict[str, Any]] = {}
        self.secrets: dict[str, dict[str, Any]] = {}
        self.pods: dict[str, dict[str, Any]] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.refuse: set[str] = set()  # resources that may not be created
        self.waiting = ""  # why no pod starts
        self.unreachable = False  # the pods' addresses lead nowhere: only port-forward does
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._requests())
        self._server.daemon_threads = True
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "made", "users": [{"name": "u", "user": {}}],
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{self._server.server_port}"}}],
            "contexts": [{"name": "made", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}],
        }  # fmt: skip
        self.kubeconfig = str(folder / "kubeconfig")
        Path(self.kubeconfig).write_text(yaml.safe_dump(config))

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self.end_pods()
        self._server.shutdown()
        self._server.server_close()

    def create_secret(self, secret: dict[str, Any]) -> None:
        """Once the Secret is there, the Job's pods start."""
        name = secret["metadata"]["name"]
        self.secrets[name] = secret
        keys = self.folder / name
        keys.mkdir()
        for file, content in secret["data"].items():
            (keys / file).write_bytes(b64decode(content))
        for number in range(self.jobs[name]["spec"]["parallelism"]):
            address = f"127.{os.getpid() >> 8 & 0xFF}.{os.getpid() & 0xFF}.{number + 1}"
            status: dict[str, Any] = {"phase": "Running", "podIP": address}
            status["containerStatuses"] = [{"state": {"running": {}}}]
            if self.waiting:
                status = {
                    "phase": "Pending",
                    "containerStatuses": [{"state": {"waiting": {"reason": self.waiting}}}],
                }
            else:
                self._begin(f"{name}-{number}", keys, address)
            if self.unreachable:
                status["podIP"] = "127.255.255.254"
            labels = {"job-name": name}
            self.pods[f"{name}-{number}"] = {
                "metadata": {"name": f"{name}-{number}", "labels": labels},
                "spec": {"nodeName": f"node-{number}"},
                "status": status,
            }

    def _begin(self, name: str, keys: Path, address: str) -> None:
        self.pods[name] = {}
        self.processes[name] = subprocess.Popen(
            [sys.executable, "-P", "-m", "harness.fleet.pod", str(keys), f"{address}:{PORT}"],
            env={**os.environ, "PYTHONPATH": str(Path.cwd())},
            start_new_session=True,
        )

    def end_pods(self) -> None:
        self.pods.clear()
        for process in self.processes.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _requests(api: JobApi) -> type[BaseHTTPRequestHandler]:  # noqa: N805, C901  a request handler, flat
        class Request(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                """Stay silent."""

            def answer(self, value: dict[str, Any], status: int = 200) -> None:
                body = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def note(self) -> str:
                path = self.path.partition("?")[0]
                api.asked.append(f"{self.command} {path}")
                return path

            def do_GET(self) -> None:
                path = self.note()
                if path.endswith("/portforward"):
                    self.forward(path.split("/")[-2])
                elif path.startswith("/version"):
                    self.answer({"gitVersion": "v1.20.2"})
                else:
                    self.answer({"items": list(api.pods.values())})

            def do_POST(self) -> None:
                plural = self.note().rpartition("/")[2]
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if plural in api.refuse:
                    self.answer(
                        {"kind": "Status", "reason": "Forbidden", "message": f"{plural} is forbidden"}, 403
                    )
                    return
                if plural == "jobs":
                    body["metadata"]["uid"] = "uid-of-the-job"
                    api.jobs[body["metadata"]["name"]] = body
                else:
                    api.create_secret(body)
                self.answer(body, 201)

            def do_DELETE(self) -> None:
                name = self.note().rpartition("/")[2]
                options = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert options["propagationPolicy"] == "Background"
                del api.jobs[name]
                self.answer({})
                api.end_pods()

            def forward(self, pod: str) -> None:
                if "portforward" in api.refuse:
                    self.answer({"kind": "Status", "message": "error dialing backend: no such host"}, 500)
                    return
                key = self.headers["Sec-WebSocket-Key"].encode()
                assert "v4.channel.k8s.io" in self.headers["Sec-WebSocket-Protocol"]
                self.send_response(101)
                self.send_header("Upgrade", "websocket")
                self.send_header("Connection", "Upgrade")
                self.send_header("Sec-WebSocket-Protocol", "v4.channel.k8s.io")
                accept = b64encode(sha1(key + _GUID).digest()).decode()  # noqa: S324  as RFC 6455 has it
                self.send_header("Sec-WebSocket-Accept", accept)
                self.end_headers()
                number = int(pod.rpartition("-")[2]) + 1
                address = f"127.{os.getpid() >> 8 & 0xFF}.{os.getpid() & 0xFF}.{number}"
                for channel in (0, 1):
                    _send(self.connection, bytes([channel]) + struct.pack("<H", PORT))
                try:
                    with socket.create_connection((address, PORT)) as far:
                        _bridge(self.connection, self.rfile, far)
                except OSError:
                    _send(self.connection, b"\x01no listener")
                self.close_connection = True

        return Request


def _bridge(near: socket.socket, frames: Any, far: socket.socket) -> None:
    near.setblocking(True)
    while True:
        ready, _, _ = select.select([near, far], [], [])
        if far in ready:
            content = far.recv(1 << 15)
            if not content:
                return
            _send(near, b"\x00" + content)
        if near in ready:
            content = _received(frames)
            if not content:
                return
            far.sendall(content[1:])


def _send(near: socket.socket, content: bytes) -> None:
    near.sendall(struct.pack(">BBH", 0x82, 126, len(content)) + content)


def _received(frames: Any) -> bytes:
    head = frames.read(2)
    if len(head) < 2 or head[0] & 0x0F == 8:
        return b""
    length = head[1] & 0x7F
    if length >= 126:
        length = int.from_bytes(frames.read(2 if length == 126 else 8), "big")
    mask, content = frames.read(4), frames.read(length)
    return bytes(byte ^ mask[at % 4] for at, byte in enumerate(content))
