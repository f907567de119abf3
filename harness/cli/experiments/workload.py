"""The workload of an experiment: found by what the command line says, refused where it may not be changed, and waited
for.
"""

from __future__ import annotations

import socket
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.cli.root import warn
from harness.errors import ClusterError, UsageError
from harness.model import IN_CLUSTER
from harness.recording.series import experiment as file

if TYPE_CHECKING:
    from pathlib import Path

    from harness.cluster.client.api import Api
    from harness.experiment.place import Place
    from harness.interrupts import Asked
    from harness.run.execute import RunningLab
    from harness.scenario.resolve import Request, Resolved

Object = dict[str, Any]

_PARTS = (file.RUNS, file.SWITCHES)
_CLAIM_S = 100.0  # longer than the claim of a killed run lasts


def resolved_in(request: Request, folder: Path) -> Resolved:
    """Return what the command line and the scenario in `folder` say. Raises UsageError."""
    from harness.scenario.resolve import resolve  # noqa: PLC0415

    resolved = resolve(request, folder)
    if not resolved.scenario.workload:
        raise UsageError("no workload to try versions of; add --deployment NAME")
    return resolved


def pinned(request: Request, resolved: Resolved, api: Api) -> Request:
    """Name context and namespace for all runs: the current ones may be others by tomorrow."""
    if resolved.use_lab:
        return request
    pinned: dict[str, Any] = {"namespace": _namespace(resolved, api)}
    if api.context != IN_CLUSTER:
        pinned["cluster.context"] = api.context
    return replace(request, flags={**request.flags, **pinned})


def _namespace(resolved: Resolved, api: Api) -> str:
    return resolved.scenario.namespace or api.namespace


def named(live: Object, resolved: Resolved, api: Api) -> str:
    """Return a workload as an experiment's record names it: Deployment shop/web."""
    return f"{live['kind']} {_namespace(resolved, api)}/{live['metadata']['name']}"


def place_of(resolved: Resolved, api: Api, lab: RunningLab | None) -> Place:
    """Return the workload on its cluster. Raises UsageError if it may not be changed, or cannot be read."""
    from harness.cluster.permission.guard import refusal  # noqa: PLC0415
    from harness.experiment.place import Place  # noqa: PLC0415

    assert resolved.scenario.workload  # noqa: S101  resolved_in() has seen to it
    kind, name = resolved.scenario.workload
    namespace = _namespace(resolved, api)
    denied = None if lab else refusal(api.context, namespace, name, resolved.allow)
    if denied:
        raise UsageError(denied)
    place = Place(api, kind, namespace, name)
    try:
        place.live()
    except ClusterError as error:
        raise UsageError(f"{place.shown} in namespace {namespace} cannot be read: {error}") from None
    return place


def announce(live: Object, resolved: Resolved, api: Api, lab: RunningLab | None) -> None:
    """Say what will be changed. Raises UsageError for a workload that something else would put back."""
    from harness.cluster.permission.gitops import objection, tracked_by  # noqa: PLC0415

    refused = "" if lab else objection(tracked_by(live), "replace")
    if refused:
        raise UsageError(refused)
    warn(
        f"server {api.server}, context {api.context}, namespace {_namespace(resolved, api)}: will put versions of"
        f" {live['kind'].lower()}/{live['metadata']['name']} there one after the other, restart each, and put back"
        " what is there now"
    )


def wait_for_the_dead(place: Place, directory: Path, asked: Asked) -> None:
    """Wait until a killed run's claim on the workload has run out, and its rollout has ended.

    A claim of this experiment's own run need not run out: this process has the experiment, so that run is dead.
    """
    from harness.experiment.conduct import PATIENCE_S  # noqa: PLC0415

    until = time.monotonic() + _CLAIM_S
    said = False
    while (held := place.claimed_by()) and time.monotonic() < until and not asked.count:
        run, _, host = held.partition(" (until ")[0].partition(" on ")
        if host == socket.gethostname() and any((directory / part / run).is_dir() for part in _PARTS):
            place.unclaim()
            break
        if not said:
            warn(f"waiting for the claim of {held}")
            said = True
        time.sleep(1.0)
    place.wait(PATIENCE_S, lambda: asked.count > 0)
