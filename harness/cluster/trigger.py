"""The one change that zdtest makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from harness.cluster.api import Api

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
FIELD_MANAGER = "kubectl-rollout"


def restart_patch(when: datetime) -> dict[str, Any]:
    """Make `kubectl rollout restart`'s patch (k8s.io/kubectl pkg/polymorphichelpers/objectrestarter.go).

    kubectl writes whole seconds, and a second restart within one of them is no change; this writes microseconds.
    `when` must know its time zone.
    """
    value = when.isoformat(timespec="microseconds")
    return {"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: value}}}}}


def restart(
    api: Api, kind: str, namespace: str, name: str, patch: dict[str, Any], *, dry_run: bool = False
) -> dict[str, Any]:
    """Send the patch, once. Returns the workload as the server has it now. Raises ClusterError."""
    return api.patch(kind, namespace, name, patch, field_manager=FIELD_MANAGER, dry_run=dry_run)
