"""Events -> lifelines, with Kubernetes' traps in them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.judge.timeline.clocks import server_offset_ns
from harness.judge.timeline.lifeline import Lifeline, pod_spec
from harness.judge.timeline.observed import lifelines
from tests.judge.synthetic import TRIGGER, FakePod, S, SyntheticRun

if TYPE_CHECKING:
    from harness.model import ClusterEvent


def lived(synthetic: SyntheticRun) -> dict[str, Lifeline]:
    return {line.name: line for line in lifelines(synthetic.run(), synthetic.events())}


def since_trigger(t_ns: int | None) -> float:
    assert t_ns is not None
    return t_ns / S - TRIGGER


def near(expected: float | None, slack: float = 0.0) -> object:
    assert expected is not None
    return pytest.approx(expected - slack / 2, abs=slack / 2 + 0.002)


def test_every_moment_of_every_pod_is_found() -> None:
    synthetic = SyntheticRun.rolling(prestop=3, grace=20)
    lines = lived(synthetic)
    assert list(lines) == [
        pod.name for pod in synthetic.pods
    ]  # old ones first, in the order of their deletion
    for pod in synthetic.pods:
        line = lines[pod.name]
        assert line.old == pod.old
        assert line.address == pod.address
        if pod.old:
            assert since_trigger(line.deleted_ns) == near(pod.deleted)
            assert since_trigger(line.out_of_endpoints_ns) == near(pod.leaves)
            assert since_trigger(line.killing_ns) == near((pod.deleted or 0) + 0.05)
            assert since_trigger(line.exited_ns) == near(pod.exits, slack=1.0)
            assert since_trigger(line.gone_ns) == near(pod.gone)
            assert line.exit_code == 0
        else:
            assert since_trigger(line.created_ns) == near(pod.created)
            assert since_trigger(line.started_ns) == near(pod.started, slack=1.0)
            assert since_trigger(line.ready_ns) == near(pod.ready)
            assert since_trigger(line.in_endpoints_ns) == near(pod.enters)
            assert (line.deleted_ns, line.gone_ns, line.exit_code) == (None, None, None)


def test_pods_that_were_there_before_have_moments_before_the_run() -> None:
    line = next(iter(lived(SyntheticRun.rolling()).values()))
    assert since_trigger(line.created_ns) == near(-900.0, slack=1.0)
    assert since_trigger(line.ready_ns) == near(-896.0, slack=1.0)
    assert line.in_endpoints_ns == line.ready_ns


def test_a_server_whose_clock_is_an_hour_off_changes_nothing() -> None:
    right, wrong = lived(SyntheticRun.rolling()), lived(SyntheticRun.rolling(server_skew=3600.0))
    assert right.keys() == wrong.keys() != set()
    for name, line in right.items():
        for moment in ("created_ns", "started_ns", "ready_ns", "deleted_ns", "exited_ns"):
            assert (getattr(line, moment) is None) == (getattr(wrong[name], moment) is None)
            if getattr(line, moment) is not None:
                assert getattr(line, moment) == pytest.approx(getattr(wrong[name], moment), abs=S)


def late(synthetic: SyntheticRun, by: float) -> list[ClusterEvent]:
    """All that the watch tells comes late, as after a connection that was cut and taken up again."""
    return [
        event if event.change == "LISTED" else replace(event, t_ns=event.t_ns + round(by * S))
        for event in synthetic.events()
    ]


def test_the_measured_clock_of_the_api_server_dates_what_the_watch_told_late() -> None:
    synthetic = SyntheticRun.rolling(prestop=3, grace=20, server_skew=30.0)
    known = replace(synthetic.run(), server_clock_ns=(round(29.98 * S), round(30.02 * S)))
    events = late(synthetic, 4.0)
    guessed = {line.name: line for line in lifelines(synthetic.run(), events)}
    lines = {line.name: line for line in lifelines(known, events)}
    for pod in synthetic.pods:
        line = lines[pod.name]
        if not pod.old:
            continue
        assert since_trigger(line.exited_ns) == near(pod.exits, slack=1.1)
        assert since_trigger(guessed[pod.name].exited_ns) > (pod.exits or 0) + 1.5, (
            "without it, as late as the watch"
        )
        assert line.deleted_ns is not None
        assert line.exited_ns is not None
        assert line.exited_ns - line.deleted_ns >= 0, "no pod exits before it is deleted"


@pytest.mark.parametrize("skews", [(30.0, 0.0), (0.0, 30.0), (0.0, -30.0), (-30.0, 0.2)])
def test_the_clock_of_a_node_is_not_taken_for_the_api_servers(skews: tuple[float, float]) -> None:
    server, node = skews
    synthetic = SyntheticRun.rolling(prestop=3, grace=20, server_skew=server, node_skew=node)
    known = replace(synthetic.run(), server_clock_ns=(round((server - 0.02) * S), round((server + 0.02) * S)))
    lines = {line.name: line for line in lifelines(known, synthetic.events())}
    for pod in synthetic.pods:
        line = lines[pod.name]
        if pod.old:
            assert pod.exits is not None
            assert since_trigger(line.exited_ns) == pytest.approx(pod.exits - 0.3, abs=0.9)
            assert line.deleted_ns is not None
            assert line.exited_ns is not None
            assert line.exited_ns > line.deleted_ns
            assert since_trigger(line.created_ns) == near(-900.0, slack=1.1)
        else:
            assert since_trigger(line.started_ns) == pytest.approx(pod.started - 0.3, abs=0.9)


def test_a_measured_clock_never_makes_a_server_time_later_than_our_hearing_of_it() -> None:
    synthetic = SyntheticRun.rolling(server_skew=30.0)
    stepped = replace(synthetic.run(), server_clock_ns=(25 * S, 26 * S))
    latest = {event.uid: event.t_ns for event in synthetic.events()}
    exited = {
        line.uid: line.exited_ns
        for line in lifelines(stepped, synthetic.events())
        if line.exited_ns is not None
    }
    assert len(exited) == sum(pod.old for pod in synthetic.pods)
    assert {uid: t_ns for uid, t_ns in exited.items() if t_ns > latest[uid]} == {}


def test_without_anything_created_in_sight_the_wall_anchor_maps_server_times() -> None:
    synthetic = SyntheticRun.rolling(1)
    listed = [event for event in synthetic.events() if event.change == "LISTED"]
    assert server_offset_ns(synthetic.run(), listed) == synthetic.run().wall_ns


def test_deletion_is_when_we_heard_of_it_not_the_deadline_in_the_object() -> None:
    synthetic = SyntheticRun.rolling(1, grace=300)
    old = next(line for line in lived(synthetic).values() if line.old)
    assert since_trigger(old.deleted_ns) == near(synthetic.pods[0].deleted)


def test_pods_of_others_are_left_out() -> None:
    synthetic = SyntheticRun.rolling(1)
    events = synthetic.events()
    stranger = next(event for event in events if event.kind == "Pod")
    other = dict(stranger.object)
    other["metadata"] = {"name": "db-0", "uid": "uid-db", "labels": {"pod-template-hash": "1234"}}
    events.append(replace(stranger, name="db-0", uid="uid-db", object=other))
    assert "db-0" not in {line.name for line in lifelines(synthetic.run(), events)}


def test_a_slice_without_terminating_ends_an_address_by_leaving_it_out() -> None:
    synthetic = SyntheticRun.rolling(1)
    events = [_as_1_20(event) for event in synthetic.events()]
    old = next(line for line in lifelines(synthetic.run(), events) if line.old)
    assert since_trigger(old.out_of_endpoints_ns) == near(synthetic.pods[0].leaves)


def test_addresses_alone_are_enough_to_know_the_pod() -> None:
    synthetic = SyntheticRun.rolling(1)
    events = [_as_1_20(event, refs=False) for event in synthetic.events()]
    lines = lifelines(synthetic.run(), events)
    new = next(line for line in lines if not line.old)
    assert since_trigger(new.in_endpoints_ns) == near(synthetic.pods[1].enters)


def test_slices_of_other_services_do_not_count() -> None:
    synthetic = SyntheticRun.rolling(1)
    events = synthetic.events()
    for event in events:
        if event.kind == "EndpointSlice":
            event.object["metadata"]["labels"]["kubernetes.io/service-name"] = "web-canary"
    assert {line.name: line.in_endpoints_ns for line in lifelines(synthetic.run(), events)} == {
        pod.name: None for pod in synthetic.pods
    }


def test_a_pod_that_flaps_has_several_stretches_in_the_endpoints() -> None:
    pod = FakePod("web-x", old=True, address="10.1.0.9")
    synthetic = SyntheticRun(pods=[pod])
    slices = [event for event in synthetic.events() if event.kind == "EndpointSlice"]
    empty = {**slices[0].object, "endpoints": []}
    out = replace(slices[0], t_ns=20 * S, change="MODIFIED", object=empty)
    back = replace(slices[0], t_ns=25 * S, change="MODIFIED")
    (line,) = lifelines(synthetic.run(), [*synthetic.events(), out, back])
    assert [stop for _, stop in line.endpoints] == [20 * S, None]
    assert line.out_of_endpoints_ns is None
    assert [s.state for s in line.segments(40 * S)][-3:] == ["in_endpoints", "ready", "in_endpoints"]


def test_bars_follow_the_life_without_a_hole() -> None:
    lines = lived(SyntheticRun.rolling(prestop=3, grace=20))
    assert {pod.old for pod in lines.values()} == {True, False}
    for pod in lines.values():
        segments = pod.segments(60 * S)
        assert [a.to_ns for a in segments[:-1]] == [b.from_ns for b in segments[1:]]
        assert segments[-1].state == ("terminating" if pod.old else "in_endpoints")
        assert segments[-1].to_ns == (pod.gone_ns if pod.old else 60 * S)


@pytest.mark.parametrize(
    ("hook", "words", "length"),
    [
        ({"exec": {"command": ["/bin/sh", "-c", "sleep 40"]}}, "sleep 40 s", 40 * S),
        ({"exec": {"command": ["sleep", "7"]}}, "sleep 7 s", 7 * S),
        ({"exec": {"command": ["sh", "-c", "nginx -s quit; /bin/sleep 2.5"]}}, "sleep 2.5 s", 2_500_000_000),
        ({"sleep": {"seconds": 8}}, "sleep 8 s", 8 * S),
        ({"exec": {"command": ["/drain"]}}, "exec", None),
        ({"httpGet": {"path": "/quit", "port": 80}}, "httpGet", None),
        (None, "", None),
    ],
)
def test_the_length_of_a_hook_is_read_where_it_can_be(hook: object, words: str, length: int | None) -> None:
    spec = pod_spec({"containers": [{"name": "web", "lifecycle": {"preStop": hook} if hook else {}}]})
    assert (spec.pre_stop, spec.pre_stop_ns) == (words, length)
    assert (spec.container, spec.grace_ns) == ("web", 30 * S)


def _as_1_20(event: ClusterEvent, *, refs: bool = True) -> ClusterEvent:
    """Make a slice what Kubernetes 1.20 shows: no serving, no terminating, and what is not ready is left out."""
    if event.kind != "EndpointSlice":
        return event
    endpoints = [
        {
            "addresses": e["addresses"],
            "conditions": {"ready": True},
            **({"targetRef": e["targetRef"]} if refs else {}),
        }
        for e in event.object["endpoints"]
        if e["conditions"]["ready"]
    ]
    return replace(event, object={**event.object, "endpoints": endpoints})
