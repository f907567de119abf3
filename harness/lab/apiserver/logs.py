"""A container's output for GET .../pods/NAME/log: all of it, its last lines, or followed as it grows.

The output of all runs of a container is one file without timestamps, so `previous`, `sinceSeconds`, `sinceTime` and
`timestamps` are refused.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from harness.lab.objects.podstatus import log_name
from harness.lab.objects.status import bad_request

if TYPE_CHECKING:
    from pathlib import Path

    from harness.lab.apiserver.httpserver import Reply, Request
    from harness.lab.objects.store import Object, Store

_TRUE = {"1", "t", "true"}
_UNKEPT = ("sinceSeconds", "sinceTime", "timestamps", "previous")
_LOOK_S = 0.1


async def serve(store: Store, logs: Path, pod: Object, request: Request, reply: Reply) -> None:
    """Send the output of one container; with `follow`, until it ends or the client leaves. Raises StatusError."""
    name = container_of(pod, request.query.get("container", ""))
    for key in _UNKEPT:
        if request.query.get(key, "false") != "false":
            raise bad_request(
                f"{key} is not supported: the lab keeps the output of all runs of a "
                "container in one file, without timestamps"
            )
    tail, limit = _number(request, "tailLines"), _number(request, "limitBytes")
    if _run(pod, name) is None:
        raise bad_request(
            f'container "{name}" in pod "{pod["metadata"]["name"]}" is waiting to start: ContainerCreating'
        )
    path = logs / log_name(pod, name)
    data = _read(path, 0)
    shown = last_lines(data, tail)[:limit]
    if request.query.get("follow", "").lower() not in _TRUE:
        await reply.send(200, shown, "text/plain")
        return
    await reply.begin("text/plain")
    at, left = len(data), limit
    while True:
        over = _over(store, pod, name)
        if shown:
            await reply.chunk(shown)
        left = None if left is None else left - len(shown)
        if left == 0 or reply.left() or (over and not shown):
            return
        if not over:
            await asyncio.sleep(_LOOK_S)
        fresh = _read(path, at)  # once more after the end, for the last lines
        at += len(fresh)
        shown = fresh[:left]


def _over(store: Store, pod: Object, name: str) -> bool:
    """Tell whether the run of a container that `pod` shows has ended."""
    now = store.find("Pod", pod["metadata"]["namespace"], pod["metadata"]["name"])
    return (
        now is None
        or now["metadata"]["uid"] != pod["metadata"]["uid"]
        or "terminated" in _status(now, name).get("state", {})
        or _run(now, name) != _run(pod, name)
    )


def container_of(pod: Object, asked: str) -> str:
    """Return the requested container. Raises StatusError 400 if it is unknown, or if none of several is named."""
    names = [container["name"] for container in pod["spec"]["containers"]]
    where = pod["metadata"]["name"]
    if asked and asked not in names:
        raise bad_request(f"container {asked} is not valid for pod {where}")
    if not asked and len(names) > 1:
        raise bad_request(
            f"a container name must be specified for pod {where}, choose one of: [{' '.join(names)}]"
        )
    return asked or str(names[0])


def last_lines(data: bytes, count: int | None) -> bytes:
    """Return the last `count` lines of an output; all of it for None."""
    if count is None:
        return data
    lines = data.splitlines(keepends=True)
    return b"".join(lines[len(lines) - min(count, len(lines)) :])


def _run(pod: Object, name: str) -> int | None:
    """Return the number of a container's current run; None before the first."""
    status = _status(pod, name)
    if status.get("state", {}).keys() & {"running", "terminated"} or status.get("restartCount"):
        return int(status["restartCount"])
    return None


def _status(pod: Object, name: str) -> Object:
    found = (pod.get("status") or {}).get("containerStatuses") or ()
    return next((status for status in found if status["name"] == name), {})


def _number(request: Request, key: str) -> int | None:
    text = request.query.get(key, "")
    if text and not text.isdigit():
        raise bad_request(f'unable to parse query parameter "{key}": {text}')
    return int(text) if text else None


def _read(path: Path, at: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(at)
            return file.read()
    except FileNotFoundError:
        return b""
