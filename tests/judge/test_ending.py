"""When an app is first to have heard of its end."""

from __future__ import annotations

from harness.clock import NS
from harness.judge.timeline.ending import stop_ns
from harness.judge.timeline.lifeline import Lifeline, PodNote, PodSpec

DELETED, GRACE = 50 * NS, 20 * NS


def pod(hook_ns: int | None, *notes: PodNote) -> Lifeline:
    spec = PodSpec(pre_stop="hook", pre_stop_ns=hook_ns, grace_ns=GRACE)
    return Lifeline(name="web", uid="web", old=True, deleted_ns=DELETED, spec=spec, notes=notes)


def failed(after_ns: int) -> PodNote:
    return PodNote(DELETED + after_ns, "FailedPreStopHook", "PreStopHook failed")


def test_a_pre_stop_of_unknown_length_that_outlasts_the_grace_period_holds_sigterm_back_until_then() -> None:
    assert stop_ns(pod(None, failed(GRACE))) == DELETED + GRACE


def test_a_pre_stop_that_is_through_in_time_is_followed_by_sigterm() -> None:
    assert stop_ns(pod(5 * NS)) == DELETED + 5 * NS


def test_a_pre_stop_that_cannot_run_is_followed_by_sigterm_at_once() -> None:
    assert stop_ns(pod(40 * NS, failed(NS // 10))) == DELETED
