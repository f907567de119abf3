"""The Deployment controller: acts on what `rollouts` and `conditions` decide."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from harness.lab.controllers import rollouts
from harness.lab.controllers.conditions import condition, counted, overdue_in, with_condition, with_progress
from harness.lab.controllers.rollouts import DESIRED_REPLICAS, MAX_REPLICAS

if TYPE_CHECKING:
    from harness.lab.objects.recorder import Recorder
    from harness.lab.objects.store import Object, Store

REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
HASH = "pod-template-hash"
_NOT_COPIED = {
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    DESIRED_REPLICAS,
    MAX_REPLICAS,
}
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def template_hash(template: Object) -> str:
    """Return a short hash of a pod template."""
    value = 2166136261  # FNV-1a, 32 bits, written in letters that form no words
    for byte in json.dumps(template, sort_keys=True).encode():
        value = ((value ^ byte) * 16777619) & 0xFFFFFFFF
    return "".join(_LETTERS[ord(digit) % len(_LETTERS)] for digit in str(value))


def owner(item: Object) -> Object:
    """Return an ownerReference that makes `item` the controller of another object."""
    return {
        "apiVersion": item["apiVersion"],
        "kind": item["kind"],
        "name": item["metadata"]["name"],
        "uid": item["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def owned_by(item: Object, uid: str) -> bool:
    """Tell whether the object with this uid controls `item`."""
    return any(
        ref["uid"] == uid and ref.get("controller") for ref in item["metadata"].get("ownerReferences") or ()
    )


def plain_template(template: Object) -> Object:
    """Return a template without the hash label that the controller adds, for comparison."""
    metadata = template.get("metadata") or {}
    labels = {key: value for key, value in (metadata.get("labels") or {}).items() if key != HASH}
    return {**template, "metadata": {**metadata, "labels": labels}}


class Deployments:
    """Brings each Deployment one step closer to its spec per `sync`."""

    def __init__(self, store: Store, recorder: Recorder) -> None:
        self._store, self._recorder = store, recorder

    def sync(self, key: tuple[str, str]) -> float | None:
        """Take one step; return the seconds until the next sync, or None."""
        deployment = self._store.find("Deployment", *key)
        if deployment is None:
            return None
        uid = deployment["metadata"]["uid"]
        sets = [rs for rs in self._store.list("ReplicaSet", key[0]) if owned_by(rs, uid)]
        wanted = plain_template(deployment["spec"]["template"])
        by_age = sorted(sets, key=lambda rs: (rs["metadata"]["creationTimestamp"], _revision(rs)))
        new = next((rs for rs in by_age if plain_template(rs["spec"]["template"]) == wanted), None)
        olds = [rs for rs in sets if rs is not new]
        deployment = self._mark_paused(deployment)
        if deployment["spec"].get("paused") or _replicas_changed(deployment, sets):
            return self._resize(deployment, olds, new)
        if rollouts.rolling(deployment):
            return self._roll(deployment, olds, new)
        return self._recreate(deployment, olds, new)

    def _resize(self, deployment: Object, olds: list[Object], new: Object | None) -> float | None:
        """Scale the ReplicaSets, without rolling out."""
        if new is not None:
            new = self._annotate(deployment, new, olds)
        for name, replicas in rollouts.scaled(deployment, olds, new).items():
            self._scale(deployment, name, replicas)
        for rs in [*olds, *([new] if new else [])]:
            self._note_size(deployment, rs["metadata"]["name"])
        if deployment["spec"].get("paused"):
            self._prune(deployment, olds)
        return self._report(deployment, new, rollout=False)

    def _roll(self, deployment: Object, olds: list[Object], new: Object | None) -> float | None:
        new = self._annotate(deployment, new, olds) if new else self._create(deployment, olds)
        replicas = rollouts.new_replicas(deployment, [*olds, new], new)
        if replicas != new["spec"]["replicas"]:
            self._scale(deployment, new["metadata"]["name"], replicas)
            return self._report(deployment, new)
        shrunk = rollouts.old_replicas(deployment, olds, new)
        for name, replicas in shrunk.items():
            self._scale(deployment, name, replicas)
        if not shrunk and _complete(deployment):
            self._prune(deployment, olds)
        return self._report(deployment, new)

    def _recreate(self, deployment: Object, olds: list[Object], new: Object | None) -> float | None:
        busy = [rs for rs in olds if rs["spec"]["replicas"] > 0]
        for rs in busy:
            self._scale(deployment, rs["metadata"]["name"], 0)
        uids = {rs["metadata"]["uid"] for rs in olds}
        pods = self._store.list("Pod", deployment["metadata"]["namespace"])
        left = [
            p
            for p in pods
            if any(owned_by(p, uid) for uid in uids) and p["status"]["phase"] not in {"Succeeded", "Failed"}
        ]
        if busy or left:  # Recreate: no new pod before the last old one is gone
            return self._report(deployment, new) if not left else self._report(deployment, new) or 0.2
        new = self._annotate(deployment, new, olds) if new else self._create(deployment, olds)
        if new["spec"]["replicas"] != deployment["spec"]["replicas"]:
            self._scale(deployment, new["metadata"]["name"], deployment["spec"]["replicas"])
        elif _complete(deployment):
            self._prune(deployment, olds)
        return self._report(deployment, new)

    # -- steps

    def _create(self, deployment: Object, olds: list[Object]) -> Object:
        template = deployment["spec"]["template"]
        metadata = deployment["metadata"]
        digest = template_hash(plain_template(template))
        labels = {**(template["metadata"].get("labels") or {}), HASH: digest}
        selector = deployment["spec"]["selector"]
        replicas = rollouts.new_replicas(deployment, olds, None)
        new: Object = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": f"{metadata['name']}-{digest}",
                "namespace": metadata["namespace"],
                "labels": labels,
                "annotations": self._annotations(deployment, None, olds),
                "ownerReferences": [owner(deployment)],
            },
            "spec": {
                "replicas": replicas,
                "selector": {
                    **selector,
                    "matchLabels": {**(selector.get("matchLabels") or {}), HASH: digest},
                },
                "template": {**template, "metadata": {**template["metadata"], "labels": labels}},
            },
        }
        if deployment["spec"].get("minReadySeconds"):
            new["spec"]["minReadySeconds"] = deployment["spec"]["minReadySeconds"]
        made = self._store.create(new)
        if replicas:
            self._scaled_event(deployment, made["metadata"]["name"], 0, replicas)
        text = f'Created new replica set "{made["metadata"]["name"]}"'
        self._progressing(deployment, "True", "NewReplicaSetCreated", text)
        self._carry_revision(deployment, made)
        return made

    def _annotate(self, deployment: Object, new: Object, olds: list[Object]) -> Object:
        """Update the newest ReplicaSet's revision and minReadySeconds from its Deployment."""
        metadata = {**new["metadata"], "annotations": self._annotations(deployment, new, olds)}
        spec = {**new["spec"], "minReadySeconds": deployment["spec"].get("minReadySeconds", 0)}
        if not spec["minReadySeconds"]:
            spec.pop("minReadySeconds")
        new = self._store.update({**new, "metadata": metadata, "spec": spec})
        self._carry_revision(deployment, new)
        if condition(self._fresh(deployment)["status"], "Progressing") is None:
            self._progressing(
                deployment, "True", "FoundNewReplicaSet", f'Found new replica set "{new["metadata"]["name"]}"'
            )
        return new

    def _annotations(self, deployment: Object, new: Object | None, olds: list[Object]) -> dict[str, str]:
        have = dict((new["metadata"].get("annotations") or {}) if new else {})
        copied = {
            k: v for k, v in (deployment["metadata"].get("annotations") or {}).items() if k not in _NOT_COPIED
        }
        newest_old = max((_revision(rs) for rs in olds), default=0)
        was = int(have.get(REVISION, 0))
        if was <= newest_old:
            if was:
                have[HISTORY] = ",".join(filter(None, [have.get(HISTORY), str(was)]))
            have[REVISION] = str(newest_old + 1)
        replicas = deployment["spec"]["replicas"]
        sizes = {
            DESIRED_REPLICAS: str(replicas),
            MAX_REPLICAS: str(replicas + rollouts.fences(deployment)[0]),
        }
        return {**have, **copied, **(sizes if new is None else {})}

    def _carry_revision(self, deployment: Object, new: Object) -> None:
        fresh = self._fresh(deployment)
        annotations = {
            **(fresh["metadata"].get("annotations") or {}),
            REVISION: new["metadata"]["annotations"][REVISION],
        }
        # Written with the status, as kube-controller-manager does: so it does not count for the generation.
        self._store.update(
            {**fresh, "metadata": {**fresh["metadata"], "annotations": annotations}}, part="status"
        )

    def _scale(self, deployment: Object, name: str, replicas: int) -> None:
        rs = self._store.get("ReplicaSet", deployment["metadata"]["namespace"], name)
        have = rs["spec"]["replicas"]
        if have == replicas:
            return
        self._store.update({**rs, "spec": {**rs["spec"], "replicas": replicas}})
        self._note_size(deployment, name)
        self._scaled_event(deployment, name, have, replicas)

    def _note_size(self, deployment: Object, name: str) -> None:
        """Note on a ReplicaSet the Deployment's size, by which the next sync sees that it changed."""
        rs = self._store.get("ReplicaSet", deployment["metadata"]["namespace"], name)
        replicas = deployment["spec"]["replicas"]
        sizes = {
            DESIRED_REPLICAS: str(replicas),
            MAX_REPLICAS: str(replicas + rollouts.fences(deployment)[0]),
        }
        annotations = {**(rs["metadata"].get("annotations") or {}), **sizes}
        self._store.update({**rs, "metadata": {**rs["metadata"], "annotations": annotations}})

    def _scaled_event(self, deployment: Object, name: str, before: int, after: int) -> None:
        way = "up" if after > before else "down"
        message = f"Scaled {way} replica set {name} from {before} to {after}"
        self._recorder.record(deployment, "Normal", "ScalingReplicaSet", message, "deployment-controller")

    def _prune(self, deployment: Object, olds: list[Object]) -> None:
        """Delete the oldest empty ReplicaSets beyond revisionHistoryLimit."""
        empty = [rs for rs in olds if not rs["spec"]["replicas"] and not rs["status"].get("replicas", 0)]
        empty.sort(key=_revision)
        for rs in empty[: max(0, len(empty) - deployment["spec"]["revisionHistoryLimit"])]:
            self._store.delete(rs)

    # -- status

    def _fresh(self, deployment: Object) -> Object:
        return self._store.get(
            "Deployment", deployment["metadata"]["namespace"], deployment["metadata"]["name"]
        )

    def _progressing(self, deployment: Object, truth: str, reason: str, text: str) -> Object:
        fresh = self._fresh(deployment)
        status = with_condition(fresh["status"], "Progressing", truth, reason, text, datetime.now(UTC))
        return self._store.update({**fresh, "status": status}, part="status")

    def _mark_paused(self, deployment: Object) -> Object:
        current = condition(deployment["status"], "Progressing")
        reason = current["reason"] if current else ""
        if reason == "ProgressDeadlineExceeded":
            return deployment
        if deployment["spec"].get("paused") and reason != "DeploymentPaused":
            return self._progressing(deployment, "Unknown", "DeploymentPaused", "Deployment is paused")
        if not deployment["spec"].get("paused") and reason == "DeploymentPaused":
            return self._progressing(deployment, "Unknown", "DeploymentResumed", "Deployment is resumed")
        return deployment

    def _report(self, deployment: Object, new: Object | None, *, rollout: bool = True) -> float | None:
        fresh, now = self._fresh(deployment), datetime.now(UTC)
        sets = [
            rs
            for rs in self._store.list("ReplicaSet", fresh["metadata"]["namespace"])
            if owned_by(rs, fresh["metadata"]["uid"])
        ]
        if new is not None:
            new = next((rs for rs in sets if rs["metadata"]["uid"] == new["metadata"]["uid"]), None)
        status = counted(fresh, sets, new, now)
        if rollout:
            status = with_progress(fresh, status, new, now)
        self._store.update({**fresh, "status": status}, part="status")
        left = overdue_in(fresh, status, now) if rollout else None
        return left + 0.1 if left else None


def _revision(rs: Object) -> int:
    return int((rs["metadata"].get("annotations") or {}).get(REVISION, 0))


def _replicas_changed(deployment: Object, sets: list[Object]) -> bool:
    wanted = str(deployment["spec"]["replicas"])
    active = [rs for rs in sets if rs["spec"]["replicas"] > 0]
    noted: list[Any] = [(rs["metadata"].get("annotations") or {}).get(DESIRED_REPLICAS) for rs in active]
    return any(value is not None and value != wanted for value in noted)


def _complete(deployment: Object) -> bool:
    current = condition(deployment["status"], "Progressing")
    return current is not None and current["reason"] == "NewReplicaSetAvailable"
