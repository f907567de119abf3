"""One run at a time on a workload: an annotation that expires when its run is dead.

An annotation of the workload's own metadata, not of its template: it starts no rollout, and needs no permission
beyond the patch that the run needs anyway. Taken with the resourceVersion that was read, so that of two runs at
once only one gets it.

A Deployment's controller copies annotations to its ReplicaSets, and `kubectl rollout undo` copies them back: the claim
of a run that is over returns. What tells it from a claim is who wrote it (metadata.managedFields).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

ANNOTATION = "zdtest.dev/run"
MANAGER = "zdtest-lock"  # what a claim is written as
LASTS = timedelta(seconds=90)
RENEW_EVERY_S = 30.0
HELD = (
    "another run is using "  # how the refusal of a claimed workload begins; a suite waits where it reads that
)


def claim(run: str, now: datetime) -> str:
    """Write the annotation's value: who, and until when."""
    return f"{run} until {(now + LASTS).isoformat(timespec='seconds')}"


def holder(workload: dict[str, Any], run: str, now: datetime) -> str:
    """Return the run that holds this workload now, or "" when none does, when it is `run` itself, or its claim ran
    out.
    """
    value = ((workload.get("metadata") or {}).get("annotations") or {}).get(ANNOTATION, "")
    who, until_word, text = str(value).rpartition(" until ")
    if not until_word or who == run or _is_a_copy(workload):
        return ""
    try:
        until = datetime.fromisoformat(text)
    except ValueError:
        return ""  # not ours: whoever wrote it does not keep to the form
    return f"{who} (until {text})" if until > now else ""


def _is_a_copy(workload: dict[str, Any]) -> bool:
    """Tell whether somebody else wrote the annotation. Without managedFields (Kubernetes before 1.18) nothing tells."""
    entries = (workload.get("metadata") or {}).get("managedFields") or []
    key = f"f:{ANNOTATION}"
    owners = {entry.get("manager") for entry in entries if key in _annotations_of(entry)}
    return bool(owners) and MANAGER not in owners


def _annotations_of(entry: dict[str, Any]) -> dict[str, Any]:
    fields = (entry.get("fieldsV1") or {}).get("f:metadata") or {}
    found: dict[str, Any] = fields.get("f:annotations") or {}
    return found


def patch(value: str | None, resource_version: str | None = None) -> dict[str, Any]:
    """Make the patch that sets the claim, or with None takes it away."""
    metadata: dict[str, Any] = {"annotations": {ANNOTATION: value}}
    if resource_version:
        metadata["resourceVersion"] = resource_version
    return {"metadata": metadata}
