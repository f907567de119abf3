"""What failed calls may mean: what the HTTP status of the same sense does, or what the server says itself."""

from __future__ import annotations

import pytest

from harness.judge.balancers.family import Failure
from harness.judge.balancers.known import BY_NAME
from harness.judge.balancers.meaning import BROKEN, GRPC_STATUS, Meaning
from harness.model import GRPC_CODES, Outcome
from harness.recording.answers import Answer, words


def failed(outcome: Outcome, message: str = "", *, named: bool = False, **headers: str) -> Failure:
    """A failed call, as reading.py hands it over."""
    code = GRPC_CODES.index(outcome) + 1
    said = (("grpc-status", str(code)), ("grpc-message", message), *headers.items())
    answer = Answer(200, said, "", closes=False, good=False)
    return Failure(Outcome.RESPONSE, GRPC_STATUS[outcome], answer, idempotent=False, named=named)


def test_every_status_has_one_of_http() -> None:
    assert set(GRPC_STATUS) == set(GRPC_CODES)


@pytest.mark.parametrize(
    ("message", "meaning"),
    [
        ("no healthy upstream", Meaning.NOBODY),
        (
            "upstream connect error or disconnect/reset before headers. reset reason: connection termination",
            BROKEN,
        ),
        ("upstream connect error. reset reason: remote connection failure", Meaning.REFUSED),
    ],
)  # fmt: skip
def test_envoys_words_are_read_from_the_message(message: str, meaning: Meaning) -> None:
    failure = failed(Outcome.GRPC_UNAVAILABLE, message, server="envoy")
    assert BY_NAME["envoy"].meaning(failure) == meaning
    assert failure.answer is not None
    assert words(failure.answer) == f'envoy: "{message}"'


@pytest.mark.parametrize("name", ["none", "envoy", "unknown"])
def test_a_server_that_breaks_off_its_calls_says_so(name: str) -> None:
    assert BY_NAME[name].meaning(failed(Outcome.GRPC_UNAVAILABLE, "Cancelling all calls")) == BROKEN
    assert (
        BY_NAME[name].meaning(failed(Outcome.GRPC_UNAVAILABLE, "Cancelling all calls", named=True)) == BROKEN
    )


@pytest.mark.parametrize("name", ["none", "envoy", "unknown"])
def test_a_call_that_nobody_but_the_server_can_have_cancelled_was_broken_off(name: str) -> None:
    said = failed(Outcome.GRPC_CANCELLED, "CANCELLED")
    assert BY_NAME[name].meaning(said) == BROKEN | Meaning.APP


def test_straight_from_a_pod_unavailable_is_its_own_word() -> None:
    assert BY_NAME["none"].meaning(failed(Outcome.GRPC_UNAVAILABLE, "no database")) == Meaning.APP_UNAVAILABLE
    assert BY_NAME["none"].meaning(failed(Outcome.GRPC_RESOURCE_EXHAUSTED)) == Meaning.LIMITED
    assert BY_NAME["none"].meaning(failed(Outcome.GRPC_INTERNAL)) == Meaning.APP
    assert BY_NAME["none"].meaning(failed(Outcome.GRPC_DEADLINE_EXCEEDED)) == Meaning.NO_ANSWER | Meaning.APP


def test_without_words_unavailable_is_what_a_503_is() -> None:
    said = failed(Outcome.GRPC_UNAVAILABLE, server="envoy")
    assert BY_NAME["envoy"].meaning(said) & (Meaning.NOBODY | Meaning.REFUSED | BROKEN) == (
        Meaning.NOBODY | Meaning.REFUSED | BROKEN
    )
