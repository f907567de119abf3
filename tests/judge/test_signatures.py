"""Signatures that follow from how balancers and pods work: what a pod that was let go of cannot have lost, and the
like.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.judge.causes.left_balancer import departures
from harness.judge.numbers.piecewise.allhits import AllHits
from harness.judge.verdict.judgement import Judgement, judge
from harness.model import ClusterFacts, Outcome
from harness.recording.read import Recording
from tests.judge.synthetic import TRIGGER, FakePod, S, SyntheticRun, event, write_hits

if TYPE_CHECKING:
    from pathlib import Path

    from harness.judge.causes.causes import Cause
    from harness.model import ClusterEvent


def judged(
    tmp_path: Path,
    synthetic: SyntheticRun,
    rows: list[dict[str, Any]] | None = None,
    objects: list[dict[str, Any]] | None = None,
) -> Judgement:
    directory = synthetic.write(tmp_path)
    if rows is not None:
        write_hits(directory / "hits" / "0.arrow", sorted(rows, key=lambda row: row["done_ns"]))
    if objects is not None:
        import json

        path = directory / "manifests" / "before.json"
        path.write_text(json.dumps(json.loads(path.read_text()) + objects))
    return judge(Recording.open(directory))


def by_ids(judgement: Judgement) -> dict[tuple[str, ...], Cause]:
    return {cause.ids: cause for cause in judgement.causes}


def hit(t: float, status: int, took: float = 0.02, **fields: Any) -> dict[str, Any]:
    at = round((TRIGGER + t) * S)
    return {
        "seq": 1, "slot": 0, "conn": 0, "conn_hits": 3, "due_ns": at, "sent_ns": at, "first_byte_ns": at + 1000,
        "done_ns": at + round(took * S), "status": status, "outcome": Outcome.RESPONSE, "bytes_in": 1, "bytes_out": 1,
        "target": 0, "peer": "127.0.0.1:80", "pod": "",
    } | fields  # fmt: skip


def in_turn(pods: list[FakePod], since: float, until: float, every: float = 0.01) -> list[dict[str, Any]]:
    """Good answers, the pods by turns."""
    return [
        hit(since + every * n, 200, pod=pods[n % len(pods)].name, slot=n % 5, conn=n % 5)
        for n in range(int((until - since) / every))
    ]


def departed(tmp_path: Path, rows: list[dict[str, Any]], synthetic: SyntheticRun) -> dict[str, int]:
    directory = synthetic.write(tmp_path)
    write_hits(directory / "hits" / "0.arrow", sorted(rows, key=lambda row: row["done_ns"]))
    recording = Recording.open(directory)
    judgement = judge(recording)
    return departures(AllHits.of(recording), judgement.timeline, judgement.numbers)


def test_a_pod_that_listens_on_and_is_sent_nothing_has_been_let_go_of(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(2, prestop=5, grace=20)
    old, other = synthetic.pods[0], synthetic.pods[1]
    assert old.deleted is not None
    rows = in_turn([old, other], -9, old.deleted + 1.0) + in_turn(
        [other], old.deleted + 1.0, old.deleted + 4.0
    )
    at = departed(tmp_path, rows, synthetic)[old.uid] / S - TRIGGER
    assert old.deleted + 1.0 < at < old.deleted + 2.0, "a moment after the last request that it got"


def test_where_nobody_is_sent_anything_it_is_not_known_who_was_let_go_of(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(2, prestop=5, grace=20)
    old, other = synthetic.pods[0], synthetic.pods[1]
    assert old.deleted is not None
    rows = in_turn([old, other], -9, old.deleted + 1.0)  # from then on all slots hang
    assert departed(tmp_path, rows, synthetic) == {}


def test_a_pod_whose_end_is_heard_of_late_was_not_let_go_of_before_it(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(2, lag=1.0)
    old, other = synthetic.pods[0], synthetic.pods[1]
    assert old.deleted is not None
    ended = old.deleted - 0.3  # the watch brings it later than it happens
    rows = in_turn([old, other], -9, ended, 0.005) + in_turn([other], ended, old.deleted + 4.0, 0.005)
    rows += [hit(ended + n / 50, 502, 0.002) for n in range(1, 50)]
    assert departed(tmp_path, rows, synthetic) == {}


def test_a_pod_that_stops_listening_long_before_it_exits_was_not_let_go_of(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(2, grace=20, lag=2.0)
    old, other = synthetic.pods[0], synthetic.pods[1]
    assert old.deleted is not None
    old.exits, old.gone = old.deleted + 4.0, old.deleted + 5.0  # it works off what it has accepted
    closed = old.deleted + 0.6  # SIGTERM comes late, and the pod answers until then
    rows = in_turn([old, other], -9, closed, 0.005)
    rows += in_turn([other], closed, old.deleted + 6.0) + [
        hit(closed + n / 50, 502, 0.002) for n in range(60)
    ]
    at = departed(tmp_path, rows, synthetic)[old.uid] / S - TRIGGER
    assert at > closed + 60 / 50, "not while requests still failed there"


def test_what_is_reset_as_the_listener_closes_was_in_flight_although_the_exit_comes_later(
    tmp_path: Path,
) -> None:
    synthetic = SyntheticRun.rolling(2, grace=20, lag=2.0)
    old, other = synthetic.pods[0], synthetic.pods[1]
    assert old.term is not None
    old.exits, old.gone = old.term + 3.0, old.term + 4.0
    rows = in_turn([old, other], -9, old.term - 0.4, 0.005) + in_turn([other], old.term - 0.4, old.term + 6.0)
    rows += [hit(old.term - 0.35 + n / 100, 502, 0.36 - n / 100) for n in range(7)]  # accepted, never read
    assert set(by_ids(judged(tmp_path, synthetic, rows))) == {("B2",)}


def test_others_that_fail_do_not_hide_that_a_pod_has_been_let_go_of(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(2, prestop=5, grace=20)
    old, other = synthetic.pods[0], synthetic.pods[1]
    assert old.deleted is not None
    rows = in_turn([old, other], -9, old.deleted + 1.0) + in_turn(
        [other], old.deleted + 1.0, old.deleted + 4.0
    )
    rows += [hit(old.deleted + n / 50, 502, 0.002) for n in range(200)]
    at = departed(tmp_path, rows, synthetic)[old.uid] / S - TRIGGER
    assert old.deleted + 1.0 < at < old.deleted + 2.0


def test_a_new_pod_that_hangs_is_not_taken_for_the_address_of_one_that_was_let_go_of(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(2, prestop=3, grace=20)
    old, other, new = synthetic.pods[0], synthetic.pods[1], synthetic.pods[2]
    other.deleted = other.leaves = other.exits = other.gone = None
    assert old.deleted is not None
    assert old.exits is not None
    rows = in_turn([old, other], -9, old.deleted + 0.8) + in_turn([other], old.deleted + 0.8, old.exits + 9)
    rows += [hit(old.exits + 0.5 + n / 10, 504, 4.0) for n in range(5)]
    rows += in_turn([new], old.exits + 9.5, old.exits + 12)
    causes = by_ids(judged(tmp_path, synthetic, rows))
    assert set(causes) == {("A2",)}
    nothing_known = [row for row in rows if row["pod"] != other.name]
    causes = by_ids(judged(tmp_path / "again", synthetic, nothing_known))
    assert "C6" in {name for ids in causes for name in ids}, (
        "without that knowledge it may be the dead address"
    )


def test_a_pod_that_goes_on_answering_after_sigterm_is_no_dead_address(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(2, lag=3.0, deaf=True, grace=8)
    old, other = synthetic.pods[0], synthetic.pods[1]
    assert old.term is not None
    assert old.exits is not None
    for pod in (old, other):
        pod.exit_told, pod.gone = False, (pod.exits or 0.0) + 30.0
    rows = in_turn([old, other], -9, old.exits)
    # Slow for another reason, while the pod still took what came after it.
    rows += [hit(old.term + 0.2 + n / 10, 504, 3.0) for n in range(5)]
    assert ("C6",) not in by_ids(judged(tmp_path, synthetic, rows))


def killed_at_the_deadline(**pods: Any) -> tuple[SyntheticRun, list[dict[str, Any]]]:
    synthetic = SyntheticRun.rolling(2, prestop=2, grace=6, deaf=True)
    first, second = synthetic.pods[0], synthetic.pods[1]
    for name, value in pods.items():
        setattr(second, name, value)
    assert first.deleted is not None
    assert first.exits is not None
    rows = in_turn([first, second], -9, first.deleted + 1.0)
    rows += [hit(first.deleted + 0.9, 502, first.exits - first.deleted - 0.9 + 0.01) for _ in range(3)]
    return synthetic, rows


def test_of_an_app_whose_other_pods_end_in_time_the_requests_were_too_long(tmp_path: Path) -> None:
    synthetic, rows = killed_at_the_deadline()
    second = synthetic.pods[1]
    assert second.deleted is not None
    second.exits, second.gone, second.code = second.deleted + 2.5, second.deleted + 3.0, 0
    assert set(by_ids(judged(tmp_path, synthetic, rows))) == {("B4",)}


def test_of_an_app_that_takes_requests_long_after_sigterm_it_is_the_signal(tmp_path: Path) -> None:
    synthetic, rows = killed_at_the_deadline()
    second = synthetic.pods[1]
    assert second.deleted is not None
    rows += in_turn([second], second.deleted, second.deleted + 3.5)
    assert set(by_ids(judged(tmp_path, synthetic, rows))) == {("B3",)}


def test_of_an_app_that_shows_neither_both_are_named(tmp_path: Path) -> None:
    synthetic, rows = killed_at_the_deadline()
    cause = by_ids(judged(tmp_path, synthetic, rows))["B3", "B4"]
    assert cause.confidence == "one of a set"


INGRESS = {
    "kind": "Ingress",
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {
        "ingressClassName": "nginx",
        "defaultBackend": {"service": {"name": "web", "port": {"number": 80}}},
    },
}


@pytest.mark.parametrize(
    ("annotations", "method", "named"),
    [
        ({}, "POST", "C9"),
        ({}, "GET", "B2"),
        ({"nginx.ingress.kubernetes.io/proxy-next-upstream": "off"}, "POST", "B2"),
        ({"nginx.ingress.kubernetes.io/service-upstream": "true"}, "POST", "B2"),
        ({"nginx.ingress.kubernetes.io/proxy-next-upstream": "error non_idempotent"}, "POST", "B2"),
    ],
)
def test_behind_a_balancer_that_asks_the_next_pod_what_is_lost_is_what_it_may_not_send_twice(
    tmp_path: Path, annotations: dict[str, str], method: str, named: str
) -> None:
    synthetic = SyntheticRun.rolling(
        work=1.5, prestop=3, grace=30, lag=2.0, concurrency=40, methods=(method,)
    )
    ingress = INGRESS | {"metadata": {"name": "web", "namespace": "shop", "annotations": annotations}}
    causes = by_ids(judged(tmp_path, synthetic, objects=[ingress]))
    assert set(causes) == {(named,)}


def test_a_new_pod_that_an_autoscaler_may_have_ended_is_told_from_the_rollouts_own(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(2, prestop=4, grace=20)
    new = synthetic.pods[2]
    new.deleted, new.prestop = 12.0, 0
    new.leaves, new.term, new.exits, new.gone = 12.05, 12.05, 12.07, 12.6
    scaler = {
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}},
    }
    assert set(by_ids(judged(tmp_path, synthetic, objects=[scaler]))) == {("D8",)}
    assert ("D8",) not in by_ids(judged(tmp_path / "without", synthetic))


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ("0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.", "D6"),
        ("0/3 nodes are available: 3 Insufficient cpu.", "D5"),
        ("0/3 nodes are available: 3 node(s) were unschedulable.", "D9"),
    ],
)
def test_an_outage_while_the_new_pod_finds_no_node_says_what_it_waits_for(
    tmp_path: Path, message: str, named: str
) -> None:
    synthetic = SyntheticRun.rolling(2, recreate=True, prestop=3, grace=20)
    synthetic.strategy = "RollingUpdate"
    new = synthetic.pods[2]
    original = SyntheticRun.events

    def events(self: SyntheticRun) -> list[ClusterEvent]:
        about = {"involvedObject": {"kind": "Pod", "name": new.name, "uid": new.uid}, "reason": "FailedScheduling",
                 "message": message}  # fmt: skip
        note = event(new.created + 0.1, "ADDED", "Event", "x.y", "uid-x", about)
        return sorted([*original(self), note], key=lambda e: e.t_ns)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SyntheticRun, "events", events)
        assert set(by_ids(judged(tmp_path, synthetic))) == {(named,)}


def test_a_pod_with_a_limit_that_is_slow_after_its_first_answers_is_throttled(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(2, prestop=3, grace=20)
    new, other = synthetic.pods[2], synthetic.pods[1]
    original = SyntheticRun.events

    def limited(self: SyntheticRun) -> list[ClusterEvent]:
        found = original(self)
        for seen in found:
            if seen.kind == "Pod":
                seen.object["spec"]["containers"][0]["resources"] = {"limits": {"cpu": "100m"}}
        return found

    rows = in_turn([synthetic.pods[0], other], -9, new.enters + 1)
    rows += in_turn([other, new], new.enters + 1, new.enters + 20)
    rows += [hit(new.enters + 2.0, 504, 5.0) for _ in range(3)]
    for pod in synthetic.pods[:2]:
        pod.deleted = pod.leaves = pod.exits = pod.gone = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SyntheticRun, "events", limited)
        assert set(by_ids(judged(tmp_path, synthetic, rows))) == {("A5",)}
    assert ("A5",) not in by_ids(judged(tmp_path / "unlimited", synthetic, rows))


def test_evidence_says_that_min_ready_seconds_held_no_request_back(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(2, probe=False, prestop=4, grace=20)
    slow = synthetic.deployment()
    slow["spec"]["minReadySeconds"] = 20
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SyntheticRun, "deployment", lambda _: slow)
        cause = by_ids(judged(tmp_path, synthetic))["A1",]
    assert "minReadySeconds 20 delays when it counts as available" in cause.evidence[0]


def test_what_is_cut_in_flight_began_while_its_pod_was_still_a_target(tmp_path: Path) -> None:
    """Two pods end one after the other; the balancer cuts the second one's requests while the first one exits."""
    synthetic = SyntheticRun.rolling(2, prestop=6, grace=30, drains=True)
    first, second = synthetic.pods[0], synthetic.pods[1]
    assert first.deleted is not None
    first.exits, first.gone = first.deleted + 6.5, first.deleted + 7.0
    second.deleted = second.leaves = first.deleted + 4.0
    second.term, second.exits, second.gone = second.deleted + 6, second.deleted + 9, second.deleted + 9.5
    rows = in_turn([first, second], -9, first.deleted + 1.0)
    rows += in_turn([second], first.deleted + 1.0, second.deleted + 0.5)
    rows += in_turn([synthetic.pods[2]], second.deleted + 0.5, second.deleted + 8.0)
    began = first.deleted + 3.0  # long after the first had been let go of
    rows += [hit(began, 502, first.exits - began + 0.2) for _ in range(4)]
    assert set(by_ids(judged(tmp_path, synthetic, rows))) == {("C4",)}


def test_what_is_cut_in_one_moment_is_cut_by_one_act(tmp_path: Path) -> None:
    """The first pod's exit could explain some of what is cut, the second one's target group all of it."""
    synthetic = SyntheticRun.rolling(2, prestop=6, grace=30, drains=True)
    first, second = synthetic.pods[0], synthetic.pods[1]
    assert first.deleted is not None
    first.exits, first.gone = first.deleted + 6.5, first.deleted + 7.0
    second.deleted = second.leaves = first.deleted + 4.0
    second.term, second.exits, second.gone = second.deleted + 6, second.deleted + 9, second.deleted + 9.5
    rows = in_turn([first, second], -9, first.deleted + 1.0)
    rows += in_turn([second], first.deleted + 1.0, second.deleted + 0.5)
    rows += in_turn([synthetic.pods[2]], second.deleted + 0.5, second.deleted + 8.0)
    at = first.exits + 0.2
    alone = [hit(began, 502, at - began) for began in (first.deleted + 0.5, first.deleted + 0.6)]
    assert set(by_ids(judged(tmp_path, synthetic, rows + alone))) == {("B2",)}
    both = alone + [
        hit(first.deleted + 2.0 + n / 10, 502, at - first.deleted - 2.0 - n / 10) for n in range(3)
    ]
    assert set(by_ids(judged(tmp_path / "both", synthetic, rows + both))) == {("C4",)}


def test_a_lab_whose_nginx_tries_again_is_known_to(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(
        work=1.5, prestop=3, grace=30, lag=2.0, concurrency=40, methods=("POST",)
    )
    facts = synthetic.run().cluster
    assert isinstance(facts, ClusterFacts)
    synthetic.record = {
        "cluster": replace(facts, lab=True),
        "scenario": {"lab": {"profile": "nginx", "tries": 3}},
    }
    assert set(by_ids(judged(tmp_path, synthetic))) == {("C9",)}


def unseen(synthetic: SyntheticRun, pod: FakePod) -> list[ClusterEvent]:
    """What is told where a kubelet lets a pod go before it has told of its exit."""
    return [
        seen
        for seen in SyntheticRun.events(synthetic)
        if not (
            seen.kind == "Pod"
            and seen.uid == pod.uid
            and any("terminated" in c["state"] for c in seen.object["status"]["containerStatuses"])
            and seen.change != "DELETED"
        )
    ]


def test_an_exit_that_nobody_saw_is_taken_to_be_as_that_of_its_like(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(3, work=1.5, prestop=3, grace=30, lag=2.0, concurrency=40)
    blind = synthetic.pods[1]
    for event_ in (events := unseen(synthetic, blind)):
        if event_.uid == blind.uid and event_.change == "DELETED":
            event_.object["status"]["containerStatuses"][0]["state"] = {"running": {}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SyntheticRun, "events", lambda _: events)
        found = judged(tmp_path, synthetic)
    assert next(pod for pod in found.timeline.pods if pod.name == blind.name).exited_ns is None
    causes = by_ids(found)
    assert set(causes) == {("B2",)}
    assert causes["B2",].hits == synthetic.truth["cut"]
    assert any("not seen: as others of its kind" in line for line in causes["B2",].evidence)


def with_a_sidecar_that_is_killed(events: list[ClusterEvent]) -> list[ClusterEvent]:
    """A second container beside each pod's own, which hears nothing of its end until the grace period is over."""
    for seen in events:
        if seen.kind != "Pod":
            continue
        (own,) = seen.object["status"]["containerStatuses"]
        state = own["state"]
        if "terminated" in state:
            end = seen.object["metadata"]["deletionTimestamp"]
            state = {
                "terminated": state["terminated"] | {"exitCode": 137, "reason": "Error", "finishedAt": end}
            }
        seen.object["status"]["containerStatuses"] = [own | {"name": "istio-proxy", "state": state}, own]
    return events


def test_a_sidecar_that_is_killed_at_the_end_says_nothing_of_the_container_that_serves(
    tmp_path: Path,
) -> None:
    alone = judged(tmp_path / "alone", SyntheticRun.rolling(3, grace=10, lag=2.0, concurrency=20))
    synthetic = SyntheticRun.rolling(3, grace=10, lag=2.0, concurrency=20)
    for pod in synthetic.pods:
        if pod.deleted is not None:
            pod.gone = pod.deleted + pod.grace + 1.2
    events = with_a_sidecar_that_is_killed(SyntheticRun.events(synthetic))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SyntheticRun, "events", lambda _: events)
        found = judged(tmp_path / "beside", synthetic)
    assert set(by_ids(found)) == set(by_ids(alone))
    old = [(pod.exit_code, pod.exited_ns) for pod in found.timeline.pods if pod.old]
    assert old == [(pod.exit_code, pod.exited_ns) for pod in alone.timeline.pods if pod.old]
    (grace,) = (room for room in found.headroom if room.what == "grace")
    assert "nothing to spare" in grace.sentence  # of the pod's end, for which the sidecar counts
