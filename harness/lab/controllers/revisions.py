"""ControllerRevisions: the history of a StatefulSet's or DaemonSet's templates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.lab.controllers.deployments import owned_by, owner, template_hash

if TYPE_CHECKING:
    from harness.lab.objects.store import Object, Store

LABEL = "controller-revision-hash"


def current(store: Store, workload: Object) -> Object:
    """Return the revision of a workload's current template; create it, or give an old one the newest number, if
    needed.
    """
    metadata, template = workload["metadata"], workload["spec"]["template"]
    data = {"spec": {"template": {**template, "$patch": "replace"}}}
    known = history(store, workload)
    newest = known[-1]["revision"] if known else 0
    same = next((item for item in known if item["data"] == data), None)
    if same is not None:
        if same["revision"] == newest:
            return same
        return store.update({**same, "revision": newest + 1})  # a rollback
    digest = template_hash(template)
    labels = {**(template["metadata"].get("labels") or {}), LABEL: digest}
    return store.create(
        {
            "apiVersion": "apps/v1",
            "kind": "ControllerRevision",
            "metadata": {
                "name": f"{metadata['name']}-{digest}",
                "namespace": metadata["namespace"],
                "labels": labels,
                "ownerReferences": [owner(workload)],
            },
            "data": data,
            "revision": newest + 1,
        }
    )


def history(store: Store, workload: Object) -> list[Object]:
    """Return a workload's revisions, oldest first."""
    namespace, uid = workload["metadata"]["namespace"], workload["metadata"]["uid"]
    found = [item for item in store.list("ControllerRevision", namespace) if owned_by(item, uid)]
    return sorted(found, key=lambda item: int(item["revision"]))


def template_of(revision: Object) -> Object:
    """Return the template of a revision."""
    template = revision["data"]["spec"]["template"]
    return {key: value for key, value in template.items() if key != "$patch"}


def label_of(revision: Object) -> str:
    """Return the label value of the pods of a StatefulSet's revision: its name."""
    name: str = revision["metadata"]["name"]
    return name


def prune(store: Store, workload: Object, used: set[str]) -> None:
    """Delete the oldest unused revisions beyond revisionHistoryLimit. `used` are names."""
    spare = [item for item in history(store, workload)[:-1] if item["metadata"]["name"] not in used]
    for item in spare[: max(0, len(spare) - workload["spec"]["revisionHistoryLimit"])]:
        store.delete(item)


def pod_of(workload: Object, revision: Object, metadata: Object, label: str) -> Object:
    """Return a new pod of a revision. `metadata` holds its name."""
    template = template_of(revision)
    have = template.get("metadata") or {}
    notes = {"annotations": have["annotations"]} if have.get("annotations") else {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **notes,
            **metadata,
            "labels": {**(have.get("labels") or {}), **metadata.get("labels", {}), LABEL: label},
            "namespace": workload["metadata"]["namespace"],
            "ownerReferences": [owner(workload)],
        },
        "spec": template["spec"],
    }
