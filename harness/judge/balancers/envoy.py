"""Envoy, and Istio's. Its words tell exactly why a request failed. Measured with 1.40.

An answer from behind it carries `x-envoy-upstream-service-time`; its own do not.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.judge.balancers.family import Family, Says, by_reason, served_by
from harness.judge.balancers.meaning import BROKEN, TIMED_OUT, Meaning

if TYPE_CHECKING:
    from harness.recording.answers import Answer

_SAYS = (
    Says("no healthy upstream", Meaning.NOBODY),
    Says("reset reason: connection timeout", Meaning.CONNECT_TIMEOUT),
    Says("reset reason: remote connection failure", Meaning.REFUSED),
    Says("reset reason: local connection failure", Meaning.BALANCER | Meaning.REFUSED),
    Says("reset reason: connection failure", Meaning.REFUSED | Meaning.CONNECT_TIMEOUT),
    Says("delayed connect error", Meaning.REFUSED),
    Says("reset reason: connection termination", BROKEN),
    Says("reset reason: remote reset", BROKEN),
    Says("reset reason: overflow", Meaning.BALANCER),
    Says("reset reason: protocol error", BROKEN),
    Says("upstream connect error or disconnect/reset before headers",
         Meaning.REFUSED | Meaning.CONNECT_TIMEOUT | BROKEN),
    Says("upstream request timeout", Meaning.NO_ANSWER),
    Says("upstream per try timeout", Meaning.NO_ANSWER),
    Says("response timeout", Meaning.NO_ANSWER),
    Says("local_rate_limited", Meaning.LIMITED),
)  # fmt: skip

# Response flags of its access log, as its documentation explains them. URX (retries used up) and DC (the client left)
# say nothing of why a pod failed.
_FLAGS = {
    "UH": Meaning.NOBODY,
    "UF": Meaning.REFUSED | Meaning.CONNECT_TIMEOUT,
    "UC": BROKEN | Meaning.CUT,
    "UR": BROKEN | Meaning.CUT,
    "UPE": BROKEN | Meaning.CUT,
    "UT": TIMED_OUT,
    "SI": Meaning.NO_ANSWER | Meaning.CUT,
    "UMSDR": Meaning.NO_ANSWER | Meaning.CUT,
    "UO": Meaning.BALANCER,
    "NR": Meaning.BALANCER,
    "NC": Meaning.BALANCER,
    "RL": Meaning.LIMITED,
}


def _sign(answer: Answer) -> str:
    by_name = served_by("envoy")(answer)
    if by_name or not answer.header("x-envoy-upstream-service-time"):
        return by_name
    return "x-envoy-upstream-service-time"


def _passed_on(answer: Answer) -> bool:
    return bool(answer.header("x-envoy-upstream-service-time"))


ENVOY = Family(
    name="envoy",
    title="Envoy",
    sign=_sign,
    passed_on=_passed_on,
    says=_SAYS,
    # By its status alone: a page of somebody's own, or an old recording.
    statuses={503: Meaning.NOBODY | Meaning.REFUSED | Meaning.CONNECT_TIMEOUT | BROKEN, 504: TIMED_OUT},
    logs=by_reason(_FLAGS),
    retry="a retry policy on the route: `connect-failure,refused-stream,reset-before-request`",
    reload="Envoy: listeners that are drained for longer (`--drain-time-s`)",
)
ISTIO = replace(
    ENVOY,
    name="istio-envoy",
    title="Istio's Envoy",
    sign=served_by("istio-envoy"),
    retry="`retries` of the VirtualService: attempts 2 by default, add `reset-before-request` to `retryOn`",
)
