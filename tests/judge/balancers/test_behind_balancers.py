"""The same faults behind each balancer: the cause is the same, whatever the balancer says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.judge.causes.causes import BY_TIME
from harness.model import Grade
from harness.recording.answers import Answer
from tests.judge.balancers import answers as say
from tests.judge.balancers.behind import CLOSED, Told, by_ids, judged, lost, told_by, words
from tests.judge.synthetic import TRIGGER, S, SyntheticRun

if TYPE_CHECKING:
    from pathlib import Path

ENVOY_REFUSED = say.envoy(503, "remote connection failure")
ENVOY_BROKEN = say.envoy(503, "connection termination")
ENVOY_SILENT = say.envoy(503, "connection timeout")
# By family: how it tells of a pod that does not listen, and of one that ends with the request in flight.
TELLS: dict[str, tuple[list[Told], list[Told]]] = {
    "nginx": ([(say.nginx(502), 0.002)], [(say.nginx(502), 0.0)]),
    "haproxy": ([(say.HAPROXY_503, 0.002), (say.HAPROXY_503, 3.1)], [(say.HAPROXY_502, 0.0), (None, 0.0)]),
    "envoy": ([(ENVOY_REFUSED, 0.002), (ENVOY_BROKEN, 0.003)], [(ENVOY_BROKEN, 0.0)]),
    "caddy": ([(say.CADDY_502, 0.002)], [(say.CADDY_502, 0.0)]),
    "traefik": ([(say.TRAEFIK_502, 0.002)], [(say.TRAEFIK_502, 0.0)]),
    "apache": ([(say.APACHE_503, 0.002)], [(say.APACHE_502, 0.0), (None, 0.0)]),
    "alb": ([(say.alb(502), 0.002)], [(say.alb(502), 0.0)]),
    "google": ([(say.GOOGLE_502, 0.002)], [(say.GOOGLE_502, 0.0)]),
}
BALANCERS = pytest.mark.parametrize("name", list(TELLS))


@BALANCERS
def test_without_a_readiness_probe_it_is_a1_behind_every_balancer(tmp_path: Path, name: str) -> None:
    synthetic = SyntheticRun.rolling(probe=False, prestop=4, grace=20)
    found = judged(tmp_path, synthetic, told_by(synthetic, {"A1": TELLS[name][0]}))
    assert set(by_ids(found)) == {("A1",)}
    assert [one.name for one in found.balancers.seen] == [name] if found.balancers else False


@BALANCERS
def test_without_a_pre_stop_it_is_b1_behind_every_balancer_and_never_a7(tmp_path: Path, name: str) -> None:
    refused, cut = TELLS[name]
    synthetic = SyntheticRun.rolling()
    found = judged(tmp_path, synthetic, told_by(synthetic, {"B1": refused, "cut": cut}))
    assert words(found) <= {"B1", "B2"}
    assert by_ids(found)["B1",].hits >= synthetic.truth["B1"]
    assert found.advice is not None
    assert "minReadySeconds" not in str(found.advice.patch)
    assert not any("minReadySeconds" in line for cause in found.causes for line in cause.mend)


@BALANCERS
def test_a_lag_that_outlasts_pre_stop_is_c1_behind_every_balancer(tmp_path: Path, name: str) -> None:
    synthetic = SyntheticRun.rolling(lag=3.0, prestop=1, settle=8.0)
    refused, cut = TELLS[name]
    found = judged(tmp_path, synthetic, told_by(synthetic, {"B1": refused, "cut": cut}))
    causes = by_ids(found)
    assert words(found) <= {"C1", "B2"}
    assert causes["C1",].hits >= 0.95 * synthetic.truth["B1"]


@BALANCERS
def test_an_app_that_does_not_drain_is_b2_behind_every_balancer(tmp_path: Path, name: str) -> None:
    synthetic = SyntheticRun.rolling(work=1.5, prestop=3, grace=30, lag=2.0, concurrency=40)
    found = judged(tmp_path, synthetic, told_by(synthetic, {"cut": TELLS[name][1]}))
    assert set(by_ids(found)) == {("B2",)}


def test_envoys_connect_timeouts_are_a_dead_address_and_still_not_a7(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(lag=3.0, prestop=1, settle=8.0)
    rows = told_by(
        synthetic, {"B1": [(ENVOY_SILENT, 2.0), (ENVOY_REFUSED, 0.002)], "cut": [(ENVOY_BROKEN, 0.0)]}
    )
    assert words(judged(tmp_path, synthetic, rows)) <= {"C1", "C6", "B2"}  # fmt: skip


def test_haproxys_silent_closes_and_slow_ones_are_the_lag_and_not_an_app_that_does_not_drain(
    tmp_path: Path,
) -> None:
    synthetic = SyntheticRun.rolling(lag=3.0, prestop=1, settle=8.0)
    ways: list[Told] = [(say.HAPROXY_503, 0.002), CLOSED, (None, 2.05), (say.HAPROXY_503, 2.0)]
    rows = told_by(synthetic, {"B1": ways, "cut": [(say.HAPROXY_502, 0.0)]})
    found = judged(tmp_path, synthetic, rows)
    causes = by_ids(found)
    assert words(found) <= {"C1", "B2"}
    assert causes["C1",].hits >= synthetic.truth["B1"]
    assert "eof_before_response" in causes["C1",].kinds


def test_a_connection_closed_after_an_error_on_it_is_lost_to_the_same_cause(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(3, probe=False, prestop=4, grace=20)
    new = synthetic.pods[3]
    late = new.listens + 4.0  # when nothing is wrong with any pod
    rows = told_by(synthetic, {"A1": [(say.HAPROXY_503, 0.002)]})
    rows.append(lost(new.enters + 1.2, say.HAPROXY_503, conn=77, conn_hits=5))
    rows.append(lost(late, None, conn=77, conn_hits=6))
    rows.append(lost(late, None, conn=78, conn_hits=6))  # on a connection that had not failed
    found = judged(tmp_path, synthetic, sorted(rows, key=lambda row: row["done_ns"]))
    causes = by_ids(found)
    assert causes["A1",].kinds["eof_before_response"] == 1
    assert any("after an earlier failure on it" in line for line in causes["A1",].evidence)
    assert causes["unexplained",].hits == 1


def test_behind_a_balancer_that_keeps_connections_after_errors_nothing_follows_from_one(
    tmp_path: Path,
) -> None:
    synthetic = SyntheticRun.rolling(3, probe=False, prestop=4, grace=20)
    new = synthetic.pods[3]
    rows = told_by(synthetic, {"A1": [(say.CADDY_502, 0.002)]})
    rows.append(lost(new.enters + 1.2, say.CADDY_502, conn=77, conn_hits=5))
    rows.append(lost(new.listens + 4.0, None, conn=77, conn_hits=6))
    causes = by_ids(judged(tmp_path, synthetic, sorted(rows, key=lambda row: row["done_ns"])))
    assert causes["unexplained",].kinds == {"eof_before_response": 1}


def test_caddys_slow_502s_are_no_requests_in_flight_at_another_pods_end(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling()
    rows = told_by(
        synthetic, {"B1": [(say.CADDY_502, 0.002), (say.CADDY_502, 2.0)], "cut": [(say.CADDY_502, 0.0)]}
    )
    found = judged(tmp_path, synthetic, rows)
    assert words(found) <= {"B1", "B2"}
    assert by_ids(found)["B1",].hits >= synthetic.truth["B1"]  # fmt: skip


def test_requests_that_outlast_the_baseline_are_in_flight_at_a_pods_end_all_the_same(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(prestop=3, grace=30)
    synthetic.record = {"scenario": {"balancer": "caddy"}}
    ends = [pod.exits for pod in synthetic.pods if pod.exits is not None]
    cut = [lost(end, say.CADDY_502, took=4.5 - n) for n, end in enumerate(ends)]
    slow = lost(5.6, say.CADDY_502, took=6.0) | {"status": 200, "answer": -1, "pod": synthetic.pods[-1].name}
    rows = sorted([*synthetic.hits(), *cut, slow], key=lambda row: row["done_ns"])
    assert set(by_ids(judged(tmp_path, synthetic, rows))) == {("B2",)}


def test_slow_refusals_after_one_that_came_at_once_are_not_requests_that_were_in_flight(
    tmp_path: Path,
) -> None:
    synthetic = SyntheticRun.rolling(1, lag=1.0)
    synthetic.record = {"scenario": {"balancer": "nginx"}}
    old = synthetic.pods[0]
    assert old.deleted is not None
    heard = old.exits = old.deleted  # 40 ms after the pod had gone
    rows = [
        row
        for row in synthetic.hits()
        if row["status"] == 200 and row["due_ns"] < (TRIGGER - 0.1 + heard) * S
    ]
    cut = [lost(heard - 0.036, say.nginx(502), took=0.012), lost(heard - 0.034, say.nginx(502), took=0.016)]
    at_once = lost(heard - 0.03, say.nginx(502), took=0.002)
    # On a busy host a refusal takes a while.
    slow = [lost(heard - 0.010 + n / 500, say.nginx(502), took=0.015) for n in range(3)]
    rows = sorted([*rows, *cut, at_once, *slow], key=lambda row: row["done_ns"])
    causes = by_ids(judged(tmp_path, synthetic, rows))
    assert {ids: cause.hits for ids, cause in causes.items()} == {("B1",): 4, ("B2",): 2}


def test_what_a_pod_cut_before_its_deletion_was_heard_of_is_still_its_own(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(prestop=3, grace=30)
    synthetic.record = {"scenario": {"balancer": "nginx"}}
    ends = [pod.term for pod in synthetic.pods if pod.term is not None]
    cut = [lost(end - 0.2, say.nginx(502), took=2.5) for end in ends]
    rows = sorted([*synthetic.hits(), *cut], key=lambda row: row["done_ns"])
    assert set(by_ids(judged(tmp_path, synthetic, rows))) == {("B2",)}


def test_behind_an_unknown_balancer_a_503_is_a_set_until_somebody_says_which_it_is(tmp_path: Path) -> None:
    mystery = Answer(503, (), "<h1>We will be back soon</h1>")

    def run() -> SyntheticRun:
        return SyntheticRun.rolling(lag=3.0, prestop=1, settle=8.0)

    synthetic = run()
    ways = {"B1": [(mystery, 0.002)], "cut": [(mystery, 0.0)]}
    found = judged(tmp_path, synthetic, told_by(synthetic, ways))
    main = found.causes[0]
    assert {"A7", "C1"} <= set(main.ids)
    assert "--balancer NAME" in main.spread_by
    assert not any("minReadySeconds" in line for line in main.mend), "a preStop mends it too"
    said = run()
    said.record = {"scenario": {"balancer": "envoy"}}
    assert words(judged(tmp_path / "said", said, told_by(said, ways))) <= {"C1", "B2"}


def test_behind_an_alb_a_503_with_endpoints_there_is_still_a7(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(prestop=4, grace=20)
    new = synthetic.pods[3]
    rows = synthetic.hits() + [lost(new.enters + 0.3, say.alb(503)) for _ in range(5)]
    found = judged(tmp_path, synthetic, sorted(rows, key=lambda row: row["done_ns"]))
    assert set(by_ids(found)) == {("A7",)}
    assert "a readiness gate of the balancer, or spec.minReadySeconds" in found.causes[0].mend[0]
    caddy = [row | ({"answer": say.CADDY_503} if row["status"] == 503 else {}) for row in rows]
    behind_caddy = judged(tmp_path / "caddy", synthetic, sorted(caddy, key=lambda row: row["done_ns"]))
    assert behind_caddy.causes[0].mend[0].startswith("spec.minReadySeconds"), "Caddy has no readiness gate"


def test_a_deregistration_delay_is_not_blamed_where_there_is_none(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(2, prestop=6, grace=30, drains=True)
    first = synthetic.pods[0]
    assert first.deleted is not None
    cut = [(first.deleted + 0.5, 2.0), (first.deleted + 0.6, 2.2)]
    for name, answer, expected in (("alb", say.alb(502), True), ("envoy", ENVOY_BROKEN, False)):
        rows = synthetic.hits() + [lost(begun + took, answer, took) for begun, took in cut]
        found = judged(tmp_path / name, synthetic, sorted(rows, key=lambda row: row["done_ns"]))
        assert ("C4" in words(found)) is expected
        assert any("deregistration" in line for cause in found.causes for line in cause.mend) is expected


def test_how_to_ask_the_next_pod_is_said_in_the_balancers_own_words(tmp_path: Path) -> None:
    for name, line in (("envoy", "a retry policy on the route"), ("haproxy", "`option redispatch`")):
        synthetic = SyntheticRun.rolling()
        refused, cut = TELLS[name]
        found = judged(tmp_path / name, synthetic, told_by(synthetic, {"B1": refused, "cut": cut}))
        assert any(line in fix for fix in by_ids(found)["B1",].mend)
    synthetic = SyntheticRun.rolling()
    plain = judged(tmp_path / "unknown", synthetic, synthetic.hits())
    assert not any("at the balancer" in fix for fix in by_ids(plain)["B1",].mend)


def test_a_limit_touches_all_pods_alike_and_is_no_pods_fault(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(prestop=4, grace=20)
    limited = Answer(429, (("retry-after", "1"),), "slow down")
    rows = synthetic.hits() + [lost(1.0 + n / 5, limited) for n in range(60)]
    found = judged(tmp_path, synthetic, sorted(rows, key=lambda row: row["done_ns"]))
    assert set(by_ids(found)) == {("E3",)}
    assert found.grade is Grade.FAIL
    assert "60 of " in found.verdict.headline
    assert "during the rollout, tied to nothing that happened to a pod" in found.verdict.headline
    assert found.causes[0].confidence == BY_TIME
    assert found.advice is None or not found.advice.patch


def test_what_began_before_any_pod_was_touched_is_not_the_pods(tmp_path: Path) -> None:
    """The balancer runs out of ports 0.8 s after the trigger; the first new pod comes into the endpoints 3.6 s after
    it.
    """
    synthetic = SyntheticRun.rolling(prestop=4, grace=20)
    rows = synthetic.hits()
    for row in rows:
        if row["done_ns"] > (12.0 + 0.8) * 1e9 and row["seq"] % 2:
            row |= {"status": 502, "answer": say.nginx(502), "pod": "", "done_ns": row["due_ns"] + 2_000_000}
    found = judged(tmp_path, synthetic, sorted(rows, key=lambda row: row["done_ns"]))
    main = found.causes[0]
    assert main.ids == ("E2",)
    assert main.hits > 0.5 * sum(cause.hits for cause in found.causes)
    assert all("E2" in cause.ids for cause in found.causes), "the others are sets that hold it"
    assert "no pod was deleted, ended or came into the endpoints before" in main.evidence[0]
    assert found.grade is Grade.FAIL
    assert "tied to nothing that happened to a pod" in found.verdict.headline


def test_failures_that_begin_when_a_pod_goes_are_not_said_to_have_begun_before(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling()
    assert "E2" not in words(judged(tmp_path, synthetic, synthetic.hits()))


def test_envoys_broken_connections_all_the_time_are_a_keep_alive_race_as_a_502_would_be(
    tmp_path: Path,
) -> None:
    synthetic = SyntheticRun.rolling(prestop=4, grace=20, noise=0.0007, seed=3)
    rows = told_by(synthetic, {"noise": [(ENVOY_BROKEN, 0.002)]})
    assert [cause.diagnosis for cause in judged(tmp_path, synthetic, rows).causes] == ["C2"]
