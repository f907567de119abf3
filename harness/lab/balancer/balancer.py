"""The balancer itself: its configuration, its listener, and what all its connections share."""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.clock import NS
from harness.lab.balancer.client.connection import ClientConnection
from harness.lab.balancer.context import Context
from harness.lab.balancer.families import PROFILES
from harness.lab.balancer.group import Group, Rules
from harness.lab.balancer.heads import Heads
from harness.lab.balancer.logs.writing import AccessLog
from harness.lab.balancer.losses import Losses
from harness.lab.balancer.splice import Splice

if TYPE_CHECKING:
    import asyncio

BACKLOG = 8192
ACCEPTS = 64  # accepted in a row before other events are served


@dataclass(frozen=True, slots=True)
class Config:
    """The configuration: the first line on standard input."""

    profile: str = "alb"
    tls: bool = False
    cert_file: str = ""
    key_file: str = ""
    listen: str = "127.0.0.1"
    port: int = 0
    connect_timeout_ns: int = 10 * NS
    idle_timeout_ns: int = 60 * NS
    lag_ns: int = 0
    lag_tail_ns: int = 0
    seed: int = 0
    registration_ns: int = 0
    deregistration_ns: int = 0
    check_every_ns: int = 0
    check_timeout_ns: int = 5 * NS
    check_path: str = "/"
    healthy: int = 5
    unhealthy: int = 2
    tries: int = 1
    retry_posts: bool = False
    losses_file: str = ""
    access_log: str = ""

    def rules(self) -> Rules:
        """Return the rules of the target group."""
        return Rules(
            connect_s=self.connect_timeout_ns / NS,
            idle_s=self.idle_timeout_ns / NS,
            lag_s=self.lag_ns / NS,
            lag_tail_s=self.lag_tail_ns / NS,
            seed=self.seed,
            registration_s=self.registration_ns / NS,
            deregistration_s=self.deregistration_ns / NS,
            check_every_s=self.check_every_ns / NS,
            check_timeout_s=self.check_timeout_ns / NS,
            check_path=self.check_path,
            healthy=self.healthy,
            unhealthy=self.unhealthy,
        )


class Balancer:
    """Accepts clients and passes their requests to the targets."""

    def __init__(self, config: Config, loop: asyncio.AbstractEventLoop) -> None:
        self.losses = Losses(config.losses_file, loop)
        self.group = Group(config.rules(), loop, self.losses, self._arranged)
        self._config = config
        self._loop = loop
        self._plain = config.profile == "service"
        profile = PROFILES["alb" if self._plain else config.profile]
        log_file = "" if self._plain else config.access_log
        self.log = AccessLog(log_file, profile.name, loop, tls=config.tls)
        idle_ns = config.idle_timeout_ns if profile.client_idle_ns is None else profile.client_idle_ns
        self._context = Context(
            loop=loop,
            profile=profile,
            heads=Heads(profile, loop),
            losses=self.losses,
            log=self.log,
            group=self.group,
            client_idle_s=idle_ns / NS,
            tries=config.tries,
            retry_posts=config.retry_posts,
        )
        self._tls: ssl.SSLContext | None = None
        self._listener: socket.socket | None = None
        self._port = config.port
        self._suffix = b"X-Forwarded-Proto: %b\r\n\r\n" % (b"https" if config.tls else b"http")

    # Clients

    def listen(self) -> int:
        """Start accepting clients; return the port. Raises OSError (ssl.SSLError is one) for a bad configuration."""
        config = self._config
        if config.tls:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(config.cert_file, config.key_file)
            self._tls.set_alpn_protocols(["http/1.1"])
        self._open()
        self._arranged()
        return self._port

    def _open(self) -> None:
        family = socket.AF_INET6 if ":" in self._config.listen else socket.AF_INET
        self._listener = listener = socket.create_server(
            (self._config.listen, self._port), family=family, backlog=BACKLOG
        )
        listener.setblocking(False)
        self._loop.add_reader(listener, self._accept, listener)
        self._port = int(listener.getsockname()[1])

    def _arranged(self) -> None:
        """Refuse connections to a Service without endpoints (kube-proxy's REJECT rule). HTTP profiles answer 503."""
        if not self._plain:
            return
        if self._listener and not self.group.turns:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        elif self.group.turns and not self._listener:
            self._open()

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(ACCEPTS):
            try:
                sock, peer = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in {
                    errno.EMFILE,
                    errno.ENFILE,
                }:  # the listener stays readable: wait, do not spin
                    self._loop.remove_reader(listener)
                    self._loop.call_later(0.1, self._accept_again, listener)
                return
            self._welcome(sock, (str(peer[0]), int(peer[1])))

    def _accept_again(self, listener: socket.socket) -> None:
        if listener is self._listener:
            self._loop.add_reader(listener, self._accept, listener)

    def _welcome(self, sock: socket.socket, peer: tuple[str, int]) -> None:
        sock.setblocking(False)
        if self._plain:
            with contextlib.suppress(OSError):  # the client has left already
                Splice(self._context, sock)
            return
        if self._tls:
            try:  # the handshake happens on the first read
                sock = self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            except OSError:  # the client has left already
                sock.close()
                return
        with contextlib.suppress(OSError):  # as above
            suffix = b"X-Forwarded-For: %b\r\n%b" % (peer[0].encode(), self._suffix)
            ClientConnection(self._context, sock, suffix, peer)
