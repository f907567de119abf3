"""What a server's own health service (grpc.health.v1) says before the load."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from harness import masking
from harness.errors import UsageError
from harness.run.preflight.asking import ASKED, Answers
from harness.run.preflight.grpc import door
from harness.run.preflight.grpc.exchange import once

if TYPE_CHECKING:
    from harness.model import LoadPlan, Target
    from harness.run.preflight.grpc.exchange import Said

_CHECK = "/grpc.health.v1.Health/Check"
_MOST = 64 << 10
_NOT_SERVING = "NOT_SERVING"


async def healthy(plan: LoadPlan, answers: Answers) -> Answers:
    """Ask the health service a few times, each on a new connection; add what it says, and the pods that its answers
    name.

    Raises UsageError if every answer is NOT_SERVING. Nothing else ends a run: the baseline tells whether calls are
    answered.
    """
    target = plan.targets[0]
    service = urlsplit(target.url).path.removeprefix("/").rpartition("/")[0]
    about = service
    said = await _ask(plan, target, service)
    if said[0].code == "NOT_FOUND":  # it knows nothing of this service; of the whole server it may
        about, said = "the server", await _ask(plan, target, "")
    shown = masking.url(target.url)
    states = [_state(one) for one in said]
    if all(state == _NOT_SERVING for state in states):
        raise UsageError(
            f"the health service of {shown} says NOT_SERVING for {about}; mend that first, or go on with --no-health"
        )
    counted = ", ".join(f"{state} ({states.count(state)})" for state in dict.fromkeys(states))
    note = f"the health service of {shown} says {counted} for {about}"
    if all(one.code == "UNIMPLEMENTED" for one in said):
        note = f"{shown} has no health service (grpc.health.v1), so a probe of kind grpc would fail"
    pods = tuple(one.pod for one in said if one.pod)
    named = ((target.url, pods),) if pods else ()
    return replace(answers, pods=(*named, *answers.pods), notes=(*answers.notes, note))


async def _ask(plan: LoadPlan, target: Target, service: str) -> list[Said]:
    message = door.health_request(service)
    return list(await asyncio.gather(*(once(plan, target, _CHECK, message, _MOST) for _ in range(ASKED))))


def _state(said: Said) -> str:
    return door.health_answer(said.messages[0]) if said.messages else said.code
