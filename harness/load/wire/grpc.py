"""What a gRPC answer says of itself: it fails with status 200, in a trailer behind the body or in the only head there is. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_CONTENT = "application/grpc"
_WEB = "application/grpc-web"  # its trailers may lie in the body, which is not kept
_NAMES = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip


def fault(content_type: str, status: str | None) -> str:
    """Say how a whole answer has failed in gRPC's own terms; "" where it has not, or is no gRPC.

    `status` is the grpc-status of the trailers or, without those, of the head. Where there is none at all a client of gRPC
    takes the call for failed.
    """
    kind = content_type.strip().lower()
    if not kind.startswith(_CONTENT):
        return ""
    if status is None:
        return "" if kind.startswith(_WEB) else "an answer without grpc-status"
    told = status.strip()
    if told == "0":
        return ""
    known = told.isascii() and told.isdigit() and len(told) <= 2 and int(told) < len(_NAMES)
    return f"grpc-status {told} ({_NAMES[int(told)]})" if known else "a grpc-status that is none"


def fault_of(headers: Mapping[str, str], trailers: Mapping[bytes, bytes]) -> str:
    """Say it of an answer over HTTP/2."""
    told = trailers.get(b"grpc-status")
    status = headers.get("grpc-status") if told is None else told.decode("latin-1")
    return fault(headers.get("content-type", ""), status)
