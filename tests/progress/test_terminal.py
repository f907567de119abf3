"""A whole run on a real pseudo-terminal."""

from __future__ import annotations

import fcntl
import http.server
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from typing import TYPE_CHECKING

import pytest

from tests.webserver import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COLUMNS, ROWS = 80, 24
_CODE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
_COLOUR = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:3[0-8]|9[0-7])(?:;[0-9;]*)?m")
HIDDEN, SHOWN = "\x1b[?25l", "\x1b[?25h"


class Fails(http.server.BaseHTTPRequestHandler):
    """Answers a few requests well, and all others with 503."""

    protocol_version = "HTTP/1.1"
    left = 40

    def do_GET(self) -> None:
        type(self).left -= 1
        status, body = (200, b"ok") if self.left > 0 else (503, b"no healthy upstream \x1b[2J")
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    Fails.left = 40
    with serving(Fails) as address:
        yield address


class Terminal:
    """A program on a terminal of 80 columns and 24 rows; `text` is all that it wrote there."""

    def __init__(self, url: str, out: Path, lasts: str, **environment: str) -> None:
        parent, child = pty.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        words = [
            sys.executable,
            "-m",
            "harness",
            "run",
            "--no-rollout",
            url,
            "-c",
            "2",
            "-d",
            lasts,
            "-o",
            str(out),
        ]
        kept = {
            k: v
            for k, v in os.environ.items()
            if k not in {"CI", "NO_COLOR", "COLUMNS", "LINES", "FORCE_COLOR"}
        }
        self.process = subprocess.Popen(
            words,
            stdin=child,
            stdout=subprocess.DEVNULL,
            stderr=child,
            env={**kept, "TERM": "xterm-256color", "PYTHONUTF8": "1", **environment},
        )
        os.close(child)
        self._parent, self.text = parent, ""

    @property
    def shown(self) -> str:
        return _CODE.sub("", self.text)

    def until(self, words: str) -> None:
        """Read until these words were written."""
        while words not in self.text and self._read():
            pass
        assert words in self.text

    def end(self) -> int:
        while self._read():
            pass
        os.close(self._parent)
        return self.process.wait(60)

    def _read(self) -> bool:
        try:
            piece = os.read(self._parent, 65536)
        except OSError:  # the other end was closed
            return False
        self.text += piece.decode(errors="replace")
        return bool(piece)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    """A run that is over, on a terminal of the usual kind."""
    Fails.left = 40
    with serving(Fails) as address:
        terminal = Terminal(address, tmp_path_factory.mktemp("ended"), "1s")
        assert terminal.end() in {1, 3}, terminal.text
    return terminal


def test_a_run_on_a_terminal_shows_itself_and_leaves_a_clean_screen(ended: Terminal) -> None:
    terminal = ended
    assert "warm-up ━" in terminal.shown
    assert re.search(r"first failed request \(503\): .*no healthy upstream", terminal.text)
    assert "\x1b[2J" not in terminal.text, "what an answer says is never obeyed"
    assert _COLOUR.search(terminal.text)
    assert terminal.text.rindex(SHOWN) > terminal.text.rindex(HIDDEN)
    after = terminal.text[terminal.text.rindex("a cell") :]
    assert "\x1b[2K" in after, "the live view was taken away"


def test_no_line_of_the_live_view_is_wider_than_the_terminal(ended: Terminal) -> None:
    rows = re.findall(r"(?:warm-up|requests|failed|failures) [^\r\n]*", ended.shown)
    assert len(rows) > 10
    assert max(map(len, rows)) < COLUMNS


def test_without_colours_the_view_is_the_same_in_black_and_white(url: str, tmp_path: Path) -> None:
    terminal = Terminal(url, tmp_path, "1s", NO_COLOR="1")
    terminal.end()
    assert "warm-up ━" in terminal.shown
    assert not _COLOUR.search(terminal.text)


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"CI": "true"}])
def test_a_terminal_that_cannot_redraw_and_a_pipeline_get_plain_lines(
    environment: dict[str, str], url: str, tmp_path: Path
) -> None:
    terminal = Terminal(url, tmp_path, "1s", **environment)
    terminal.end()
    assert "\x1b" not in terminal.text
    assert re.search(r"^00:0\d  first failed request \(503\)", terminal.text, re.MULTILINE)
    assert re.search(r"^00:0\d  the load begins", terminal.text, re.MULTILINE)


def test_ctrl_c_leaves_a_clean_screen(url: str, tmp_path: Path) -> None:
    terminal = Terminal(url, tmp_path, "60s")
    terminal.until("first failed request")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.end() == 130, terminal.text
    assert "interrupted: ending the load" in terminal.text
    assert "Traceback" not in terminal.text
    assert terminal.text.rindex(SHOWN) > terminal.text.rindex(HIDDEN)
