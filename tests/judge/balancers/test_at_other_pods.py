"""What the going of one pod costs may be lost at the others, or said by a balancer that has nobody left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.judge.causes.causes import EXACT
from harness.judge.verdict.judgement import Judgement, judge
from harness.recording.read import Recording
from harness.recording.upstreams import keep
from tests.judge.balancers import answers as say
from tests.judge.balancers.behind import by_ids, connection, judged, lost, words
from tests.judge.synthetic import FakePod, SyntheticRun, end, write_hits

if TYPE_CHECKING:
    from pathlib import Path


def good(at: float, took: float, pod: FakePod) -> dict[str, Any]:
    return lost(at, None, took=took, pod=pod.name) | {"status": 200, "outcome": "response", "answer": -1}


def short_of_one(tmp_path: Path, usual: float, named: FakePod | None = None) -> Judgement:
    """Two pods, of which one goes 3 s before the next one comes; some requests get no answer for 1.3 s."""
    synthetic = SyntheticRun.rolling(2, prestop=3, grace=20)
    synthetic.record = {"scenario": {"balancer": "nginx"}}
    old, other, new = synthetic.pods[:3]
    old.deleted = 0.1
    end(old)
    rows = [good(-9 + n / 50, usual, (old, other)[n % 2]) for n in range(455)]
    rows += [good(0.1 + n / 50, usual, other) for n in range(1, 170)]
    rows += [good(new.enters + 0.1 + n / 50, usual, (other, new)[n % 2]) for n in range(200)]
    timeouts = [lost(2.2 + n / 10, say.nginx(504), took=1.3) for n in range(10)]
    rows = sorted([*rows, *timeouts], key=lambda row: row["done_ns"])
    for number, row in enumerate(rows):
        row["seq"] = number
    directory = synthetic.write(tmp_path)
    write_hits(directory / "hits" / "0.arrow", rows)
    if named is not None:
        keep(directory, {(0, row["seq"]): named.address for row in timeouts})
    return judge(Recording.open(directory))


def test_too_few_pods_is_named_too_where_the_log_says_which_pod_had_the_queue(tmp_path: Path) -> None:
    other = SyntheticRun.rolling(2).pods[1]
    assert set(by_ids(short_of_one(tmp_path, 0.4))) == {("D2",)}
    causes = by_ids(short_of_one(tmp_path / "logged", 0.4, other))
    assert set(causes) == {("D2",)}
    assert causes["D2",].confidence == EXACT


def connect_timeouts(tmp_path: Path, meanwhile: float) -> Judgement:
    """The same, where some connections are not even made, around the old pod's exit; good answers then take so long."""
    synthetic = SyntheticRun.rolling(2, prestop=3, grace=20, dead_is_silent=True)
    synthetic.record = {"scenario": {"balancer": "envoy"}}
    old, other, new = synthetic.pods[:3]
    old.deleted = 0.1
    end(old)
    new.enters = 6.0
    rows = [good(-9 + n / 50, 0.02, (old, other)[n % 2]) for n in range(455)]
    rows += [good(meanwhile + 0.1 + n / 50, meanwhile, other) for n in range(1, 240)]
    rows = [row | {"pod": ""} for row in rows]  # nothing tells when the balancer let go of the old pod
    rows += [lost(4.56 + n / 50, say.envoy(503, "connection timeout"), took=1.5) for n in range(5)]
    return judged(tmp_path, synthetic, sorted(rows, key=lambda row: row["done_ns"]))


def test_a_connection_not_made_may_be_of_a_full_backlog_only_where_all_others_waited_too(
    tmp_path: Path,
) -> None:
    assert set(by_ids(connect_timeouts(tmp_path / "busy", 1.0))) == {("C6", "D2")}
    assert set(by_ids(connect_timeouts(tmp_path / "quick", 0.1))) == {("C6",)}


def test_where_others_are_answered_as_quickly_as_ever_nobody_queues(tmp_path: Path) -> None:
    assert "D2" not in words(short_of_one(tmp_path, 0.02))


def test_a_timeout_of_a_new_pod_that_answers_others_is_no_error_of_its_own(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(2, prestop=3, grace=20)
    new = synthetic.pods[2]
    synthetic.record = {"scenario": {"balancer": "nginx"}}
    rows = synthetic.hits()
    late = lost(synthetic.rolled + 3.0, say.nginx(504), took=1.3)
    rows = sorted([*rows, late], key=lambda row: row["done_ns"])
    for number, row in enumerate(rows):
        row["seq"] = number
    directory = synthetic.write(tmp_path)
    write_hits(directory / "hits" / "0.arrow", rows)
    keep(directory, {(0, late["seq"]): new.address})
    assert "A2" not in words(judge(Recording.open(directory)))


def test_recreate_is_named_also_where_the_balancer_says_itself_that_nobody_is_left(tmp_path: Path) -> None:
    for name, answer in (("envoy", say.envoy(503, "no endpoint")), ("nginx", say.nginx(503))):
        synthetic = SyntheticRun.rolling(2, recreate=True, prestop=3, grace=20)
        synthetic.strategy = "Recreate"
        synthetic.record = {"scenario": {"balancer": name}}
        rows = [row for row in synthetic.hits() if row["status"] == 200]
        rows += [lost(0.4 + n / 10, answer) for n in range(20)]
        rows = sorted(rows, key=lambda row: row["done_ns"])
        assert set(by_ids(judged(tmp_path / name, synthetic, rows))) == {("D3",)}


def test_haproxys_closes_at_a_pods_end_are_the_pods_and_no_reload_of_its_own(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(lag=1.0, concurrency=40)
    synthetic.record = {"scenario": {"balancer": "haproxy"}}
    ended = synthetic.pods[0].exits
    assert ended is not None
    closed = [lost(ended + 0.01 + n / 500, None, conn=100 + n, took=0.008) for n in range(40)]
    connections = [connection(100 + n, ended + 0.01 + n / 500, 100 + 7 * n) for n in range(40)]
    rows = sorted([*synthetic.hits(), *closed], key=lambda row: row["done_ns"])
    assert words(judged(tmp_path, synthetic, rows, connections)) <= {"B1", "B2"}
