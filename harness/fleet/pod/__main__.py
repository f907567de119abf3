"""What a pod of a fleet runs: `python -m harness.fleet.pod KEYS [HOST:PORT]`. KEYS is the mounted Secret's folder."""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path

import anyio
from anyio.streams.tls import TLSListener

from harness.fleet import keys
from harness.fleet.frames import PORT
from harness.fleet.pod.pod import Pod
from harness.load.worker.__main__ import NoPandas


async def listen(folder: Path, host: str | None, port: int) -> None:
    """Be a pod until the collector lets it go."""
    tls = keys.of_a_pod(folder)
    with tempfile.TemporaryDirectory(prefix="zdtest-pod-") as scratch:
        async with (
            await anyio.create_tcp_listener(local_host=host, local_port=port) as listener,
            anyio.create_task_group() as tasks,
        ):
            pod = Pod(Path(scratch), tasks)
            tasks.start_soon(pod.leave_when_forgotten)
            await TLSListener(listener, tls, standard_compatible=False).serve(pod.serve, tasks)


def main() -> None:
    """Run in a pod, where Kubernetes may ask for its end at any time: what was recorded is delivered first."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the collector lets us go, or its silence does
    sys.meta_path.insert(0, NoPandas())
    host, _, port = (sys.argv[2] if len(sys.argv) > 2 else "").rpartition(":")
    anyio.run(listen, Path(sys.argv[1]), host or None, int(port or PORT))


if __name__ == "__main__":
    main()
