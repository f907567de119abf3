"""What an API server answers: errors in Kubernetes' own words, and open watches."""

from __future__ import annotations

import contextlib
import json
import ssl
from typing import TYPE_CHECKING, Any

import urllib3

from harness import masking
from harness.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Iterator


class ApiStatusError(ClusterError):
    """The API server answered with an error. `code` is its HTTP status, `reason` Kubernetes' own word."""

    def __init__(self, code: int, reason: str, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message or reason or f"HTTP {code}")
        self.code = code
        self.reason = reason
        self.retry_after_s = retry_after_s  # what a 429 or 503 asks for


class ApiUnreachableError(ClusterError):
    """The API server could not be reached, or went silent. `unsent`: nothing of the request can have come to it."""

    def __init__(self, message: str, *, unsent: bool = False) -> None:
        super().__init__(message)
        self.unsent = unsent


class Stream:
    """An open watch: JSON lines as they arrive."""

    def __init__(self, response: Any) -> None:
        self._response = response

    def lines(self) -> Iterator[bytes]:
        """Yield one line per change. Raises ApiUnreachableError when the connection breaks or falls silent."""
        rest = b""
        try:
            for chunk in self._response.stream(amt=None, decode_content=False):
                *whole, rest = (rest + chunk).split(b"\n")
                yield from whole
        except (urllib3.exceptions.HTTPError, OSError, AttributeError, ValueError) as error:
            # AttributeError and ValueError are what urllib3 gives for a socket shut by another thread.
            raise ApiUnreachableError(brief(error)) from error

    def close(self) -> None:
        """Shut the socket, so that a thread that waits in `lines` wakes at once. May be called from any thread."""
        for name in ("connection", "_connection"):
            sock = getattr(getattr(self._response, name, None), "sock", None)
            if sock is not None:
                with contextlib.suppress(OSError):
                    sock.shutdown(2)
                return


def status_error(code: int | None, body: Any, headers: Any) -> ApiStatusError:
    """Read a Status object, as far as it is one."""
    try:
        status = json.loads(body or b"{}")
    except ValueError:
        status = {}
    if not isinstance(status, dict):
        status = {}
    wait = str((headers or {}).get("Retry-After") or "0")
    return ApiStatusError(
        int(code or 0),
        str(status.get("reason") or ""),
        masking.prose(" ".join(str(status.get("message") or "").split())),
        float(wait) if wait.isdigit() else 0.0,
    )


# No connection, or none by its proxy: no byte of a request was sent. A failed handshake is not told from a request that
# was cut off, but by its certificate.
_NO_CONNECTION = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)


def never_sent(error: BaseException) -> bool:
    """Tell whether a request that ended in this error was certainly not sent: there was no connection to send it on."""
    while True:
        if isinstance(error, (*_NO_CONNECTION, ssl.SSLCertVerificationError)):
            return True
        inner = getattr(error, "reason", None) or (error.args[0] if error.args else None)
        if not isinstance(inner, BaseException):
            inner = getattr(error, "original_error", None)
        if not isinstance(inner, BaseException):
            return False
        error = inner


def brief(error: BaseException) -> str:
    """Return the innermost cause in a few words: urllib3 wraps errors in errors."""
    while isinstance(getattr(error, "reason", None), BaseException):
        error = error.reason  # type: ignore[attr-defined]
    text = " ".join(str(error).split())
    if ": " in text and text.startswith(("<", "HTTPSConnection", "HTTPConnection")):
        text = text.split(": ", 1)[1]
    return masking.prose(text)[:200] or type(error).__name__
