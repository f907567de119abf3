"""What must hold of an Argo Rollout before anything is changed, and what is worth knowing. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.errors import UsageError
from harness.k8s import argo
from harness.scenario.trigger import FOREIGN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.scenario.trigger import Trigger

Object = dict[str, Any]
_NEW_TEMPLATE = ("set-image", "apply", "replace")


def check(rollout: Object, trigger: Trigger) -> tuple[str, ...]:
    """Return notes on a Rollout. Raises UsageError where it cannot be rolled out as it is."""
    name, spec = rollout["metadata"]["name"], rollout.get("spec") or {}
    ref = spec.get("workloadRef") or {}
    if ref:
        raise UsageError(
            f"Rollout {name} takes its pod template from {ref.get('kind', 'another object')} {ref.get('name', '?')}"
            " (spec.workloadRef), which zdtest does not follow; it needs the template in the Rollout (spec.template)"
        )
    if not spec.get("template") or not spec.get("selector"):
        raise UsageError(
            f"Rollout {name} has no spec.template or no spec.selector: there are no pods to follow"
        )
    strategy = spec.get("strategy") or {}
    if strategy.get("canary") is None and strategy.get("blueGreen") is None:
        raise UsageError(f"Rollout {name} has neither spec.strategy.canary nor spec.strategy.blueGreen")
    if spec.get("paused"):
        raise UsageError(
            f"Rollout {name} is paused by hand (spec.paused), so a change would do nothing; resume it first:"
            f" kubectl argo rollouts promote {name}"
        )
    going = argo.under_way(rollout)
    if going and trigger.kind not in FOREIGN:
        raise UsageError(
            f"an update of Rollout {name} is under way ({going}); let it end first, or watch it with --trigger observe"
        )
    if (rollout.get("status") or {}).get("abort") and trigger.kind not in {*FOREIGN, *_NEW_TEMPLATE}:
        raise UsageError(
            f"the last update of Rollout {name} was aborted, and Argo calls it Degraded until there is a new one: what"
            f" {trigger.kind} does would never be over; use --trigger 'set-image ...', or undo that update first:"
            f" kubectl argo rollouts undo {name}"
        )
    return tuple(_notes(name, spec, rollout, trigger))


def _notes(name: str, spec: Object, rollout: Object, trigger: Trigger) -> list[str]:
    status, found = rollout.get("status") or {}, []
    if status.get("abort"):
        found.append(
            f"the last update of {name} was aborted: the pods that run are not those of its template"
        )
    if trigger.kind == "restart":
        found.append(
            f"Argo Rollouts restarts {name} by ending old pods before it makes new ones (spec.restartAt), without"
            " canary steps: to test the steps, use --trigger 'set-image ...'"
        )
        return found
    waits = [number for number, step in enumerate(argo.steps({"spec": spec}), 1) if _waits_for_ever(step)]
    if waits and trigger.kind not in FOREIGN:
        found.append(
            f"step {waits[0]} of {name} pauses until somebody promotes it: kubectl argo rollouts promote {name}"
        )
    part = (spec.get("strategy") or {}).get("blueGreen") or {}
    if part.get("autoPromotionEnabled") is False:
        found.append(
            f"{name} is not promoted by itself: kubectl argo rollouts promote {name} switches its Service"
        )
    kept = argo.scale_down_s(spec)
    if kept:
        found.append(
            f"{name} keeps its old pods for {kept} s after the switch: the run lasts until they are gone"
        )
    return found


def _waits_for_ever(step: Object) -> bool:
    return "pause" in step and not (step["pause"] or {}).get("duration")


def reached(services: Sequence[Object], rollout: Object) -> list[Object]:
    """Return the Services that take users' requests to a Rollout's pods: all but the one for previews."""
    strategy = (rollout.get("spec") or {}).get("strategy") or {}
    preview = (strategy.get("blueGreen") or {}).get("previewService")
    return [service for service in services if service["metadata"]["name"] != preview]


MISSING = (
    "the API server has no Rollouts (argoproj.io/v1alpha1): is Argo Rollouts installed there (--context)?"
)
