"""The part of zdtest.yaml that is about gRPC: calls of one method instead of HTTP requests."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import pydantic

from harness.scenario.values import Strict

if TYPE_CHECKING:
    from harness.scenario.parts.streampart import StreamPart
    from harness.scenario.schema import LoadPart, TargetPart

SCHEMES = ("grpc://", "grpcs://")
_METHOD = re.compile(r"/(?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*/[A-Za-z_]\w*")
_EXAMPLE = "grpc://host:port/package.Service/Method"


def _as_json(value: object) -> object:
    return json.dumps(value) if isinstance(value, dict) else value


class GrpcPart(Strict):
    """Call a method of gRPC, unary or server-streaming. docs/grpc.md says how calls are counted and judged."""

    proto: str | None = None
    """A .proto file that defines the method, relative to the scenario's folder. By default the server is asked for it
    (server reflection).
    """
    proto_path: tuple[str, ...] = ()
    """Folders of the files that `proto` imports; its own folder always is one."""
    data: Annotated[str, pydantic.BeforeValidator(_as_json)] = "{}"
    """The request message, as JSON; it never reaches a recording. `{seq}` and `{uuid}` in a text differ in each call.
    """
    health: bool = True
    """Ask the server's health service (grpc.health.v1) before the load, and stop if it says NOT_SERVING."""


def grpc_by_its_url(fields: Any) -> Any:
    """Add the part to a scenario with a gRPC URL, and what such a call needs: POST, over HTTP/2."""
    target = fields.get("target") if isinstance(fields, dict) else None
    url = target.get("url") if isinstance(target, dict) else None
    if not isinstance(url, str) or not isinstance(target, dict) or not url.startswith(SCHEMES):
        return fields
    needed = {"http2": True, "method": "POST"}
    return {**fields, "target": {**needed, **target}, "grpc": fields.get("grpc") or {}}


def check_grpc(grpc: GrpcPart | None, target: TargetPart, load: LoadPart, stream: StreamPart | None) -> None:
    """Refuse what makes no sense for calls. Raises ValueError."""
    if grpc is None:
        return
    url = target.url or ""
    if not url.startswith(SCHEMES):
        raise ValueError(f"these fields are about gRPC calls, which need a URL such as {_EXAMPLE}")
    parts = urlsplit(url)
    if not _METHOD.fullmatch(parts.path) or parts.query or parts.fragment:
        raise ValueError(f"a gRPC URL ends with the method that is called: {_EXAMPLE}")
    others = {
        "stream": stream is not None, "mix": load.mix, "targets": load.targets, "http2: false": not target.http2,
        "body": target.body or target.body_file, f"method {target.method}": target.method != "POST",
    }  # fmt: skip
    if other := next((name for name, given in others.items() if given), ""):
        raise ValueError(f"a gRPC call is one message of grpc.data (--data); drop {other}")
