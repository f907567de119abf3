"""What a gRPC client would make of answers that are not a good call, with calls asked for."""

from __future__ import annotations

import pytest

from harness.load.wire.grpc import fault
from harness.model import GRPC_CODES, Outcome

ONE = b"\0\0\0\0\2ok"


def test_each_status_of_grpc_is_an_outcome_under_its_own_name() -> None:
    assert [one.value for one in (GRPC_CODES[0], GRPC_CODES[3], GRPC_CODES[13], GRPC_CODES[15])] == [
        "CANCELLED", "DEADLINE_EXCEEDED", "UNAVAILABLE", "UNAUTHENTICATED",
    ]  # fmt: skip
    assert len(GRPC_CODES) == 16
    for number, outcome in enumerate(GRPC_CODES, 1):
        assert fault("application/grpc", str(number)) == (
            outcome,
            f"grpc-status {number} ({outcome.value})",
        )


@pytest.mark.parametrize(
    ("kind", "status", "body", "good"),
    [
        ("application/grpc", "0", ONE, True),
        ("application/grpc", "0", b"\0\0\0\0\0", True),
        ("application/grpc", "0", b"", False),
        ("application/grpc", "0", ONE + ONE, False),
        ("application/grpc", "0", ONE[:-1], False),
        ("application/grpc", None, ONE, False),
        ("application/grpc-web", None, ONE, False),
        ("text/html", "0", ONE, False),
        ("", None, ONE, False),
        ("application/grpc", "00", ONE, False),
        ("application/grpc", "17", ONE, False),
    ],
)
def test_a_unary_call_is_good_with_status_0_and_exactly_one_message(
    kind: str, status: str | None, body: bytes, *, good: bool
) -> None:
    found = fault(kind, status, "unary", len(body), body)
    assert (found is None) is good
    assert found is None or found[0] is Outcome.GRPC_ERROR


def test_a_stream_may_have_any_number_of_messages() -> None:
    for body in (b"", ONE, ONE + ONE):
        assert fault("application/grpc", "0", "streaming", len(body), body) is None
