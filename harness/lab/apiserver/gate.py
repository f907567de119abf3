"""Pure: which requests are not even looked at, whoever sends them: those that a web page can make a browser send.

A page of somebody else's knows no token, but where a name of theirs leads to 127.0.0.1 (DNS rebinding) it would be at home
here. So a request has to name this server by its own address, carries no Origin, and its body is of a kind that no form sends.
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
_OPEN = frozenset({"healthz", "livez", "readyz"})  # as on a real server; they say "ok" and no more


def media_type(request: Request) -> str:
    """Return the media type of a request's body, without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def check(request: Request, port: int) -> None:
    """Refuse what comes from a web page. Raises StatusError 403 or 415. `port` is the server's own."""
    host = request.headers.get("host", "").lower()
    if host not in {f"127.0.0.1:{port}", f"localhost:{port}"}:
        raise StatusError(403, "Forbidden", f"this server is 127.0.0.1:{port}, and no other Host")
    if "origin" in request.headers:
        raise StatusError(403, "Forbidden", "requests from web pages (with an Origin) are refused")
    kind = media_type(request)
    # None at all is JSON, as for a real server; browsers name the page beside it, in Origin.
    if request.body and kind and kind not in {*_OBJECTS, *_PATCHES}:
        raise unsupported_media_type(kind, [*(_PATCHES if request.method == "PATCH" else _OBJECTS)])


def is_open(request: Request) -> bool:
    """Tell whether a request is answered without a token."""
    first = request.path.strip("/").partition("/")[0]
    return request.method in {"GET", "HEAD"} and first in _OPEN
