"""The true cause of a loss, from the balancer's log and the lives of the pods."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from harness.clock import NS
from harness.lab.balancer.profiles import ERROR_STATUS
from harness.lab.kubelet.journal import LATER, LOSSES, TRUTH, Journal, PodLife, ProcessRun
from harness.lab.truth import OTHER, answer, write
from harness.model import LabPlan

if TYPE_CHECKING:
    from pathlib import Path

PLAN = LabPlan(manifests=())
T = 100 * NS  # when the pod "old" is deleted, in all that follows


def journal(
    run: ProcessRun | None = None,
    *,
    deleted: float | None = 0,
    ready: list[tuple[int, bool]] | None = None,
    **life: Any,
) -> Journal:
    """One old pod; moments in seconds from T."""
    found = Journal()
    found.up_ns = 0
    found.replicas = 2
    found.strategy = "RollingUpdate"
    found.lives["old"] = PodLife(
        "old",
        revision="1",
        ready=ready or [(0, True)],
        deleted_ns=LATER if deleted is None else T + round(deleted * NS),
        grace_ns=life.pop("grace", 30) * NS,
        runs=[run or ran()],
        **life,
    )
    return found


def ran(
    started: float = -50,
    term: float | None = None,
    kill: float | None = None,
    ended: float | None = None,
    code: int | None = None,
) -> ProcessRun:
    def at(seconds: float | None) -> int:
        return LATER if seconds is None else T + round(seconds * NS)

    return ProcessRun(at(started), at(term), at(kill), at(ended), code)


def lost(loss: str, at: float, *, began: float | None = None, **more: Any) -> dict[str, Any]:
    t_ns = T + round(at * NS)
    began_ns = t_ns if began is None else T + round(began * NS)
    line = {
        "what": "lost",
        "t_ns": t_ns,
        "wall_ns": 1,
        "request_id": "r1",
        "method": "GET",
        "status": 502,
        "loss": loss,
        "stage": "waiting",
        "saved": False,
        "pod": "old",
        "began_ns": began_ns,
        "uses": 3,
        "rested_ns": 0,
        "listed": True,
    }
    return line | more


def cause(line: dict[str, Any], known: Journal, plan: LabPlan = PLAN) -> str:
    found: str = answer(line, known, plan)["cause"]
    return found


SLEEP_3: dict[str, Any] = {"hook": "sleep", "hook_ns": 3 * NS}
GONE = ran(term=0, ended=0.01, code=0)


@pytest.mark.parametrize(
    ("wanted", "line", "known"),
    [
        ("B1", lost("refused", 0.5), journal(GONE)),
        ("C1", lost("refused", 3.5), journal(ran(term=3, ended=3.1), **SLEEP_3)),
        ("B7", lost("refused", 0.5), journal(GONE, hook="httpGet")),
        ("B6", lost("refused", 0.5), journal(GONE, hook_failed_ns=T + NS // 100, **SLEEP_3)),
        ("B9", lost("refused", 0.5), journal(ran(kill=0, ended=0.01), grace=0)),
        ("B2", lost("eof", 0.01, began=-1), journal(GONE)),
        ("B4", lost("reset", 30.01, began=25), journal(ran(term=3, kill=30, ended=30, code=137), **SLEEP_3)),
        (
            "B3",
            lost("eof", 30, began=25),
            journal(ran(term=0, kill=30, ended=30, code=137), env={"ON_TERM": "ignore"}),
        ),
        (
            "B5",
            lost("eof", 4, began=1),
            journal(ran(term=2, kill=4, ended=4, code=137), grace=2, **SLEEP_3),
        ),
        ("C6", lost("connect_timeout", 5, began=2), journal(GONE)),
        ("A1", lost("refused", -49), journal(deleted=None)),
        ("C7", lost("idle_timeout", -10, began=-20), journal(deleted=None)),
        (
            "A2",
            lost("error_status", -47, status=503),
            journal(deleted=None, env={"STARTUP_DELAY": "1", "WARMUP": "5"}),
        ),
        (OTHER, lost("error_status", -20, status=500), journal(deleted=None, env={"WARMUP": "5"})),
        ("C2", lost("reset", -10), journal(deleted=None, env={"KEEPALIVE": "5"})),
        (OTHER, lost("reset", -10), journal(deleted=None)),
        ("E1", lost("client_left", -10, status=460), journal(deleted=None)),
        ("C4", lost("deregistered", 2, began=-1), journal()),
        ("A4", lost("eof", -10), journal(ran(kill=-10, ended=-10), deleted=None, unhealthy_ns=T - 12 * NS)),
        ("B9", lost("eof", -10), journal(ran(ended=-10, code=1), deleted=None)),
    ],
)
def test_a_loss_has_one_true_cause(wanted: str, line: dict[str, Any], known: Journal) -> None:
    assert cause(line, known) == wanted


def nobody(at: float = 1) -> dict[str, Any]:
    line = lost("no_target", at, status=503)
    for field in ("pod", "began_ns", "uses", "rested_ns", "listed"):
        del line[field]
    return line


def test_without_a_target_the_strategy_and_the_other_pods_say_why() -> None:
    alone = journal()
    assert cause(nobody(), alone) == "D9"
    alone.replicas = 1
    assert cause(nobody(), alone) == "D1"
    alone.strategy = "Recreate"
    assert cause(nobody(), alone) == "D3"


def test_ready_pods_unknown_to_the_balancer_are_a7_and_unready_pods_that_stay_are_d7() -> None:
    known = journal()
    known.lives["new"] = PodLife("new", ready=[(T, True)], runs=[ran(started=-3)])
    assert cause(nobody(), known) == "A7"
    known.lives["new"].ready.append((T + NS // 2, False))
    assert cause(nobody(), known) == "D7"


def test_an_outage_keeps_its_cause_if_the_balancer_learns_late_that_it_ended() -> None:
    known = journal()
    known.replicas = 1
    known.lives["new"] = PodLife("new", ready=[(T + 4 * NS, True)], runs=[ran(started=1)])
    assert cause(nobody(4.5), known) == "D1"
    assert cause(nobody(30), known) == "A7", "by then it should have heard"


def test_a_crash_of_the_new_revision_is_a_bad_release() -> None:
    known = journal(deleted=None)
    known.lives["new"] = PodLife("new", revision="2", runs=[ran(started=-5, ended=1, code=1), ran(started=3)])
    for line in (lost("eof", 1, pod="new"), lost("refused", 2, pod="new"), lost("refused", 3.1, pod="new")):
        assert cause(line, known) == "A8"


def test_a_queue_at_too_few_pods_is_d2_and_at_all_pods_c7() -> None:
    known = journal(deleted=None, env={"WORKERS": "1"})
    line = lost("idle_timeout", -10, began=-12)
    assert cause(line, known) == "D2"  # one of two
    known.lives["other"] = PodLife("other", ready=[(0, True)], runs=[ran()])
    assert cause(line, known) == "C7"


def test_a_loss_caused_indirectly_keeps_its_root_cause() -> None:
    line = lost("eof", 0.01, began=-1, method="POST")
    nginx = LabPlan(manifests=(), profile="nginx", tries=3)
    found = answer(line, journal(GONE), nginx)
    assert (found["cause"], found["root"]) == ("C9", "B2")
    assert answer(line | {"saved": True}, journal(GONE), nginx)["cause"] == "B2"
    service = LabPlan(manifests=(), profile="service")
    found = answer(line | {"listed": False}, journal(GONE), service)
    assert (found["cause"], found["root"]) == ("C3", "B2")
    assert answer(line, journal(GONE), service)["cause"] == "B2"
    published = journal(GONE)
    published.published = True
    assert answer(lost("refused", 0.5), published, PLAN)["cause"] == "C19"


def test_losses_before_the_lab_is_up_and_endpoint_changes_are_left_out(
    tmp_path: Path,
) -> None:
    known = journal(GONE)
    known.up_ns = T
    lines = [lost("refused", -1), {"what": "endpoints", "t_ns": T, "pods": []}, lost("refused", 0.5)]
    (tmp_path / LOSSES).write_text("".join(json.dumps(line) + "\n" for line in lines))
    write(tmp_path, known, PLAN)
    (line,) = map(json.loads, (tmp_path / TRUTH).read_text().splitlines())
    assert list(line)[:7] == ["t_ns", "wall_ns", "request_id", "method", "status", "cause", "root"]
    assert (line["t_ns"], line["request_id"], line["cause"]) == (T + NS // 2, "r1", "B1")


def test_without_a_loss_there_is_an_empty_file(tmp_path: Path) -> None:
    write(tmp_path, journal(), PLAN)
    assert (tmp_path / TRUTH).read_text() == ""


def test_the_journal_reads_hook_grace_and_readiness_from_the_pod_and_the_first_failures_from_events() -> None:
    pod: dict[str, Any] = {
        "kind": "Pod",
        "metadata": {"name": "web-1", "labels": {"pod-template-hash": "abc"}},
        "spec": {
            "containers": [
                {
                    "name": "web",
                    "env": [{"name": "ON_TERM", "value": "exit"}, {"name": "IP", "valueFrom": {}}],
                    "lifecycle": {"preStop": {"exec": {"command": ["sleep", "7"]}}},
                }
            ]
        },
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }
    known = Journal()
    known.see(pod, 5)
    pod["metadata"] |= {"deletionTimestamp": "x", "deletionGracePeriodSeconds": 9}
    known.see(pod, 6)
    known.see(pod, 7)
    life = known.lives["web-1"]
    assert (life.hook, life.hook_ns, life.grace_ns, life.deleted_ns) == ("sleep", 7 * NS, 9 * NS, 6)
    assert (life.ready, life.revision, life.env["ON_TERM"]) == ([(5, True)], "abc", "exit")
    about = {"kind": "Pod", "name": "web-1"}
    for t_ns in (8, 9):
        known.see(
            {"kind": "Event", "involvedObject": about, "reason": "FailedPreStopHook", "message": ""}, t_ns
        )
    killing = {"kind": "Event", "involvedObject": about, "reason": "Killing"}
    known.see(killing | {"message": "Stopping container web"}, 10)
    assert (life.hook_failed_ns, life.unhealthy_ns) == (8, LATER)
    known.see(killing | {"message": "Container web failed liveness probe, will be restarted"}, 11)
    assert life.unhealthy_ns == 11


def test_a_pod_that_took_long_to_start_is_warming_up_from_when_it_was_ready() -> None:
    env = {"STARTUP_DELAY": "1", "WARMUP": "3"}
    slow = journal(ran(started=0), deleted=None, ready=[(T + 4 * NS, True)], env=env)
    for at, cause in ((6.5, "A2"), (9, OTHER)):
        line = lost("error status", at, status=503) | {"loss": ERROR_STATUS}
        assert answer(line, slow, PLAN)["cause"] == cause


def test_the_hook_that_counts_is_that_of_the_container_that_the_service_leads_to() -> None:
    known = Journal()
    proxy = {
        "name": "proxy",
        "ports": [{"containerPort": 15090}],
        "lifecycle": {"preStop": {"sleep": {"seconds": 9}}},
    }
    app = {"name": "app", "ports": [{"containerPort": 8080}], "env": [{"name": "ON_TERM", "value": "drain"}]}
    metadata = {"name": "web-1", "labels": {"app": "web"}}
    service = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}
    known.see({"kind": "Service", "metadata": {"name": "web"}, "spec": service}, T)
    known.see({"kind": "Pod", "metadata": metadata, "spec": {"containers": [proxy, app]}, "status": {}}, T)
    life = known.life("web-1")
    assert (life.hook, life.hook_ns, life.env) == ("", 0, {"ON_TERM": "drain"})
