"""Write requests: create, replace, patch, apply, delete, evict. Errors are StatusErrors with Kubernetes' messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.k8s.timestamps import timestamp
from harness.lab.apiserver.bodies import (
    APPLY,
    dry_run,
    fitted,
    inward,
    outward,
    patched,
    read_object,
    scale_of,
    scaled,
    typed,
)
from harness.lab.apiserver.gate import media_type
from harness.lab.fields import ownership
from harness.lab.fields.ownership import ConflictError, Writer
from harness.lab.objects import evictions
from harness.lab.objects.resources import BY_KIND
from harness.lab.objects.status import apply_conflict, bad_request, conflict, invalid, invalid_options

if TYPE_CHECKING:
    from harness.lab.apiserver.httpserver import Request
    from harness.lab.objects.resources import Resource
    from harness.lab.objects.store import Object, Store

# Kinds whose deletion answers with the object itself; all others answer with a Status.
_SHOWN_WHEN_DELETED = {"Pod", "Namespace"}


def writer(request: Request) -> Writer:
    """Return who writes: the fieldManager that the request names, else its client's name."""
    agent = request.headers.get("user-agent", "unknown").partition("/")[0]
    manager = request.query.get("fieldManager") or agent or "unknown"
    return Writer(manager[:128], "Apply" if media_type(request) == APPLY else "Update")


class Writes:
    """Turns requests into writes to the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(self, request: Request, resource: Resource, namespace: str | None) -> Object:
        """Create an object."""
        item = fitted(typed(read_object(request), resource, namespace), request, resource)
        return self._store.create(inward(item, resource), dry_run=dry_run(request))

    def put(self, request: Request, resource: Resource, space: str, name: str, part: str) -> Object:
        """Replace an object, its status or its scale."""
        body = read_object(request)
        old = self._store.get(resource.kind, space, name)
        if part == "scale":
            item = scaled(old, body)
        else:
            item = inward(fitted(typed(body, resource, space or None), request, resource), resource)
        if item["metadata"].get("name") != name:
            raise bad_request(
                f"the name of the object ({item['metadata'].get('name')}) does not match the name on the URL ({name})"
            )
        return self._store.update(item, part="status" if part == "status" else "", dry_run=dry_run(request))

    def patch(
        self, request: Request, resource: Resource, space: str, name: str, part: str
    ) -> tuple[int, Object]:
        """Patch or apply; return the HTTP code beside the object."""
        if media_type(request) == APPLY:
            return self._apply(request, resource, space, name, part)
        if "force" in request.query:
            raise invalid_options("force", "Forbidden: may not be specified for non-apply patch")
        old = self._store.get(resource.kind, space, name)
        new = patched(scale_of(old) if part == "scale" else outward(old, resource), request)
        metadata, was = new["metadata"], old["metadata"]
        # Only a patch that sets a resourceVersion requires it to match.
        if metadata.get("resourceVersion") != was["resourceVersion"]:
            raise conflict(resource.plural, resource.group, name)
        if metadata.get("uid") != was["uid"]:
            causes = [("metadata.uid", f'Invalid value: "{metadata.get("uid")}": field is immutable')]
            raise invalid(resource.kind, resource.group, name, causes)
        if metadata.get("name") != name or metadata.get("namespace", "") != was.get("namespace", ""):
            raise bad_request("the name and namespace of an object cannot be changed")
        new = scaled(old, new) if part == "scale" else inward(fitted(new, request, resource), resource)
        kept = "status" if part == "status" else ""
        return 200, self._store.update(new, part=kept, dry_run=dry_run(request))

    def _apply(
        self, request: Request, resource: Resource, space: str, name: str, part: str
    ) -> tuple[int, Object]:
        if not request.query.get("fieldManager"):
            raise invalid_options("fieldManager", "Required value: is required for apply patch")
        body = typed(read_object(request), resource, space or None)
        if body["metadata"].setdefault("name", name) != name:
            raise bad_request("the name of the object does not match the name on the URL")
        if "managedFields" in body["metadata"]:
            raise bad_request("metadata.managedFields must be nil")
        config = inward(fitted(body, request, resource), resource)
        if part != "status":
            config.pop("status", None)
        live = self._store.find(resource.kind, space, name)
        now, who = timestamp(), writer(request)
        try:
            new = ownership.applied(live, config, who, now, force=request.query.get("force") == "true")
        except ConflictError as error:
            raise apply_conflict(error.found) from error
        if live is None:
            return 201, self._store.create(new, dry_run=dry_run(request))
        kept = "status" if part == "status" else ""
        return 200, self._store.update(new, part=kept, dry_run=dry_run(request))

    def delete(self, request: Request, item: Object, options: Any = None) -> Object:
        """Delete an object; return the response: the object, or a Status that names it."""
        options = options or (read_object(request) if request.body and options is None else {})
        resource, have = BY_KIND[item["kind"]], item["metadata"]
        wanted = options.get("preconditions") or {}
        for field, name in (("uid", "UID"), ("resourceVersion", "resourceVersion")):
            if wanted.get(field) not in {None, have[field]}:
                why = (
                    f"Precondition failed: {name} in precondition: {wanted[field]}, "
                    f"{name} in object meta: {have[field]}"
                )
                raise conflict(resource.plural, resource.group, have["name"], why)
        grace = options.get("gracePeriodSeconds", request.query.get("gracePeriodSeconds"))
        policy = options.get("propagationPolicy", request.query.get("propagationPolicy"))
        gone = self._store.delete(
            item,
            grace_s=None if grace is None or item["kind"] != "Pod" else int(grace),
            orphan=policy == "Orphan",
            dry_run=dry_run(request) or options.get("dryRun") == ["All"],
        )
        if item["kind"] in _SHOWN_WHEN_DELETED:
            return gone
        details = {"name": have["name"], "group": resource.group, "kind": resource.plural, "uid": have["uid"]}
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": {key: value for key, value in details.items() if value},
        }

    def evict(self, request: Request, pod: Object) -> Object:
        """Delete a pod if every PodDisruptionBudget that covers it allows it."""
        body = read_object(request)
        options = body.get("deleteOptions") or {}
        dry = dry_run(request) or options.get("dryRun") == ["All"]
        evictions.take(self._store, pod, dry=dry)
        self.delete(request, pod, {"gracePeriodSeconds": None, **options})
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
