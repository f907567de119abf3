"""The clouds' own: AWS' ALB, Google's, and CloudFront. From their documentation, not tried.

ALB: 502 = refused, reset or closed with the request outstanding, 503 = no registered target, 504 = no connection
within 10 s, or no answer within the idle timeout; it has `Server: awselb/2.0` on its own answers and passes the pods'
Server on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.judge.balancers.family import Family, Says, by_target, served_by
from harness.judge.balancers.meaning import BROKEN, NONE, TIMED_OUT, Meaning

if TYPE_CHECKING:
    from harness.recording.answers import Answer


def _alb_passed_on(answer: Answer) -> bool:
    return bool(answer.header("server")) and not _ALB(answer)


def _via_google(answer: Answer) -> str:
    via = answer.header("via")
    return f"via: {via}" if "google" in via.lower().split() else ""


def _cloudfront(answer: Answer) -> str:
    cache = answer.header("x-cache")
    if cache.lower().endswith("cloudfront"):
        return f"x-cache: {cache}"
    via = answer.header("via")
    return f"via: {via}" if "(cloudfront)" in via.lower() else _CLOUDFRONT(answer)


def _cloudfronts_own(answer: Answer) -> bool:
    return bool(_CLOUDFRONT(answer))


def _behind_cloudfront(answer: Answer) -> bool:
    return not _CLOUDFRONT(answer)


_ALB = served_by("awselb/")
_CLOUDFRONT = served_by("cloudfront")


def _alb_logs(said: str, named: bool) -> Meaning:  # noqa: FBT001  a table's reader
    """Read its own status and the target's, which is `-` where the target gave no answer.

    A target that is no pod is a balancer too: its 502 may be of its own making.
    """
    own, _, target = said.partition(" ")
    if target == "-":
        return ALB.statuses.get(int(own), NONE) if own.isdigit() else NONE
    return by_target(target) if named and own == target else NONE


ALB = Family(
    name="alb",
    title="an AWS ALB",
    sign=_ALB,
    own=lambda answer: bool(_ALB(answer)),
    passed_on=_alb_passed_on,
    statuses={502: Meaning.REFUSED | BROKEN, 503: Meaning.NOBODY, 504: TIMED_OUT},
    logs=_alb_logs,
    gate=True,
    deregisters=True,
    reload="the ALB: AWS replaces its nodes by itself; clients must ask again on a connection that was closed",
)
GOOGLE = Family(
    name="google",
    title="Google's load balancer",
    sign=_via_google,
    says=(
        Says("no healthy upstream", Meaning.NOBODY, retold=True),
        Says("upstream connect error or disconnect/reset before headers",
             Meaning.REFUSED | Meaning.CONNECT_TIMEOUT | BROKEN, retold=True),
        Says("the server encountered a temporary error and could not complete your request",
             Meaning.REFUSED | BROKEN | Meaning.CONNECT_TIMEOUT),
        Says("upstream request timeout", Meaning.NO_ANSWER, retold=True),
    ),
    statuses={502: Meaning.REFUSED | BROKEN | Meaning.CONNECT_TIMEOUT, 503: Meaning.NOBODY | Meaning.REFUSED | BROKEN,
              504: Meaning.NO_ANSWER},
    gate=True,
    deregisters=True,
    reload="Google's load balancer: clients must ask again on a connection that was closed",
)  # fmt: skip
CLOUDFRONT = Family(
    name="cloudfront",
    title="CloudFront",
    sign=_cloudfront,
    own=_cloudfronts_own,
    passed_on=_behind_cloudfront,
    # An origin of its own is a balancer, so these are what it says of that one.
    statuses={502: Meaning.REFUSED | BROKEN, 503: Meaning.BALANCER | Meaning.LIMITED, 504: TIMED_OUT},
    reload="CloudFront: clients must ask again on a connection that was closed",
)
