"""A pod that writes down what happens to it, on the clock that the whole machine shares: /witness/<pod>:<uid>.txt.

Lines are `word monotonic_ns`: started, listening, request (its head has been read), term, exit. It serves after
STARTUP_DELAY seconds, names itself in X-Pod, and takes 20 ms a request. At SIGTERM it exits at once; with
TERM_IS=drain it first answers what is in flight. Standard library only: it runs in the container as it is.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

NAME = os.environ.get("HOSTNAME", "pod")
BUSY = threading.Semaphore(0)


def note(word: str) -> None:
    line = f"{word} {time.monotonic_ns()}\n"
    os.write(BOOK, line.encode())  # one write each: lines of several threads stay whole


class Pages(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path != "/ready":
            note("request")
            time.sleep(0.02)
        body = b"ok\n"
        self.send_response(200)
        self.send_header("X-Pod", NAME)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def term(*_: object) -> None:
    note("term")
    if os.environ.get("TERM_IS") == "drain":
        time.sleep(0.2)
    note("exit")
    os._exit(0)


if __name__ == "__main__":
    BOOK = os.open(
        Path("/witness") / f"{NAME}:{os.environ['POD_UID']}.txt",
        os.O_CREAT | os.O_APPEND | os.O_WRONLY,
        0o644,
    )
    note("started")
    signal.signal(signal.SIGTERM, term)
    time.sleep(float(os.environ.get("STARTUP_DELAY", "2")))
    server = ThreadingHTTPServer(("0.0.0.0", 8080), Pages)
    note("listening")
    server.serve_forever()
