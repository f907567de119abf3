"""Asks a server for the definition of its service (server reflection), and for all that it imports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import masking
from harness.errors import UsageError
from harness.model import Outcome
from harness.run.preflight.grpc import door
from harness.run.preflight.grpc.exchange import Said, once

if TYPE_CHECKING:
    from harness.model import LoadPlan

_SERVICES = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
_MOST_FILES = 2000


async def reflected(plan: LoadPlan, service: str) -> door.Schema:
    """Return what the server of the plan's target says of a service. Raises UsageError."""
    shown = masking.url(plan.targets[0].url)
    for name in _SERVICES:
        path = f"/{name}/ServerReflectionInfo"
        said = await once(plan, plan.targets[0], path, door.reflection_request(symbol=service))
        if said.code == "OK":
            files, error = _files(said)
            if error:
                raise UsageError(f"the server at {shown} has no service {service}: {error}; check the URL")
            return await _whole(plan, path, files)
        if said.code != "UNIMPLEMENTED":
            raise UsageError(_not_asked(shown, said))
    raise UsageError(
        f"the server at {shown} has no reflection; give the .proto file that defines {service} with --proto"
    )


async def _whole(plan: LoadPlan, path: str, files: list[bytes]) -> door.Schema:
    """Add these files and what they import: each after those that it imports itself."""
    shown = masking.url(plan.targets[0].url)
    known = {door.imports(content)[0]: content for content in files}
    schema, begun = door.Schema(), set[str]()
    pending = list(known)
    while pending:
        name = pending[-1]
        if name not in known:
            known |= await _asked(plan, path, name)
        rest = [each for each in door.imports(known[name])[1] if not schema.has(each)]
        if len(known) > _MOST_FILES or (rest and name in begun):
            raise UsageError(f"the files that the reflection of {shown} gives import one another without end")
        begun.add(name)
        pending += rest
        if not rest:
            schema.add(known[name])
            pending.pop()
    return schema


async def _asked(plan: LoadPlan, path: str, name: str) -> dict[str, bytes]:
    """Return a file, and those that the server sends with it, by name."""
    own = door.builtin(name)
    if own is not None:
        return {name: own}
    said = await once(plan, plan.targets[0], path, door.reflection_request(file=name))
    files, error = _files(said)
    found = {door.imports(content)[0]: content for content in files}
    if name not in found:
        shown = masking.url(plan.targets[0].url)
        raise UsageError(f"the reflection of {shown} does not give the file {name}: {error or 'no answer'}")
    return found


def _files(said: Said) -> tuple[list[bytes], str]:
    if not said.messages:
        return [], said.why or "no answer"
    return door.reflection_answer(said.messages[0])


def _not_asked(shown: str, said: Said) -> str:
    if said.code == Outcome.CONNECT_REFUSED.value:
        return f"{shown} refuses connections; is it up, and is the port right?"
    hint = {
        Outcome.TLS_VERIFY.value: "use -k to go on without, or --cacert",
        Outcome.TLS_HANDSHAKE.value: "is it grpc://, without TLS?",
    }.get(said.code, "is it up, and does it speak gRPC? --proto FILE needs no reflection")
    why = f" ({said.why})" if said.why else ""
    return f"the server at {shown} cannot be asked for its methods: {said.code}{why}; {hint}"
