"""Pure: a failed request -> the access log line that its family of balancers writes.

The formats are those that controllers set: ingress-nginx's upstreaminfo, Istio's text, HAProxy's httplog with
X-Request-ID captured and %si:%sp at its end, Caddy's JSON with the upstream appended, an ALB's, Apache's combined
with the worker and the request's id. A line names what the real one names: HAProxy writes none for a request whose
connection it closed before an answer, and Caddy names no upstream for an answer that was cut off.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from harness import masking
from harness.lab.balancer.families.family import Meaning

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NS = 1_000_000_000
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()  # noqa: SIM905  %b depends on the locale
_OURS = {  # what a recording may hold of a request's fields: nothing that its user chose
    "user-agent": re.compile(r"(?:zdtest|kube-probe)/[\w.+-]{1,40}"),
    "host": re.compile(r"(?:localhost|(?:\d{1,3}\.){3}\d{1,3}|\[[0-9a-fA-F:]+\])(?::\d{1,5})?"),
    "x-request-id": re.compile(r"[0-9a-f]{32}"),
    "x-amzn-trace-id": re.compile(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}"),
}
_UNPRINTABLE = re.compile(r'[^\x20-\x7e]|["\\]')


@dataclass(frozen=True, slots=True)
class Try:
    """One target that was asked."""

    address: str  # with its port
    slot: int  # the server's number, in HAProxy's log
    status: int  # that the balancer counts it as
    took_s: float


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request of a client, and how it ended."""

    head: bytes  # as sent to targets
    client: tuple[str, int]
    began_ns: int  # wall clock
    took_s: float
    status: int  # sent to the client
    sent: int  # bytes of the body that it got
    tries: tuple[Try, ...]
    meaning: Meaning | None  # why the balancer answered for itself; None: the target's own answer
    cut: bool = False  # the target's answer ended early
    silent: bool = False  # the client's connection was closed in place of an answer
    left: bool = False  # the client went away
    tls: bool = False

    def field(self, name: str) -> str:
        """Return a request field that zdtest itself sets (_OURS); "-" if it is missing or set by the user."""
        seen = re.search(rb"\r\n" + name.encode() + rb":[ \t]*([^\r\n]*)", self.head, re.IGNORECASE)
        value = seen[1].decode("latin-1").strip() if seen else ""
        return value if _OURS[name].fullmatch(value) else "-"

    @property
    def request(self) -> str:
        """The request line, without the values in its query."""
        method, _, rest = self.head[: self.head.find(b"\r\n")].decode("latin-1").partition(" ")
        target, _, proto = rest.rpartition(" ")
        return _UNPRINTABLE.sub("?", f"{method} {masking.url(target)} {proto}")

    @property
    def last(self) -> Try | None:
        """The target that was asked last."""
        return self.tries[-1] if self.tries else None


def _when(ns: int) -> datetime:
    return datetime.fromtimestamp(ns / NS, UTC)


def _day(ns: int) -> str:
    at = _when(ns)
    return f"{at.day:02}/{_MONTHS[at.month - 1]}/{at.year}:{at:%H:%M:%S}"


def _iso(ns: int, digits: int) -> str:
    at = _when(ns)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{f'{at.microsecond:06}'[:digits]}Z"


def nginx(x: Exchange) -> str:
    """Write ingress-nginx's upstreaminfo."""
    each = [
        [
            one.address,
            "0" if x.meaning or one is not x.last else str(x.sent),
            f"{one.took_s:.3f}",
            f"{one.status}",
        ]
        for one in x.tries
    ]
    upstream = " ".join(", ".join(column) for column in zip(*each, strict=True)) or "- - - -"
    return (
        f'{x.client[0]} - - [{_day(x.began_ns + round(x.took_s * NS))} +0000] "{x.request}" {x.status} {x.sent} "-" '
        f'"{x.field("user-agent")}" {len(x.head)} {x.took_s:.3f} [default-web-80] '
        f"[] {upstream} {x.field('x-request-id')}"
    )


def apache(x: Exchange) -> str:
    """Write Apache's combined, with BALANCER_WORKER_NAME and the request's id at its end; a silent close has none."""
    if x.silent:
        return ""
    worker = f"http://{x.last.address}" if x.last else "-"
    return (
        f'{x.client[0]} - - [{_day(x.began_ns)} +0000] "{x.request}" {x.status} {x.sent} "-" '
        f'"{x.field("user-agent")}" {worker} {x.field("x-request-id")}'
    )


_STATES = {
    Meaning.NOBODY: "SC",
    Meaning.REFUSED: "SC",
    Meaning.CONNECT_TIMEOUT: "sC",
    Meaning.BROKEN: "SH",
    Meaning.INVALID: "PH",
    Meaning.NO_ANSWER: "sH",
}


def haproxy(x: Exchange) -> str:
    """Write HAProxy's httplog, with the server's address at its end; a silent close has one only while connecting."""
    if x.left or (x.silent and x.meaning is not Meaning.CONNECT_TIMEOUT):
        return ""
    state = "SD" if x.cut else _STATES.get(x.meaning, "--") if x.meaning else "--"
    ms = round(x.took_s * 1000)
    connected = -1 if state in {"SC", "sC"} else 0
    answered = 0 if x.meaning is None else -1
    waited = -1 if x.last is None else 0
    server = f"s{x.last.slot}" if x.last else "<NOSRV>"
    at = _day(x.began_ns)
    return (
        f"{x.client[0]}:{x.client[1]} [{at}.{x.began_ns // 1_000_000 % 1000:03}] f "
        f"pods/{server} 0/{waited}/{connected}/{answered}/{ms} "
        f'{x.status} {x.sent} - - {state}-- 1/1/0/0/0 0/0 {{{x.field("x-request-id")}}} "{x.request}" '
        f"{x.last.address if x.last else '-:-'}"
    )


_FLAGS = {
    Meaning.NOBODY: ("UH", "no_healthy_upstream", "-"),
    Meaning.REFUSED: (
        "UF",
        "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}",
        "delayed_connect_error:_Connection_refused",
    ),
    Meaning.CONNECT_TIMEOUT: ("UF", "upstream_reset_before_response_started{connection_timeout}", "-"),
    Meaning.BROKEN: ("UC", "upstream_reset_before_response_started{connection_termination}", "-"),
    Meaning.INVALID: ("UPE", "upstream_reset_before_response_started{protocol_error}", "-"),
    Meaning.NO_ANSWER: ("UT", "response_timeout", "-"),
}


def envoy(x: Exchange) -> str:
    """Write Istio's text."""
    flags, details, transport = (
        _FLAGS.get(x.meaning, ("-", "via_upstream", "-")) if x.meaning else ("-", "via_upstream", "-")
    )
    if x.cut:
        flags, details = "UPE", "upstream_reset_after_response_started{protocol_error}"
    if x.left:
        flags, details = "DC", "downstream_remote_disconnect"
    status = 0 if x.left else x.status
    if x.meaning and len(x.tries) > 1:
        flags += ",URX"
    ms = round(x.took_s * 1000)
    return (
        f'[{_iso(x.began_ns, 3)}] "{x.request}" {status} {flags} {details} - "{transport}" 0 {x.sent} {ms} '
        f'{"-" if x.meaning or x.left else ms} "{x.client[0]}" "{x.field("user-agent")}" '
        f'"{x.field("x-request-id")}" "{x.field("host")}" '
        f'"{x.last.address if x.last else "-"}" pods - - {x.client[0]}:{x.client[1]} - -'
    )


def caddy(x: Exchange) -> str:
    """Write Caddy's JSON, with log_append of {http.reverse_proxy.upstream.hostport}; none if the answer was cut off."""
    if x.left:
        return ""
    method, _, rest = x.request.partition(" ")
    uri, _, proto = rest.rpartition(" ")
    fields = {"User-Agent": [x.field("user-agent")], "X-Request-Id": [x.field("x-request-id")]}
    record: dict[str, Any] = {
        "level": "error" if x.status >= 500 else "info",
        "ts": round((x.began_ns / NS) + x.took_s, 6),
        "logger": "http.log.access",
        "msg": "handled request",
        "request": {
            "remote_ip": x.client[0],
            "remote_port": str(x.client[1]),
            "client_ip": x.client[0],
            "proto": proto,
            "method": method,
            "host": x.field("host"),
            "uri": uri,
            "headers": fields,
        },
        "bytes_read": 0,
        "user_id": "",
        "duration": 0 if x.cut else round(x.took_s, 9),
        "size": x.sent,
        "status": x.status,
        "resp_headers": {"Server": ["Caddy"]} if x.meaning else {"Via": ["1.1 Caddy"]},
    }
    if not x.cut:
        record["upstream"] = x.last.address if x.last else None
    return json.dumps(record, separators=(",", ":"))


def alb(x: Exchange) -> str:
    """Write an ALB's own (user guide, "Access logs for your Application Load Balancer")."""
    target, own = (x.last.address if x.last else "-"), x.meaning is not None or x.left
    times = "-1 -1 -1" if own else f"0.000 {x.took_s:.3f} 0.000"
    method, _, rest = x.request.partition(" ")
    uri, _, proto = rest.rpartition(" ")
    scheme, port, cipher = (
        ("https", 443, "ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2") if x.tls else ("http", 80, "- -")
    )
    url = f"{scheme}://{x.field('host').partition(':')[0]}:{port}{uri}"
    answered = "-" if own or x.last is None else str(x.last.status)
    return (
        f"{scheme} {_iso(x.began_ns + round(x.took_s * NS), 6)} app/web/50dc6c495c0c9188 "
        f"{x.client[0]}:{x.client[1]} {target} {times} {x.status} "
        f'{answered} {len(x.head)} {x.sent} "{method} {url} {proto}" "{x.field("user-agent")}" {cipher} '
        "arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/web/73e2d6bc24d8a067 "
        f'"{x.field("x-amzn-trace-id")}" "-" "-" 0 '
        f'{_iso(x.began_ns, 6)} "forward" "-" "-" "{target}" "{answered}" "-" "-"'
    )


LINES: Mapping[str, Callable[[Exchange], str]] = {
    "alb": alb,
    "nginx": nginx,
    "envoy": envoy,
    "haproxy": haproxy,
    "caddy": caddy,
    "apache": apache,
}
