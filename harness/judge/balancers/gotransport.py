"""Caddy and Traefik: both proxy through Go's transport, which asks again by itself on a reused connection that broke.

Caddy measured with 2.11: an empty body, `Server: Caddy` on its own answers and `Via: 1.1 Caddy` on the pods'. Traefik
from its documentation: it names itself nowhere, and its own bodies are the status in words.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.judge.balancers.family import Family, Says, by_target, served_by
from harness.judge.balancers.meaning import BROKEN, NONE, TIMED_OUT, Meaning

if TYPE_CHECKING:
    from harness.recording.answers import Answer

_VIA_CADDY = re.compile(r"\bcaddy\b", re.IGNORECASE)


def _sign(answer: Answer) -> str:
    via = answer.header("via")
    return f"via: {via}" if _passed_on(answer) else served_by("caddy")(answer)


def _own(answer: Answer) -> bool:
    return bool(served_by("caddy")(answer)) and not answer.body


def _passed_on(answer: Answer) -> bool:
    return bool(_VIA_CADDY.search(answer.header("via")))


# What its error log says (formats.py keeps the Go error's first and last words), each by a part of it.
_ERRORS = (
    ("no upstreams available", Meaning.NOBODY),
    ("dial: i/o timeout", Meaning.CONNECT_TIMEOUT),
    ("dial: context deadline exceeded", Meaning.CONNECT_TIMEOUT),
    ("dial: connection refused", Meaning.REFUSED),
    ("dial: connection reset by peer", Meaning.REFUSED),
    ("dial: no route to host", Meaning.REFUSED | Meaning.CONNECT_TIMEOUT),
    ("timeout awaiting response headers", Meaning.NO_ANSWER),
    ("connection reset by peer", BROKEN),
    ("broken pipe", BROKEN),
    ("server closed idle connection", BROKEN),
    ("EOF", BROKEN),
)


def _caddy_logs(said: str, _named: bool) -> Meaning:  # noqa: FBT001  a table's reader
    return next((meaning for words, meaning in _ERRORS if words in said), NONE)


def _traefik_logs(said: str, named: bool) -> Meaning:  # noqa: FBT001  a table's reader
    """Read its own status and the pod's: Traefik writes 502 and 504 in the pod's place itself.

    499 is its own alone: the client left, and what stands in the pod's place then is nobody's answer.
    """
    own, _, target = said.partition(" ")
    if own == "499":
        return NONE
    if own == "503":
        return by_target(target) if named else Meaning.NOBODY
    return {"502": Meaning.REFUSED | BROKEN, "504": TIMED_OUT}.get(own, NONE) | by_target(target)


CADDY = Family(
    name="caddy",
    title="Caddy",
    sign=_sign,
    own=_own,
    passed_on=_passed_on,
    statuses={502: Meaning.REFUSED | Meaning.CONNECT_TIMEOUT | BROKEN, 503: Meaning.NOBODY, 504: Meaning.NO_ANSWER},
    logs=_caddy_logs,
    asks_again=True,
    retry="`lb_try_duration` (or `lb_retries`) asks the next pod where one refused",
    reload=("Caddy: each load of its configuration closes kept-alive connections; use dynamic upstreams,"
            " which need none"),
)  # fmt: skip
TRAEFIK = Family(
    name="traefik",
    title="Traefik",
    says=(
        Says("no available server", Meaning.NOBODY),
        Says("bad gateway", Meaning.REFUSED | BROKEN, retold=True),
        Says("gateway timeout", TIMED_OUT, retold=True),
    ),
    statuses={502: Meaning.REFUSED | BROKEN, 503: Meaning.NOBODY, 504: TIMED_OUT},
    logs=_traefik_logs,
    asks_again=True,
    retry="the retry middleware asks again where no byte of an answer had come",
    reload="Traefik: it takes changes of endpoints without a restart; see what restarted it",
)
