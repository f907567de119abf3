"""`zdtest open`."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import TYPE_CHECKING

import click

from harness.cli.reports import report_on
from harness.cli.root import root, show, warn
from harness.cli.runname import run_argument
from harness.errors import RecordingError, UsageError
from harness.interrupts import PROGRAM
from harness.model import ExitCode
from harness.recording import folder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.interrupts import Asked

PAGE = "report.html"


@root.command("open")
@run_argument()
@click.option(
    "--serve", is_flag=True, help="Serve RUN's reports on 127.0.0.1 until Ctrl-C, for a remote shell."
)
@click.option("--port", type=click.IntRange(1, 65535), metavar="P", help="Port for --serve.  [any free one]")
def open_(directory: Path, *, serve: bool, port: int | None) -> int:
    """Open RUN's page in the browser, and print where it is. It is made first if it is missing.

    RUN is a run's folder or a name, such as last: see `zdtest report --help`.
    """
    if port is not None and not serve:
        raise UsageError("--port goes with --serve: add --serve, or leave it out")
    _make_sure_of_the_page(directory)
    if serve:
        return _serve(directory, port or 0)
    page = (directory / PAGE).resolve()
    show(str(page))
    if not _opened(page):
        warn(
            f"zdtest: no browser can be opened here; zdtest open {directory} --serve serves it to one elsewhere"
        )
    return ExitCode.PASS


def may_have_browser(environment: Mapping[str, str], system: str) -> bool:
    """Whether a browser may have a window here: not in a remote shell, or on a server without a screen."""
    if environment.get("BROWSER"):
        return True
    return system in {"darwin", "win32"} or bool(
        environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")
    )


def _opened(page: Path) -> bool:
    import webbrowser  # noqa: PLC0415  keeps `--help` light

    if not may_have_browser(os.environ, sys.platform):
        return False
    try:
        return webbrowser.open(page.as_uri())
    except (webbrowser.Error, OSError):
        return False


def _make_sure_of_the_page(path: Path) -> None:
    if folder.stamp(path, PAGE):
        return
    # The one way to judge a run and leave all its reports; what it would print is not what was asked for.
    with contextlib.redirect_stdout(io.StringIO()):
        report_on(path, latencies=False)
    if not folder.stamp(path, PAGE):
        raise RecordingError(
            f"{path} has no {PAGE}, and none could be made; zdtest show {path} prints the summary"
        )


def _serve(path: Path, port: int) -> int:
    from threading import Thread  # noqa: PLC0415

    import anyio  # noqa: PLC0415

    from harness.history.serving import Server  # noqa: PLC0415

    try:
        server = Server(path, port)
    except OSError as error:
        raise UsageError(f"--port {port}: cannot listen there: {error.strerror}; choose another") from None
    with server, PROGRAM.heard() as asked:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        show(server.url)
        at = server.server_address[1]
        warn(f"for this machine only; from another one: ssh -L {at}:127.0.0.1:{at} THIS-HOST. Ctrl-C ends it")
        anyio.run(_until, asked)
        server.shutdown()
        thread.join()
    return ExitCode.PASS


async def _until(asked: Asked) -> None:
    async for _ in asked.each():
        return
