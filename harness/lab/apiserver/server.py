"""The lab's API server: routes each request by path and verb, and answers as Kubernetes does.

It serves the official client and kubectl. Every request needs a token (access.py), and web pages are refused (gate.py).
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Self

from harness.lab.apiserver import gate, logs, openapi, watches
from harness.lab.apiserver.access import OWNER, Access, User, asked_of
from harness.lab.apiserver.bodies import APPLY, outward, read_object, reviewed, scale_of
from harness.lab.apiserver.gate import media_type
from harness.lab.apiserver.httpserver import HttpServer, Reply, Request
from harness.lab.apiserver.tables import table
from harness.lab.apiserver.writes import Writes, writer
from harness.lab.objects.resources import MINOR, REVIEWS, Catalog, Resource
from harness.lab.objects.status import StatusError, method_not_allowed, no_such_path
from harness.lab.objects.store import WRITER

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from pathlib import Path

    from harness.lab.objects.store import Object, Store

_log = logging.getLogger("lab.apiserver")


class ApiServer:
    """Serves a store on a free port of 127.0.0.1. `logs` is the folder with the pods' output, `token` the owner's.

    `minor` is the Kubernetes version to serve, 1.20 to 1.36; `wall` is the clock for the Date header, in seconds.
    A watch is cut off in mid-stream after `drop_s` seconds, unless that is 0. `tls` makes it HTTPS: kubectl sends no
    token over plain HTTP.
    """

    def __init__(
        self,
        store: Store,
        logs: Path,
        *,
        token: str,
        minor: int = MINOR,
        wall: Callable[[], float] = time.time,
        drop_s: float = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._store, self._logs, self._drop_s = store, logs, drop_s
        self._catalog = Catalog(minor)
        self._writes = Writes(store)
        self._access = Access(store, token, wall)
        self._http = HttpServer(self._route, wall, tls)
        self._scheme = "https" if tls else "http"

    @property
    def url(self) -> str:
        """The server's URL."""
        return f"{self._scheme}://{self._address}"

    @property
    def _address(self) -> str:
        return f"127.0.0.1:{self._http.port}"

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._http.__aexit__(*exc)

    def drop_watches(self) -> None:
        """Cut every open connection, watches in mid-stream included."""
        self._http.drop_clients()

    async def _route(self, request: Request, reply: Reply) -> None:
        WRITER.set(writer(request))
        try:
            await self._answer(request, reply)
        except StatusError as error:
            await reply.json(error.code, error.body)
        except (OSError, EOFError):
            raise  # the connection failed: nobody to answer
        except Exception:
            _log.exception("%s %s", request.method, request.path)
            if reply.started:
                raise
            ours = StatusError(500, "InternalError", "Internal error occurred: see the lab's log")
            await reply.json(ours.code, ours.body)

    async def _answer(self, request: Request, reply: Reply) -> None:
        gate.check(request)
        if gate.is_open(request):
            await reply.send(200, b"ok", "text/plain; charset=utf-8")
            return
        user = self._access.user(request.headers)
        steps = [step for step in request.path.split("/") if step]
        match steps:
            case ["api", version, first, *rest]:
                await self._resource(request, reply, user, "", version, [first, *rest])
            case ["apis", group, version, first, *rest]:
                await self._resource(request, reply, user, group, version, [first, *rest])
            case ["zdtest", "compact"] if request.method == "POST":
                # With a real cluster one does this with etcdctl.
                if user != OWNER:
                    raise StatusError(403, "Forbidden", "only the lab's owner may compact its history")
                self._store.compact()
                await reply.json(200, {"resourceVersion": str(self._store.rv)})
            case ["openapi", *rest]:
                await reply.json(200, self._openapi("/".join(rest)))
            case _:
                try:
                    await reply.json(200, self._catalog.document(steps, self._address))
                except KeyError:
                    raise no_such_path() from None

    def _openapi(self, path: str) -> Object:
        document = {"v2": openapi.document_v2, "v3": openapi.index_v3}.get(path)
        found = (
            document(self._catalog)
            if document
            else openapi.document_v3(self._catalog, path.removeprefix("v3/"))
        )
        if found is None:
            raise no_such_path()
        return found

    async def _resource(
        self, request: Request, reply: Reply, user: User, group: str, version: str, rest: list[str]
    ) -> None:
        namespace: str | None = None
        if rest[0] == "namespaces" and len(rest) > 2 and (group, version, rest[2]) in self._catalog.by_path:
            namespace, rest = rest[1], rest[2:]
        resource = self._catalog.by_path.get((group, version, rest[0]))
        if resource is None:
            raise no_such_path()
        asked = asked_of(request, resource, namespace, rest)
        self._access.check(user, asked)
        if media_type(request) == APPLY and not self._store.find(resource.kind, asked.namespace, asked.name):
            self._access.check(user, replace(asked, verb="create"))
        if resource in REVIEWS:
            await reply.json(
                201, reviewed(request, resource, partial(self._access.review, resource.kind, user))
            )
        elif len(rest) == 1:
            await self._collection(request, reply, resource, namespace)
        else:
            space = (namespace or "default") if resource.namespaced else ""
            await self._named(request, reply, resource, space, rest[1], "/".join(rest[2:]))

    async def _collection(
        self, request: Request, reply: Reply, resource: Resource, namespace: str | None
    ) -> None:
        if request.method in {"GET", "HEAD"}:
            view = watches.View(request, resource, namespace)
            await watches.serve(self._store, view, reply, self._drop_s)
        elif request.method == "POST":
            await self._one(
                request, reply, resource, self._writes.create(request, resource, namespace), code=201
            )
        elif request.method == "DELETE":
            view = watches.View(request, resource, namespace)
            chosen = [item for item in self._store.list(resource.kind, namespace) if view.takes(item)]
            for item in chosen:
                self._writes.delete(request, item)
            await reply.json(200, view.listing(chosen, str(self._store.rv)))
        else:
            raise method_not_allowed()

    async def _named(
        self, request: Request, reply: Reply, resource: Resource, space: str, name: str, part: str
    ) -> None:
        kind, verb, scale = resource.kind, request.method, part == "scale"
        _check_part(resource, part)
        if part == "log":
            await logs.serve(self._store, self._logs, self._store.get(kind, space, name), request, reply)
        elif part == "eviction" and verb == "POST":
            await reply.json(201, self._writes.evict(request, self._store.get(kind, space, name)))
        elif part == "token" and verb == "POST":
            account = self._store.get(kind, space, name)
            await reply.json(201, self._access.token(account, read_object(request)))
        elif verb in {"GET", "HEAD"}:
            item = self._store.get(kind, space, name)
            await self._one(request, reply, resource, scale_of(item) if scale else item, plain=scale)
        elif verb == "DELETE" and not part:
            gone = self._writes.delete(request, self._store.get(kind, space, name))
            await self._one(request, reply, resource, gone, plain=gone["kind"] == "Status")
        elif verb == "PATCH":
            code, item = self._writes.patch(request, resource, space, name, part)
            await self._one(
                request, reply, resource, scale_of(item) if scale else item, plain=scale, code=code
            )
        elif verb == "PUT":
            item = self._writes.put(request, resource, space, name, part)
            await self._one(request, reply, resource, scale_of(item) if scale else item, plain=scale)
        else:
            raise method_not_allowed()

    async def _one(
        self,
        request: Request,
        reply: Reply,
        resource: Resource,
        item: Object,
        *,
        code: int = 200,
        plain: bool = False,
    ) -> None:
        item = outward(item, resource)
        if not plain and "as=Table" in request.headers.get("accept", "").partition(",")[0]:
            item = table(
                resource.kind, [item], str(self._store.rv), request.query.get("includeObject", "Metadata")
            )
        await reply.json(code, item)


def _check_part(resource: Resource, part: str) -> None:
    known = {"": True, "status": resource.status, "scale": resource.scale}
    if resource.kind == "Pod":
        known |= {"log": True, "eviction": True}
    if resource.kind == "ServiceAccount":
        known |= {"token": True}
    if not known.get(part):
        raise no_such_path()
