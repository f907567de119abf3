"""Real servers as pods: uvicorn, gunicorn and node, as scenarios that are written when they are wanted.

They come from packages that the test cluster's pods mount from the host, so they cannot be plain files as the shipped
scenarios are. What each does on SIGTERM was tried on the host, in a PID namespace of its own as a container has it:

- uvicorn closes idle connections and its listener within 0.1 s, answers what it has in hand, and ends.
- gunicorn (threads) answers what it has in hand and ends, but its listener stays open until then: a connection made
  meanwhile is taken by the kernel, read by nobody, and reset when the process ends.
- node without a handler ends at once, with all it has in hand. As process 1 of its container it is not touched: the
  kernel gives process 1 no signal that it has no handler for. It serves on until it is killed at the end of grace.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

PACKAGES = Path(__file__).parents[3] / "results" / "servers"
PINNED = ("uvicorn==0.54.0", "gunicorn==27.0.1")
SLOW_EVERY, SLOW_MS, WORK_MS = 50, 500, 20  # so that there is something in flight when a pod ends
_ASGI = f"""import asyncio, os
seen = 0
async def app(scope, receive, send):
    global seen
    seen += 1
    await asyncio.sleep(({SLOW_MS} if seen % {SLOW_EVERY} == 0 else {WORK_MS}) / 1000)
    headers = [(b"x-pod", os.environ["HOSTNAME"].encode()), (b"content-length", b"3")]
    await send({{"type": "http.response.start", "status": 200, "headers": headers}})
    await send({{"type": "http.response.body", "body": b"ok\\n"}})
"""
_WSGI = f"""import itertools, os, time
count = itertools.count(1)
def app(environ, start):
    time.sleep(({SLOW_MS} if next(count) % {SLOW_EVERY} == 0 else {WORK_MS}) / 1000)
    start("200 OK", [("X-Pod", os.environ["HOSTNAME"]), ("Content-Length", "3")])
    return [b"ok\\n"]
"""
_NODE = f"""let seen = 0;
const server = require("http").createServer((request, response) => {{
  seen += 1;
  setTimeout(() => {{
    response.setHeader("X-Pod", process.env.HOSTNAME);
    response.end("ok\\n");
  }}, seen % {SLOW_EVERY} === 0 ? {SLOW_MS} : {WORK_MS});
}});
server.keepAliveTimeout = 75000;
server.listen(8080);
"""


@dataclass(frozen=True, slots=True)
class Server:
    """How a real server is started in a pod.

    Each keeps idle connections for 75 s, longer than the balancers do, as their manuals advise behind a balancer.
    `first` is whether it is its container's process 1, as it is without an init.
    """

    name: str
    file: str
    app: str
    command: tuple[str, ...]
    first: bool = True


SERVERS = {
    server.name: server
    for server in (
        Server(
            "uvicorn",
            "app.py",
            _ASGI,
            (
                *("python3", "-m", "uvicorn", "app:app", "--app-dir", "/app", "--host", "0.0.0.0"),
                *("--port", "8080", "--lifespan", "off", "--timeout-keep-alive", "75", "--no-access-log"),
            ),
        ),
        Server(
            "gunicorn",
            "app.py",
            _WSGI,
            (
                *("python3", "-m", "gunicorn", "app:app", "--chdir", "/app", "--bind", "0.0.0.0:8080"),
                *("--threads", "16", "--keep-alive", "75"),
            ),
        ),
        Server("node", "server.js", _NODE, ("node", "/app/server.js"), first=False),
        Server("node-first", "server.js", _NODE, ("node", "/app/server.js")),
    )
}


def manifests(server: Server, prestop_s: int) -> list[dict[str, Any]]:
    """Return the pods' ConfigMap, Deployment and Service; `prestop_s` is 0 for no hook."""
    container: dict[str, Any] = {
        "name": "web",
        "image": "node:20-slim" if server.file.endswith(".js") else "python:3.12-slim",
        "command": list(server.command),
        "env": [
            {"name": "PYTHONPATH", "value": "/opt"},
            # Before the host's own libpython, which is older than the Python that is mounted.
            {"name": "LD_LIBRARY_PATH", "value": "/python/lib"},
        ],
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1, "timeoutSeconds": 2},
        "volumeMounts": [
            {"name": "app", "mountPath": "/app", "readOnly": True},
            {"name": "packages", "mountPath": "/opt", "readOnly": True},
        ],
    }
    if prestop_s:
        container["lifecycle"] = {"preStop": {"exec": {"command": ["/bin/sh", "-c", f"sleep {prestop_s}"]}}}
    pod: dict[str, Any] = {
        "terminationGracePeriodSeconds": 10,
        "containers": [container],
        "volumes": [
            {"name": "app", "configMap": {"name": "web-app"}},
            {"name": "packages", "hostPath": {"path": str(PACKAGES)}},
        ],
    }
    if not server.first:
        pod["shareProcessNamespace"] = True  # the pod's pause is process 1, as an init in the image would be
    labels = {"app": "web"}
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "web-app"},
            "data": {server.file: server.app},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web"},
            "spec": {
                "replicas": 3,
                "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]},
        },
    ]


def installed() -> None:
    """Install the servers where pods mount them from, on first use."""
    if not (PACKAGES / "gunicorn").exists():
        python = Path(sys.base_prefix) / "bin" / "python3"
        words = [str(python), "-m", "pip", "install", "-q", "--target", str(PACKAGES), *PINNED]
        subprocess.run(words, check=True)


def written(server: Server, prestop_s: int, to: Path) -> Path:
    """Write the scenario of a server into `to`; return the folder."""
    to.mkdir(parents=True)
    (to / "app.yaml").write_text(yaml.safe_dump_all(manifests(server, prestop_s), sort_keys=False))
    wanted = {
        "name": f"servers-{to.name}",
        "target": {"path": "/", "method": "GET"},
        "load": {"concurrency": 10, "duration": "25s"},
        "workload": "deployment/web",
        "namespace": "default",
        "manifests": ["app.yaml"],
        "rollout": {"trigger_after": "5s", "settle": "6s", "max_time": "3m"},
        "lab": {"profile": "nginx", "lag": "600ms", "connect_timeout": "3s", "idle_timeout": "10s"},
    }
    (to / "zdtest.yaml").write_text(yaml.safe_dump(wanted, sort_keys=False))
    return to
