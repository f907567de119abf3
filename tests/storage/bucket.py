"""nanio: a real server of S3's protocol, that refuses wrong signatures. Buckets are folders, objects are files."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY, SECRET = "AKIDC4N4RY", "c4n4ry-of-the-store"
NAME = "nights"


@dataclass(frozen=True)
class Bucket:
    """One bucket on the server; `folder` holds its objects."""

    folder: Path
    address: str  # host:port
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"s3://{NAME}/shop"

    @property
    def environment(self) -> dict[str, str]:
        """What gives a process access, as the providers' own tools want it."""
        return {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://{self.address}",
        }

    def empty(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def objects(self, below: str = "shop") -> list[str]:
        root = self.folder / below
        return sorted(file.relative_to(root).as_posix() for file in root.rglob("*") if file.is_file())


def free_port(host: str = "127.0.0.1") -> int:
    with socket.socket() as one:
        one.bind((host, 0))
        port: int = one.getsockname()[1]
    return port


@contextmanager
def serving(home: Path, host: str = "127.0.0.1", port: int = 0) -> Iterator[Bucket]:
    pytest.importorskip("obstore", reason="the extra s3 is not installed")
    pytest.importorskip("nanio", reason="nanio is not installed")
    port = port or free_port(host)
    words = ["serve", "--data-dir", str(home), "--host", host, "--port", str(port)]
    process = subprocess.Popen(
        [sys.executable, "-m", "nanio", *words],
        env={**os.environ, "NANIO_ACCESS_KEY": KEY, "NANIO_SECRET_KEY": SECRET},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    bucket = Bucket(home / NAME, f"{host}:{port}", process)
    bucket.empty()
    try:
        _wait(host, port, process)
        yield bucket
    finally:
        process.terminate()
        process.wait(20)


def _wait(host: str, port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert process.poll() is None, "nanio did not start"
        try:
            socket.create_connection((host, port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("nanio does not answer")
