"""The collector's end of one pod: it keeps a connection to it, tells it what to do, and takes what it sends.

What a pod sends is dealt with as it arrives, by plain functions in the event loop's callback: there may be a thousand
pods, and a task for each message would be most of what they cost.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anyio

from harness.fleet import frames, keys
from harness.fleet.frames import FrameError, Frames, LogName, Piece
from harness.fleet.papers import Report, reported

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable

    from harness.clock import Clock
    from harness.fleet.arriving import Arriving
    from harness.fleet.members import Host, Member

LOST_S = 20.0  # a pod that cannot be reached for so long is lost
SILENT_S = 6.0  # a connection that brings nothing for so long is dead: pods speak every two seconds
_HANDSHAKE_S = 5.0
_AGAIN_S = 0.2


class Link:
    """One pod, as the collector sees it. `lost` says why it is no longer there; "" while it is."""

    def __init__(
        self, member: Member, workers: tuple[int, ...], arriving: Arriving, clock: Clock,
        changed: Callable[[], None],
    ) -> None:  # fmt: skip
        self.member = member
        self.workers = workers
        self.report: Report | None = None
        self.ready = anyio.Event()  # all of its workers wait for the start, or it will never be ready
        self.over = anyio.Event()  # everything has been received, or nothing more will come
        self.lost = ""
        self.broken: Exception | None = None  # what ends the run
        self.complaint = ""  # why its last connection was given up, if it said what no pod says
        self.trouble = ""  # why it could not be connected to the last time
        self.heard_ns = clock.now_ns()
        self.news_ns = clock.now_ns()  # when rows, or the rest of a log, came last
        self._changed = changed  # called when there is a new report
        self._arriving = arriving
        self._clock = clock
        self._commands: list[dict[str, Any]] = []
        self._connection: _Connection | None = None

    def command(self, command: dict[str, Any]) -> None:
        """Let the pod carry this out, once, after all commands before it."""
        numbered = {"n": len(self._commands) + 1, **command}
        self._commands.append(numbered)
        if self._connection and self._connection.greeted:
            self._connection.say(numbered)

    async def keep(self, host: Host, tls: ssl.SSLContext, gate: anyio.Semaphore) -> None:
        """Keep the connection until the pod has delivered everything, or is lost. Raises OSError if the disk is full.

        `gate` is for all links: a thousand handshakes at once would take longer than each may.
        """
        try:
            while not self.over.is_set():
                try:
                    await self._connect(host, tls, gate)
                except OSError as error:  # of which a failed handshake and a timeout are two kinds
                    self.trouble = str(error)
                if self.broken:
                    raise self.broken
                if not self.over.is_set():
                    await self._look_after(host)
        finally:
            self._arriving.close()
            self.ready.set()
            self.over.set()

    def lose(self, why: str) -> None:
        """Give the pod up."""
        self.lost = self.lost or why
        self.over.set()

    def unheard(self, seconds: float) -> str:
        """Say that nothing has come for so long, and why as far as that is known."""
        return f"nothing was heard of it in {seconds:g} s" + (f": {self.trouble}" if self.trouble else "")

    async def _connect(self, host: Host, tls: ssl.SSLContext, gate: anyio.Semaphore) -> None:
        """Have a connection, for as long as it brings anything."""
        async with gate:
            sock = await host.dial(self.member)
            try:
                with anyio.fail_after(_HANDSHAKE_S):
                    transport, connection = await asyncio.get_running_loop().create_connection(
                        lambda: _Connection(self), sock=sock, ssl=tls, server_hostname=keys.POD
                    )
            except BaseException:
                sock.close()
                raise
        try:
            self.heard_ns = self._clock.now_ns()
            while not connection.closed.is_set() and self._clock.now_ns() - self.heard_ns < SILENT_S * 1e9:
                with anyio.move_on_after(SILENT_S / 4):
                    await connection.closed.wait()
        finally:
            self._connection = None
            transport.abort()
            with anyio.CancelScope(shield=True):
                await connection.gone.wait()

    async def _look_after(self, host: Host) -> None:
        """Find out what became of a pod that is not connected."""
        why = await host.fate(self.member)
        silent_s = (self._clock.now_ns() - self.heard_ns) / 1e9
        if not why and silent_s > LOST_S and self.report:
            why = self.complaint or self.unheard(LOST_S)
        if why:
            self.lose(why)
        else:
            await anyio.sleep(_AGAIN_S)

    def hear(self, connection: _Connection, received: Iterable[dict[str, Any] | Piece]) -> None:
        """Deal with what has come, and answer. Raises FrameError."""
        self.heard_ns = self._clock.now_ns()
        answer: dict[str, Any] = {}
        new: set[LogName] = set()
        for message in received:
            if isinstance(message, Piece):
                self._arriving.take(message)
                new.add(message.log)
            elif "done" in message:
                self._greet(connection, message["done"])
            elif "ping" in message:
                answer |= {"pong": message["ping"], "received_ns": self.heard_ns}
            elif "report" in message:
                self._note(message["report"])
        if new:
            self.news_ns = self.heard_ns
            answer["have"] = self._has(new)
        if self._complete():
            answer["leave"] = True
            self.over.set()
        if answer:
            if "pong" in answer:
                answer["answered_ns"] = self._clock.now_ns()
            connection.say(answer)

    def _greet(self, connection: _Connection, done: int) -> None:
        """Say what has arrived so far, and what the pod has not carried out yet."""
        self._connection, connection.greeted = connection, True
        connection.say({"have": self._has(self._arriving.have)}, *self._commands[done:])

    def _note(self, report: dict[str, Any]) -> None:
        try:
            self.report = reported(report)
        except (AttributeError, KeyError, TypeError, ValueError):
            raise FrameError("a report cannot be read: is the pod's zdtest another version?") from None
        self._changed()
        if self.report.workers or self.report.refused:
            self.ready.set()

    def _complete(self) -> bool:
        report = self.report
        if report is None or not report.finished:
            return False
        return all(
            self._arriving.have.get(LogName.of(name), 0) >= size for name, size in report.sizes.items()
        )

    def _has(self, names: Iterable[LogName]) -> dict[str, int]:
        return {str(name): self._arriving.have[name] for name in names}


class _Connection(asyncio.Protocol):
    """One connection to a pod."""

    def __init__(self, link: Link) -> None:
        self.closed = anyio.Event()  # nothing more is wanted of it
        self.gone = anyio.Event()
        self.greeted = False
        self._link = link
        self._received = Frames()
        self._transport: asyncio.Transport | None = None

    def say(self, *messages: dict[str, Any]) -> None:
        """Send messages, if the connection is still there: what got lost is said again on the next one."""
        if self._transport and not self._transport.is_closing():
            self._transport.write(b"".join(map(frames.talk, messages)))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport  # type: ignore[assignment]  # a stream's always is one

    def data_received(self, data: bytes) -> None:
        """Deal with what has come. What no pod of ours says ends the connection."""
        try:
            self._link.hear(self, self._received.feed(data))
        except FrameError as error:
            self._link.complaint = str(error)
            self.closed.set()
        except Exception as error:  # noqa: BLE001  a full disk, or our bug: the event loop would only log it
            self._link.broken = error
            self.closed.set()

    def connection_lost(self, _: Exception | None) -> None:
        """Let the link connect anew."""
        self.closed.set()
        self.gone.set()
