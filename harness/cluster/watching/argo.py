"""What a recording keeps of an Argo Rollout's own fields. Pure.

Arguments of analyses, the settings of plugins and the metadata that it puts on pods may hold anything, so a field is
kept only where its meaning is known. Of everything else in a step only the name is kept.
"""

from __future__ import annotations

from typing import Any

from harness import masking
from harness.k8s import argo

Object = dict[str, Any]

_BLUE_GREEN = (
    "activeService", "previewService", "autoPromotionEnabled", "autoPromotionSeconds", "scaleDownDelaySeconds",
    "scaleDownDelayRevisionLimit", "previewReplicaCount", "maxUnavailable", "abortScaleDownDelaySeconds",
)  # fmt: skip
_CANARY = (
    "canaryService", "stableService", "maxSurge", "maxUnavailable", "scaleDownDelaySeconds",
    "scaleDownDelayRevisionLimit", "dynamicStableScale", "abortScaleDownDelaySeconds", "minPodsPerReplicaSet",
)  # fmt: skip
_SPEC = ("restartAt", "rollbackWindow", "progressDeadlineAbort")
_STATUS = (
    "abort", "abortedAt", "controllerPause", "currentPodHash", "currentStepHash", "currentStepIndex", "replicas",
    "updatedReplicas", "readyReplicas", "availableReplicas", "HPAReplicas", "stableRS", "restartedAt", "promoteFull",
    "phase",
)  # fmt: skip
_PLAIN = (str, int, bool)


def spec(given: Object) -> Object:
    """Return what is kept of a Rollout's spec beside what all workloads have (replicas, selector, template, ...)."""
    kept = _chosen(given, _SPEC)
    strategy = given.get("strategy") or {}
    if strategy.get("blueGreen") is not None:
        kept["strategy"] = {"blueGreen": _chosen(strategy["blueGreen"], _BLUE_GREEN)}
    elif strategy.get("canary") is not None:
        kept["strategy"] = {"canary": _canary(strategy["canary"])}
    ref = given.get("workloadRef") or {}
    return kept | ({"workloadRef": _chosen(ref, ("apiVersion", "kind", "name"))} if ref else {})


def _canary(given: Object) -> Object:
    kept = _chosen(given, _CANARY)
    if given.get("steps"):
        kept["steps"] = [_step(step) for step in given["steps"]]
    if given.get("trafficRouting"):
        kept["trafficRouting"] = {name: {} for name in given["trafficRouting"]}
    return kept


def _step(step: Object) -> Object:
    kept: Object = {}
    for name, value in step.items():
        if name == "setWeight" and isinstance(value, int):
            kept[name] = value
        elif name == "pause":
            kept[name] = _chosen(value or {}, ("duration",))
        else:
            kept[name] = {}
    return kept


def status(given: Object) -> Object:
    """Return what is kept of a Rollout's status. observedGeneration, which is text there, becomes a number."""
    kept = _chosen(given, _STATUS)
    seen = argo.observed(given)
    if given.get("observedGeneration") and seen is not None:
        kept["observedGeneration"] = seen
    if given.get("message"):
        kept["message"] = masking.prose(str(given["message"]))
    if given.get("pauseConditions"):
        kept["pauseConditions"] = [_chosen(one, ("reason", "startTime")) for one in given["pauseConditions"]]
    weights = (given.get("canary") or {}).get("weights") or {}
    if weights:
        kept["canary"] = {
            "weights": {
                **{side: _chosen(weights.get(side) or {}, ("weight",)) for side in ("canary", "stable")},
                **_chosen(weights, ("verified",)),
            }
        }
    if given.get("blueGreen"):
        kept["blueGreen"] = _chosen(given["blueGreen"], ("activeSelector", "previewSelector"))
    if given.get("conditions"):
        kept["conditions"] = [
            {**c, "message": masking.prose(str(c["message"]))} if c.get("message") else c
            for c in given["conditions"]
        ]
    return kept


def _chosen(given: Object, names: tuple[str, ...]) -> Object:
    return {name: given[name] for name in names if isinstance(given.get(name), _PLAIN)}
