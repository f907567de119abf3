"""The collector's end of one pod: it keeps a connection to it, tells it what to do, and takes what it sends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
from anyio.streams.tls import TLSStream

from harness.fleet import frames, keys
from harness.fleet.frames import FrameError, Frames, LogName, Piece, gone
from harness.fleet.papers import Report, reported

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable

    from anyio.abc import ByteStream, TaskGroup

    from harness.clock import Clock
    from harness.fleet.arriving import Arriving
    from harness.fleet.members import Host, Member

LOST_S = 20.0  # a pod that cannot be reached for so long is lost
SILENT_S = 6.0  # a connection that brings nothing for so long is dead: pods report every second
_HANDSHAKE_S = 5.0
_AGAIN_S = 0.2
_RECEIVED = 1 << 18


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
        self.heard_ns = clock.now_ns()
        self.news_ns = clock.now_ns()  # when rows, or the rest of a log, came last
        self.changed = changed  # called when there is a new report
        self._arriving = arriving
        self._clock = clock
        self._commands: list[dict[str, Any]] = []
        self._stream: ByteStream | None = None
        self._turn = anyio.Lock()
        self._news = anyio.Event()

    def command(self, command: dict[str, Any]) -> None:
        """Let the pod carry this out, once, after all commands before it."""
        self._commands.append({"n": len(self._commands) + 1, **command})
        self._news.set()

    async def keep(self, host: Host, tls: ssl.SSLContext) -> None:
        """Keep the connection until the pod has delivered everything, or is lost."""
        try:
            while not self.over.is_set():
                try:
                    await self._connected(await host.dial(self.member), tls)
                except BaseException as error:
                    if not gone(error):
                        raise
                if not self.over.is_set():
                    await self._look_after(host)
        finally:
            self._arriving.close()
            self.ready.set()
            self.over.set()

    async def _look_after(self, host: Host) -> None:
        """Find out what became of a pod that is not connected."""
        why = await host.fate(self.member)
        silent_s = (self._clock.now_ns() - self.heard_ns) / 1e9
        if not why and silent_s > LOST_S and self.report:
            why = f"it could not be reached for {LOST_S:g} s"
        if why:
            self.lose(why)
        else:
            await anyio.sleep(_AGAIN_S)

    def lose(self, why: str) -> None:
        """Give the pod up."""
        self.lost = self.lost or why
        self.over.set()

    async def _connected(self, raw: ByteStream, tls: ssl.SSLContext) -> None:
        try:
            with anyio.fail_after(_HANDSHAKE_S):
                stream = await TLSStream.wrap(
                    raw, hostname=keys.POD, ssl_context=tls, server_side=False, standard_compatible=False
                )
            async with anyio.create_task_group() as beside:
                self._stream = stream
                await self._listen(stream, beside)
                beside.cancel_scope.cancel()
        finally:
            self._stream = None
            await anyio.aclose_forcefully(raw)

    async def _listen(self, stream: ByteStream, beside: TaskGroup) -> None:
        received = Frames()
        while True:
            with anyio.fail_after(SILENT_S):
                content = await stream.receive(_RECEIVED)
            self.heard_ns = self._clock.now_ns()
            new: set[LogName] = set()
            for message in received.feed(content):
                if isinstance(message, Piece):
                    self._arriving.take(message)
                    new.add(message.log)
                elif "done" in message:
                    await self._say({"have": self._has(self._arriving.have)})
                    beside.start_soon(self._keep_commanding, int(message["done"]))
                else:
                    await self._hear(message)
            if new:
                self.news_ns = self.heard_ns
                await self._say({"have": self._has(new)})
            if self._complete():
                await self._say({"leave": True})
                self.over.set()
                return

    async def _keep_commanding(self, done: int) -> None:
        """Send the commands that the pod has not carried out yet, and each new one."""
        while True:
            self._news = anyio.Event()
            new, done = self._commands[done:], len(self._commands)
            for command in new:
                await self._say(command)
            await self._news.wait()

    async def _hear(self, message: dict[str, Any]) -> None:
        if "ping" in message:
            answered_ns = self._clock.now_ns()
            await self._say(
                {"pong": message["ping"], "received_ns": self.heard_ns, "answered_ns": answered_ns}
            )
        if "report" in message:
            try:
                self.report = reported(message["report"])
            except (KeyError, TypeError, ValueError):
                raise FrameError("a report cannot be read: is the pod's zdtest another version?") from None
            self.changed()
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

    async def _say(self, message: dict[str, Any]) -> None:
        async with self._turn:
            if self._stream is None:
                raise anyio.ClosedResourceError
            await self._stream.send(frames.talk(message))
