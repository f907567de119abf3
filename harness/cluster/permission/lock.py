"""One run at a time on a workload: an annotation that expires when its run is dead.

An annotation of the workload's own metadata, not of its template: it starts no rollout, and needs no permission
beyond the patch that the run needs anyway. Taken with the resourceVersion that was read, so that of two runs at
once only one gets it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

ANNOTATION = "zdtest.dev/run"
LASTS = timedelta(seconds=90)
RENEW_EVERY_S = 30.0


def claim(run: str, now: datetime) -> str:
    """Write the annotation's value: who, and until when."""
    return f"{run} until {(now + LASTS).isoformat(timespec='seconds')}"


def holder(workload: dict[str, Any], run: str, now: datetime) -> str:
    """Return the run that holds this workload now, or "" when none does, when it is `run` itself, or its claim ran out."""
    value = ((workload.get("metadata") or {}).get("annotations") or {}).get(ANNOTATION, "")
    who, until_word, text = str(value).rpartition(" until ")
    if not until_word or who == run:
        return ""
    try:
        until = datetime.fromisoformat(text)
    except ValueError:
        return ""  # not ours: whoever wrote it does not keep to the form
    return f"{who} (until {text})" if until > now else ""


def patch(value: str | None, resource_version: str | None = None) -> dict[str, Any]:
    """Make the patch that sets the claim, or with None takes it away."""
    metadata: dict[str, Any] = {"annotations": {ANNOTATION: value}}
    if resource_version:
        metadata["resourceVersion"] = resource_version
    return {"metadata": metadata}
