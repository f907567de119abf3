"""Claims a workload for one run, and releases it at the end."""

from __future__ import annotations

import contextlib
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from harness.cluster.client.answers import ApiStatusError
from harness.cluster.client.resources import WORKLOADS
from harness.cluster.permission.lock import HELD, MANAGER, RENEW_EVERY_S, claim, holder, patch
from harness.errors import ClusterError, UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from harness.cluster.client.api import Api
    from harness.run.preflight.workload import Subject

ATTEMPTS = 4  # the workload may change meanwhile, in its status for one
PATCHES = (
    "restart",
    "apply",
    "replace",
    "set-image",
    "scale",
)  # the others need no right to patch the workload


@dataclass(slots=True)
class Hold:
    """A claimed workload. `lost_to` names the run that took it over when our claim expired."""

    lost_to: str = ""


@asynccontextmanager
async def held(api: Api, subject: Subject, run: str) -> AsyncIterator[Hold]:
    """Hold the subject's workload. Raises UsageError when another run was faster.

    Does nothing when the run changes nothing, or when it needs no patch and may not patch.
    """
    hold, facts = Hold(), subject.facts
    resource = WORKLOADS[facts.kind]
    if subject.trigger.kind == "observe" or not (
        subject.trigger.kind in PATCHES
        or await anyio.to_thread.run_sync(api.allowed, "patch", resource, facts.namespace, facts.name)
    ):
        yield hold
        return

    def write(value: str | None, version: str | None = None) -> None:
        api.patch(facts.kind, facts.namespace, facts.name, patch(value, version), field_manager=MANAGER)

    try:
        await anyio.to_thread.run_sync(_take, api, subject, run, write)
    except ClusterError as error:
        raise UsageError(f"cannot claim {facts.name} for this run: {error}") from None

    def write_if_ours(value: str | None) -> None:
        """Change our claim, and nobody else's: the version that was read makes sure of that."""
        now = api.get(resource, facts.namespace, facts.name)
        hold.lost_to = holder(now, run, datetime.now(UTC))
        if not hold.lost_to:
            write(value, now["metadata"].get("resourceVersion"))

    async def renew() -> None:
        while not hold.lost_to:
            await anyio.sleep(RENEW_EVERY_S)
            # The API server may be away, or the workload may have changed in between; the claim is good for two more
            # tries.
            with contextlib.suppress(ClusterError):
                await anyio.to_thread.run_sync(write_if_ours, claim(run, datetime.now(UTC)))

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(renew)
            yield hold
            group.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(_release, write_if_ours)


def _release(write_if_ours: Callable[[str | None], None]) -> None:
    for _ in range(ATTEMPTS):
        try:
            write_if_ours(None)
        except ApiStatusError as error:
            if error.code == 409:
                continue
            return
        except ClusterError:  # it runs out by itself
            return
        else:
            return


def _take(api: Api, subject: Subject, run: str, write: Callable[[str | None, str | None], None]) -> None:
    """Take the claim if nobody has it. The version that was read makes sure that nobody got in between."""
    facts, workload = subject.facts, subject.workload
    for attempt in range(ATTEMPTS):
        now = datetime.now(UTC)
        other = holder(workload, run, now)
        if other:
            raise UsageError(f"{HELD}{facts.name}: {other}; wait for its end")
        try:
            write(claim(run, now), workload["metadata"].get("resourceVersion"))
        except ApiStatusError as error:
            if error.code != 409 or attempt == ATTEMPTS - 1:
                raise
            workload = api.get(WORKLOADS[facts.kind], facts.namespace, facts.name)
        else:
            return
