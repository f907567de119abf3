"""`zdtest` as a process of its own, forked from one that has imported already what every command imports.

A start of Python with all imports costs a second or two, and the tests start `zdtest` hundreds of times. A fork has the
same arguments, environment, folder, streams and exit code as `python -m harness`. What a start itself does (signals,
imports, variables that the interpreter reads) is for tests that start Python: they use subprocess.
"""

from __future__ import annotations

import atexit
import gc
import io
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[1]
_MOST = 1 << 20  # bytes of a request: arguments and environment


def zdtest(
    *words: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    text: str | None = None,
    timeout: float = 120,
) -> subprocess.CompletedProcess[str]:
    """Run `zdtest WORDS`. `text` is its standard input, which is empty without. As subprocess.run does otherwise."""
    asked = {"words": words, "cwd": str(cwd or Path.cwd()), "env": dict(os.environ if env is None else env)}
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write((text or "").encode())
        given.seek(0)
        server, process = _server()
        server.settimeout(timeout)
        try:
            socket.send_fds(
                server, [json.dumps(asked).encode()], [given.fileno(), out.fileno(), err.fileno()]
            )
            code = int(server.recv(64))
        except BaseException:  # too late, or the test was ended: an answer that comes now is nobody's
            _server.cache_clear()
            os.killpg(process.pid, signal.SIGKILL)
            raise
        said = []
        for file in (out, err):
            file.seek(0)
            said.append(file.read().decode().replace("\r\n", "\n"))
    return subprocess.CompletedProcess(["zdtest", *words], code, *said)


@cache
def _server() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Start the process that is forked, once for each process of the tests."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.program", str(its.fileno())],
        pass_fds=[its.fileno()], cwd=ROOT, env=env, stdin=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    its.close()

    def end() -> None:
        ours.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    atexit.register(end)
    return ours, process


# --- in the process that is forked ----------------------------------------------------------------------------


def _serve(asking: socket.socket) -> NoReturn:
    import harness.cli.ci.lintoutputs
    import harness.cli.manifests.manifestfiles
    import harness.cluster.client.connection
    import harness.export.tables
    import harness.history.page.page
    import harness.judge.verdict.judgement
    import harness.report.drawing.draw
    import harness.report.page.page
    import harness.scenario.resolve  # noqa: F401  all of these for what they bring

    gc.freeze()  # or a collection in a child copies every page
    while True:
        request, streams, _, _ = socket.recv_fds(asking, _MOST, 3)
        if not request:
            sys.exit()
        child = os.fork()
        if not child:
            asking.close()
            _become(json.loads(request), streams)
        for stream in streams:
            os.close(stream)
        asking.send(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())


def _become(asked: dict[str, Any], streams: list[int]) -> NoReturn:
    """Be `python -m harness WORDS`, with these streams as standard input, output and error."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    sys.stdin, sys.stdout, sys.stderr = _stream(0, sys.stdin), _stream(1, sys.stdout), _stream(2, sys.stderr)
    sys.argv = ["zdtest", *asked["words"]]
    code: Any = 0
    try:
        runpy.run_module("harness", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        code = ended.code
        if not isinstance(code, int | None):
            sys.stderr.write(f"{code}\n")
            code = 1
    except BaseException:  # noqa: BLE001  what Python itself would print
        traceback.print_exc()
        code = 1
    # As Python ends, but for taking down all that was imported, which takes half a second and shows nothing.
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads, which may print
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


def _stream(number: int, old: TextIO) -> TextIO:
    file = io.FileIO(number, "w" if number else "r", closefd=False)
    raw = io.BufferedWriter(file) if number else io.BufferedReader(file)
    return io.TextIOWrapper(raw, old.encoding, old.errors, line_buffering=number == 2)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
