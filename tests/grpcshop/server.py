"""The server: `python server.py [PORT] [--max-age S] [--grace S] [--not-serving] [--no-reflection] [--ignore-term]`.

It prints its port when it listens. On SIGTERM it says NOT_SERVING and stops with the grace that was given: it sends
GOAWAY, and lets calls in flight finish for that long. Answers name POD_NAME in the metadata `x-pod`.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent))

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

if TYPE_CHECKING:
    from collections.abc import Iterator

shop_pb2, shop_pb2_grpc = grpc.protos_and_services("shop.proto")
POD = os.environ.get("POD_NAME", "")
CODES = {code.value[0]: code for code in grpc.StatusCode}


class Till(shop_pb2_grpc.TillServicer):  # type: ignore[misc, name-defined]
    """Answers orders as they ask for it."""

    def Buy(self, order: Any, context: Any) -> Any:  # noqa: N802  as the service calls it
        """Answer one order."""
        self._named(context)
        self._obey(order, context)
        return shop_pb2.Receipt(id=order.id, pod=POD)

    def Watch(self, order: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        """Answer an order with several messages."""
        self._named(context)
        for number in range(order.messages):
            yield shop_pb2.Receipt(id=order.id, pod=POD, number=number)
            time.sleep(0.01)
        self._obey(order, context)

    def _named(self, context: Any) -> None:
        if POD:
            context.send_initial_metadata((("x-pod", POD),))

    def _obey(self, order: Any, context: Any) -> None:
        if order.HasField("wait"):
            time.sleep(order.wait.ToTimedelta().total_seconds())
        if order.fail:
            context.abort(CODES[order.fail], "as the order asks")


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", nargs="?", type=int, default=0)
    parser.add_argument("--max-age", type=float, default=0)
    parser.add_argument("--grace", type=float, default=0)
    parser.add_argument("--not-serving", action="store_true")
    parser.add_argument("--no-health", action="store_true")
    parser.add_argument("--no-reflection", action="store_true")
    parser.add_argument("--ignore-term", action="store_true")
    parser.add_argument("--cert")
    parser.add_argument("--key")
    options = parser.parse_args()
    settings: list[tuple[str, int]] = [("grpc.so_reuseport", 0)]
    if options.max_age:
        settings += [
            ("grpc.max_connection_age_ms", int(options.max_age * 1000)),
            ("grpc.max_connection_age_grace_ms", 5000),
        ]
    server = grpc.server(ThreadPoolExecutor(32), options=settings)
    shop_pb2_grpc.add_TillServicer_to_server(Till(), server)
    states = health.HealthServicer()
    if not options.no_health:
        health_pb2_grpc.add_HealthServicer_to_server(states, server)
    serving = (
        health_pb2.HealthCheckResponse.NOT_SERVING
        if options.not_serving
        else health_pb2.HealthCheckResponse.SERVING
    )
    states.set("", serving)
    if not options.no_reflection:
        reflection.enable_server_reflection(("shop.Till", reflection.SERVICE_NAME), server)
    if options.cert:
        pair = Path(options.key).read_bytes(), Path(options.cert).read_bytes()
        port = server.add_secure_port(f"0.0.0.0:{options.port}", grpc.ssl_server_credentials([pair]))
    else:
        port = server.add_insecure_port(f"0.0.0.0:{options.port}")
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, signal.SIG_IGN if options.ignore_term else lambda *_: stopping.set())
    server.start()
    print(port, flush=True)  # noqa: T201  who started it reads this
    while not stopping.wait(0.1):
        pass
    states.enter_graceful_shutdown()
    server.stop(options.grace or None).wait()


if __name__ == "__main__":
    main()
