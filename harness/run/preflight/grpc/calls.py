"""Turns the plan of a load into one of gRPC calls: the method is looked up, and its message is encoded, once."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from harness import masking
from harness.run.preflight.grpc import door
from harness.run.preflight.grpc.exchange import framed, headers
from harness.run.preflight.grpc.reflection import reflected

if TYPE_CHECKING:
    from pathlib import Path

    from harness.model import LoadPlan
    from harness.scenario.parts.grpcpart import GrpcPart

# What stands for a placeholder while a message is encoded: as long as what is sent in its place.
_STAND_INS = {"{seq}": "\x01zd-seq-zd\x02\x03", "{uuid}": "\x01zd-uuid-" + "-" * 24 + "\x02\x03\x04"}


async def of_calls(plan: LoadPlan, part: GrpcPart, base: Path) -> LoadPlan:
    """Return the same plan with the method's message in its one target. Raises UsageError."""
    door.check_extra()
    target = plan.targets[0]
    service, _, name = urlsplit(target.url).path.removeprefix("/").rpartition("/")
    if part.proto is not None:
        proto = base / part.proto
        schema = await asyncio.to_thread(door.compiled, proto, [base / each for each in part.proto_path])
        where = str(proto)
    else:
        schema, where = await reflected(plan, service), f"the server at {masking.url(target.url)}"
    method = schema.method(service, name, where)
    body = encoded(method, part.data)
    call = replace(target, headers=(*headers(plan.timeout_ns), *target.headers), body=body)
    return replace(plan, targets=(call,), grpc="streaming" if method.streaming else "unary")


def encoded(method: door.Method, data: str) -> bytes:
    """Return a message as it is sent, with the placeholders that the load fills in. Raises UsageError.

    Its lengths are those with all placeholders filled in.
    """
    for name, stand_in in _STAND_INS.items():
        data = data.replace(name, json.dumps(stand_in)[1:-1])
    body = framed(door.encoded(method, data))
    for name, stand_in in _STAND_INS.items():
        body = body.replace(stand_in.encode(), name.encode())
    return body
