"""Which GitOps tool manages this object? Pure."""

from __future__ import annotations

from typing import Any

# label or annotation -> tool. The first two are Argo CD's own ways of tracking (argo-cd docs, Resource Tracking); the
# others are what kustomize-controller and helm-controller put on what they apply.
_MARKS = {
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "argocd.argoproj.io/instance": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
}
_MANAGERS = {
    "argocd-controller": "Argo CD",
    "argocd-application-controller": "Argo CD",
    "kustomize-controller": "Flux",
    "helm-controller": "Flux",
}


def tracked_by(workload: dict[str, Any]) -> str:
    """Name the GitOps tool that tracks this object ("Argo CD", "Flux"), or "" where none shows."""
    metadata = workload.get("metadata") or {}
    marks = {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}
    for mark, tool in _MARKS.items():
        if mark in marks:
            return tool
    managers = {entry.get("manager") for entry in metadata.get("managedFields") or []}
    return next((tool for manager, tool in _MANAGERS.items() if manager in managers), "")


def objection(tool: str, trigger: str) -> str:
    """Say why a change of this kind is not made to an object that a GitOps tool tracks, or ""."""
    if tool and trigger in {"apply", "replace", "set-image", "scale"}:
        return (
            f"{tool} tracks this object and would undo it: let it make the change itself, with --trigger 'command …'"
            " or --trigger observe"
        )
    return ""
