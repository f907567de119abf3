"""Writes down what became of a rollout, when the run or the round ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio.to_thread

from harness.cluster.client import resources
from harness.cluster.rollout.progress import leaving
from harness.cluster.rollout.stuck import why_stuck
from harness.cluster.rollout.view import own, revisions
from harness.cluster.watching.reduce import manifest
from harness.errors import ClusterError
from harness.model import NEVER, Mark
from harness.run.change.aftermath import outcome

if TYPE_CHECKING:
    from harness.cluster.rollout.view import Baseline
    from harness.run.change.tools import Tools
    from harness.run.change.tracker import RolloutTracker


def write_outcome(tools: Tools, tracker: RolloutTracker, baseline: Baseline, ended_by: str) -> None:
    """Write down the rollout's state, its reason, the new revision, and which old pods went."""
    log = tools.log
    old = {ref.uid for ref in baseline.old_pods}
    new = revisions(tracker.view, old, inside=False)
    stuck = why_stuck(tracker.view, old)
    over = NEVER not in {log.record.mark(m) for m in (Mark.OLD_PODS_GONE, Mark.ENDPOINTS_SETTLED)}
    others = [change for change in log.record.changes if change.disturbs]
    state, reason = outcome(tracker.progress, ended_by, stuck, over=over, others=others)
    if reason:
        log.note(f"rollout: {reason}")
    gone = leaving(tracker.view, baseline) | (old - own(tracker.view).keys())
    log.update_rollout(
        state=state,
        reason=reason,
        new_revision=new[0] if new else "",
        old_pods=tuple(ref for ref in baseline.old_pods if ref.uid in gone),
    )


async def keep_manifests(tools: Tools) -> None:
    """Keep the manifests as they are now."""
    api, subject = tools.api, tools.subject
    facts = subject.facts
    try:
        now = await anyio.to_thread.run_sync(
            lambda: api.get(resources.WORKLOADS[facts.kind], facts.namespace, facts.name)
        )
    except ClusterError as error:
        tools.log.note(f"the manifest after the run could not be read: {error}")
        return
    tools.directory.manifests("after", [manifest(o) for o in (now, *subject.services, *subject.around)])
