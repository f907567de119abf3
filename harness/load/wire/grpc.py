"""Whether a gRPC call failed: its HTTP status is 200 even then; grpc-status is in a trailer or in the head. Pure."""

from __future__ import annotations

_CONTENT = "application/grpc"
_WEB = "application/grpc-web"  # its trailers may be in the body, which is not kept
_NAMES = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip


def fault(content_type: str, status: str | None) -> str:
    """Return how a complete response failed in gRPC's own terms; "" if it did not, or is not gRPC.

    `status` is the grpc-status in the trailers or, without those, in the head. Without any grpc-status, a gRPC client
    treats the call as failed.
    """
    kind = content_type.strip().lower()
    if not kind.startswith(_CONTENT):
        return ""
    if status is None:
        return "" if kind.startswith(_WEB) else "a response without grpc-status"
    code = status.strip()
    if code == "0":
        return ""
    known = code.isascii() and code.isdigit() and len(code) <= 2 and int(code) < len(_NAMES)
    return f"grpc-status {code} ({_NAMES[int(code)]})" if known else "an invalid grpc-status"
