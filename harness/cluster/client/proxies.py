"""Pure: which proxy leads to an API server, as kubectl decides it (client-go, Go's net/http and x/net/http/httpproxy).

The kubeconfig's proxy-url comes first. Then HTTPS_PROXY or HTTP_PROXY, by the server's own scheme, unless NO_PROXY
names the server; never for a server on loopback, so never for the lab. ALL_PROXY is ignored, as kubectl ignores it.
Each version of the package decides differently, so the decision is not left to it.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from harness.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

SOCKS = frozenset({"socks5", "socks5h"})
_SCHEMES = frozenset({"http", "https"}) | SOCKS


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy's URL; of one that speaks HTTP, user and password are apart from it, as "user:password"."""

    url: str
    login: str | None = field(default=None, repr=False)


def proxy_for(server: str, given: str | None, environ: Mapping[str, str]) -> Proxy | None:
    """Return the proxy that leads to a server, None where none does; `given` is the kubeconfig's proxy-url.

    Raises UsageError when it is none that can be used.
    """
    if given:
        return _read(given, "proxy-url of the kubeconfig")
    split = urlsplit(server)
    name = "HTTPS_PROXY" if split.scheme == "https" else "HTTP_PROXY"
    wanted = _value(environ, name)
    try:
        port = split.port or (443 if split.scheme == "https" else 80)
    except ValueError:  # no port that there is: whoever connects says so
        return None
    if not wanted or goes_straight(split.hostname or "", port, _value(environ, "NO_PROXY")):
        return None
    return _read(wanted, name)


def goes_straight(host: str, port: int, no_proxy: str) -> bool:
    """Tell whether a host is on loopback, or among what NO_PROXY names: addresses, CIDR blocks, domains, or * for
    all.
    """
    host = host.lower().rstrip(".")
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    entries = [entry.strip().lower() for entry in no_proxy.split(",")]
    return any(_names(entry, host, address, port) for entry in entries if entry)


def _names(
    entry: str, host: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None, port: int
) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        try:
            return address is not None and address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    name, colon, wanted = entry.rpartition(":")
    if colon and wanted.isdecimal() and (":" not in name or name.endswith("]")):
        entry = name
        if int(wanted) != port:
            return False
    entry = entry.strip("[]")
    if (named := _address(entry)) is not None:
        return named == address
    entry = entry.removeprefix("*")
    # .example.com is all below it, example.com itself too.
    return host.endswith(entry) if entry.startswith(".") else host == entry or host.endswith(f".{entry}")


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _value(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name) or environ.get(name.lower()) or ""


def _read(text: str, source: str) -> Proxy:
    try:
        split = urlsplit(text if "://" in text else f"http://{text}")
        usable = split.scheme in _SCHEMES and bool(split.hostname) and split.port != 0
    except ValueError:
        usable = False
    if not usable:  # it may hold a password, so it is not repeated
        raise UsageError(
            f"the proxy in {source} cannot be used; it has to be http://, https:// or socks5://HOST:PORT"
        )
    if split.scheme in SOCKS or "@" not in split.netloc:
        return Proxy(urlunsplit((split.scheme, split.netloc, "", "", "")))
    login, _, place = split.netloc.rpartition("@")
    user, colon, password = login.partition(":")
    return Proxy(
        urlunsplit((split.scheme, place, "", "", "")), unquote(user) + (colon or ":") + unquote(password)
    )
