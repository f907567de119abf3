"""What polls of target groups tell, and what becomes of it when AWS does not answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from harness.clock import Clock
from harness.cluster.targets.door import TargetsError
from harness.cluster.targets.health import arns_of, changes, group_event, name_of, region_of, states
from harness.cluster.targets.polling import MOST_FAILURES, Polled, poll
from harness.recording import shapes
from harness.run.preflight.targets import wanted
from harness.scenario.values import target_group

if TYPE_CHECKING:
    from harness.cluster.targets.door import Door
    from harness.model import ClusterEvent

ARN = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/k8s-shop-web/6d0ecf831eec9f09"
DESCRIBED: dict[str, Any] = {
    "TargetType": "ip", "HealthCheckIntervalSeconds": 15, "HealthCheckTimeoutSeconds": 5,
    "HealthyThresholdCount": 2, "UnhealthyThresholdCount": 3,
    "Attributes": {"deregistration_delay.timeout_seconds": "35", "slow_start.duration_seconds": "0"},
    "LoadBalancerAttributes": {"idle_timeout.timeout_seconds": "90"},
}  # fmt: skip


def health(**state_of: str) -> list[dict[str, Any]]:
    """Targets by the last number of their address: _7="healthy"."""
    return [
        {"Target": {"Id": f"10.0.0.{name[1:]}", "Port": 8080}, "TargetHealth": {"State": state}}
        for name, state in state_of.items()
    ]


class Scripted:
    """AWS' answers, one after the other; the last repeats."""

    def __init__(self, *answers: list[dict[str, Any]] | TargetsError, described: Any = None) -> None:
        self.answers, self.described, self.asked = list(answers), described or DESCRIBED, 0

    def group(self, _: str) -> dict[str, Any]:
        if isinstance(self.described, TargetsError):
            raise self.described
        found: dict[str, Any] = self.described
        return found

    def health(self, _: str) -> list[dict[str, Any]]:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        if isinstance(answer, TargetsError):
            raise answer
        return answer


def polled(door: Any, polls: int) -> tuple[list[ClusterEvent], list[str]]:
    """Poll so many times; return what was kept and what was noted."""
    kept: list[ClusterEvent] = []
    notes: list[str] = []

    async def main() -> None:
        async with anyio.create_task_group() as group:

            async def until_asked() -> None:
                while door.asked < polls:  # noqa: ASYNC110  the door is asked from a thread
                    await anyio.sleep(0.002)
                await anyio.sleep(0.02)
                group.cancel_scope.cancel()

            if polls:  # else it ends by itself
                group.start_soon(until_asked)
            typed: Door = door
            await poll(Polled(ARN, typed), Clock.start(), kept.append, notes.append, every_s=0.005)
            group.cancel_scope.cancel()

    anyio.run(main)
    return kept, notes


def told(events: list[ClusterEvent]) -> list[tuple[str, str, str]]:
    return [(e.change, e.name, e.object["target"]["state"]) for e in events if e.kind == "Target"]


def test_each_change_of_a_target_is_one_event_between_two_polls() -> None:
    door = Scripted(
        health(_7="healthy"),
        health(_7="healthy", _8="initial"),
        health(_7="draining", _8="healthy"),
        health(_8="healthy"),
    )
    events, notes = polled(door, 6)
    assert told(events) == [
        ("LISTED", "10.0.0.7:8080", "healthy"),
        ("ADDED", "10.0.0.8:8080", "initial"),
        ("MODIFIED", "10.0.0.7:8080", "draining"),
        ("MODIFIED", "10.0.0.8:8080", "healthy"),
        ("DELETED", "10.0.0.7:8080", "gone"),
    ]
    assert notes == []
    first, *later = [e for e in events if e.kind == "Target"]
    assert "after_ns" not in first.object["target"]
    assert all(0 < e.t_ns - e.object["target"]["after_ns"] < 5e9 for e in later)


def test_the_group_s_settings_come_first_without_the_account_s_number() -> None:
    event = group_event(ARN, DESCRIBED, 5)
    assert event.object["settings"] == {
        "target_type": "ip", "deregistration_delay_s": 35, "slow_start_s": 0, "idle_timeout_s": 90,
        "check": {"interval_s": 15, "timeout_s": 5, "healthy": 2, "unhealthy": 3},
    }  # fmt: skip
    assert (event.kind, event.name) == ("TargetGroup", "k8s-shop-web")
    assert "123456789012" not in str(event)
    assert shapes.wrong(event.object, shapes.of("TargetGroup")) == ""
    (seen,) = changes("g", None, states(health(_7="healthy")), 9, 0)
    assert shapes.wrong(seen.object, shapes.of("Target")) == ""
    assert shapes.wrong({"target": {"port": "x"}}, shapes.of("Target"))


def test_what_aws_refuses_is_noted_once_and_the_rest_goes_on() -> None:
    throttled = TargetsError("Rate exceeded", throttled=True)
    events, notes = polled(Scripted(health(_7="healthy"), throttled, health(_7="draining")), 4)
    assert [state for _, _, state in told(events)] == ["healthy", "draining"]
    assert notes == ["target group k8s-shop-web could not be asked: Rate exceeded; trying again"]


def test_a_group_that_never_answers_is_given_up_with_one_more_line() -> None:
    door = Scripted(TargetsError("no route"))
    events, notes = polled(door, MOST_FAILURES)
    assert told(events) == []
    assert door.asked == MOST_FAILURES
    assert notes[-1] == "target group k8s-shop-web is no longer recorded: no route"
    assert len(notes) == 2


def test_missing_credentials_are_one_line_and_nothing_more() -> None:
    events, notes = polled(Scripted(described=TargetsError("Unable to locate credentials")), 0)
    assert events == []
    assert notes == ["target group k8s-shop-web is not recorded: Unable to locate credentials"]


def test_targets_that_are_nodes_are_not_taken_for_pods() -> None:
    events, notes = polled(Scripted(described={**DESCRIBED, "TargetType": "instance"}), 0)
    assert [e.kind for e in events] == ["TargetGroup"]
    assert "nodes as targets" in notes[0]


def test_auto_takes_what_bindings_name() -> None:
    binding = {"kind": "TargetGroupBinding", "spec": {"targetGroupARN": ARN, "serviceRef": {"name": "web"}}}
    assert wanted(["auto"], [binding, {"kind": "Ingress"}]) == ((ARN,), ())
    assert wanted([ARN, "auto"], [binding]) == ((ARN,), ())
    arns, notes = wanted(["auto"], [])
    assert arns == ()
    assert "no TargetGroupBinding" in notes[0]
    assert arns_of([{"spec": {"targetGroupARN": "no arn"}}, {"spec": {}}]) == ()


def test_an_arn_tells_region_and_name_and_anything_else_is_refused() -> None:
    assert (region_of(ARN), name_of(ARN)) == ("eu-west-1", "k8s-shop-web")
    assert target_group(ARN) == ARN
    for wrong in ("", "web", ARN.replace("targetgroup", "loadbalancer"), f"{ARN}\n"):
        with pytest.raises(ValueError, match=r"target group|neither"):
            target_group(wrong)
