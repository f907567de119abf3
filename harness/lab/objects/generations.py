"""What of an object a write may change, and what of it counts for its generation. Pure."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]


def kept_metadata(new: Object, was: Object) -> Object:
    """Let a write change what a user may change of the metadata, and nothing else."""
    kept = {
        k: v
        for k, v in new.items()
        if k not in {"deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation"}
    }
    for key in (
        "uid",
        "creationTimestamp",
        "resourceVersion",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
    ):
        if key in was:
            kept[key] = was[key]
    return kept


def desired(item: Object) -> Object:
    """Return all of an object that counts for its generation; of a Deployment the annotations do too."""
    counts = {key: value for key, value in item.items() if key not in {"metadata", "status"}}
    if item["kind"] == "Deployment":
        counts["annotations"] = item["metadata"].get("annotations") or {}
    return counts
