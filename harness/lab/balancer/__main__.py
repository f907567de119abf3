"""The lab's load balancer, a process of its own: `python -m harness.lab.balancer`.

It talks to its parent in lines of JSON. The first line on standard input is the configuration (balancer.Config):

    {"profile": a name of families/ or "service", "tls": bool, "cert_file": path, "key_file": path,
     "listen": address, "port": 0 = any, "connect_timeout_ns": n, "idle_timeout_ns": n, "lag_ns": n, ...}

Once it listens, it writes {"port": n} to standard output. After that each line on standard input is a set of endpoints:

    {"endpoints": [{"address": "127.0.0.1", "port": 8080, "pod": "web-1"}, ...], "settled": false}

`settled` endpoints become healthy targets at once. Any other change is applied, in order, `lag_ns` plus a random
part after it arrived: the propagation lag between control plane and data plane. When standard input ends, the
process exits at once and cuts whatever is in flight.

Clients speak HTTP/1.1 or HTTPS with keep-alive (client/); targets take turns, each with a pool of idle connections
(upstream.py). families/ defines the answer when a target fails, group.py when a pod becomes a target and when it
stops being one. The profile `service` passes bytes on and knows nothing of HTTP (splice.py). Lost requests are
logged by losses.py.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import sys
from typing import TYPE_CHECKING, Any

import uvloop

from harness.lab.balancer.balancer import Balancer, Config
from harness.lab.balancer.group import Endpoint

if TYPE_CHECKING:
    import asyncio


class Parent:
    """Reads the parent's lines from standard input."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._rest = b""
        self._balancer: Balancer | None = None
        os.set_blocking(0, False)
        loop.add_reader(0, self._readable)

    def _readable(self) -> None:
        try:
            data = os.read(0, 65536)
        except BlockingIOError:
            return
        if not data:
            if self._balancer:
                self._balancer.losses.flush()
                self._balancer.log.flush()
            os._exit(0)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line.strip():
                self._take(json.loads(line))

    def _take(self, message: dict[str, Any]) -> None:
        if self._balancer is None:
            balancer = Balancer(Config(**message), self._loop)
            try:
                port = balancer.listen()
            except OSError as error:  # an SSLError is one
                line = f"balancer: cannot listen on {message.get('listen')}: {error}"
                print(line, file=sys.stderr, flush=True)  # noqa: T201  the parent's log
                os._exit(1)
            gc.collect()
            gc.freeze()
            self._balancer = balancer
            print(json.dumps({"port": port}), flush=True)  # noqa: T201  the parent reads it
        else:
            endpoints = tuple(Endpoint(**endpoint) for endpoint in message["endpoints"])
            self._balancer.group.change(endpoints, settled=message.get("settled", False))


def main() -> None:
    """Run until the parent closes standard input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gc.set_threshold(50_000, 20, 50)
    loop = uvloop.new_event_loop()
    loop.set_exception_handler(_crash)
    Parent(loop)
    loop.run_forever()


def _crash(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Exit with a traceback: a bug here must not look like a failed target."""
    loop.default_exception_handler(context)
    os._exit(70)


if __name__ == "__main__":
    main()
