"""A small HTTP/1.1 server on asyncio streams, with what API clients use: keep-alive, bodies, chunked streams."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

if TYPE_CHECKING:
    import ssl

MAX_HEAD = 64 * 1024
# Headers that may occur only once: parsers differ in which of two values they use.
_ONCE = ("host", "authorization", "origin", "content-type", "content-length", "transfer-encoding")
MAX_BODY = 8 * 1024 * 1024


class BadRequestError(Exception):
    """The request is not valid HTTP: the connection is closed after a 400."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request, read whole."""

    method: str
    path: str  # percent-decoded
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case
    body: bytes = field(repr=False, default=b"")


class Reply:
    """The response: one `send`, or one `begin` and any number of `chunk`."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, wall: Callable[[], float]
    ) -> None:
        self._reader, self._writer, self._wall = reader, writer, wall
        self.started = False
        self.streaming = False

    def _head(self, code: int, headers: dict[str, str]) -> bytes:
        self.started = True
        phrase = HTTPStatus(code).phrase
        lines = [
            f"HTTP/1.1 {code} {phrase}",
            f"Date: {formatdate(self._wall(), usegmt=True)}",
            "Cache-Control: no-cache, private",
        ]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    async def send(self, code: int, body: bytes, content_type: str = "application/json") -> None:
        """Answer with a whole body."""
        self._writer.write(
            self._head(code, {"Content-Type": content_type, "Content-Length": str(len(body))}) + body
        )
        await self._writer.drain()

    async def json(self, code: int, value: Any) -> None:
        """Answer with JSON."""
        await self.send(code, json.dumps(value, separators=(",", ":")).encode() + b"\n")

    async def begin(self, content_type: str = "application/json") -> None:
        """Begin a chunked response. The server ends it when the route returns."""
        self.streaming = True
        self._writer.write(self._head(200, {"Content-Type": content_type, "Transfer-Encoding": "chunked"}))
        await self._writer.drain()

    async def chunk(self, data: bytes) -> None:
        """Send one chunk."""
        self._writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        await self._writer.drain()

    def left(self) -> bool:
        """Tell whether the client has gone."""
        return self._writer.transport.is_closing() or self._reader.at_eof()


Route = Callable[[Request, Reply], Awaitable[None]]


class HttpServer:
    """Listens on loopback and passes each request to one route."""

    def __init__(self, route: Route, wall: Callable[[], float], tls: ssl.SSLContext | None = None) -> None:
        self._route, self._wall, self._tls = route, wall, tls
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._client, "127.0.0.1", 0, limit=MAX_HEAD, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        self.drop_clients()
        await asyncio.gather(*self._clients, return_exceptions=True)

    def drop_clients(self) -> None:
        """Cut every open connection, watches in mid-stream included."""
        for client in self._clients:
            client.cancel()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  start_server runs this as a task
        self._clients.add(task)
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            pass  # the client left, or never spoke HTTP
        except asyncio.CancelledError:
            writer.transport.abort()  # only drop_clients cancels, to cut the connection
        finally:
            self._clients.discard(task)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request; tell whether the connection may carry another."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            if not error.partial:
                return False
            raise
        reply = Reply(reader, writer, self._wall)
        try:
            request = await _read(head, reader, writer)
        except BadRequestError as error:
            await reply.send(400, str(error).encode(), "text/plain")
            return False
        await self._route(request, reply)
        if reply.streaming:
            writer.write(b"0\r\n\r\n")
            await writer.drain()
        return request.headers.get("connection", "").lower() != "close"


async def _read(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request:
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    try:
        method, target, version = first.split(" ")
    except ValueError as error:
        raise BadRequestError("malformed request line") from error
    if not version.startswith("HTTP/1."):
        raise BadRequestError("only HTTP/1.x is supported")
    fields = [
        (name.strip().lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)
    ]
    headers = dict(fields)
    if twice := next((n for n in _ONCE if [name for name, _ in fields].count(n) > 1), None):
        raise BadRequestError(f"duplicate header {twice}")
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    split = urlsplit(target)
    return Request(
        method=method,
        path=unquote(split.path),
        query=dict(parse_qsl(split.query, keep_blank_values=True)),
        headers=headers,
        body=await _body(headers, reader),
    )


async def _body(headers: dict[str, str], reader: asyncio.StreamReader) -> bytes:
    if "chunked" in headers.get("transfer-encoding", "").lower():
        parts: list[bytes] = []
        while size := _size((await reader.readuntil(b"\r\n")).split(b";")[0].strip().decode("latin-1"), 16):
            parts.append(await reader.readexactly(size))
            await reader.readexactly(2)
            if sum(map(len, parts)) > MAX_BODY:
                raise BadRequestError("the body is too large")
        while (await reader.readuntil(b"\r\n")) != b"\r\n":
            pass  # trailers
        return b"".join(parts)
    length = _size(headers.get("content-length", "0"), 10)
    return await reader.readexactly(length) if length else b""


def _size(text: str, base: int) -> int:
    with contextlib.suppress(ValueError):
        if 0 <= (size := int(text, base)) <= MAX_BODY:
            return size
    raise BadRequestError("malformed length")
