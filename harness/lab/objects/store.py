"""The lab's etcd: objects by kind, one resourceVersion counter, and a history that watches replay.

Stored objects are never changed in place: a write replaces the dict, so a reader's object stays as it was. Everything
runs on one event loop; no method awaits.
"""

from __future__ import annotations

import copy
import secrets
import uuid
from collections import deque
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from harness.k8s.timestamps import parse_timestamp, timestamp
from harness.lab.fields import ownership
from harness.lab.fields.ownership import Writer
from harness.lab.objects import defaults, validation
from harness.lab.objects.resources import BY_KIND, Resource
from harness.lab.objects.status import already_exists, bad_request, conflict, expired, invalid, not_found
from harness.lab.objects.watchevents import Subscription, WatchEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Object = dict[str, Any]

_NEVER_WRITTEN = ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation")
_KEPT = ("uid", "creationTimestamp", "resourceVersion", *_NEVER_WRITTEN)
HISTORY = 20_000  # how many changes are kept

CONTROLLERS = Writer("kube-controller-manager")
# Who is writing; each control loop and each request has its own context.
WRITER: ContextVar[Writer] = ContextVar("WRITER", default=CONTROLLERS)


class Store:
    """All objects of the lab."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._objects: dict[str, dict[tuple[str, str], Object]] = {kind: {} for kind in BY_KIND}
        self._history: deque[WatchEvent] = deque()
        self._subscriptions: list[Subscription] = []
        self.rv = 1
        self.compacted_rv = 0  # a watch from an earlier one is refused
        self.subresources = True  # managed fields name the subresource that was written (since 1.22)

    # -- reading

    def get(self, kind: str, namespace: str, name: str) -> Object:
        """Return one object. Raises StatusError 404."""
        found = self.find(kind, namespace, name)
        if found is None:
            raise not_found(*_plural(kind), name)
        return found

    def find(self, kind: str, namespace: str, name: str) -> Object | None:
        """Return one object or None."""
        return self._objects[kind].get((namespace if BY_KIND[kind].namespaced else "", name))

    def list(self, kind: str, namespace: str | None = None) -> list[Object]:
        """Return all objects of a kind, or those of one namespace, sorted by namespace and name."""
        items = sorted(self._objects[kind].items())
        return [item for (space, _), item in items if namespace is None or space == namespace]

    def list_at(self, kind: str, rv: int) -> Sequence[Object]:
        """Return all objects of a kind as of a resourceVersion. Raises StatusError 410 if that is compacted."""
        if rv < self.compacted_rv:
            raise expired(rv, self.compacted_rv)
        then = dict(self._objects[kind])
        for change in reversed(self._history):
            if change.rv <= rv:
                break
            if change.kind == kind:
                metadata = change.item["metadata"]
                key = (metadata.get("namespace", ""), metadata["name"])
                if change.previous is None:
                    then.pop(key, None)
                else:
                    then[key] = change.previous
        return [item for _, item in sorted(then.items())]

    # -- watching

    @contextmanager
    def subscribe(self, kinds: frozenset[str], since: int | None = None) -> Iterator[Subscription]:
        """Follow kinds from a resourceVersion (None: from now on). Raises StatusError 410 if that is compacted."""
        subscription = Subscription(kinds)
        if since is not None:
            if since < self.compacted_rv:
                raise expired(since, self.compacted_rv)
            for change in self._history:
                if change.rv > since and change.kind in kinds:
                    subscription.push(change)
        self._subscriptions.append(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.remove(subscription)

    def compact(self) -> None:
        """Drop the history: a watch that resumes from before now gets 410."""
        self._history.clear()
        self.compacted_rv = self.rv

    # -- writing

    def create(self, item: Object, *, dry_run: bool = False) -> Object:
        """Store a new object with defaults filled in. Raises StatusError 409 or 422."""
        item = copy.deepcopy(item)
        kind = item["kind"]
        resource = BY_KIND[kind]
        metadata = item.setdefault("metadata", {})
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + suffix()
        metadata["namespace"] = metadata.get("namespace") or "default"
        if not resource.namespaced:
            metadata.pop("namespace")
        elif kind != "Event" and self.find("Namespace", "", metadata["namespace"]) is None:
            raise not_found("namespaces", "", metadata["namespace"])
        name = metadata.get("name", "")
        if self.find(kind, metadata.get("namespace", ""), name) is not None:
            raise already_exists(*_plural(kind), name)
        metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": timestamp(self._now())}
        for key in ("resourceVersion", *_NEVER_WRITTEN):
            metadata.pop(key, None)
        if resource.generation:
            metadata["generation"] = 1
        defaults.fill(item)
        defaults.initial_status(item, {service["spec"].get("clusterIP") for service in self.list("Service")})
        _validate(resource, item, None)
        self._manage(item, None, "")
        return item if dry_run else self._commit("ADDED", kind, item, None)

    def update(self, item: Object, *, part: str = "", dry_run: bool = False) -> Object:
        """Replace an object; with `part="status"` only its status, else everything but its status.

        A resourceVersion in the metadata must match. A write that changes nothing is ignored.
        Raises StatusError 404, 409 or 422.
        """
        kind, metadata = item["kind"], item["metadata"]
        resource = BY_KIND[kind]
        old = self.get(kind, metadata.get("namespace", ""), metadata["name"])
        was = old["metadata"]
        if metadata.get("resourceVersion") not in {None, "", was["resourceVersion"]}:
            raise conflict(*_plural(kind), was["name"])
        if metadata.get("uid") not in {None, "", was["uid"]}:
            why = f"Precondition failed: UID in precondition: {metadata['uid']}, UID in object meta: {was['uid']}"
            raise conflict(*_plural(kind), was["name"], why)
        if part == "status":
            new = {**old, "status": copy.deepcopy(item.get("status") or {})}
            if kind in {
                "Deployment",
                "StatefulSet",
                "DaemonSet",
            }:  # for these, annotations are written too, but do not count for the generation
                notes = {"annotations": dict(metadata["annotations"])} if metadata.get("annotations") else {}
                new["metadata"] = {k: v for k, v in was.items() if k != "annotations"} | notes
                new["metadata"]["managedFields"] = metadata.get("managedFields")
        else:
            new = copy.deepcopy(item)
            if resource.status:
                new.pop("status", None)
                if "status" in old:
                    new["status"] = old["status"]
            new["metadata"] = _kept_metadata(new["metadata"], was)
            defaults.fill(new)
            _validate(resource, new, old)
            if resource.generation and _counted(new) != _counted(old):
                new["metadata"]["generation"] = was.get("generation", 1) + 1
        self._manage(new, old, part)
        if new == old or dry_run:
            return new
        return self._commit("MODIFIED", kind, new, old)

    def delete(
        self, item: Object, *, grace_s: int | None = None, orphan: bool = False, dry_run: bool = False
    ) -> Object:
        """Delete an object; a running pod is only marked, with its grace period, until its kubelet is done.

        A second delete of a marked pod may shorten the grace period, never lengthen it.
        What the object owns is deleted too, unless `orphan`. Returns the object's last state.
        """
        kind, metadata = item["kind"], item["metadata"]
        old = self.get(kind, metadata.get("namespace", ""), metadata["name"])
        if kind == "Pod":
            grace_s = old["spec"]["terminationGracePeriodSeconds"] if grace_s is None else max(0, grace_s)
            if (
                grace_s > 0
                and old["spec"].get("nodeName")
                and old.get("status", {}).get("phase") not in {"Succeeded", "Failed"}
            ):
                marked = old["metadata"].get("deletionGracePeriodSeconds")
                if marked is not None and marked <= grace_s:
                    return old
                # The grace period counts from the first request, whose time follows from the mark.
                begun = self._now()
                if marked is not None:
                    begun = parse_timestamp(old["metadata"]["deletionTimestamp"]) - timedelta(seconds=marked)
                new = {
                    **old,
                    "metadata": {
                        **old["metadata"],
                        "deletionTimestamp": timestamp(begun + timedelta(seconds=grace_s)),
                        "deletionGracePeriodSeconds": grace_s,
                    },
                }
                return new if dry_run else self._commit("MODIFIED", kind, new, old)
        if kind == "Namespace" and grace_s != 0:  # its controller empties it first, then deletes it for good
            if "deletionTimestamp" in old["metadata"]:
                return old
            marked_at = {**old["metadata"], "deletionTimestamp": timestamp(self._now())}
            new = {**old, "metadata": marked_at, "status": {**old.get("status", {}), "phase": "Terminating"}}
            return new if dry_run else self._commit("MODIFIED", kind, new, old)
        if dry_run:
            return old
        gone = self._commit("DELETED", kind, dict(old), old)
        if not orphan:
            self._collect(gone["metadata"]["uid"])
        return gone

    def _collect(self, owner_uid: str) -> None:
        """Delete what the deleted object owned, as the garbage collector does."""
        for kind in ("ReplicaSet", "ControllerRevision", "Pod", "EndpointSlice"):
            for item in self.list(kind):
                owners = item["metadata"].get("ownerReferences") or ()
                if (
                    any(owner["uid"] == owner_uid for owner in owners)
                    and "deletionTimestamp" not in item["metadata"]
                ):
                    self.delete(item)

    def _manage(self, new: Object, old: Object | None, part: str) -> None:
        """Update the managed fields. An apply has done so already."""
        writer = WRITER.get()
        if writer.operation == "Update":
            part = part if self.subresources else ""
            managed = ownership.updated(
                old, new, Writer(writer.manager, "Update", part), timestamp(self._now())
            )
            new["metadata"] = {k: v for k, v in new["metadata"].items() if k != "managedFields"}
            if managed:
                new["metadata"]["managedFields"] = managed

    def _commit(self, change: str, kind: str, item: Object, previous: Object | None) -> Object:
        self.rv += 1
        item = {**item, "metadata": {**item["metadata"], "resourceVersion": str(self.rv)}}
        key = (item["metadata"].get("namespace", ""), item["metadata"]["name"])
        if change == "DELETED":
            del self._objects[kind][key]
        else:
            self._objects[kind][key] = item
        record = WatchEvent(self.rv, change, kind, item, previous)
        self._history.append(record)
        if len(self._history) > HISTORY:
            self.compacted_rv = self._history.popleft().rv
        for subscription in self._subscriptions:
            if kind in subscription.kinds:
                subscription.push(record)
        return item


def _validate(resource: Resource, item: Object, old: Object | None) -> None:
    try:
        causes = validation.check(item, old)
    except (AttributeError, TypeError, KeyError) as error:  # for example, a list instead of an object
        raise bad_request(
            f"{resource.kind} in version {resource.version} cannot be handled: {error}"
        ) from error
    if causes:
        raise invalid(resource.kind, resource.group, item["metadata"].get("name", ""), causes)


def _kept_metadata(new: Object, old: Object) -> Object:
    """Return the metadata of a write, with the fields that only the server sets as they were."""
    kept = {key: value for key, value in new.items() if key not in _NEVER_WRITTEN}
    return kept | {key: old[key] for key in _KEPT if key in old and key != "selfLink"}


def _counted(item: Object) -> Object:
    """Return the part of an object that counts for its generation; a Deployment's annotations count too."""
    counted = {key: value for key, value in item.items() if key not in {"metadata", "status"}}
    if item["kind"] == "Deployment":
        counted["annotations"] = item["metadata"].get("annotations") or {}
    return counted


def _plural(kind: str) -> tuple[str, str]:
    return BY_KIND[kind].plural, BY_KIND[kind].group


def suffix(length: int = 5) -> str:
    """Return a random suffix for a name, from Kubernetes' alphabet (no vowels, no letters that look alike)."""
    return "".join(secrets.choice("bcdfghjklmnpqrstvwxz2456789") for _ in range(length))
