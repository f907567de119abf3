"""nginx, and ingress-nginx, which is built on it. Measured with 1.22; `Server: nginx` is on every answer, the pods'
own too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.judge.balancers.family import Family, Says, by_target, served_by
from harness.judge.balancers.meaning import BROKEN, NONE, TIMED_OUT, Meaning

if TYPE_CHECKING:
    from harness.recording.answers import Answer

_PAGES = ("nginx</center>", "openresty</center>", "openresty/")
_STATUSES = {
    # A reused connection that breaks is asked of the next pod only where proxy_next_upstream says so.
    502: Meaning.REFUSED | BROKEN,
    503: Meaning.NOBODY,
    504: TIMED_OUT,
    429: Meaning.LIMITED,
}

_OF_A_TRY = {"502": Meaning.REFUSED | BROKEN, "504": TIMED_OUT}


def _own(answer: Answer) -> bool:
    text = answer.body.lower()
    return any(page in text for page in _PAGES)


def _logs(said: str, _named: bool) -> Meaning:  # noqa: FBT001  a table's reader
    """Read $upstream_status: what came of the last pod that was asked. nginx puts 502 and 504 there itself, too."""
    last = said.rpartition(",")[2].strip()
    return _OF_A_TRY.get(last, NONE) | by_target(last)


NGINX = Family(
    name="nginx",
    title="nginx",
    sign=served_by("nginx", "openresty"),
    own=_own,
    says=(
        Says("503 service temporarily unavailable</h1></center>", Meaning.NOBODY),
        Says("502 bad gateway</h1></center>", Meaning.REFUSED | BROKEN),
        Says("504 gateway time-out</h1></center>", TIMED_OUT),
    ),
    statuses=_STATUSES,
    logs=_logs,
    retry="`proxy_next_upstream error timeout` asks the next pod (not for POST, LOCK and PATCH)",
    reload=(
        "nginx: a controller that takes changes of endpoints without a reload, or a longer `worker_shutdown_timeout`"
    ),
)
INGRESS_NGINX = replace(
    NGINX,
    name="ingress-nginx",
    title="ingress-nginx",
    retry=(
        "`proxy-next-upstream: error timeout` (its default, 3 tries) asks the next pod, not for POST, LOCK and PATCH"
    ),
    reload=(
        "ingress-nginx: fewer changes of Ingresses and Secrets during a rollout, and a longer"
        " `worker-shutdown-timeout`"
    ),
)
