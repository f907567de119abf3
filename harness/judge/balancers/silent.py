"""HAProxy and Apache's mod_proxy: the two that end the client's connection without an answer. Measured with 2.6 and
2.4.71.

A request that breaks on a reused connection to the pod is not answered, unless it is the first on the client's own:
then 502. HAProxy also closes after a connect timeout, which it does not announce. HAProxy names itself nowhere: only
its own pages tell. Apache's 502 may be a timeout, and its 503 a refusal.
"""

from __future__ import annotations

from harness.judge.balancers.family import Family, Says, served_by
from harness.judge.balancers.meaning import BROKEN, NONE, Meaning

_UNREACHED = Meaning.NOBODY | Meaning.REFUSED | Meaning.CONNECT_TIMEOUT
_CLOSED = (BROKEN | Meaning.BALANCER, Meaning.BROKEN_REUSED | Meaning.BALANCER)

# The first two letters of the termination state (HAProxy's manual, 8.5), and NOSRV where no server was picked. What the
# client (C, c), an administrator (K) or a redirect (L) ended says nothing of a pod.
_STATES = {
    "SC NOSRV": Meaning.NOBODY,
    "sC": Meaning.CONNECT_TIMEOUT,
    "SH": BROKEN,
    "sH": Meaning.NO_ANSWER,
    "PH": BROKEN,
    "SD": Meaning.CUT,
    "sD": Meaning.CUT,
    "DH": BROKEN,  # killed, since a health check had failed
    "DD": Meaning.CUT,
    "PC": Meaning.BALANCER,
    "RC": Meaning.BALANCER,
}


def _logs(said: str, named: bool) -> Meaning:  # noqa: FBT001  a table's reader
    if said == "SC":  # with no server to send it to, too: the address tells
        return Meaning.REFUSED if named else Meaning.NOBODY | Meaning.REFUSED
    return _STATES.get(said, NONE)


HAPROXY = Family(
    name="haproxy",
    title="HAProxy",
    says=(
        Says("no server is available to handle this request", _UNREACHED),
        Says("the server returned an invalid or incomplete response", BROKEN),
        Says("the server didn't respond in time", Meaning.NO_ANSWER),
        Says("you have sent too many requests", Meaning.LIMITED),
    ),
    statuses={502: BROKEN, 503: _UNREACHED, 504: Meaning.NO_ANSWER},
    broken=_CLOSED,
    closes_after_error=True,
    logs=_logs,
    retry=(
        "`retries 3` with `option redispatch`, and `retry-on conn-failure empty-response` for what was sent already"
    ),
    reload="HAProxy: a controller that changes servers through the admin socket, and `hard-stop-after` long enough",
)
APACHE = Family(
    name="apache",
    title="Apache",
    sign=served_by("apache"),
    says=(
        Says("temporarily unable to service your request due to maintenance downtime", _UNREACHED),
        Says("proxy error", BROKEN | Meaning.NO_ANSWER),
    ),
    statuses={502: BROKEN | Meaning.NO_ANSWER, 503: _UNREACHED, 504: Meaning.NO_ANSWER},
    broken=_CLOSED,
    closes_after_error=True,
    reload="Apache: `apachectl graceful`, and a `GracefulShutdownTimeout` long enough",
)
