"""The server in a process of its own, for tests on loopback. Whoever imports this skips where grpcio is missing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
PROTO = HERE / "shop.proto"


@dataclass(frozen=True)
class Shop:
    """A server that listens."""

    port: int
    process: subprocess.Popen[bytes]

    def url(self, method: str = "Buy", service: str = "shop.Till", scheme: str = "grpc") -> str:
        return f"{scheme}://127.0.0.1:{self.port}/{service}/{method}"

    def stop(self) -> None:
        """Ask it to stop, as a kubelet does."""
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.process.kill()


@contextmanager
def shop(*arguments: str, port: int = 0, pod: str = "") -> Iterator[Shop]:
    """Start it with these arguments; it is killed at the end."""
    command = [sys.executable, str(HERE / "server.py"), str(port), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "POD_NAME": pod})
    assert process.stdout is not None
    try:
        yield Shop(int(process.stdout.readline()), process)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
