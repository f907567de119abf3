"""The data plane's parts as real processes, and targets that follow a script on a real socket."""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import trustme

if TYPE_CHECKING:
    from pathlib import Path
from typing import Any

Line = dict[str, Any]  # of JSON
Script = Callable[[socket.socket], None]
CA = trustme.CA()


class Child:
    """A process that ends with its standard input."""

    def __init__(self, module: str, env: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", module],
            env=os.environ | env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def say(self, line: Line) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(line).encode() + b"\n")
        self.process.stdin.flush()

    def hear(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().decode()

    def let_go(self) -> int:
        assert self.process.stdin
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        code = self.process.wait(10)
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe
            pipe.close()
        return code


class AppProcess(Child):
    """The sample app as a pod: its port, and its name in X-Pod."""

    def __init__(self, env: dict[str, str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = int(probe.getsockname()[1])
        plain = {
            "STARTUP_DELAY": "0",
            "WORK_MS": "1",
            "BIND_ADDRESS": "127.0.0.1",
            "HOSTNAME": "web-1",
            "LAB_LIFELINE": "1",
        }
        super().__init__("harness.lab.app", plain | {"BIND_PORT": str(self.port)} | env)

    def endpoint(self) -> Line:
        return {"address": "127.0.0.1", "port": self.port, "pod": "web-1"}


class Client(http.client.HTTPConnection):
    """Python's own client: it raises if a body is incomplete."""

    def answer(self) -> Answer:
        with self.getresponse() as response:
            return Answer(response.status, response.reason, response.headers, response.read())


@dataclass(frozen=True)
class Answer:
    status: int
    reason: str
    headers: http.client.HTTPMessage
    body: bytes


class BalancerProcess(Child):
    """The balancer, and connections to it."""

    def __init__(self, config: Line, folder: Path) -> None:
        super().__init__("harness.lab.balancer", {})
        cert = {"cert_file": "", "key_file": ""}
        if config["tls"]:
            issued = CA.issue_cert("127.0.0.1")
            cert = {"cert_file": str(folder / "cert.pem"), "key_file": str(folder / "key.pem")}
            issued.cert_chain_pems[0].write_to_path(cert["cert_file"])
            issued.private_key_pem.write_to_path(cert["key_file"])
        self.tls = config["tls"]
        self.say({"listen": "127.0.0.1", "port": 0, "lag_ns": 0} | config | cert)
        self.port = json.loads(self.hear())["port"]

    def set(self, *endpoints: Line, wait: float = 0.02) -> None:
        self.say({"endpoints": list(endpoints)})
        time.sleep(wait)

    def socket(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port), 30)
        if not self.tls:
            return sock
        context = ssl.create_default_context()
        CA.configure_trust(context)
        return context.wrap_socket(sock, server_hostname="127.0.0.1")

    def client(self) -> Client:
        client = Client("127.0.0.1", self.port, timeout=30)
        client.sock = self.socket()
        client.auto_open = 0  # never send again behind our back
        return client

    def get(self, path: str = "/", method: str = "GET") -> Answer:
        """One request on a connection of its own."""
        with closing(self.client()) as client:
            client.request(method, path)
            return client.answer()


class ScriptedTarget:
    """Does on each connection what a script says, in a thread."""

    def __init__(self, script: Script) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._script = script
        self.accepted = 0
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def endpoint(self) -> Line:
        return {"address": "127.0.0.1", "port": self.port, "pod": "scripted"}

    def stop_listening(self) -> None:
        """Refuse connections from now on. The port stays taken, or somebody else's server may answer on it."""
        address = self._listener.getsockname()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        taken = socket.socket()
        self._open.append(taken)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(address)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._open:
            sock.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                sock.settimeout(30)
                self.accepted += 1
                self._open.append(sock)
                threading.Thread(target=self._run, args=(sock,), daemon=True).start()

    def _run(self, sock: socket.socket) -> None:
        with suppress(OSError), sock:
            self._script(sock)


MakeApp = Callable[..., AppProcess]
MakeBalancer = Callable[..., BalancerProcess]
MakeTarget = Callable[[Script], ScriptedTarget]


@pytest.fixture(scope="session")
def _balancers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Line], BalancerProcess]]:
    running: dict[str, BalancerProcess] = {}

    def get(config: Line) -> BalancerProcess:
        key = json.dumps(config, sort_keys=True)
        if key not in running:
            running[key] = BalancerProcess(config, tmp_path_factory.mktemp("balancer"))
        return running[key]

    yield get
    codes = [balancer.let_go() for balancer in running.values()]
    assert codes == [0] * len(codes), "a balancer crashed"


@pytest.fixture
def balancer(_balancers: Callable[[Line], BalancerProcess]) -> MakeBalancer:
    """A balancer without targets. Those of one configuration share a process."""

    def get(
        *,
        profile: str = "alb",
        tls: bool = False,
        connect: float = 10.0,
        idle: float = 60.0,
        lag: float = 0.0,
    ) -> BalancerProcess:
        found = _balancers(
            {
                "profile": profile,
                "tls": tls,
                "connect_timeout_ns": int(connect * 1e9),
                "idle_timeout_ns": int(idle * 1e9),
                "lag_ns": int(lag * 1e9),
            }
        )
        found.set(wait=lag + 0.05 if lag else 0)  # a test that wants none says so again
        return found

    return get


@pytest.fixture
def own_balancer(tmp_path: Path) -> Iterator[MakeBalancer]:
    """A balancer that a test may end."""
    made: list[BalancerProcess] = []

    def make(**config: Any) -> BalancerProcess:
        made.append(
            BalancerProcess(
                {"profile": "alb", "tls": False, "connect_timeout_ns": 10**10, "idle_timeout_ns": 6 * 10**10}
                | config,
                tmp_path,
            )
        )
        return made[-1]

    yield make
    for balancer in made:
        balancer.let_go()


@pytest.fixture(scope="session")
def _apps() -> Iterator[dict[str, AppProcess]]:
    running: dict[str, AppProcess] = {}
    yield running
    for process in running.values():
        process.let_go()


@pytest.fixture
def app(_apps: dict[str, AppProcess]) -> Iterator[MakeApp]:
    """The sample app, listening. Those of one environment share a process, until a test ends it."""
    alone: list[AppProcess] = []

    def make(*, wait: bool = True, **env: str) -> AppProcess:
        if not wait:
            alone.append(AppProcess(env))
            return alone[-1]
        key = json.dumps(env, sort_keys=True)
        if key in _apps and _apps[key].process.poll() is not None:
            _apps.pop(key).let_go()
        if key not in _apps:
            _apps[key] = AppProcess(env)
            assert "listening" in _apps[key].hear()
        return _apps[key]

    yield make
    for process in alone:
        process.let_go()


@pytest.fixture
def target() -> Iterator[MakeTarget]:
    """A target that follows a script."""
    made: list[ScriptedTarget] = []

    def make(script: Script) -> ScriptedTarget:
        made.append(ScriptedTarget(script))
        return made[-1]

    yield make
    for scripted in made:
        scripted.close()


@pytest.fixture
def silent() -> Iterator[Line]:
    """An address that answers nothing, not even to a SYN: its backlog is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        fillers = []
        for _ in range(8):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            fillers.append(filler)
        yield {"address": "127.0.0.1", "port": listener.getsockname()[1], "pod": "silent"}
        for filler in fillers:
            filler.close()
