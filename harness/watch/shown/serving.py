"""The watch's page, its reports, /metrics and /healthz, read-only. `wanted` decides, purely, what a request is given.

On loopback other users of the machine could read the page, so its address holds a secret; /metrics and /healthz hold
no more than numbers. Another site's page must not read anything by pointing its own name here (DNS rebinding): the
Host header must be an address, a name of this machine, or one that --host allows.
"""

from __future__ import annotations

import hmac
import re
import shutil
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from typing import TYPE_CHECKING

from harness.errors import RecordingError
from harness.recording import folder

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

_HTML = "text/html; charset=utf-8"
TYPES = {
    "report.html": _HTML,
    "timeline.png": "image/png",
    "timeline.svg": "image/svg+xml",
    "summary.txt": "text/plain; charset=utf-8",
    "summary.md": "text/plain; charset=utf-8",
    "verdict.json": "application/json",
}
_NAMES = "|".join(re.escape(name) for name in TYPES)
_REPORT = re.compile(rf"runs/([0-9]{{8}}T[0-9]{{6}}Z-[a-z0-9.-]{{1,253}}/(?:{_NAMES}))", re.ASCII)
_MOST = 256 * folder.MIB
_PATIENCE_S = 10  # for a client that sends nothing


@dataclass(frozen=True, slots=True)
class Shown:
    """What the server shows: made anew at each request."""

    root: Path  # of the recordings
    page: Callable[[], str]
    board: Callable[[], str]  # JSON
    metrics: Callable[[str], tuple[bytes, str]]
    healthy: Callable[[], bool]


def wanted(target: str, hosts: list[str], secret: str, allowed: Collection[str]) -> tuple[int, str]:
    """Return the status and, with 200, what a request asks for: page, board, metrics, healthz or a report's name.

    `secret` is "" where none is asked for.
    """
    if len(hosts) != 1 or not is_ours(hosts[0], allowed):
        return 421, ""
    path = target.partition("?")[0].removeprefix("/")
    if path in {"metrics", "healthz"}:
        return 200, path
    if secret:
        given, _, path = path.partition("/")
        if not hmac.compare_digest(given.encode(), secret.encode()):
            return 404, ""
    if path in {"", "scoreboard.json"}:
        return 200, "board" if path else "page"
    found = _REPORT.fullmatch(path)
    return (200, found[1]) if found else (404, "")


def is_ours(host: str, allowed: Collection[str]) -> bool:
    """Tell whether a Host header is an address, a name of this machine, or one that is allowed, with any port.

    An address cannot be rebound: only a name leads to another place tomorrow.
    """
    name = re.sub(r":[0-9]{1,5}$", "", host.strip()).strip("[]").lower()
    if name == "localhost" or name in allowed:
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


class Server(ThreadingHTTPServer):
    """Serves a watch. Raises OSError if the address cannot be listened on."""

    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], shown: Shown, secret: str, allowed: Collection[str] = ()
    ) -> None:
        self.shown = shown
        self.loopback = ip_address(address[0]).is_loopback
        self.secret = secret if self.loopback else ""
        self.allowed = frozenset(name.lower() for name in allowed)
        super().__init__(address, _Answer)

    @property
    def url(self) -> str:
        """Return the page's address."""
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}/{self.secret + '/' if self.secret else ''}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that went away."""


class _Answer(BaseHTTPRequestHandler):
    server: Server
    timeout = _PATIENCE_S
    server_version, sys_version = "zdtest", ""

    def do_GET(self) -> None:
        """Answer with what is asked for."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """Answer with its head."""
        self._answer(with_body=False)

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def _answer(self, *, with_body: bool) -> None:
        server = self.server
        status, what = wanted(self.path, self.headers.get_all("Host", []), server.secret, server.allowed)
        if status != 200:
            self.send_error(status)
            return
        match what:
            case "page":
                self._send(server.shown.page().encode(errors="backslashreplace"), _HTML, with_body=with_body)
            case "board":
                self._send(server.shown.board().encode(), "application/json", with_body=with_body)
            case "metrics":
                body, kind = server.shown.metrics(self.headers.get("Accept", ""))
                self._send(body, kind, with_body=with_body)
            case "healthz":
                fine = server.shown.healthy()
                self._send(b"ok\n" if fine else b"not watching\n", "text/plain", 200 if fine else 503,
                           with_body=with_body)  # fmt: skip
            case _:
                self._report(what, with_body=with_body)

    def _send(self, body: bytes, kind: str, status: int = 200, *, with_body: bool) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def _report(self, name: str, *, with_body: bool) -> None:
        try:
            file = folder.opened(self.server.shown.root, name, _MOST)
        except (OSError, RecordingError):
            self.send_error(404)
            return
        with file:
            size = file.seek(0, 2)
            file.seek(0)
            self.send_response(200)
            self.send_header("Content-Type", TYPES[name.rpartition("/")[2]])
            self.send_header("Content-Length", str(size))
            self.end_headers()
            if with_body:
                shutil.copyfileobj(file, self.wfile)

    def end_headers(self) -> None:
        """Keep what is shown here: from other sites, from caches, from frames."""
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Frame-Options", "DENY")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        super().end_headers()
