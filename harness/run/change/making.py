"""Makes the change: one patch or apply, or one pod deleted or evicted. Sent again only where it was not made."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from harness.cluster.client import resources
from harness.cluster.client.answers import ApiStatusError, ApiUnreachableError
from harness.cluster.rollout.view import doomed
from harness.cluster.trigger import doomed_pod, is_going, patch_for, pull, remove_pod, was_made
from harness.cluster.watching.reduce import reduced
from harness.model import Mark
from harness.run.change.aftermath import shown, what_rolls
from harness.run.change.persisting import UnknownError, send
from harness.run.change.waiting import LOST_AFTER_NS

if TYPE_CHECKING:
    from harness.cluster.rollout.view import Baseline
    from harness.run.change.tools import Tools
    from harness.run.change.tracker import RolloutTracker

BUDGET_PATIENCE_S = 60.0  # how long an eviction that a PodDisruptionBudget refuses is tried again
BUDGET_EVERY_S = 5.0


async def send_patch(tools: Tools, tracker: RolloutTracker, before: Baseline) -> str | None:
    """Patch or apply. Returns a reason to end the run, or None to go on. Raises ClusterError when it is refused."""
    subject, api, facts = tools.subject, tools.api, tools.subject.facts
    patch = patch_for(subject.trigger, subject.workload, datetime.now().astimezone(), tools.base)
    tools.log.update_rollout(patch=shown(subject.trigger.kind, patch))
    seen: list[dict[str, Any]] = []  # the workload before the change, once it could be read

    def read() -> dict[str, Any]:
        return api.get(resources.WORKLOADS[facts.kind], facts.namespace, facts.name)

    def read_before() -> dict[str, Any]:
        try:
            return read()
        except ApiUnreachableError as error:  # whatever became of the question, the change was not sent
            raise ApiUnreachableError(str(error), unsent=True) from None

    def once() -> dict[str, Any]:
        if not seen:
            seen.append(read_before())
        manager, rehearsed = tools.field_manager, tools.dry_run
        return pull(api, subject.trigger, facts, patch, field_manager=manager, dry_run=rehearsed)

    def found() -> dict[str, Any] | None:
        now = read()
        return now if was_made(subject.trigger, patch, seen[0], now) else None

    try:
        sent = await send(tools, once, found)
    except UnknownError as error:
        _answer_lost(tools, tracker, before, error)
        return None
    was, after, sent_ns = seen[0], sent.answer, sent.sent_ns
    if tools.dry_run:
        return _rehearsed(tools)
    if what_rolls(after) == what_rolls(was):
        tools.log.note(
            "nothing to roll out: the change left the pods' template and their number as they were"
        )
        return "nothing_changed"
    left = reduced(facts.kind, after)
    led_to = replace(
        before,
        template=left["spec"]["template"],
        generation=int(after["metadata"]["generation"]),
        size=left["spec"].get("replicas"),
        doomed=doomed(before, left),
    )
    _begin(tools, tracker, led_to, sent_ns, left)
    return None


async def send_removal(tools: Tools, tracker: RolloutTracker, before: Baseline) -> str | None:
    """Delete or evict one pod; an eviction that a budget refuses is tried again for a while.

    Returns a reason to end the run, or None to go on. Raises ClusterError when it is refused.
    """
    trigger, facts = tools.subject.trigger, tools.subject.facts
    pod = doomed_pod(trigger, [ref.name for ref in before.old_pods])
    uid = next(ref.uid for ref in before.old_pods if ref.name == pod)

    def once() -> bool:
        remove_pod(tools.api, trigger, facts, pod, dry_run=tools.dry_run)
        return True

    def found() -> bool | None:
        return True if is_going(tools.api, facts.namespace, pod, uid) else None

    doomed = replace(before, doomed=frozenset({uid}), size=before.replicas)
    patience = BUDGET_PATIENCE_S
    while not tools.interrupted():
        try:
            sent = await send(tools, once, found)
        except UnknownError as error:
            _answer_lost(tools, tracker, doomed, error)
            return None
        except ApiStatusError as error:
            if error.code != 429 or patience <= 0:
                raise
            tools.say(f"not now: {error}")
            patience -= BUDGET_EVERY_S
            await anyio.sleep(BUDGET_EVERY_S)
            continue
        if tools.dry_run:
            return _rehearsed(tools)
        _begin(tools, tracker, doomed, sent.sent_ns)
        return None
    return "interrupted"


def _begin(
    tools: Tools,
    tracker: RolloutTracker,
    baseline: Baseline,
    sent_ns: int,
    after: dict[str, Any] | None = None,
) -> None:
    tools.log.mark(Mark.TRIGGER, sent_ns)
    facts, trigger = tools.subject.facts, tools.subject.trigger
    done = "restarted" if trigger.kind == "restart" else f"{trigger.shown}:"
    names = ", ".join(p.name for p in baseline.old_pods)
    tools.say(f"{done} {facts.kind.lower()}/{facts.name}; pods until now: {names}")
    tracker.begin(baseline, after)


def _answer_lost(tools: Tools, tracker: RolloutTracker, before: Baseline, error: UnknownError) -> None:
    """Whether the server made the change could not be found out: the watch will show."""
    tools.log.note(f"whether the change was made is not known ({error}); the watch shows it")
    tools.log.mark(Mark.TRIGGER, error.sent_ns)
    tracker.waiting.expected, tracker.waiting.patience_ns = before, LOST_AFTER_NS
    tracker.waiting.asked_ns = tools.clock.now_ns()


def _rehearsed(tools: Tools) -> str:
    tools.say("dry run: the server accepts the change; nothing was changed")
    return "dry_run"
