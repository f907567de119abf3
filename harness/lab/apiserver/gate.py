"""Pure: refuses requests that a web page could make a browser send, whatever their token.

A foreign page knows no token, but with a name that resolves to 127.0.0.1 (DNS rebinding) it would be same-origin. So a
request must name this server by its own address, must have no Origin header, and its body must have a type that no
form sends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.lab.objects.status import StatusError, unsupported_media_type

if TYPE_CHECKING:
    from harness.lab.apiserver.httpserver import Request

_OBJECTS = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf")
_PATCHES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)
_OPEN = frozenset({"healthz", "livez", "readyz"})  # as on a real server; they answer "ok" and nothing else


def media_type(request: Request) -> str:
    """Return the media type of a request's body, without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def check(request: Request) -> None:
    """Refuse a request from a web page. Raises StatusError 403 or 415. Any port is accepted: tunnels change it."""
    host, _, port = request.headers.get("host", "").lower().partition(":")
    if host not in {"127.0.0.1", "localhost"} or (port and not (port.isascii() and port.isdigit())):
        raise StatusError(403, "Forbidden", "the Host header must be 127.0.0.1 or localhost")
    if "origin" in request.headers:
        raise StatusError(
            403, "Forbidden", "requests with an Origin header, as web pages send them, are refused"
        )
    kind = media_type(request)
    # No content type means JSON, as on a real server. A browser that sends none sends an Origin.
    if request.body and kind and kind not in {*_OBJECTS, *_PATCHES}:
        raise unsupported_media_type(kind, [*(_PATCHES if request.method == "PATCH" else _OBJECTS)])


def is_open(request: Request) -> bool:
    """Tell whether a request is answered without a token."""
    first = request.path.strip("/").partition("/")[0]
    return request.method in {"GET", "HEAD"} and first in _OPEN
