"""The shape of a family's table: by what it is recognised, and what its answers mean. Pure.

A table is asked in this order: words that only it says, then what shows that an answer came from behind it, then the
status. Words are a sign, not a proof: an answer that says none of them, of a balancer that lets people write error
pages of their own, is read by its status.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.clock import NS
from harness.judge.balancers.meaning import BROKEN, NONE, OF_A_POD, TIMED_OUT, Meaning, server_says
from harness.model import GRPC_CODES, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.recording.answers import Answer

# What comes so fast is no timeout: nobody sets one so short.
QUICK_NS = NS // 4
GATEWAY = frozenset({502, 503, 504})


@dataclass(frozen=True, slots=True)
class Failure:
    """One distinct way in which hits failed.

    `reused`: the client's connection had carried hits before. `idempotent`: by its method. `quick`: it took less than
    QUICK_NS. `named`: the answer named its pod. `logged`: what it can mean by an access log, NONE where that says
    nothing; `log`: the family that wrote it.
    """

    outcome: Outcome
    status: int
    answer: Answer | None = None
    reused: bool = False
    idempotent: bool = True
    quick: bool = True
    named: bool = False
    logged: Meaning = NONE
    log: str = ""
    kind: str = ""  # in the words of reports


@dataclass(frozen=True, slots=True)
class Says:
    """Words in a body (in lower case) and what they mean. `retold`: other software says them too, so they name
    nobody.
    """

    words: str
    meanings: Meaning
    retold: bool = False


def nothing(_: Answer) -> str:
    """Return the evidence of a family that no header gives away."""
    return ""


def unlogged(_said: str, _named: bool) -> Meaning:  # noqa: FBT001  a table's reader
    """Return what a log says whose reasons nobody knows: nothing."""
    return NONE


def never(_: Answer) -> bool:
    """Return whether an answer came from behind a family of which no header tells that."""
    return False


@dataclass(frozen=True, slots=True)
class Family:
    """One family of balancers.

    `sign` returns by which header an answer shows that it passed through this balancer, or "". `own` tells whether a
    header shows that the balancer itself gave an answer, `passed_on` whether one shows that it came from behind.
    `statuses`: what its own answers mean, and `broken` what the end of the client's connection without an answer
    means: on its first request, on a later one. `gate`: it can tell Kubernetes when a target is healthy.
    `deregisters`: it cuts what a removed target still answers after a delay that somebody set. `retry`: how it is
    told to ask the next pod. `logs(said, named)`: what the reason in a line of its access log means (Entry.said), NONE
    if it is unknown; `named`: the line names a pod.
    """

    name: str
    title: str
    sign: Callable[[Answer], str] = nothing
    own: Callable[[Answer], bool] = never
    passed_on: Callable[[Answer], bool] = never
    says: tuple[Says, ...] = ()
    statuses: Mapping[int, Meaning] = field(default_factory=dict)
    broken: tuple[Meaning, Meaning] = (Meaning.BALANCER, Meaning.BALANCER)
    gate: bool = False
    deregisters: bool = False
    retry: str = ""
    reload: str = ""  # how to keep its own reload from losing requests
    closes_after_error: bool = (
        False  # the client's connection, after an answer of its own that says why a pod failed
    )
    logs: Callable[[str, bool], Meaning] = unlogged
    asks_again: bool = False  # by itself, on a reused connection that broke: idempotent requests only

    def bears(self, answer: Answer) -> Says | None:
        """Return what of this family's own words is in an answer."""
        text = answer.body.lower() or answer.header("grpc-message").lower()
        return next((one for one in self.says if one.words in text), None)

    def meaning(self, failure: Failure) -> Meaning:
        """Return what one failure means behind this balancer."""
        if failure.outcome is not Outcome.RESPONSE:
            return self._unanswered(failure)
        if failure.named:
            return server_says(failure.answer) or own_answer(failure.status)
        found = self._answered(failure)
        if failure.quick and found & ~TIMED_OUT:
            found &= ~TIMED_OUT
        if self.asks_again and failure.idempotent and found & Meaning.BROKEN_FRESH:
            found &= ~Meaning.BROKEN_REUSED
        return found

    def _answered(self, failure: Failure) -> Meaning:
        answer, status = failure.answer, failure.status
        if limited := quota(status, answer):
            return limited
        if answer is not None:
            said = self.bears(answer)
            if worded := said.meanings if said is not None else server_says(answer):
                return worded
            if self.passed_on(answer):
                return own_answer(status)
        by_status = self.statuses.get(status)
        if by_status is None:
            return own_answer(status)
        if answer is not None and not self.own(answer):
            return by_status | own_answer(status)
        return by_status

    def _unanswered(self, failure: Failure) -> Meaning:
        if failure.outcome in _BEFORE:
            return self.broken[failure.reused]
        return UNANSWERED.get(failure.outcome, Meaning.UNKNOWN)


# The end of the client's connection before an answer, which each family may mean in its own way.
_BEFORE = frozenset(
    {Outcome.RESET_BEFORE_RESPONSE, Outcome.EOF_BEFORE_RESPONSE, Outcome.IDLE_CLOSE_RACE,
     Outcome.WRITE_RESET, Outcome.WRITE_BROKEN_PIPE}
)  # fmt: skip
# What a client sees of a balancer that speaks HTTP, and that has given no answer.
UNANSWERED: dict[Outcome, Meaning] = {
    Outcome.CONNECT_REFUSED: Meaning.BALANCER,
    Outcome.CONNECT_RESET: Meaning.BALANCER,
    Outcome.TLS_HANDSHAKE: Meaning.BALANCER,
    Outcome.CONNECT_TIMEOUT: Meaning.BALANCER | Meaning.CONNECT_TIMEOUT,
    Outcome.CONNECT_UNREACHABLE: Meaning.BALANCER | Meaning.CONNECT_TIMEOUT,
    Outcome.CONNECT_FAIL: Meaning.BALANCER | Meaning.CONNECT_TIMEOUT,
    Outcome.TLS_TIMEOUT: Meaning.BALANCER | TIMED_OUT,
    Outcome.WRITE_TIMEOUT: TIMED_OUT,
    Outcome.READ_TIMEOUT_HEADERS: TIMED_OUT,
    Outcome.READ_TIMEOUT_BODY: Meaning.CUT,
    Outcome.RESET_MID_RESPONSE: Meaning.CUT,
    Outcome.EOF_MID_RESPONSE: Meaning.CUT,
    Outcome.PROTOCOL_ERROR: Meaning.CUT,
    Outcome.H2_GOAWAY: BROKEN | Meaning.BALANCER,
    Outcome.H2_REFUSED_STREAM: Meaning.REFUSED | Meaning.BALANCER,
    Outcome.H2_RESET_BEFORE_RESPONSE: BROKEN,
    Outcome.H2_RESET_MID_RESPONSE: Meaning.CUT,
    # What a balancer that speaks gRPC says in place of a 502, 503 or 504.
    **dict.fromkeys((Outcome.GRPC_ERROR, *GRPC_CODES), Meaning.NOBODY | OF_A_POD | Meaning.APP),
}


def own_answer(status: int) -> Meaning:
    """Return what an answer of the application's own means."""
    if status == 429:
        return Meaning.LIMITED
    return Meaning.APP_UNAVAILABLE if status in {502, 503} else Meaning.APP


def quota(status: int, answer: Answer | None) -> Meaning:
    """Return what an answer means that says itself that there were too many requests; nothing otherwise. RFC 6585,
    RFC 9110 10.2.3.
    """
    if status == 429:
        return Meaning.LIMITED
    if status == 503 and answer is not None and answer.header("retry-after"):
        return Meaning.LIMITED | Meaning.APP_UNAVAILABLE
    return NONE


def by_reason(table: Mapping[str, Meaning]) -> Callable[[str, bool], Meaning]:
    """Return a reader of logs that give one reason, or several separated by commas: what any of them means."""

    def logs(said: str, _named: bool) -> Meaning:  # noqa: FBT001  a table's reader
        found = NONE
        for reason in said.split(","):
            found |= table.get(reason.strip(), NONE)
        return found

    return logs


def by_target(status: str) -> Meaning:
    """Return what the status means that a log gives as the pod's own answer."""
    if status == "429":
        return Meaning.LIMITED
    return own_answer(int(status)) if status.isdigit() and int(status) >= 400 else NONE


def narrowed(found: Meaning, failure: Failure, *, own: bool, worded: bool) -> Meaning:
    """Return what is left of a failure's meanings once the access log has been heard.

    Where the two contradict each other, the log counts only if it is that of a balancer known to stand there (`own`),
    and the answer did not say itself why it failed (`worded`): a request may pass two balancers under one id.
    """
    logged = failure.logged
    if not found & Meaning.CUT:
        logged &= ~Meaning.CUT  # the client saw that no answer was cut
    if found & logged:
        return found & logged
    if failure.quick and logged & ~TIMED_OUT:
        logged &= ~TIMED_OUT
    return logged if logged and own and not worded else found


def served_by(*names: str) -> Callable[[Answer], str]:
    """Return a sign: the Server header is, or begins with, one of these names in lower case."""

    def sign(answer: Answer) -> str:
        server = answer.header("server")
        return f"server: {server}" if server.lower().startswith(names) else ""

    return sign
