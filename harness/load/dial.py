"""Open a connection: resolve the name again, take the next address, connect, do the TLS handshake, within a timeout.

A network failure is returned as a value. Only our own bugs raise.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from harness.errors import UsageError
from harness.load import failures
from harness.load.eventloop import ready
from harness.load.failures import ERROR, US, Ending
from harness.model import NEVER, LoadPlan, Outcome

if TYPE_CHECKING:
    from harness.load.request import Origin

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_NODELAY = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
# As getaddrinfo returns it: family, kind, protocol, canonical name, address.
Address = tuple[int, int, int, str, Any]


@dataclass(slots=True)
class Dialled:
    """One attempt to connect: an open socket, or how it failed. `peer` is "" if the name did not resolve."""

    peer: str = ""
    address: Address | None = None
    opened_ns: int = NEVER  # on the raw monotonic clock: when connecting began
    connect_ns: int = NEVER  # how long it took
    tls_ns: int = NEVER
    tls_version: str = ""
    sock: socket.socket | None = None
    outcome: Outcome | None = None  # None if it worked
    ending: Ending | None = None
    text: str = (
        ""  # the error as text. Keeping the exception would keep its frames, and so this object, alive.
    )
    why: str = ""  # the same, worded to go into a sentence


@dataclass(slots=True)
class _Route:
    """What is known about an origin: which address is next, and which family works."""

    turn: int = 0
    family: int = 0  # of the first address that accepted a connection


@dataclass(slots=True)
class Dialler:
    """Opens connections for one worker."""

    plan: LoadPlan
    _routes: dict[Origin, _Route] = field(default_factory=dict)
    # One step of one handshake per turn of the event loop. A step takes a millisecond of CPU; two hundred in a row,
    # as after a server has closed all connections, would delay every other hit.
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _tls: ssl.SSLContext | None = None

    async def open(self, origin: Origin) -> Dialled:
        """Connect to the origin's next address.

        One attempt, at one address, because the judge must see each refusal. Other addresses are tried only until the
        first connection has worked: a name may resolve to ::1 and 127.0.0.1 when the server listens on one of them.
        """
        timeout_s = self.plan.timeout_ns / 1e9
        try:
            async with asyncio.timeout(timeout_s):
                addresses = await self._look_up(origin)
        except (OSError, UnicodeError) as error:
            return Dialled(
                outcome=failures.dns(error), text=failures.sample(error), why=failures.reason(error)
            )
        route = self._routes.setdefault(origin, _Route())
        if route.family:
            addresses = [address for address in addresses if address[0] == route.family] or addresses
        dialled = Dialled()
        for _ in addresses:
            address = addresses[route.turn % len(addresses)]
            route.turn += 1
            dialled = await self.open_at(origin, address)
            if dialled.connect_ns != NEVER:  # TLS may have failed, but the address works
                route.family = route.family or address[0]
                break
            if route.family or dialled.outcome in {Outcome.NO_DESCRIPTOR, Outcome.NO_LOCAL_PORT}:
                break
        return dialled

    async def open_at(self, origin: Origin, address: Address, timeout_ns: int | None = None) -> Dialled:
        """Connect to this address."""
        timeout_s = (timeout_ns or self.plan.timeout_ns) / 1e9
        family, kind, protocol, _, where = address
        dialled = Dialled(peer=_peer(where), address=address, opened_ns=monotonic_ns())
        sock: socket.socket | None = None
        try:
            sock = socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol)
            sock.setsockopt(*_NODELAY)
            async with asyncio.timeout(timeout_s):
                await asyncio.get_running_loop().sock_connect(sock, where)
        except OSError as error:
            _close(sock)
            dialled.outcome, dialled.ending = failures.connect(error)
            dialled.text, dialled.why = failures.sample(error), failures.reason(error)
            return dialled
        except BaseException:
            _close(sock)
            raise
        dialled.connect_ns = monotonic_ns() - dialled.opened_ns
        dialled.sock = sock
        if origin.tls:
            await self._shake_hands(dialled, origin, sock, timeout_s)
        return dialled

    async def _shake_hands(
        self, dialled: Dialled, origin: Origin, plain: socket.socket, timeout_s: float
    ) -> None:
        began_ns = monotonic_ns()
        sock: socket.socket = plain
        try:
            wrapped = self._context().wrap_socket(
                plain,
                server_hostname=self.plan.servername or origin.host,
                do_handshake_on_connect=False,
                suppress_ragged_eofs=False,
            )
            sock = dialled.sock = wrapped
            async with asyncio.timeout(timeout_s):
                while True:
                    try:
                        async with self._turn:
                            await asyncio.sleep(0)
                            wrapped.do_handshake()
                        break
                    except ssl.SSLWantReadError:
                        await ready(wrapped, write=False)
                    except ssl.SSLWantWriteError:
                        await ready(wrapped, write=True)
        except (
            OSError,
            ValueError,
        ) as error:  # ValueError: a socket that was reset before it could be wrapped
            cause = error if isinstance(error, ValueError) else failures.unmask(error, sock) or error
            _close(sock)
            dialled.sock = None
            dialled.outcome, dialled.ending = failures.handshake(cause)
            dialled.text, dialled.why = failures.sample(cause), failures.reason(cause)
        except BaseException:
            _close(sock)
            raise
        else:
            dialled.tls_ns = monotonic_ns() - began_ns
            dialled.tls_version = wrapped.version() or ""
            if self.plan.http2 and wrapped.selected_alpn_protocol() != "h2":
                _close(sock)
                dialled.sock = None
                dialled.outcome, dialled.ending = Outcome.TLS_HANDSHAKE, Ending(US, ERROR)
                dialled.text = dialled.why = "the server did not choose h2 (ALPN)"

    async def _look_up(self, origin: Origin) -> list[Address]:
        """Return all addresses, always in the same order: resolvers rotate them, and we rotate ourselves."""
        given = [
            address
            for host, port, address in self.plan.resolve
            if host in {"*", origin.host} and port == origin.port
        ]
        if given:
            return [_literal(address, origin.port) for address in given]
        if origin.literal and "%" not in origin.host:  # only the resolver understands a scope id
            return [_literal(origin.host, origin.port)]
        found = await asyncio.get_running_loop().getaddrinfo(
            origin.host, origin.port, type=socket.SOCK_STREAM
        )
        return sorted(set(found), key=lambda address: (address[0], address[4]))

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = tls_context(self.plan)
        return self._tls


def tls_context(plan: LoadPlan) -> ssl.SSLContext:
    """Build the TLS settings of the plan. Raises UsageError for a file that cannot be read or used."""
    try:
        context = ssl.create_default_context(cafile=plan.ca_file)
    except OSError as error:
        raise UsageError(f"the CA file {plan.ca_file} cannot be used: {error.strerror or error}") from error
    if plan.cert_file:
        try:  # refuse an encrypted key: nobody could answer a password prompt in a worker
            context.load_cert_chain(plan.cert_file, plan.key_file, password=lambda: b"")
        except OSError as error:
            raise UsageError(
                f"the client certificate {plan.cert_file} cannot be used with its key: {error.strerror or error}"
            ) from error
    if plan.tls_min:
        context.minimum_version = _VERSIONS[plan.tls_min]
    if plan.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2" if plan.http2 else "http/1.1"])
    return context


def _literal(host: str, port: int) -> Address:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    where = (host, port, 0, 0) if family == socket.AF_INET6 else (host, port)
    return family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", where


def _close(sock: socket.socket | None) -> None:
    if sock is not None:
        sock.close()


def _peer(where: Any) -> str:
    host, port = where[0], where[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
