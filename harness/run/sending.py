"""The load of a run that is sent from pods: what they are to be, and where."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import yaml

import harness
from harness.clock import NS
from harness.cluster.permission.guard import refusal
from harness.errors import ClusterError, UsageError
from harness.scenario import yamltext

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from harness.clock import Clock
    from harness.cluster.client.api import Api
    from harness.fleet.collector import FleetLoad
    from harness.fleet.job import Wanted
    from harness.model import LoadPlan
    from harness.run.preflight.workload import Subject
    from harness.scenario.resolve import Resolved

IMAGE = "registry.example.com/zdtest"  # as deploy/ has it: replace it by your own


@asynccontextmanager
async def sent_from_pods(
    api: Api,
    resolved: Resolved,
    subject: Subject | None,
    plan: LoadPlan,
    clock: Clock,
    directory: Path,
    say: Callable[[str], None],
) -> AsyncIterator[FleetLoad]:
    """Run the load in pods of one Job while the context lasts. Raises UsageError if there can be none."""
    from harness.fleet import hosting, keys  # noqa: PLC0415  keeps a run without pods light
    from harness.fleet.collector import running  # noqa: PLC0415
    from harness.fleet.dividing import divided  # noqa: PLC0415

    load = resolved.scenario.load
    pods = load.pods or 1
    divided(plan, pods, clock, directory)  # it must go: nothing is created before
    wanted = await anyio.to_thread.run_sync(
        lambda: _wanted(api, resolved, subject, hosting.new_name(), directory.name, _template(resolved))
    )
    secrets = keys.issue()
    async with (
        hosting.hosted(api, wanted, secrets, say, load.pods_reach) as host,
        running(plan, clock, directory, host, pods, secrets) as running_load,
    ):
        yield running_load


def _wanted(
    api: Api, resolved: Resolved, subject: Subject | None, name: str, run: str, template: dict[str, Any]
) -> Wanted:
    from harness.fleet.job import Wanted  # noqa: PLC0415

    load = resolved.scenario.load
    namespace = subject.facts.namespace if subject else resolved.scenario.namespace or api.namespace
    if subject is None and (denied := refusal(api.context, namespace, name, resolved.allow)):
        raise UsageError(denied.replace("would be restarted", "would be created"))
    try:
        server = subject.facts.version if subject else api.version()
    except ClusterError as error:
        raise UsageError(f"the cluster at {api.server} cannot be used: {error}") from None
    labels = subject.workload["spec"]["selector"].get("matchLabels") if subject else None
    return Wanted(
        name=name,
        namespace=namespace,
        run=run,
        pods=load.pods or 1,
        workers=load.workers,
        image=load.worker_image or f"{IMAGE}:{harness.__version__}",
        longest_s=resolved.scenario.rollout.max_time // NS,
        server=server,
        away_from=labels or {},
        template=template,
    )


def _template(resolved: Resolved) -> dict[str, Any]:
    """Read the file that is laid over the pods' template. Raises UsageError."""
    name = resolved.scenario.load.pod_template
    if name is None:
        return {}
    path = resolved.base / name
    try:
        found = yamltext.load(yamltext.read_bytes(path))
    except OSError as error:
        raise UsageError(f"cannot read the pod template {path}: {error.strerror}") from None
    except yaml.YAMLError as error:
        line, what = yamltext.problem(error)
        raise UsageError(f"{path}{f', line {line}' if line else ''}: {what}") from None
    except ValueError as error:
        raise UsageError(f"cannot read the pod template {path}: {error}") from None
    if not isinstance(found, dict) or not found.keys() <= {"metadata", "spec"}:
        raise UsageError(f"{path} is no part of a pod template: it may hold metadata and spec")
    return found
