"""Whether a gRPC call failed: its HTTP status is 200 even then; grpc-status is in a trailer or in the head. Pure."""

from __future__ import annotations

from harness.model import GRPC_CODES, Outcome

_CONTENT = "application/grpc"
_WEB = "application/grpc-web"  # its trailers may be in the body, which is not kept
_PREFIX = 5  # bytes before each message: whether it is compressed (1), and its length (4)
_LONGEST_CODE = 2


def fault(
    content_type: str, status: str | None, asked: str = "", size: int = 0, body: bytes | bytearray = b""
) -> tuple[Outcome, str] | None:
    """Return how a complete response of a good HTTP status failed in gRPC's own terms, and that in words.

    None if it did not, or if it is not gRPC and nobody asked for gRPC. `status` is the grpc-status in the trailers or,
    without those, in the head. Without any grpc-status, a gRPC client treats the call as failed.
    `asked`: LoadPlan.grpc; of a unary call, a client takes exactly one message. `size` and `body`: of the content, and
    its beginning.
    """
    kind = content_type.strip().lower()
    if not kind.startswith(_CONTENT):
        return (Outcome.GRPC_ERROR, "an answer that is not gRPC's") if asked else None
    if status is None:
        web = kind.startswith(_WEB) and not asked
        return None if web else (Outcome.GRPC_ERROR, "a response without grpc-status")
    code = status.strip()
    if code == "0":
        whole = asked != "unary" or size == _PREFIX + int.from_bytes(body[1:_PREFIX])
        return None if whole else (Outcome.GRPC_ERROR, "grpc-status 0 without exactly one message")
    known = code.isascii() and code.isdigit() and len(code) <= _LONGEST_CODE and int(code) <= len(GRPC_CODES)
    if not known or not int(code):
        return Outcome.GRPC_ERROR, "an invalid grpc-status"
    outcome = GRPC_CODES[int(code) - 1]
    return outcome, f"grpc-status {code} ({outcome.value})"
