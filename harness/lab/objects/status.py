"""Kubernetes' error responses: a Status object for everything but 2xx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.lab.fields.fieldsets import shown

if TYPE_CHECKING:
    from harness.lab.fields.ownership import Conflict


class StatusError(Exception):
    """An error response with a real API server's code and message. `body` is the Status object."""

    def __init__(self, code: int, reason: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.body: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "code": code,
        }
        if details:
            self.body["details"] = details


def _named(plural: str, group: str) -> str:
    return f"{plural}.{group}" if group else plural


def not_found(plural: str, group: str, name: str) -> StatusError:
    """404 for an object."""
    return StatusError(
        404, "NotFound", f'{_named(plural, group)} "{name}" not found', name=name, group=group, kind=plural
    )


def no_such_path() -> StatusError:
    """404 for an unknown path."""
    return StatusError(404, "NotFound", "the server could not find the requested resource")


def already_exists(plural: str, group: str, name: str) -> StatusError:
    """409 for a create."""
    message = f'{_named(plural, group)} "{name}" already exists'
    return StatusError(409, "AlreadyExists", message, name=name, group=group, kind=plural)


def conflict(plural: str, group: str, name: str, why: str = "") -> StatusError:
    """409 for a write based on an outdated object, or on another one of the same name."""
    why = why or "the object has been modified; please apply your changes to the latest version and try again"
    message = f'Operation cannot be fulfilled on {_named(plural, group)} "{name}": {why}'
    return StatusError(409, "Conflict", message, name=name, group=group, kind=plural)


def invalid(kind: str, group: str, name: str, causes: list[tuple[str, str]]) -> StatusError:
    """422; each cause is (field, what is wrong with it)."""
    text = ", ".join(f"{field}: {what}" for field, what in causes)
    if len(causes) > 1:
        text = f"[{text}]"
    shown = f"{kind}.{group}" if group else kind
    return StatusError(
        422,
        "Invalid",
        f'{shown} "{name}" is invalid: {text}',
        name=name,
        group=group,
        kind=kind,
        causes=[{"reason": "FieldValueInvalid", "message": what, "field": field} for field, what in causes],
    )


def invalid_options(field: str, what: str) -> StatusError:
    """422 for query parameters."""
    return invalid("PatchOptions", "meta.k8s.io", "", [(field, what)])


def apply_conflict(found: list[Conflict]) -> StatusError:
    """409 for an apply to fields that others manage."""
    causes: list[dict[str, str]] = []
    by_manager: dict[str, list[str]] = {}
    for conflict in found:
        who = f'"{conflict.manager}"'
        if conflict.operation == "Update":
            who += f" using {conflict.api_version} at {conflict.time}"
        by_manager.setdefault(who, []).append(shown(conflict.path))
        message = f"conflict with {who}"
        causes.append({"reason": "FieldManagerConflict", "message": message, "field": shown(conflict.path)})
    number = f"{len(found)} conflict{'s' if len(found) > 1 else ''}"
    parts = []
    for who, fields in by_manager.items():
        if len(fields) == 1:
            parts.append(f"conflict with {who}: {fields[0]}")
        else:
            parts.append(f"conflicts with {who}:\n" + "\n".join(f"- {field}" for field in fields))
    return StatusError(409, "Conflict", f"Apply failed with {number}: " + "\n".join(parts), causes=causes)


def over_budget(name: str, needed: int, healthy: int) -> StatusError:
    """429 for an eviction that a budget forbids."""
    message = f"The disruption budget {name} needs {needed} healthy pods and has {healthy} currently"
    return StatusError(
        429,
        "TooManyRequests",
        "Cannot evict pod as it would violate the pod's disruption budget.",
        causes=[{"reason": "DisruptionBudget", "message": message}],
    )


def bad_request(message: str) -> StatusError:
    """400."""
    return StatusError(400, "BadRequest", message)


def expired(asked: int, oldest: int) -> StatusError:
    """410: the history before `oldest` has been compacted away."""
    return StatusError(410, "Expired", f"too old resource version: {asked} ({oldest})")


def method_not_allowed() -> StatusError:
    """405."""
    return StatusError(
        405, "MethodNotAllowed", "the server does not allow this method on the requested resource"
    )


def unsupported_media_type(got: str, known: list[str]) -> StatusError:
    """415: an unknown media type."""
    message = (
        f"the body of the request was in an unknown format ({got}) - accepted media types include:"
        f" {', '.join(known)}"
    )
    return StatusError(415, "UnsupportedMediaType", message)
