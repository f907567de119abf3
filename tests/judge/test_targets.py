"""AWS target groups in a run: on the pods' lifelines, in reports, and in what is advised."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.clock import NS
from harness.judge.advice.path_defaults import idle_ns_of, of_targets
from harness.judge.timeline.lifeline import Lifeline
from harness.judge.timeline.targets import TargetState, registration_ns, target_groups, with_targets
from harness.judge.verdict.judgement import judge_with_picture
from harness.recording.read import Recording
from harness.report.page.drawing import drawn
from harness.report.text import render
from tests.judge.synthetic import SyntheticRun, event

if TYPE_CHECKING:
    from pathlib import Path

    from harness.model import ClusterEvent


def group(delay: int | None = 35, idle: int | None = 90) -> ClusterEvent:
    settings: dict[str, Any] = {
        "target_type": "ip",
        "deregistration_delay_s": delay,
        "idle_timeout_s": idle,
        "check": {},
    }
    return event(-11.0, "LISTED", "TargetGroup", "web-tg", "web-tg", {"settings": settings})


def target(t: float, address: str, state: str, after: float | None = None, reason: str = "") -> ClusterEvent:
    said: dict[str, Any] = {
        "group": "web-tg",
        "address": address,
        "port": 8080,
        "state": state,
        "reason": reason,
    }
    if after is not None:
        said["after_ns"] = round((after + 12.0) * NS)
    change = "LISTED" if after is None else "MODIFIED"
    return event(t, change, "Target", f"{address}:8080", f"web-tg/{address}:8080", {"target": said})


class OnAws(SyntheticRun):
    """A rollout behind an ALB whose target group was polled every 2 s."""

    delay: int | None = 35
    ends = True

    def events(self) -> list[ClusterEvent]:
        found = [*super().events(), group(self.delay)]
        for pod in self.pods:
            if pod.old:
                assert pod.deleted is not None
                found += [
                    target(-11.0, pod.address, "healthy"),
                    target(pod.deleted + 3.0, pod.address, "draining", pod.deleted + 1.0),
                ]
                found += (
                    [target(pod.deleted + 21.0, pod.address, "gone", pod.deleted + 19.0)] if self.ends else []
                )
            else:
                found += [
                    target(pod.ready + 1.0, pod.address, "initial", pod.ready - 1.0),
                    target(pod.ready + 5.0, pod.address, "healthy", pod.ready + 3.0),
                ]
        return sorted(found, key=lambda one: one.t_ns)


def test_what_the_balancer_thought_of_a_pod_is_on_its_lifeline_and_in_every_report(tmp_path: Path) -> None:
    found, picture = judge_with_picture(Recording.open(OnAws.rolling(prestop=4, grace=20).write(tmp_path)))
    old = next(pod for pod in found.timeline.pods if pod.old)
    assert [one.state for one in old.targets] == ["healthy", "draining", "gone"]
    new = next(pod for pod in found.timeline.pods if not pod.old)
    assert registration_ns(new) == pytest.approx(5 * NS, abs=1.1 * NS)
    text = render(found, latencies=False)
    assert "web-tg: deregistration delay 35 s, idle timeout 90 s" in text
    assert "(up to 2.0 earlier)" in text
    page = {word for pod in drawn(found, picture)["pods"] for word, _ in pod["moments"]}
    assert {"target draining (web-tg)", "target healthy (web-tg)"} <= page


def test_a_run_without_target_groups_shows_none(tmp_path: Path) -> None:
    found, _ = judge_with_picture(Recording.open(SyntheticRun.rolling(prestop=4, grace=20).write(tmp_path)))
    assert found.timeline.target_groups == ()
    assert "AWS targets" not in render(found, latencies=False)


def test_a_pre_stop_is_advised_as_long_as_targets_were_seen_to_drain(tmp_path: Path) -> None:
    found, _ = judge_with_picture(Recording.open(OnAws.rolling(prestop=0).write(tmp_path)))
    assert found.advice is not None
    (line,) = [one for one in found.advice.lines if one.path.endswith("lifecycle")]
    assert "preStop" in line.value
    assert "sleep 21" in line.value
    assert "what was seen of an AWS target group (its targets were gone up to 21" in line.reason


def test_where_draining_was_not_seen_to_its_end_the_deregistration_delay_counts() -> None:
    def advised(made: type[OnAws]) -> tuple[int, str]:
        run = made.rolling(prestop=0)
        pods = [
            Lifeline(
                pod.name, pod.uid, old=pod.old, address=pod.address, created_ns=0,
                deleted_ns=None if pod.deleted is None else round((pod.deleted + 12) * NS),
            )
            for pod in run.pods
        ]  # fmt: skip
        events = run.events()
        found = of_targets(_timeline(with_targets(pods, events), target_groups(events)))
        assert found is not None
        return found.seconds, found.evidence

    class Cut(OnAws):
        ends = False

    class Untold(Cut):
        delay = None

    assert advised(OnAws) == (21, "its targets were gone up to 21 s after the deletion")
    assert advised(Cut)[0] == 38  # the delay, from when draining was seen
    assert advised(Untold)[0] == 303  # AWS' default


def _timeline(pods: tuple[Lifeline, ...], groups: Any) -> Any:
    from harness.judge.timeline.timeline import Span, Timeline

    span = Span(0, 1)
    return Timeline(0, True, True, span, span, (), None, (), pods, (), target_groups=groups)


def test_the_idle_timeout_is_the_balancer_s_own_where_it_was_asked() -> None:
    run = SyntheticRun.rolling(1).run()
    assert idle_ns_of(run, _timeline((), target_groups([group(idle=350)]))) == 350 * NS
    assert idle_ns_of(run, _timeline((), target_groups([group(idle=None)]))) == 60 * NS
    assert idle_ns_of(run) == 60 * NS


def test_an_address_that_is_used_again_belongs_to_the_pod_that_had_it_then() -> None:
    first = Lifeline("a", "uid-a", old=True, address="10.0.0.7", created_ns=0)
    second = replace(first, name="b", uid="uid-b", created_ns=40 * NS)
    seen = with_targets([first, second], [target(20.0, "10.0.0.7", "draining", 18.0),
                                          target(30.0, "10.0.0.7", "healthy", 28.5)])  # fmt: skip
    assert [[one.state for one in pod.targets] for pod in seen] == [["draining"], ["healthy"]]
    assert with_targets([first], [target(1.0, "10.9.9.9", "healthy")]) == (first,)


def test_a_stranger_s_numbers_are_not_believed() -> None:
    (found,) = target_groups([group(delay=10**300, idle=-1)])
    assert (found.deregistration_delay_s, found.idle_timeout_s) == (None, None)
    odd = target(5.0, "10.0.0.7", "healthy", after=99.0)
    (pod,) = with_targets([Lifeline("a", "uid-a", old=True, address="10.0.0.7", created_ns=0)], [odd])
    assert pod.targets == (TargetState("web-tg", "healthy", "", odd.t_ns, None),)
