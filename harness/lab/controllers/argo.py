"""Argo Rollouts' controller, as far as requests feel it: canaries by the number of replicas, blue-green, restarts.

A ReplicaSet for each template; setWeight and pause steps; the switch of the Services' selectors; old pods that are
kept for scaleDownDelaySeconds; one pod after the other for restartAt. Rules: github.com/argoproj/argo-rollouts,
rollout/canary.go, bluegreen.go and restart.go. Not there: traffic routers, analyses, experiments, aborts.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from harness.k8s import argo
from harness.k8s.amounts import amount
from harness.k8s.timestamps import parse_timestamp, timestamp
from harness.lab.controllers.deployments import owned_by, owner, template_hash

if TYPE_CHECKING:
    from harness.lab.objects.store import Object, Store

AGAIN_S = 0.25  # how soon to look again while a rollout is under way
DEADLINE = "scale-down-deadline"  # on a ReplicaSet: when it may be scaled down


class ArgoRollouts:
    """Brings each Rollout one step closer to its spec per `sync`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def sync(self, key: tuple[str, str]) -> float | None:
        """Take one step; return the seconds until the next sync, or None."""
        rollout = self._store.find(argo.KIND, *key)
        if rollout is None:
            return None
        spec, status = rollout["spec"], dict(rollout.get("status") or {})
        current = template_hash(spec["template"])
        stable = status.get("stableRS") or ""
        sets = self._sets(rollout)
        if current not in sets:
            sets[current] = self._create(rollout, current, 0 if stable else spec["replicas"])
        if status.get("currentPodHash") != current:
            status |= {"currentPodHash": current, "currentStepIndex": 0, "pauseConditions": None}
        if not stable and _ready(sets[current]) >= spec["replicas"]:
            status = self._promoted(rollout, status, current)
        elif stable and stable != current:
            blue = (spec.get("strategy") or {}).get("blueGreen") is not None
            status = (self._blue_green if blue else self._canary)(rollout, status, sets)
        elif stable:
            self._scale_kept(rollout, sets, current)
            status = self._restarted(rollout, status, sets[current])
        return self._report(rollout, status)

    def _canary(self, rollout: Object, status: Object, sets: dict[str, Object]) -> Object:
        spec, index = rollout["spec"], int(status.get("currentStepIndex") or 0)
        steps, size = argo.steps(rollout), rollout["spec"]["replicas"]
        new, old = sets[status["currentPodHash"]], sets[status["stableRS"]]
        weights = [one["setWeight"] for one in steps[: index + 1] if one.get("setWeight") is not None]
        weight = 100 if index >= len(steps) else weights[-1] if weights else 0
        wanted = math.ceil(size * weight / 100)
        if not self._roll(spec, new, [one for one in sets.values() if one is not new], wanted):
            return status
        if index >= len(steps):
            return self._promoted(rollout, status, status["currentPodHash"]) if not _size(old) else status
        return status | self._stepped(steps, index, status)

    def _stepped(self, steps: list[Object], index: int, status: Object) -> Object:
        """Return what changes in a canary's status once a step's pods are there: a pause waits, all else is done."""
        step, begun = steps[index], status.get("pauseConditions")
        if "pause" in step:
            lasts = argo.pause_s(step)
            if not begun and not status.get("controllerPause"):
                begun = [{"reason": "CanaryPauseStep", "startTime": timestamp()}]
                return {"pauseConditions": begun, "controllerPause": True}
            if begun and not (lasts and _passed(begun[0]["startTime"], lasts)):
                return {}  # somebody who promotes it takes the condition away
        return {"currentStepIndex": index + 1, "pauseConditions": None, "controllerPause": None}

    def _roll(self, spec: Object, new: Object, olds: list[Object], wanted: int) -> bool:
        """Move pods from the old ReplicaSets to the new one within maxSurge and maxUnavailable; tell whether as many as
        are `wanted` are there.
        """
        size, part = spec["replicas"], spec["strategy"].get("canary") or {}
        surge = amount(part.get("maxSurge", "25%"), size, up=True)
        away = amount(part.get("maxUnavailable", "25%"), size, up=False)
        room = size + max(surge, 0 if away else 1) - _size(new) - sum(map(_size, olds))
        if _size(new) < wanted and room > 0:
            self._scale(new, min(wanted, _size(new) + room))
            return False
        spare = _ready(new) + sum(map(_ready, olds)) - (size - away)
        for old in olds:
            least = max(size - wanted, _size(old) - max(spare, 0)) if old is olds[0] else 0
            if _size(old) > least:
                self._scale(old, least)
                return False
        return _size(new) == _ready(new) == wanted

    def _blue_green(self, rollout: Object, status: Object, sets: dict[str, Object]) -> Object:
        part, current = rollout["spec"]["strategy"]["blueGreen"], status["currentPodHash"]
        self._switch(rollout, part.get("previewService"), current)
        status = status | {"blueGreen": {**(status.get("blueGreen") or {}), "previewSelector": current}}
        new = sets[current]
        self._scale(new, rollout["spec"]["replicas"])
        if _ready(new) < rollout["spec"]["replicas"]:
            return status
        held, by_itself = status.get("pauseConditions"), part.get("autoPromotionEnabled") is not False
        lasts = float(part.get("autoPromotionSeconds") or 0) if by_itself else 0.0
        if lasts or not by_itself:
            if not held and not status.get("controllerPause"):
                begun = [{"reason": "BlueGreenPause", "startTime": timestamp()}]
                return status | {"pauseConditions": begun, "controllerPause": True}
            if held and not (lasts and _passed(held[0]["startTime"], lasts)):
                return status
        old = sets[status["stableRS"]]
        until = datetime.now(UTC) + timedelta(seconds=argo.scale_down_s(rollout["spec"]))
        notes = {**(old["metadata"].get("annotations") or {}), DEADLINE: timestamp(until)}
        self._store.update({**old, "metadata": {**old["metadata"], "annotations": notes}})
        return self._promoted(rollout, status | {"pauseConditions": None, "controllerPause": None}, current)

    def _promoted(self, rollout: Object, status: Object, current: str) -> Object:
        """Make a ReplicaSet the stable one, with the Services that users' requests come through."""
        strategy = rollout["spec"]["strategy"]
        part = strategy.get("blueGreen")
        if part is not None:
            for name in (part.get("previewService"), part.get("activeService")):
                self._switch(rollout, name, current)
            status = status | {"blueGreen": {"activeSelector": current, "previewSelector": current}}
        return status | {"stableRS": current, "currentStepIndex": len(argo.steps(rollout))}

    def _scale_kept(self, rollout: Object, sets: dict[str, Object], current: str) -> None:
        """Keep the stable ReplicaSet at its size, and scale down others whose time is over."""
        self._scale(sets[current], rollout["spec"]["replicas"])
        for hash_, one in sets.items():
            until = (one["metadata"].get("annotations") or {}).get(DEADLINE)
            if hash_ != current and (until is None or parse_timestamp(until) <= datetime.now(UTC)):
                self._scale(one, 0)

    def _restarted(self, rollout: Object, status: Object, stable: Object) -> Object:
        """Delete one pod from before restartAt, where all are there and none is on its way."""
        if not argo.restarting({**rollout, "status": status}):
            return status
        asked = parse_timestamp(rollout["spec"]["restartAt"])
        pods = [p for p in self._store.list("Pod", rollout["metadata"]["namespace"])
                if owned_by(p, stable["metadata"]["uid"])]  # fmt: skip
        if any("deletionTimestamp" in pod["metadata"] for pod in pods) or _ready(stable) < _size(stable):
            return status
        for pod in pods:
            if parse_timestamp(pod["metadata"]["creationTimestamp"]) < asked:
                self._store.delete(pod)
                return status
        return (
            status | {"restartedAt": rollout["spec"]["restartAt"]} if asked <= datetime.now(UTC) else status
        )

    def _switch(self, rollout: Object, name: str | None, hash_: str) -> None:
        service = self._store.find("Service", rollout["metadata"]["namespace"], name) if name else None
        if service is not None:
            selector = {**service["spec"]["selector"], argo.HASH: hash_}
            self._store.update({**service, "spec": {**service["spec"], "selector": selector}})

    def _report(self, rollout: Object, status: Object) -> float | None:
        fresh = self._store.get(argo.KIND, rollout["metadata"]["namespace"], rollout["metadata"]["name"])
        sets = self._sets(fresh)
        new = sets.get(status["currentPodHash"])
        ready = sum(map(_ready, sets.values()))
        status = status | {
            "observedGeneration": str(rollout["metadata"]["generation"]),
            "replicas": sum(map(_size, sets.values())), "readyReplicas": ready, "availableReplicas": ready,
            "updatedReplicas": _size(new) if new else 0,
        }  # fmt: skip
        status = {
            name: value
            for name, value in status.items()
            if value is not None and name not in {"phase", "message"}
        }
        now = argo.standing({**fresh, "status": status})
        phase = argo.PAUSED if status.get("pauseConditions") else now.phase
        status |= {"phase": phase} | (
            {} if phase == argo.HEALTHY else {"message": _message(status, now.message)}
        )
        self._store.update({**fresh, "status": status}, part="status")
        kept = sum(map(_size, sets.values())) > rollout["spec"]["replicas"]
        return AGAIN_S if phase != argo.HEALTHY or kept else None

    def _sets(self, rollout: Object) -> dict[str, Object]:
        uid, listed = (
            rollout["metadata"]["uid"],
            self._store.list("ReplicaSet", rollout["metadata"]["namespace"]),
        )
        return {rs["metadata"]["labels"][argo.HASH]: rs for rs in listed if owned_by(rs, uid)}

    def _create(self, rollout: Object, hash_: str, size: int) -> Object:
        spec, metadata = rollout["spec"], rollout["metadata"]
        labels = {**(spec["template"]["metadata"].get("labels") or {}), argo.HASH: hash_}
        wanted = {**(spec["selector"].get("matchLabels") or {}), argo.HASH: hash_}
        made: Object = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": f"{metadata['name']}-{hash_}",
                "namespace": metadata["namespace"],
                "labels": labels,
                "ownerReferences": [owner(rollout)],
            },
            "spec": {
                "replicas": size,
                "selector": {**spec["selector"], "matchLabels": wanted},
                "template": {
                    **spec["template"],
                    "metadata": {**spec["template"]["metadata"], "labels": labels},
                },
            },
        }
        return self._store.create(made)

    def _scale(self, rs: Object, size: int) -> None:
        fresh = self._store.get("ReplicaSet", rs["metadata"]["namespace"], rs["metadata"]["name"])
        if _size(fresh) != size:
            self._store.update({**fresh, "spec": {**fresh["spec"], "replicas": size}})


def _size(rs: Object) -> int:
    return int(rs["spec"]["replicas"])


def _ready(rs: Object) -> int:
    return int((rs.get("status") or {}).get("availableReplicas") or 0)


def _passed(since: str, seconds: float) -> bool:
    return datetime.now(UTC) >= parse_timestamp(since) + timedelta(seconds=seconds)


def _message(status: Object, said: str) -> str:
    return status["pauseConditions"][0]["reason"] if status.get("pauseConditions") else said
