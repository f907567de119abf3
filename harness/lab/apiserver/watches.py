"""List and watch: selectors, resourceVersion, limits, bookmarks, timeouts, 410."""

from __future__ import annotations

import asyncio
import base64
import json
import random
from typing import TYPE_CHECKING, Any

from harness.lab.apiserver.bodies import outward
from harness.lab.apiserver.tables import table
from harness.lab.objects import selection
from harness.lab.objects.status import StatusError, bad_request

if TYPE_CHECKING:
    from harness.lab.apiserver.httpserver import Reply, Request
    from harness.lab.objects.resources import Resource
    from harness.lab.objects.store import Object, Store
    from harness.lab.objects.watchevents import Subscription, WatchEvent

_TRUE = {"1", "t", "true"}
BOOKMARK_S = 10.0  # a real server sends one about every minute, and one shortly before the watch times out


class View:
    """What one list or watch asks for: which objects, in which API version and format."""

    def __init__(self, request: Request, resource: Resource, namespace: str | None) -> None:
        query = request.query
        self.resource, self.namespace = resource, namespace
        self.watch = query.get("watch", "").lower() in _TRUE
        self._labels = selection.labels(query.get("labelSelector", ""))
        self._fields = selection.fields(query.get("fieldSelector", ""), resource.kind)
        self.bookmarks = query.get("allowWatchBookmarks", "").lower() in _TRUE
        self.send_initial = query.get("sendInitialEvents", "").lower() in _TRUE
        self.limit, self.go_on = _number(query, "limit"), _token(query.get("continue", ""))
        self.selects = bool(query.get("labelSelector") or query.get("fieldSelector"))
        self.since = _rv(query.get("resourceVersion", ""))
        self.window_s = _number(query, "timeoutSeconds") or random.uniform(1800, 3600)  # noqa: S311  as real servers do
        self.as_table = "as=Table" in request.headers.get("accept", "").partition(",")[0]
        self._include = query.get("includeObject", "Metadata")
        self._header = True

    def takes(self, item: Object | None) -> bool:
        """Tell whether the request selects an object."""
        if item is None or (
            self.namespace is not None and item["metadata"].get("namespace") != self.namespace
        ):
            return False
        return self._labels(item) and self._fields(item)

    def shape(self, item: Object, rv: str) -> Object:
        """Return an object as a watch sends it: plain, or as a Table of one row (columns only the first time)."""
        item = outward(item, self.resource)
        if not self.as_table:
            return item
        shaped = table(self.resource.kind, [item], rv, self._include, header=self._header)
        self._header = False
        return shaped

    def listing(self, items: list[Object], rv: str, rest: Object | None = None) -> Object:
        """Return a list; `rest` holds the metadata for its next part, if there is one."""
        metadata = {"resourceVersion": rv, **(rest or {})}
        items = [outward(item, self.resource) for item in items]
        if self.as_table:
            return table(self.resource.kind, items, rv, self._include) | {"metadata": metadata}
        kind, version = self.resource.kind, self.resource.api_version
        # A real server leaves kind and apiVersion out of a list's members.
        members = [
            {key: value for key, value in item.items() if key not in {"kind", "apiVersion"}} for item in items
        ]
        return {
            "kind": f"{kind}List",
            "apiVersion": version,
            "metadata": metadata,
            "items": members,
        }

    def event(self, change: WatchEvent) -> Object | None:
        """Return the event for a watcher with this view, if any. A change may move an object in or out of the view."""
        now = self.takes(change.item) and change.type != "DELETED"
        before = self.takes(change.previous)
        if not (now or before):
            return None
        kind = ("MODIFIED" if before else "ADDED") if now else "DELETED"
        return {"type": kind, "object": self.shape(change.item, str(change.rv))}


def _rv(text: str) -> int | None:
    """Return the resourceVersion to resume from; None for "" and "0", which ask for the existing objects first."""
    if text in {"", "0"}:
        return None
    if not text.isdigit():
        raise bad_request(f'invalid resource version "{text}"')
    return int(text)


def _number(query: dict[str, str], name: str) -> int:
    text = query.get(name) or "0"
    if not text.isdigit():
        raise bad_request(f'unable to parse query parameter "{name}": {text}')
    return int(text)


async def serve(store: Store, view: View, reply: Reply, drop_s: float = 0) -> None:
    """Serve a list, or a watch until it times out or its client leaves. Raises StatusError only before it answers.

    If `drop_s` is not 0, the watch is cut off after that many seconds with a ConnectionResetError.
    """
    if not view.watch:
        await reply.json(200, _listed(store, view))
        return
    await reply.begin()
    try:
        with store.subscribe(frozenset({view.resource.kind}), view.since) as changes:
            first = view.since is None or view.send_initial
            try:
                async with asyncio.timeout(drop_s or None):
                    await _stream(store, view, reply, changes, first=first)
            except TimeoutError:
                raise ConnectionResetError("watch dropped on purpose (drop_watches)") from None
    except StatusError as error:
        await reply.chunk(_line({"type": "ERROR", "object": error.body}))


def _listed(store: Store, view: View) -> Object:
    """Answer a list; with a limit, one part of it and a continue token that names the version and the last key."""
    rv, after = view.go_on or (store.rv, None)
    all_of_them = store.list_at(view.resource.kind, rv) if view.go_on else store.list(view.resource.kind)
    items = [item for item in all_of_them if view.takes(item) and (after is None or _key(item) > after)]
    if not view.limit or len(items) <= view.limit:
        return view.listing(items, str(rv))
    part = items[: view.limit]
    token = base64.urlsafe_b64encode(json.dumps([rv, *_key(part[-1])]).encode()).decode()
    rest: Object = {"continue": token}
    if not view.selects:
        rest["remainingItemCount"] = len(items) - len(part)
    return view.listing(part, str(rv), rest)


def _key(item: Object) -> tuple[str, str]:
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]


def _token(text: str) -> tuple[int, tuple[str, str]] | None:
    if not text:
        return None
    try:
        rv, namespace, name = json.loads(base64.urlsafe_b64decode(text))
        return int(rv), (str(namespace), str(name))
    except (ValueError, TypeError) as error:
        raise bad_request("continue key is not valid") from error


async def _stream(store: Store, view: View, reply: Reply, changes: Subscription, *, first: bool) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + view.window_s
    seen = store.rv if first or view.since is None else view.since
    if first and (events := _initial(store, view)):
        await reply.chunk(events)
    marked = loop.time()
    while (left := end - loop.time()) > 0 and not reply.left():
        # Short waits, so that a client that left is noticed even if nothing changes.
        change = await changes.next(min(left, 1.0))
        if change is None:
            if view.bookmarks and loop.time() - marked > BOOKMARK_S:
                marked = loop.time()
                seen = store.rv  # nothing is queued, so the client has seen everything up to here
                await reply.chunk(_line(_bookmark(view, seen, {})))
        elif change.rv > seen:  # else it was in the initial list
            seen = change.rv
            if event := view.event(change):
                await reply.chunk(_line(event))
    if view.bookmarks and not reply.left():
        await reply.chunk(_line(_bookmark(view, seen, {})))


def _initial(store: Store, view: View) -> bytes:
    """Return the existing objects as ADDED events."""
    items = [item for item in store.list(view.resource.kind, view.namespace) if view.takes(item)]
    shapes = [view.shape(item, item["metadata"]["resourceVersion"]) for item in items]
    lines = [_line({"type": "ADDED", "object": shape}) for shape in shapes]
    if view.send_initial:
        lines.append(_line(_bookmark(view, store.rv, {"k8s.io/initial-events-end": "true"})))
    return b"".join(lines)


def _bookmark(view: View, rv: int, annotations: dict[str, str]) -> Object:
    metadata: dict[str, Any] = {"resourceVersion": str(rv), "creationTimestamp": None}
    if annotations:
        metadata["annotations"] = annotations
    item = {"kind": view.resource.kind, "apiVersion": view.resource.api_version, "metadata": metadata}
    if view.as_table:
        item = {
            "kind": "Table",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": {"resourceVersion": str(rv)},
            "rows": [],
        }
    return {"type": "BOOKMARK", "object": item}


def _line(event: Object) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"
