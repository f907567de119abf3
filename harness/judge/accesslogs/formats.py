"""Pure: one line of an access log -> the pod that the request went to, and how it went in the balancer's words.

The line itself shows which balancer wrote it. The address is taken from the field that names the pod, if the format
has one: the address of a client, a sidecar or the balancer itself may also be a pod's. The known formats are those
that controllers set: ingress-nginx's upstreaminfo, HAProxy's httplog and log-formats derived from it, Envoy's default
and Istio's text and JSON, Caddy's and Traefik's JSON, an ALB's. In any other format, the last address of a pod on the
line counts.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from harness.recording.upstreams import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

NGINX, HAPROXY, ENVOY, CADDY, TRAEFIK, ALB = "nginx", "haproxy", "envoy", "caddy", "traefik", "alb"
NO_SERVER = "NOSRV"  # HAProxy's name for it where it picked none

# Not at the beginning of a line: that is the client's address, or part of one if the log is cut there.
_ADDRESS = re.compile(r"(?<=[^\d.])((?:\d{1,3}\.){3}\d{1,3}):\d+|\[([0-9a-fA-F:]+)\]:\d+")
_WHOLE_ADDRESS = re.compile(r"(?:https?://)?(?:((?:\d{1,3}\.){3}\d{1,3})|\[([0-9a-fA-F:]+)\]):\d+/?")
_SAID = re.compile(r"[^A-Za-z0-9 ,.:/-]")
_LONGEST_SAID = 60

_ALB = re.compile(
    r"(?:https?|h2|grpcs|wss?) \S+ \S+ \S+ (?P<target>\S+) \S+ \S+ \S+ (?P<status>\d{3}|-) (?P<target_status>\d{3}|-) "
)
_HAPROXY = re.compile(  # %Tq/%Tw/%Tc/%Tr/%Tt %ST %B %CC %CS %tsc
    r" (?P<timers>(?:-?\d+/){4}\+?\d+) (?:-1|\d{3}) \+?\d+ \S+ \S+ (?P<state>[A-Za-z-]{4}) "
)
_HAPROXY_OWN = re.compile(r'\{[^}]*\}|"[^"]*"')  # captured headers and the request line: the client's words
_ENVOY = re.compile(r'\[[^\]]+\] "[^"]*" \d+ (?P<flags>-|[A-Z]{2,5}(?:,[A-Z]{2,5})*) ')
_ENVOY_HOST = re.compile(r'" "[^"]*" "(?P<host>[^"]*)"')  # after the request's id and its authority
_NGINX = re.compile(r"\] \[[^\]]*\] (?P<upstream>.+) $")  # up to the request's id


def parse(line: str, pods: Collection[str], begin: int, end: int, like: str = "") -> Entry:
    """Read a line whose request id is at [begin, end). `pods`: the addresses that count.

    The entry's address is "" if the line names none of the pods. `like` is the previous line's family: it is tried
    first, to save time.
    """
    first = _READERS.get(like)
    if first is not None:
        found = first(line, pods, begin, end)
        if found is not None:
            return found
    for reader in _READERS.values():
        found = reader(line, pods, begin, end)
        if found is not None:
            return found
    return _entry(_last(line, pods), "", "")


def _alb(line: str, pods: Collection[str], begin: int, end: int) -> Entry | None:  # noqa: ARG001  a reader
    seen = _ALB.match(line)
    return (
        _entry(_whole(seen["target"], pods), ALB, f"{seen['status']} {seen['target_status']}")
        if seen
        else None
    )


def _haproxy(line: str, pods: Collection[str], begin: int, end: int) -> Entry | None:  # noqa: ARG001  a reader
    seen = _HAPROXY.search(line)
    if seen is None:
        return None
    state = seen["state"][:2]  # who ended it, and in which phase
    if state == "SC" and "/<NOSRV> " in line[: seen.start() + 1]:
        state = f"SC {NO_SERVER}"
    return _entry(_last(_HAPROXY_OWN.sub("", line), pods), HAPROXY, "" if state == "--" else state)


def _envoy(line: str, pods: Collection[str], begin: int, end: int) -> Entry | None:
    seen = _ENVOY.search(line, 0, begin)
    if seen is None:
        return None
    host = _ENVOY_HOST.match(line, end)
    said = "" if seen["flags"] == "-" else seen["flags"]
    return _entry(_whole(host["host"], pods) if host else "", ENVOY, said)


def _nginx(line: str, pods: Collection[str], begin: int, end: int) -> Entry | None:  # noqa: ARG001  a reader
    """Read the part of upstreaminfo before the id: an address, length, time and status for each try."""
    seen = _NGINX.search(line, 0, begin)
    if seen is None:
        return None
    fields = seen["upstream"].replace(", ", ",").replace(" : ", ",").split(" ")
    if len(fields) != 4:
        return None
    named = [address for address in (_whole(text, pods) for text in fields[0].split(",")) if address]
    return _entry(named[-1] if named else "", NGINX, "" if fields[3] == "-" else fields[3].replace(",", ", "))


def _json(line: str, pods: Collection[str], begin: int, end: int) -> Entry | None:  # noqa: ARG001  a reader
    """Read a line that ends in JSON, whatever comes before that; None if it has none, or no known fields."""
    record = _record(line, begin)
    if "upstream_host" in record and "response_flags" in record:
        flags = str(record["response_flags"] or "-")
        return _entry(_whole(record["upstream_host"], pods), ENVOY, "" if flags == "-" else flags)
    if "ServiceAddr" in record or "OriginStatus" in record or "DownstreamStatus" in record:
        said = f"{record.get('DownstreamStatus', '-')} {record.get('OriginStatus', '-')}"
        named = _whole(record.get("ServiceAddr"), pods) or _whole(record.get("ServiceURL"), pods)
        return _entry(named, TRAEFIK, said)
    if isinstance(record.get("request"), dict) and "err_trace" in record:
        said, address = _caddys_error(str(record.get("msg") or ""))
        return _entry(address if address in pods else "", CADDY, said)
    if isinstance(record.get("request"), dict) and "resp_headers" in record:
        # with log_append the user chooses the field's name
        named_by = [_whole(value, pods) for key, value in record.items() if key != "request"]
        return _entry(next((address for address in named_by if address), ""), CADDY, "")
    return None


def _caddys_error(message: str) -> tuple[str, str]:
    """Return a Go error's first and last words, and the pod's address within: of `dial tcp 10.0.0.1:80: connect:
    connection refused`, `dial: connection refused` and 10.0.0.1.
    """
    found = _ADDRESS.findall(f" {message}")
    address = next((four or six for four, six in reversed(found)), "")
    begin, last = message.partition(" ")[0], message.rpartition(": ")[2]
    return (f"{begin}: {last}" if begin in {"dial", "read", "write"} else last), address


def _record(line: str, begin: int) -> dict[str, Any]:
    brace = line.find('{"', 0, begin)
    if brace < 0 or not line.rstrip().endswith("}"):
        return {}
    try:
        record = json.loads(line[brace:])
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def _whole(value: Any, pods: Collection[str]) -> str:
    """Return the pod's address that a field holds, as address:port or as a URL; else ""."""
    seen = _WHOLE_ADDRESS.fullmatch(value) if isinstance(value, str) else None
    address = (seen[1] or seen[2]) if seen else ""
    return address if address in pods else ""


def _last(line: str, pods: Collection[str]) -> str:
    named = [four or six for four, six in _ADDRESS.findall(line) if (four or six) in pods]
    return named[-1] if named else ""


def _entry(address: str, family: str, said: str) -> Entry:
    return Entry(address, family, _clean(said))


@lru_cache(maxsize=1024)
def _clean(said: str) -> str:
    return _SAID.sub("?", said)[:_LONGEST_SAID]


_READERS: dict[str, Callable[[str, Collection[str], int, int], Entry | None]] = {
    "json": _json,
    ALB: _alb,
    HAPROXY: _haproxy,
    ENVOY: _envoy,
    NGINX: _nginx,
}
