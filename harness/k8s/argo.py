"""What an Argo Rollout says of itself: how far it is, what it waits for, and its steps.

The rules are those of the project's own client: github.com/argoproj/argo-rollouts, utils/rollout/rolloututil.go
(phase), rollout/restart.go (restartAt) and pkg/apis/rollouts/v1alpha1/types.go (fields). From 1.0 on the controller
writes `status.phase`; it counts only once the controller has seen the newest generation. `status.observedGeneration` is
text, unlike that of any other workload.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.k8s.timestamps import since_epoch_ns

if TYPE_CHECKING:
    from collections.abc import Mapping

Object = dict[str, Any]

KIND, GROUP, VERSION, PLURAL = "Rollout", "argoproj.io", "v1alpha1", "rollouts"
HASH = "rollouts-pod-template-hash"  # the label by which its ReplicaSets and Services tell templates apart
SCALE_DOWN_S = 30  # scaleDownDelaySeconds where nothing is said
ABORTED = "RolloutAborted"  # in Argo's own word
HEALTHY, PROGRESSING, PAUSED, DEGRADED = "Healthy", "Progressing", "Paused", "Degraded"
_REASON = re.compile(r"[A-Z][A-Za-z]{2,60}(?=:)")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST_S = 10**9  # a number beyond this is no duration, and may not fit a float
_PAUSES = {
    "CanaryPauseStep": "at a pause step",
    "BlueGreenPause": "before the active Service is switched",
    "InconclusiveAnalysisRun": "because an analysis was inconclusive",
    "InconclusiveExperiment": "because an experiment was inconclusive",
}


@dataclass(frozen=True, slots=True)
class Pause:
    """Why a Rollout is paused, in words that follow "paused ". `timed`: it goes on by itself."""

    words: str
    timed: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a Rollout stands. `phase` is Argo's own word; `failed` names what ended it, "" while there is hope."""

    phase: str
    message: str
    failed: str = ""


def observed(status: Mapping[str, Any]) -> int | None:
    """Return the generation that the controller has seen; None before 0.10, which wrote a hash there."""
    text = str(status.get("observedGeneration") or "0")
    return int(text) if text.isdecimal() else None


def standing(obj: Mapping[str, Any], generation: int = 0) -> Standing:
    """Say where a Rollout stands. `generation` is that of a change of our own, which must have been seen."""
    metadata, status = obj.get("metadata") or {}, obj.get("status") or {}
    seen = observed(status)
    if seen is not None and seen < max(generation, int(metadata.get("generation") or 0)):
        return Standing(PROGRESSING, "waiting for the change to be observed")
    message = " ".join(str(status.get("message") or "").split())
    phase = str(status.get("phase") or "")
    if status.get("abort"):
        return Standing(
            DEGRADED,
            f"the update was aborted ({message})" if message else "the update was aborted",
            ABORTED,
        )
    if phase == DEGRADED:
        reason = _REASON.match(message)
        return Standing(DEGRADED, message or "degraded", reason[0] if reason else DEGRADED)
    if phase == PAUSED or (obj.get("spec") or {}).get("paused"):
        held = pause(obj)
        return Standing(PAUSED, f"paused {held.words}" if held else message or "paused")
    waits = _waits_for(obj)
    if waits or phase in {HEALTHY, ""}:  # before 1.0 the controller wrote none
        return Standing(PROGRESSING if waits else HEALTHY, waits)
    return Standing(phase or PROGRESSING, message or "its phase is not Healthy yet")


def pause(obj: Mapping[str, Any]) -> Pause | None:
    """Say why a Rollout is paused; None where it is not."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    if spec.get("paused"):
        return Pause("by hand (spec.paused)", timed=False)
    reasons = [str(one.get("reason") or "") for one in status.get("pauseConditions") or ()]
    if not reasons:
        return None
    where = _PAUSES.get(reasons[0], f"({reasons[0] or 'no reason given'})")
    if reasons[0] == "CanaryPauseStep":
        where = f"at {step_place(obj)}" if step_place(obj) else where
        seconds = pause_s(step_now(obj) or {})
    elif reasons[0] == "BlueGreenPause":
        given = (spec.get("strategy") or {}).get("blueGreen") or {}
        by_itself = given.get("autoPromotionEnabled") is not False
        seconds = _seconds(given.get("autoPromotionSeconds")) if by_itself else 0.0
    else:
        return Pause(where, timed=False)
    until = f"for {seconds:g} s" if seconds else "until somebody promotes it"
    return Pause(f"{where}, {until}", timed=bool(seconds))


def _waits_for(obj: Mapping[str, Any]) -> str:
    """Say what a Rollout still waits for, by its own numbers; "" where it is over."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    wanted = 1 if spec.get("replicas") is None else int(spec["replicas"])
    names = ("updatedReplicas", "availableReplicas", "replicas")
    updated, available, total = (int(status.get(name) or 0) for name in names)
    current, strategy = str(status.get("currentPodHash") or ""), spec.get("strategy") or {}
    blue_green = strategy.get("blueGreen") is not None
    # Old pods are kept for a while after a switch, and where traffic is routed: they are no sign that it goes on.
    old = 0 if blue_green or (strategy.get("canary") or {}).get("trafficRouting") else total - updated
    active = str((status.get("blueGreen") or {}).get("activeSelector") or "")
    place = step_place(obj)
    waits = {
        "waiting for it to go on after a pause": status.get("controllerPause")
        and not status.get("pauseConditions"),
        "pods from before restartAt are being replaced": restarting(obj),
        f"{updated} of {wanted} new replicas have been updated": updated < wanted,
        f"{available} of {updated} updated replicas are available": available < updated,
        "the active Service has not been switched yet": blue_green and (not active or active != current),
        f"{old} old replicas are pending termination": old > 0,
        f"{f'{place}: ' if place else ''}the new ReplicaSet is not the stable one yet": (
            not current or status.get("stableRS") != current
        ),
    }
    return next((words for words, holds in waits.items() if holds), "")


def restarting(obj: Mapping[str, Any]) -> bool:
    """Tell whether pods from before `spec.restartAt` have yet to be replaced."""
    asked = (obj.get("spec") or {}).get("restartAt")
    done = (obj.get("status") or {}).get("restartedAt")
    return bool(asked) and (not done or since_epoch_ns(asked) != since_epoch_ns(done))


def under_way(obj: Mapping[str, Any]) -> str:
    """Say how an update of a Rollout is under way, or ""; one that was aborted is over."""
    status = obj.get("status") or {}
    stable, current = status.get("stableRS"), status.get("currentPodHash")
    if status.get("abort") or not stable or not current or stable == current:
        return ""
    return standing(obj).message or "its new ReplicaSet is not the stable one yet"


def steps(obj: Mapping[str, Any]) -> list[Object]:
    """Return a canary's steps; [] without any."""
    found = (((obj.get("spec") or {}).get("strategy") or {}).get("canary") or {}).get("steps") or []
    return [one for one in found if isinstance(one, dict)]


def step_now(obj: Mapping[str, Any]) -> Object | None:
    """Return the canary step that is under way; None where there is none, or all are done."""
    index, known = step_index(obj), steps(obj)
    return known[index] if index is not None and 0 <= index < len(known) else None


def step_index(obj: Mapping[str, Any]) -> int | None:
    """Return the index of the canary step under way, from 0; as many as there are steps once all are done."""
    index = (obj.get("status") or {}).get("currentStepIndex")
    return index if isinstance(index, int) and not isinstance(index, bool) else None


def step_place(obj: Mapping[str, Any]) -> str:
    """Name the canary step under way: "step 2 of 5 (pause)", "" for none."""
    index, step = step_index(obj), step_now(obj)
    return (
        "" if index is None or step is None else f"step {index + 1} of {len(steps(obj))} ({step_words(step)})"
    )


def step_words(step: Mapping[str, Any]) -> str:
    """Say what a canary step does, as a manifest has it."""
    if step.get("setWeight") is not None:
        return f"setWeight {step['setWeight']}"
    if "pause" in step:
        duration = (step.get("pause") or {}).get("duration")
        return f"pause {duration}" if duration else "pause without a duration"
    return next(iter(step), "?")


def weight(obj: Mapping[str, Any]) -> int | None:
    """Return the share of traffic that a traffic router was told to send to the new pods, in percent; None without
    one.
    """
    weights = ((obj.get("status") or {}).get("canary") or {}).get("weights") or {}
    found = (weights.get("canary") or {}).get("weight")
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def scale_down_s(spec: Mapping[str, Any]) -> int:
    """Return how long the old pods are kept after the switch, in seconds: blue-green, and canaries whose traffic is
    routed; 0 for others.
    """
    strategy = spec.get("strategy") or {}
    part = strategy.get("blueGreen")
    if part is None:
        part = strategy.get("canary") or {}
        if not part.get("trafficRouting"):
            return 0
    said = part.get("scaleDownDelaySeconds")
    return SCALE_DOWN_S if said is None else int(said)


def pauses_s(spec: Mapping[str, Any]) -> float:
    """Return how long all timed pauses of a canary take together, in seconds."""
    listed = steps({"spec": dict(spec)})
    return sum(pause_s(one) for one in listed)


def pause_s(step: Mapping[str, Any]) -> float:
    """Return how long a pause step lasts, in seconds; 0 for one that waits for somebody."""
    return _seconds((step.get("pause") or {}).get("duration"))


def _seconds(duration: object) -> float:
    """Read a pause's duration: a number of seconds, or Go's text for one ("1m30s"). 0 where it is none."""
    if isinstance(duration, int) and not isinstance(duration, bool):
        return float(min(max(duration, 0), _LONGEST_S))
    text = str(duration or "")
    if text.isdecimal():
        return float(text)
    parts = _DURATION.findall(text)
    whole = "".join(number + unit for number, unit in parts) == text
    return sum(float(number) * _SECONDS[unit] for number, unit in parts) if whole else 0.0
