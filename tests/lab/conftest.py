"""kubectl as an independent client, and manifests on disk."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from typing import TYPE_CHECKING, Protocol

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.lab.objects.store import Object


class Kubectl(Protocol):
    async def __call__(self, target: str, *args: str, within: float = 60) -> tuple[int, str]: ...


@pytest.fixture
def kubectl(tmp_path: Path) -> Kubectl:
    """`await kubectl(kubeconfig, *args)` -> (exit code, output and errors); skips where there is none."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")

    async def run(target: str, *args: str, within: float = 60) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            "kubectl",
            "--kubeconfig",
            target,
            *args,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path), "KUBECONFIG": "/dev/null"},
        )
        try:
            async with asyncio.timeout(within):
                output, _ = await process.communicate()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise
        return process.returncode or 0, output.decode()

    return run


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Write objects (or text) into a manifest file and return its path."""

    def writer(*items: Object | str, name: str = "all.yaml") -> str:
        path = tmp_path / name
        texts = [item if isinstance(item, str) else yaml.safe_dump(item) for item in items]
        path.write_text("---\n".join(texts))
        return str(path)

    return writer
