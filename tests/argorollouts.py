"""Argo Rollouts as their controller leaves them: objects in the shape of argoproj.io/v1alpha1, their status played.

No controller runs in the tests: it is a Go program that no package registry has. What it writes is known from its
types (pkg/apis/rollouts/v1alpha1/types.go) and its rules (utils/rollout/rolloututil.go), and imitated here.
"""

from __future__ import annotations

from typing import Any

OLD, NEW = "6d9f7c8b54", "7f5b9d6c88"
STEPS: tuple[dict[str, Any], ...] = (
    {"setWeight": 20},
    {"pause": {}},
    {"setWeight": 60},
    {"pause": {"duration": "30s"}},
)


def rollout(
    *,
    image: str = "img:1",
    wanted: int = 5,
    generation: int = 2,
    observed: int | None = None,
    strategy: dict[str, Any] | None = None,
    spec: dict[str, Any] | None = None,
    **status: Any,
) -> dict[str, Any]:
    """A Rollout whose controller has seen generation `observed` (the newest, where nothing is said)."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "web", "namespace": "shop", "uid": "uid-web", "generation": generation},
        "spec": {
            "replicas": wanted,
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": strategy or {"canary": {"steps": list(STEPS)}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "app", "image": image}]},
            },
            **(spec or {}),
        },
        "status": {"observedGeneration": str(generation if observed is None else observed), **status},
    }


def healthy(hash_: str = OLD, wanted: int = 5, **more: Any) -> dict[str, Any]:
    """The status of a Rollout with nothing left to do."""
    return {
        "phase": "Healthy", "replicas": wanted, "updatedReplicas": wanted, "readyReplicas": wanted,
        "availableReplicas": wanted, "currentPodHash": hash_, "stableRS": hash_, "currentStepIndex": len(STEPS), **more,
    }  # fmt: skip


def midway(**more: Any) -> dict[str, Any]:
    """The status in the middle of an update from OLD to NEW."""
    return {
        "phase": "Progressing", "message": "more replicas need to be updated", "replicas": 5, "updatedReplicas": 1,
        "readyReplicas": 5, "availableReplicas": 5, "currentPodHash": NEW, "stableRS": OLD, "currentStepIndex": 0,
        **more,
    }  # fmt: skip


BLUE_GREEN: dict[str, Any] = {"blueGreen": {"activeService": "web", "previewService": "web-preview"}}
