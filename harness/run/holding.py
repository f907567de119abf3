"""Holds a workload for one run, and lets it go at the end."""

from __future__ import annotations

import contextlib
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from harness.cluster.answers import ApiStatusError
from harness.cluster.lock import RENEW_EVERY_S, claim, holder, patch
from harness.cluster.resources import WORKLOADS
from harness.errors import ClusterError, UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from harness.cluster.api import Api
    from harness.run.preflight import Subject

MANAGER = "zdtest-lock"
ATTEMPTS = 4  # the workload may change under us for reasons of its own, such as a status
LOCKED = ("restart", "apply", "set-image", "scale")  # the others need no right to patch the workload


@asynccontextmanager
async def held(api: Api, subject: Subject, run: str) -> AsyncIterator[None]:
    """Hold the subject's workload. Raises UsageError when another run was faster; does nothing for other triggers."""
    if subject.trigger.kind not in LOCKED:
        yield
        return
    facts = subject.facts

    def write(value: str | None, version: str | None = None) -> None:
        api.patch(facts.kind, facts.namespace, facts.name, patch(value, version), field_manager=MANAGER)

    try:
        await anyio.to_thread.run_sync(_take, api, subject, run, write)
    except ClusterError as error:
        raise UsageError(f"{facts.name} cannot be held for this run: {error}") from None

    async def renew() -> None:
        while True:
            await anyio.sleep(RENEW_EVERY_S)
            try:
                await anyio.to_thread.run_sync(write, claim(run, datetime.now(UTC)))
            except ClusterError:
                continue  # the API server may be away; the claim has twice this time left

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(renew)
            yield
            group.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            with contextlib.suppress(ClusterError):  # it runs out by itself
                await anyio.to_thread.run_sync(write, None)


def _take(api: Api, subject: Subject, run: str, write: Callable[[str | None, str | None], None]) -> None:
    """Take the claim if nobody has it. The version that was read makes sure that nobody got in between."""
    facts, workload = subject.facts, subject.workload
    for attempt in range(ATTEMPTS):
        now = datetime.now(UTC)
        other = holder(workload, run, now)
        if other:
            raise UsageError(f"another run is at work on {facts.name}: {other}; wait for its end")
        try:
            write(claim(run, now), workload["metadata"].get("resourceVersion"))
        except ApiStatusError as error:
            if error.code != 409 or attempt == ATTEMPTS - 1:
                raise
            workload = api.get(WORKLOADS[facts.kind], facts.namespace, facts.name)
        else:
            return
