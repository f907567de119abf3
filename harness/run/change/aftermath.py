"""What a change leads to: whether it rolls anything, how it ended, and how to undo it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.cluster.watching.reduce import manifest
from harness.k8s import argo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.cluster.rollout.progress import Progress
    from harness.model import OtherChange
    from harness.run.preflight.workload import Subject


def shown(kind: str, patch: dict[str, object]) -> dict[str, object]:
    """Return the patch as it may be written down: an applied manifest has values of variables in it."""
    return manifest(patch) if kind in {"apply", "replace"} else patch


def what_rolls(workload: dict[str, Any]) -> tuple[Any, ...]:
    """Return the part of a workload that starts a rollout when it changes: the pod template, the number of
    replicas, and an Argo Rollout's restartAt.
    """
    spec = workload.get("spec") or {}
    return spec.get("template"), spec.get("replicas"), spec.get("restartAt")


def outcome(
    now: Progress | None, ended_by: str, stuck: str, *, over: bool, others: Sequence[OtherChange] = ()
) -> tuple[str, str]:
    """Return the rollout's state and reason at the end of a run.

    `over`: it was over once, whatever has moved since. `others`: what somebody else changed meanwhile.
    """
    if now is None:
        return "not_started", "no change was seen after it was made"
    if now.deleted:
        return "deleted", ""
    complete = now.over or over
    if now.changed or (others and not complete):
        return "changed", now.changed or "; ".join(change.told for change in others[:3])
    if complete:
        return "complete", ""
    status = now.status
    waiting = status.message if not status.done else f"{now.old_pods} old pods are still there"
    if ended_by == "rollout_stalled":
        return "stalled", "; ".join(text for text in (status.failed, stuck or waiting) if text)
    return "progressing", "; ".join(text for text in (waiting, stuck) if text)


def way_back(subject: Subject, changed: bool, *, over: bool) -> str:  # noqa: FBT001
    """Say what an interrupted run leaves behind, and how to go back. `over`: the rollout is complete."""
    facts, kind = subject.facts, subject.trigger.kind
    what = f"{facts.kind.lower()}/{facts.name}"
    if not changed:
        return f"{what} was not changed"
    line = f"{what} was changed ({subject.trigger.shown})"
    if facts.lab:
        return f"{line}, on the lab, which ends with this run"
    status, undo = f"{facts.kubectl} rollout status {what}", f"{facts.kubectl} rollout undo {what}"
    if facts.kind == argo.KIND:  # by Argo's plugin: kubectl's own command does not know the kind
        status, undo = (f"{facts.kubectl} argo rollouts {verb} {facts.name}" for verb in ("status", "undo"))
    if not over:
        line += f" and continues without us; follow it with: {status}"
    if kind in {"apply", "replace", "set-image"}:
        line += f"; go back with: {undo}"
    if kind == "scale":
        before = (subject.workload.get("spec") or {}).get("replicas", 1)
        line += f"; go back with: {facts.kubectl} scale {what} --replicas={before}"
    return line
