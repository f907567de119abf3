"""The change that starts a rollout: checked against the live workload, made, and recognised once it is there."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

import yaml

from harness.cluster.client.resources import PODS, WORKLOADS
from harness.errors import UsageError
from harness.k8s import argo
from harness.k8s.timestamps import timestamp
from harness.scenario import yamltext

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from harness.cluster.client.api import Api
    from harness.model import ClusterFacts
    from harness.scenario.trigger import Trigger

Object = dict[str, Any]

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
FIELD_MANAGER = "kubectl-rollout"


def restart_patch(when: datetime) -> Object:
    """Make `kubectl rollout restart`'s patch (k8s.io/kubectl pkg/polymorphichelpers/objectrestarter.go).

    kubectl writes whole seconds, and a second restart within one of them is no change; this writes microseconds.
    `when` must know its time zone.
    """
    value = when.isoformat(timespec="microseconds")
    return {"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: value}}}}}


def argo_restart_patch(when: datetime) -> Object:
    """Make `kubectl argo rollouts restart`'s patch: pods made before that second are to be replaced.

    The API has whole seconds there (metav1.Time). `when` must know its time zone.
    """
    return {"spec": {"restartAt": timestamp(when.astimezone(UTC))}}


def patch_for(trigger: Trigger, workload: Object, when: datetime, folder: Path) -> Object:
    """Return the patch (or, for `apply`, the manifest) that this trigger sends; {} where it sends none.

    Raises UsageError when it does not fit the live workload, or would change nothing.
    """
    spec = workload.get("spec") or {}
    if trigger.kind == "restart":
        return argo_restart_patch(when) if workload["kind"] == argo.KIND else restart_patch(when)
    if trigger.kind == "scale":
        if workload["kind"] == "DaemonSet":
            raise UsageError(
                f"DaemonSet {workload['metadata']['name']} has no number of replicas: it runs one pod on each node;"
                " use another --trigger"
            )
        if int(spec.get("replicas", 1)) == int(trigger.argument):
            raise UsageError(
                f"{workload['metadata']['name']} has {trigger.argument} replicas already: nothing would change"
            )
        return {"spec": {"replicas": int(trigger.argument)}}
    if trigger.kind == "set-image":
        return _image_patch(trigger, workload)
    if trigger.kind == "apply":
        return manifest_from(folder / trigger.argument, workload)
    if trigger.kind == "replace":
        return replacement(manifest_from(folder / trigger.argument, workload), workload)
    return {}


def replacement(document: Object, workload: Object) -> Object:
    """Return the patch that makes the document's spec the live workload's whole spec.

    `apply` leaves alone what somebody else wrote, so it cannot take a hook away that it did not set. Only the number
    of replicas stays, where the document names none: an autoscaler may have set it. Raises UsageError.
    """
    spec = document.get("spec")
    if not isinstance(spec, dict) or not spec.get("template"):
        raise UsageError(
            f"the manifest of {workload['kind']} {workload['metadata']['name']} has no spec.template; replace needs"
            " the whole manifest (to change a few fields, use --trigger 'apply FILE')"
        )
    live = (workload.get("spec") or {}).get("replicas")
    kept = {"replicas": live} if live is not None and spec.get("replicas") is None else {}
    return {"apiVersion": workload.get("apiVersion", ""), "kind": workload["kind"], "spec": {**spec, **kept}}


def _image_patch(trigger: Trigger, workload: Object) -> Object:
    container, _, image = trigger.argument.partition("=")
    containers = {c["name"]: c.get("image") for c in workload["spec"]["template"]["spec"]["containers"]}
    if container not in containers:
        raise UsageError(
            f"no container {container!r} in {workload['metadata']['name']}; there are:"
            f" {', '.join(sorted(containers))}"
        )
    if containers[container] == image:
        raise UsageError(f"container {container} has the image {image} already: nothing would change")
    return {"spec": {"template": {"spec": {"containers": [{"name": container, "image": image}]}}}}


def _image_operations(trigger: Trigger, live: Object) -> list[Object]:
    """Make the JSON patch that sets one container's image, only where that container still stands at its place."""
    container, _, image = trigger.argument.partition("=")
    names = [one.get("name") for one in live["spec"]["template"]["spec"]["containers"]]
    if container not in names:
        raise UsageError(f"no container {container!r} in {live['metadata']['name']} any more")
    path = f"/spec/template/spec/containers/{names.index(container)}"
    return [
        {"op": "test", "path": f"{path}/name", "value": container},
        {"op": "replace", "path": f"{path}/image", "value": image},
    ]


def manifest_from(path: Path, workload: Object) -> Object:
    """Find the workload's own document in a YAML file. Other documents are not applied. Raises UsageError."""
    kind, name = workload["kind"], workload["metadata"]["name"]
    documents = documents_of(path)
    for document in documents:
        if document.get("kind") == kind and name_of(document) == name:
            return document
    found = ", ".join(f"{d.get('kind')} {name_of(d)}" for d in documents) or "nothing"
    raise UsageError(f"{path} holds no {kind} {name}; it holds: {found}")


def documents_of(path: Path) -> list[Object]:
    """Read the objects in a YAML file. Raises UsageError."""
    try:
        return [doc for doc in yamltext.load_all(yamltext.read_text(path)) if isinstance(doc, dict)]
    except OSError as error:
        raise UsageError(f"cannot read the manifest {path}: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{path}: {error}; a manifest is YAML") from None
    except yaml.YAMLError as error:
        line, problem = yamltext.problem(error)
        raise UsageError(f"{path}{f':{line}' if line else ''}: malformed YAML: {problem}") from None


def name_of(document: Object) -> object:
    """Return the name that a document says; None where it says none."""
    metadata = document.get("metadata")
    return metadata.get("name") if isinstance(metadata, dict) else None


def pull(
    api: Api,
    trigger: Trigger,
    facts: ClusterFacts,
    patch: Object,
    *,
    field_manager: str | None,
    dry_run: bool = False,
) -> Object:
    """Patch or apply, once; return the workload as the server has it then. Raises ClusterError.

    A lost answer is an error here. Whoever asks again looks first whether the change was made.
    """
    if trigger.kind == "apply":
        manager = field_manager or "zdtest"
        return api.apply(
            facts.kind, facts.namespace, facts.name, patch, field_manager=manager, dry_run=dry_run
        )
    if trigger.kind == "replace":
        manager, spec = field_manager or "zdtest", patch["spec"]
        return api.replace_spec(
            facts.kind, facts.namespace, facts.name, spec, field_manager=manager, dry_run=dry_run
        )
    manager = field_manager or FIELD_MANAGER
    if facts.kind == argo.KIND and trigger.kind == "set-image":
        # A custom resource knows no strategic merge: a merge patch would make this list all of its containers.
        live = api.get(WORKLOADS[facts.kind], facts.namespace, facts.name)
        operations = _image_operations(trigger, live)
        return api.json_patch(
            facts.kind, facts.namespace, facts.name, operations, field_manager=manager, dry_run=dry_run
        )
    return api.patch(facts.kind, facts.namespace, facts.name, patch, field_manager=manager, dry_run=dry_run)


def was_made(trigger: Trigger, patch: Object, was: Object, now: Object) -> bool:
    """Tell whether the server has made our change, between two reads of the workload: for a change whose answer was
    lost.
    """
    if trigger.kind == "restart" and "restartAt" in patch["spec"]:
        return bool(now["spec"].get("restartAt") == patch["spec"]["restartAt"])
    if trigger.kind == "restart":
        asked = patch["spec"]["template"]["metadata"]["annotations"][RESTARTED_AT]
        return bool(_annotations(now).get(RESTARTED_AT) == asked)
    if trigger.kind == "set-image":
        asked = patch["spec"]["template"]["spec"]["containers"][0]
        containers = now["spec"]["template"]["spec"]["containers"]
        return any(c["name"] == asked["name"] and c.get("image") == asked["image"] for c in containers)
    if trigger.kind == "scale":
        return bool(now["spec"].get("replicas") == patch["spec"]["replicas"])
    # A manifest says many things: that it arrived shows in what it changed. Where it changes nothing, to repeat it is
    # harmless.
    return bool(now["spec"] != was["spec"])


def _annotations(workload: Object) -> Object:
    found: Object = (workload["spec"]["template"].get("metadata") or {}).get("annotations") or {}
    return found


def remove_pod(api: Api, trigger: Trigger, facts: ClusterFacts, pod: str, *, dry_run: bool = False) -> None:
    """Delete or evict one pod. Raises ClusterError; ApiStatusError 429 when a budget does not allow it now."""
    if trigger.kind == "evict-pod":
        api.evict_pod(
            facts.namespace, pod, facts.apis.get("Eviction", "v1").rpartition("/")[2], dry_run=dry_run
        )
    else:
        api.delete_pod(facts.namespace, pod, dry_run=dry_run)


def is_going(api: Api, namespace: str, pod: str, uid: str) -> bool:
    """Look whether a pod is gone or on its way; one of its name with another uid has taken its place. Raises
    ClusterError.
    """
    items = api.list_all(PODS, namespace, field_selector=f"metadata.name={pod}").get("items") or []
    return not any(
        item["metadata"]["uid"] == uid and "deletionTimestamp" not in item["metadata"] for item in items
    )


def doomed_pod(trigger: Trigger, names: list[str]) -> str:
    """Choose the pod to remove: the one named, else the first by name. Raises UsageError when it is not there."""
    if trigger.argument and trigger.argument not in names:
        raise UsageError(f"no pod {trigger.argument!r} of the workload; there are: {', '.join(names)}")
    if not names:
        raise UsageError("the workload has no pod to remove")
    return trigger.argument or names[0]
