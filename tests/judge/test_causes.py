"""Known answers: what the simulation lost, and why, against what the judge finds out from the recording."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from harness.judge.causes.causes import BY_TIME, EXACT, ONE_OF, Cause
from harness.judge.causes.rules import RULES, VALUES
from harness.judge.verdict.judgement import Judgement, judge
from harness.model import NEVER, Grade, Outcome
from harness.recording.read import Recording
from tests.judge.synthetic import TRIGGER, S, SyntheticRun, write_hits

if TYPE_CHECKING:
    from pathlib import Path


def judged(tmp_path: Path, synthetic: SyntheticRun) -> Judgement:
    return judge(Recording.open(synthetic.write(tmp_path)))


def by_ids(judgement: Judgement) -> dict[tuple[str, ...], Cause]:
    return {cause.ids: cause for cause in judgement.causes}


def words(causes: dict[tuple[str, ...], Cause]) -> set[str]:
    return {name for ids in causes for name in ids}


def test_every_failed_hit_since_the_trigger_has_exactly_one_cause_or_set(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(probe=False, noise=0.0005)
    found = judged(tmp_path, synthetic)
    since = sum(part.failed for part in found.numbers.parts if part.name in {"during", "after"})
    assert sum(cause.hits for cause in found.causes) == since > 0


def test_without_a_readiness_probe_pods_are_in_the_endpoints_before_they_listen(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(probe=False, prestop=4, grace=20)  # the old pods end well: A1 alone
    causes = by_ids(judged(tmp_path, synthetic))
    assert set(synthetic.truth) == {"A1"}
    assert set(causes) == {("A1",)}
    cause = causes["A1",]
    assert cause.hits == synthetic.truth["A1"]
    assert "no readinessProbe" in cause.evidence[0]
    assert synthetic.pods[3].name in " ".join(cause.evidence)
    assert cause.mend == ("spec.template.spec.containers[web].readinessProbe: httpGet / on 8080",)


def test_what_two_pods_may_both_have_caused_is_a_set_that_holds_the_truth(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(probe=False)  # new pods do not listen yet while old ones no longer do
    found = judged(tmp_path, synthetic)
    assert synthetic.truth.keys() == {"A1", "B1", "cut"}
    main = found.causes[0]
    assert main.ids == ("A1", "B1")
    assert main.confidence == ONE_OF
    assert "access log" in main.spread_by
    assert {share.old for share in main.pods} == {True, False}


@pytest.mark.parametrize(("work", "lag", "confidence"), [(1.5, 1.0, EXACT), (0.15, 1.95, BY_TIME)])
def test_a_cut_request_is_exact_only_if_it_took_too_long_to_have_crossed_a_closing(
    tmp_path: Path, work: float, lag: float, confidence: str
) -> None:
    synthetic = SyntheticRun.rolling(work=work, lag=lag, prestop=2, grace=30, concurrency=40, direct=True)
    causes = by_ids(judged(tmp_path, synthetic))
    assert causes["B2",].confidence == confidence


def test_what_rests_on_an_exit_that_nobody_saw_is_not_exact(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(work=1.5, prestop=2, grace=30, concurrency=40, direct=True)
    for pod in [pod for pod in synthetic.pods if pod.old][1:]:
        pod.exit_told, pod.gone = False, (pod.exits or 0.0) + 30.0
    assert by_ids(judged(tmp_path, synthetic))["B2",].confidence == BY_TIME


def test_connections_straight_to_pods_make_causes_exact(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(probe=False, direct=True, names_pods=False)
    causes = by_ids(judged(tmp_path, synthetic))
    assert {cause.confidence for cause in causes.values()} == {EXACT}
    assert causes["A1",].hits == synthetic.truth["A1"]
    stop = sum(cause.hits for ids, cause in causes.items() if ids != ("A1",))
    assert stop == synthetic.truth["B1"] + synthetic.truth["cut"]


def test_without_a_pre_stop_the_app_stops_listening_before_traffic_stops(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling()
    causes = by_ids(judged(tmp_path, synthetic))
    assert words(causes) <= {"B1", "B2"}
    cause = causes["B1",]
    assert cause.hits >= synthetic.truth["B1"]
    assert "no preStop" in cause.evidence[0]
    assert "preStop: sleep 30 s (measured: at least 1.0" in cause.mend[0], "the lag of the simulation is 1 s"


def test_the_advised_pre_stop_is_one_that_would_have_lost_nothing(tmp_path: Path) -> None:
    for lag in (1.0, 4.0, 9.0):
        causes = by_ids(judged(tmp_path / f"{lag}", SyntheticRun.rolling(lag=lag, settle=2 * lag)))
        advised = int(causes["B1",].mend[0].partition("preStop: sleep ")[2].split()[0])
        assert advised == 30, "the default, for what no run without a preStop can measure"
        least = float(causes["B1",].mend[0].partition("measured: at least ")[2].split()[0])
        assert lag <= least < lag + 2
        assert (
            judged(
                tmp_path / f"{lag}-mended",
                SyntheticRun.rolling(lag=lag, settle=2 * lag, prestop=advised, grace=60),
            ).grade
            is Grade.PASS
        )


def test_a_pre_stop_longer_than_the_grace_period_cuts_long_requests_off(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(prestop=12, grace=8, slow=14.0, concurrency=100, settle=16.0)
    found = judged(tmp_path, synthetic)
    causes = by_ids(found)
    assert set(synthetic.truth) == {"cut"}
    assert set(causes) == {("B5",)}
    cause = causes["B5",]
    assert cause.hits == synthetic.truth["cut"]
    assert "exited" in cause.evidence[0]
    assert "with 137" in cause.evidence[0]
    assert "FailedPreStopHook" in cause.evidence[0]
    assert cause.mend[0].startswith("spec.template.spec.terminationGracePeriodSeconds: ")
    advised = int(cause.mend[0].partition(": ")[2].split()[0])
    mended = SyntheticRun.rolling(
        prestop=12, grace=advised, slow=14.0, concurrency=100, settle=16.0, drains=True
    )
    for pod in mended.pods:  # a draining app waits for all of its requests
        if pod.term is not None:
            pod.exits = pod.term + 15.0
            pod.gone = pod.exits + 0.5
    assert judged(tmp_path / "mended", mended).grade is Grade.PASS


def test_a_pre_stop_that_the_grace_period_cut_short_is_why_pods_stopped_listening_too_early(
    tmp_path: Path,
) -> None:
    synthetic = SyntheticRun.rolling(prestop=4, grace=1, lag=2.5, settle=8.0)
    for pod in (
        synthetic.pods
    ):  # they take nothing after SIGTERM; an old kubelet does not tell when SIGKILL ended them
        if pod.term is not None:
            pod.exits, pod.exit_told, pod.gone = pod.term, False, pod.term + 20.0
    found = judged(tmp_path, synthetic)
    assert synthetic.truth["B1"] > 0, "refused once SIGTERM had come, as the simulation calls it"
    causes = by_ids(found)
    assert set(causes) == {("B5",)}
    assert causes["B5",].hits == sum(synthetic.truth.values())
    assert causes["B5",].mend[0].startswith("spec.template.spec.terminationGracePeriodSeconds: ")
    headroom = next(line.sentence for line in found.headroom if line.what == "preStop")
    assert headroom == "requests still came when the grace period of 1 s cut the preStop of 4 s short"


def test_a_pre_stop_that_cannot_run_outlasts_no_grace_period(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(prestop=4, grace=3, lag=1.5)
    for pod in synthetic.pods:
        if pod.deleted is not None:
            pod.term, pod.exits, pod.code = pod.deleted + 0.05, pod.deleted + 0.1, 0
            pod.gone, pod.hook_failed = pod.exits + 0.6, "exec: sleep: executable file not found in $PATH"
    causes = by_ids(judged(tmp_path, synthetic))
    assert "B6" in words(causes)
    assert "B5" not in words(causes)


def test_the_digits_of_a_uid_are_no_exit_code_of_a_pre_stop(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(prestop=4, grace=30, lag=1.5)
    for pod in synthetic.pods:
        if pod.deleted is not None:
            pod.term, pod.exits, pod.code = pod.deleted + 0.05, pod.deleted + 0.1, 0
            pod.gone = pod.exits + 0.6
            pod.hook_failed = f'hook ([sleep]) in Pod "{pod.name}_shop(8a137f27-0e1d)" failed: no such file'
    causes = by_ids(judged(tmp_path, synthetic))
    assert "B6" in words(causes)
    assert "B5" not in words(causes)


def test_requests_longer_than_what_the_hook_leaves_of_the_grace_period_are_cut(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(prestop=2, grace=8, slow=9.0, deaf=True, concurrency=60, settle=12.0)
    causes = by_ids(judged(tmp_path, synthetic))
    assert set(causes) == {("B3", "B4")}, "nothing tells whether the app would have ended after them"
    assert causes["B3", "B4"].hits == synthetic.truth["cut"]


def test_short_requests_cut_at_the_deadline_show_that_sigterm_was_ignored(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(grace=8, deaf=True, direct=True, lag=9.0, work=0.5, concurrency=40)
    causes = by_ids(judged(tmp_path, synthetic))
    assert causes["B3",].hits >= synthetic.truth["cut"]


def test_requests_in_flight_at_sigterm_are_lost_by_an_app_that_does_not_drain(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(work=1.5, prestop=3, grace=30, lag=2.0, concurrency=40)
    causes = by_ids(judged(tmp_path, synthetic))
    assert set(causes) == {("B2",)}
    assert causes["B2",].hits == synthetic.truth["cut"] > 0
    assert "graceful shutdown" in causes["B2",].mend[0]


def test_a_hook_that_cannot_run_is_named(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling()
    for pod in synthetic.pods:
        pod.prestop = 10
        pod.hook_failed = (
            'exec: "/bin/sh": stat /bin/sh: no such file or directory: unknown' if pod.old else ""
        )
    causes = by_ids(judged(tmp_path, synthetic))
    assert ("B6",) in causes
    assert "FailedPreStopHook" in causes["B6",].evidence[0]
    assert "needs no shell" in causes["B6",].mend[0]


def test_a_dead_address_that_stays_silent_gives_504(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(dead_is_silent=True)
    causes = by_ids(judged(tmp_path, synthetic))
    assert causes["C6",].hits == synthetic.truth["C6"]
    assert set(causes["C6",].kinds) == {"504"}


def test_a_dead_address_is_named_although_nobody_told_of_the_exit(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(dead_is_silent=True)
    for pod in synthetic.pods:
        if pod.old and pod.exits is not None:
            pod.exit_told, pod.gone = False, pod.exits + 30.0
    causes = by_ids(judged(tmp_path, synthetic))
    assert causes["C6",].hits == synthetic.truth["C6"] > 0
    assert [ids for ids, cause in causes.items() if "504" in cause.kinds] == [("C6",)]


def test_recreate_is_named_and_not_its_symptoms(tmp_path: Path) -> None:
    causes = by_ids(judged(tmp_path, SyntheticRun.rolling(recreate=True, prestop=3, grace=20)))
    assert set(causes) == {("D3",)}
    assert causes["D3",].mend == ("spec.strategy: RollingUpdate, maxUnavailable 0, maxSurge 1",)


def test_no_endpoint_at_all_is_named_when_the_strategy_is_a_rolling_one(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(recreate=True, prestop=3, grace=20)
    synthetic.strategy = "RollingUpdate"
    causes = by_ids(judged(tmp_path, synthetic))
    assert set(causes) == {("D9",)}, "until the balancer has heard of the next one"
    assert causes["D9",].hits == synthetic.truth["D9"]


def test_what_failed_as_often_before_is_not_the_rollout(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(prestop=4, grace=20, noise=0.0007, seed=3)
    found = judged(tmp_path, synthetic)
    assert set(by_ids(found)) == {("not the rollout",)}
    assert not found.causes[0].the_rollouts
    assert "in the 10 s before it" in found.causes[0].evidence[0]
    assert found.verdict.lost == 0


def test_noise_does_not_hide_what_the_rollout_did(tmp_path: Path) -> None:
    found = judged(tmp_path, SyntheticRun.rolling(noise=0.0005))
    assert found.grade is Grade.FAIL
    assert "B1" in words(by_ids(found))


def test_running_out_of_ports_is_our_own_fault(tmp_path: Path) -> None:
    causes = with_rows(tmp_path, [_row(3.0, 0, Outcome.NO_LOCAL_PORT)])
    assert causes["E1",].confidence == EXACT
    assert not causes["E1",].the_rollouts


def test_an_error_that_names_a_new_pod_is_that_pods(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(prestop=4, grace=20)
    new = synthetic.pods[3]
    causes = with_rows(tmp_path, [_row(new.enters + 1.5, 500, Outcome.RESPONSE, pod=new.name)], synthetic)
    assert causes["A2",].confidence == EXACT
    assert causes["A2",].pods[0].pod == new.name


def test_a_connection_that_breaks_is_a_probe_s_fault_only_until_the_pod_serves(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(prestop=4, grace=20)
    new = synthetic.pods[3]
    late = _row(new.enters + 3.0, 0, Outcome.RESET_BEFORE_RESPONSE, pod=new.name)
    assert set(with_rows(tmp_path / "late", [late], synthetic)) == {("unexplained",)}
    early = _row(new.enters - 0.1, 0, Outcome.RESET_BEFORE_RESPONSE, pod=new.name)
    assert ("A2",) in with_rows(tmp_path / "early", [early], SyntheticRun.rolling(prestop=4, grace=20))


def test_what_breaks_here_and_there_looks_like_connections_closed_when_idle(tmp_path: Path) -> None:
    """They go to new pods that serve, which the balancer's log names: no rule fits any of them."""
    synthetic = SyntheticRun.rolling(prestop=4, grace=20)
    new = synthetic.pods[3]
    rows = [_row(new.enters + 1.5 + n, 0, Outcome.RESET_BEFORE_RESPONSE, pod=new.name) for n in range(6)]
    cause = with_rows(tmp_path / "again", rows, synthetic)["unexplained",]
    assert cause.diagnosis == "C2"
    assert any("longer baseline" in line for line in cause.evidence)
    rows = [
        _row(new.enters + 1.5 + n / 100, 0, Outcome.RESET_BEFORE_RESPONSE, pod=new.name) for n in range(6)
    ]
    assert with_rows(tmp_path / "at once", rows, synthetic)["unexplained",].diagnosis == ""


def test_what_no_rule_fits_is_called_unexplained(tmp_path: Path) -> None:
    causes = with_rows(tmp_path, [_row(0.2, 418, Outcome.RESPONSE)])
    assert set(causes) == {("unexplained",)}
    assert causes["unexplained",].mend == ()


def test_the_table_is_whole() -> None:
    assert len({(rule.id, rule.side, rule.name) for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule.fix.format(container="web", **VALUES)
        assert rule.name[0].islower() or rule.name.startswith("SIGTERM")


@pytest.mark.parametrize("skew", [-7200.0, 3.0])
def test_a_clock_that_is_off_changes_no_cause(tmp_path: Path, skew: float) -> None:
    straight = judged(tmp_path / "a", SyntheticRun.rolling(dead_is_silent=True))
    skewed = judged(tmp_path / "b", SyntheticRun.rolling(dead_is_silent=True, server_skew=skew))
    assert {c.ids: c.hits for c in straight.causes} == {c.ids: c.hits for c in skewed.causes}


def with_rows(
    tmp_path: Path, rows: list[dict[str, Any]], synthetic: SyntheticRun | None = None
) -> dict[tuple[str, ...], Cause]:
    """Add rows to a run that loses nothing, and return the causes of those."""
    path = (synthetic or SyntheticRun.rolling(prestop=4, grace=20)).write(tmp_path)
    write_hits(path / "hits" / "1.arrow", rows)
    return by_ids(judge(Recording.open(path)))


def _row(done: float, status: int, outcome: Outcome, **rest: Any) -> dict[str, Any]:
    ended = round((TRIGGER + done) * S)
    return {
        "seq": 0, "slot": 0, "conn": 0, "conn_hits": 1, "due_ns": ended - 1_000_000, "sent_ns": ended - 1_000_000,
        "first_byte_ns": ended if status else NEVER, "done_ns": ended, "status": status, "outcome": outcome,
        "bytes_in": 10, "bytes_out": 10, "target": 0, "peer": "127.0.0.1:8088", "pod": "",
    } | rest  # fmt: skip
