"""The lab's API server: from a path and a verb to the store, in Kubernetes' own words.

Speaks enough for the official client and kubectl. No authentication: it listens on loopback only.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Self

from harness.lab import apiwatch, resources
from harness.lab.apibodies import dry_run, patched, read_object, review, scale_of, scaled, typed
from harness.lab.apihttp import HttpServer, Reply, Request
from harness.lab.resources import BY_PATH, REVIEWS, Resource
from harness.lab.status import (
    StatusError,
    bad_request,
    conflict,
    method_not_allowed,
    no_such_path,
)
from harness.lab.tables import table

if TYPE_CHECKING:
    from pathlib import Path

    from harness.lab.store import Object, Store

_log = logging.getLogger("lab.apiserver")


class ApiServer:
    """Serves a store on a free port of 127.0.0.1. `logs` is the folder of the pods' output."""

    def __init__(self, store: Store, logs: Path) -> None:
        self._store, self._logs = store, logs
        self._http = HttpServer(self._route, time.time)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._http.port}"

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._http.__aexit__(*exc)

    async def _route(self, request: Request, reply: Reply) -> None:
        try:
            await self._answer(request, reply)
        except StatusError as error:
            await reply.json(error.code, error.body)
        except (OSError, EOFError):
            raise  # the connection's own trouble
        except Exception:
            _log.exception("%s %s", request.method, request.path)
            if reply.started:
                raise
            ours = StatusError(500, "InternalError", "Internal error occurred: see the lab's log")
            await reply.json(ours.code, ours.body)

    async def _answer(self, request: Request, reply: Reply) -> None:
        steps = [step for step in request.path.split("/") if step]
        match steps:
            case ["api", version, first, *rest]:
                await self._resource(request, reply, "", version, [first, *rest])
            case ["apis", group, version, first, *rest]:
                await self._resource(request, reply, group, version, [first, *rest])
            case ["healthz" | "livez" | "readyz", *_]:
                await reply.send(200, b"ok", "text/plain; charset=utf-8")
            case ["zdtest", "compact"] if (
                request.method == "POST"
            ):  # what etcd's own client does to a real one
                self._store.compact()
                await reply.json(200, {"resourceVersion": str(self._store.rv)})
            case _:
                try:
                    await reply.json(200, resources.document(steps, self.url.removeprefix("http://")))
                except KeyError:
                    raise no_such_path() from None

    async def _resource(
        self, request: Request, reply: Reply, group: str, version: str, rest: list[str]
    ) -> None:
        namespace: str | None = None
        if rest[0] == "namespaces" and len(rest) > 2 and (group, version, rest[2]) in BY_PATH:
            namespace, rest = rest[1], rest[2:]
        resource = BY_PATH.get((group, version, rest[0]))
        if resource is None:
            raise no_such_path()
        if resource in REVIEWS:
            # kubectl asks in protobuf; the answer does not depend on the question, so it may stay unread.
            asked = {} if "protobuf" in request.headers.get("content-type", "") else read_object(request)
            await reply.json(201, review(resource, asked))
        elif len(rest) == 1:
            await self._collection(request, reply, resource, namespace)
        else:
            space = (namespace or "default") if resource.namespaced else ""
            await self._named(request, reply, resource, space, rest[1], "/".join(rest[2:]))

    async def _collection(
        self, request: Request, reply: Reply, resource: Resource, namespace: str | None
    ) -> None:
        dry = dry_run(request)
        if request.method in {"GET", "HEAD"}:
            await apiwatch.serve(self._store, apiwatch.View(request, resource, namespace), reply)
        elif request.method == "POST":
            item = typed(read_object(request), resource, namespace)
            await self._one(request, reply, resource, self._store.create(item, dry_run=dry), code=201)
        elif request.method == "DELETE":
            view = apiwatch.View(request, resource, namespace)
            chosen = [item for item in self._store.list(resource.kind, namespace) if view.takes(item)]
            for item in chosen:
                self._delete(request, item, dry=dry)
            await reply.json(200, view.listing(chosen, str(self._store.rv)))
        else:
            raise method_not_allowed()

    async def _named(
        self, request: Request, reply: Reply, resource: Resource, space: str, name: str, part: str
    ) -> None:
        kind, verb, dry = resource.kind, request.method, dry_run(request)
        _check_part(resource, part)
        if part == "log":
            await self._log(request, reply, self._store.get(kind, space, name))
        elif part == "eviction" and verb == "POST":
            self._delete(
                request,
                self._store.get(kind, space, name),
                dry=dry,
                options=read_object(request).get("deleteOptions"),
            )
            await reply.json(201, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})
        elif verb in {"GET", "HEAD"}:
            item = self._store.get(kind, space, name)
            await self._one(
                request, reply, resource, scale_of(item) if part == "scale" else item, plain=part == "scale"
            )
        elif verb == "DELETE" and not part:
            await self._one(
                request, reply, resource, self._delete(request, self._store.get(kind, space, name), dry=dry)
            )
        elif verb == "PATCH":
            await self._patch(request, reply, resource, space, name, part)
        elif verb == "PUT":
            body = read_object(request)
            old = self._store.get(kind, space, name)
            item = scaled(old, body) if part == "scale" else typed(body, resource, space or None)
            if item["metadata"].get("name") != name:
                raise bad_request(
                    f"the name of the object ({item['metadata'].get('name')}) does not match the name on the URL ({name})"
                )
            new = self._store.update(item, part="status" if part == "status" else "", dry_run=dry)
            await self._one(
                request, reply, resource, scale_of(new) if part == "scale" else new, plain=part == "scale"
            )
        else:
            raise method_not_allowed()

    async def _patch(
        self, request: Request, reply: Reply, resource: Resource, space: str, name: str, part: str
    ) -> None:
        old = self._store.get(resource.kind, space, name)
        shown = scale_of(old) if part == "scale" else old
        new = patched(shown, request)
        # Only a patch that names a resourceVersion is held to it.
        given = new["metadata"].get("resourceVersion")
        if given != old["metadata"]["resourceVersion"]:
            raise conflict(resource.plural, resource.group, name)
        if new["metadata"].get("name") != name or new["metadata"].get("namespace", "") != old["metadata"].get(
            "namespace", ""
        ):
            raise bad_request("the name and namespace of an object cannot be changed")
        if part == "scale":
            new = scaled(old, new)
        item = self._store.update(new, part="status" if part == "status" else "", dry_run=dry_run(request))
        await self._one(
            request, reply, resource, scale_of(item) if part == "scale" else item, plain=part == "scale"
        )

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
        if not plain and "as=Table" in request.headers.get("accept", "").partition(",")[0]:
            item = table(
                resource.kind, [item], str(self._store.rv), request.query.get("includeObject", "Metadata")
            )
        await reply.json(code, item)

    def _delete(self, request: Request, item: Object, *, dry: bool, options: Any = None) -> Object:
        options = options or (read_object(request) if request.body and options is None else {})
        wanted, have = options.get("preconditions") or {}, item["metadata"]
        for field, name in (("uid", "UID"), ("resourceVersion", "resourceVersion")):
            if wanted.get(field) not in {None, have[field]}:
                resource = resources.BY_KIND[item["kind"]]
                why = f"Precondition failed: {name} in precondition: {wanted[field]}, {name} in object meta: {have[field]}"
                raise conflict(resource.plural, resource.group, have["name"], why)
        grace = options.get("gracePeriodSeconds", request.query.get("gracePeriodSeconds"))
        return self._store.delete(
            item,
            grace_s=None if grace is None else int(grace),
            orphan=options.get("propagationPolicy") == "Orphan",
            dry_run=dry,
        )

    async def _log(self, request: Request, reply: Reply, pod: Object) -> None:
        names = [container["name"] for container in pod["spec"]["containers"]]
        name = request.query.get("container") or names[0]
        if name not in names:
            raise bad_request(f"container {name} is not valid for pod {pod['metadata']['name']}")
        path = self._logs / log_name(pod, name)
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        if (tail := request.query.get("tailLines", "")).isdigit():
            lines = lines[len(lines) - min(int(tail), len(lines)) :]
        await reply.send(200, b"".join(lines), "text/plain")


def log_name(pod: Object, container: str) -> str:
    """Name the file that holds a container's output: the pod's name, and the container's where it is not the first."""
    first = pod["spec"]["containers"][0]["name"] == container
    return f"{pod['metadata']['name']}.log" if first else f"{pod['metadata']['name']}.{container}.log"


def _check_part(resource: Resource, part: str) -> None:
    known = {"": True, "status": resource.status, "scale": resource.scale}
    if resource.kind == "Pod":
        known |= {"log": True, "eviction": True}
    if not known.get(part):
        raise no_such_path()
