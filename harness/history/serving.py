"""One run's reports, read-only, for a browser that reaches this machine's loopback. `name_of` decides, purely.

Only files that are reports are given, by their exact names; there is no listing, and no recording is served.
Other users of this machine reach its loopback, too, so the address holds a secret. Another site's page must not read
what is here by pointing its own name to 127.0.0.1 (DNS rebinding), so the Host header must be a name of this machine.
"""

from __future__ import annotations

import hmac
import re
import secrets
import shutil
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from harness.errors import RecordingError
from harness.recording import folder

if TYPE_CHECKING:
    from pathlib import Path

TYPES = {
    "report.html": "text/html; charset=utf-8",
    "timeline.png": "image/png",
    "timeline.svg": "image/svg+xml",
    "summary.txt": "text/plain; charset=utf-8",
    "summary.md": "text/plain; charset=utf-8",
    "verdict.json": "application/json",
}
_NAMES = "|".join(re.escape(name) for name in TYPES)
_REPORT = re.compile(rf"(?:rollouts/[1-9][0-9]{{0,4}}/)?(?:{_NAMES})")
_HERE = re.compile(r"(?:127\.0\.0\.1|localhost)(?::[0-9]{1,5})?", re.IGNORECASE)
_MOST = 256 * folder.MIB
_PATIENCE_S = 10  # for a client that sends nothing


def name_of(target: str, hosts: list[str], secret: str) -> tuple[int, str]:
    """Return the status and, with 200, the report that a request asks for. A forwarded port may be any."""
    if len(hosts) != 1 or not _HERE.fullmatch(hosts[0].strip()):
        return 421, ""
    given, _, name = target.partition("?")[0].removeprefix("/").partition("/")
    if not hmac.compare_digest(given.encode(), secret.encode()) or not _REPORT.fullmatch(name):
        return 404, ""
    return 200, name


class Server(ThreadingHTTPServer):
    """A server of one run's reports on 127.0.0.1. Raises OSError if the port (0: any) is taken."""

    daemon_threads = True

    def __init__(self, root: Path, port: int = 0) -> None:
        self.root = root
        self.secret = secrets.token_urlsafe(16)
        super().__init__(("127.0.0.1", port), _Answer)

    @property
    def url(self) -> str:
        """Return the address of report.html."""
        return f"http://127.0.0.1:{self.server_address[1]}/{self.secret}/report.html"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that went away."""


class _Answer(BaseHTTPRequestHandler):
    server: Server
    timeout = _PATIENCE_S
    server_version, sys_version = "zdtest", ""

    def do_GET(self) -> None:
        """Answer with a report."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """Answer with a report's head."""
        self._answer(with_body=False)

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def _answer(self, *, with_body: bool) -> None:
        status, name = name_of(self.path, self.headers.get_all("Host", []), self.server.secret)
        if status != 200:
            self.send_error(status)
            return
        try:
            file = folder.opened(self.server.root, name, _MOST)
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
