"""What tells causes apart that look alike: the pod a connection leads to, what a hook was, who deleted what."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.judge.causes.causes import EXACT, Cause
from harness.judge.causes.rules import RULES
from harness.judge.lint.lint import LINT
from harness.judge.verdict.judgement import Judgement, judge
from harness.model import NEVER, Outcome
from harness.recording.read import Recording
from tests.judge.synthetic import TRIGGER, S, SyntheticRun, event, write_hits

if TYPE_CHECKING:
    from harness.model import ClusterEvent


def judged(tmp_path: Path, synthetic: SyntheticRun, rows: list[dict[str, Any]] | None = None) -> Judgement:
    directory = synthetic.write(tmp_path)
    if rows is not None:
        write_hits(directory / "hits" / "0.arrow", rows)
    return judge(Recording.open(directory))


def by_ids(judgement: Judgement) -> dict[tuple[str, ...], Cause]:
    return {cause.ids: cause for cause in judgement.causes}


def hit(t: float, status: int, outcome: Outcome = Outcome.RESPONSE, **fields: Any) -> dict[str, Any]:
    at = round((TRIGGER + t) * S)
    return {
        "seq": 1, "slot": 0, "conn": 0, "conn_hits": 3, "due_ns": at, "sent_ns": at, "first_byte_ns": at + 1000,
        "done_ns": at + 2_000_000, "status": status, "outcome": outcome, "bytes_in": 1, "bytes_out": 1, "target": 0,
        "peer": "127.0.0.1:80", "pod": "",
    } | fields  # fmt: skip


def test_with_a_pre_stop_that_traffic_outlasts_it_is_the_lag_and_without_one_the_missing_hook(
    tmp_path: Path,
) -> None:
    short = by_ids(judged(tmp_path, SyntheticRun.rolling(prestop=1, lag=3.0, grace=20)))
    none = by_ids(judged(tmp_path, SyntheticRun.rolling(lag=3.0, grace=20)))
    assert ("C1",) in short
    assert not any("B1" in ids for ids in short)
    assert ("B1",) in none
    assert not any("C1" in ids for ids in none)


@pytest.mark.parametrize(("after", "named"), [(0.1, "B6"), (19.5, "B5")])
def test_a_kubelet_that_says_only_that_the_hook_failed_tells_why_by_when(
    tmp_path: Path, after: float, named: str
) -> None:
    synthetic = SyntheticRun.rolling(replicas=1, lag=3.0, grace=20)
    old = synthetic.pods[0]
    old.prestop = 5
    assert old.deleted is not None
    if named == "B5":
        old.exits, old.gone, old.code = old.deleted + 20, old.deleted + 20.5, 137
        synthetic.lag = 25.0
    original = SyntheticRun.events

    def events(self: SyntheticRun) -> list[ClusterEvent]:
        assert old.deleted is not None
        about = {"involvedObject": {"kind": "Pod", "name": old.name, "uid": old.uid}, "reason": "FailedPreStopHook",
                 "message": "PreStopHook failed"}  # fmt: skip
        note = event(old.deleted + after, "ADDED", "Event", "x.y", "uid-x", about)
        return sorted([*original(self), note], key=lambda e: e.t_ns)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SyntheticRun, "events", events)
        found = by_ids(judged(tmp_path, synthetic))
    assert named in {name for ids in found for name in ids}
    assert not {"B1", "C1"} & {name for ids in found for name in ids}


def test_a_connection_that_leads_to_one_pod_names_the_pod_of_what_it_lost(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(replicas=2, drains=True, lag=0.0)
    olds = [pod for pod in synthetic.pods if pod.old]
    assert olds[0].deleted is not None
    late = olds[0].deleted + 0.4
    rows = [
        hit(t / 10, 200, conn=conn, slot=conn, pod=olds[conn % 2].name)
        for conn in range(30)
        for t in range(-90, 3)
    ]
    rows += [
        hit(late, 0, Outcome.RESET_BEFORE_RESPONSE, conn=conn, slot=conn, first_byte_ns=NEVER)
        for conn in (0, 2, 4)
    ]
    causes = by_ids(judged(tmp_path, synthetic, sorted(rows, key=lambda row: row["done_ns"])))
    assert set(causes) == {("C3",)}
    assert causes["C3",].confidence == EXACT
    assert [share.pod for share in causes["C3",].pods] == [olds[0].name]
    shared = [row | {"pod": olds[n % 2].name if row["status"] == 200 else ""} for n, row in enumerate(rows)]
    through = by_ids(judged(tmp_path, synthetic, sorted(shared, key=lambda row: row["done_ns"])))
    assert ("C3",) not in through, "behind an L7 balancer a connection leads to no pod"


def test_nobody_to_send_to_and_no_pod_deleted_is_a_flapping_probe(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(replicas=1, prestop=9, grace=30)
    old = synthetic.pods[0]
    old.deleted, old.leaves, old.exits, old.gone = 20.0, 0.5, 29.1, 29.6
    synthetic.pods[1].enters = 3.0
    rows = [hit(t / 10, 200, pod=old.name) for t in range(-90, 4)] + [hit(1.0, 503), hit(1.5, 503)]
    assert set(by_ids(judged(tmp_path, synthetic, rows))) == {("D7",)}


def test_the_one_endpoint_that_goes_first_is_the_lack_of_replicas(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(replicas=1, recreate=True, prestop=1, grace=20)
    synthetic.strategy = "RollingUpdate"
    causes = by_ids(judged(tmp_path, synthetic))
    assert "D1" in {name for ids in causes for name in ids}
    assert "D9" not in {name for ids in causes for name in ids}


def test_a_deletion_that_was_never_heard_of_is_dated_by_its_time_stamp(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(replicas=1, prestop=4, grace=20)
    old = synthetic.pods[0]
    assert old.deleted is not None
    directory = synthetic.write(tmp_path)
    whole = judge(Recording.open(directory)).timeline.pods[0].deleted_ns
    lines = (directory / "events.jsonl").read_text().splitlines(keepends=True)
    kept = [
        line
        for line in lines
        if not (
            f'"name":"{old.name}"' in line and '"change":"MODIFIED"' in line and f'"t_ns":{whole},' in line
        )
    ]
    assert len(kept) == len(lines) - 1
    (directory / "events.jsonl").write_text("".join(kept))
    found = judge(Recording.open(directory)).timeline.pods[0].deleted_ns
    assert found is not None
    assert whole is not None
    assert abs(found - whole) <= 2 * S, "two clocks of whole seconds, each up to one off"


def test_fast_failures_all_the_time_are_diagnosed_as_a_keep_alive_race(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(prestop=4, grace=20, noise=0.0007, seed=3)
    causes = judged(tmp_path, synthetic).causes
    assert [cause.diagnosis for cause in causes] == ["C2"]
    assert not causes[0].the_rollouts
    assert replace(causes[0], ids=("A1",)).the_rollouts


def test_errors_that_pods_answer_all_the_time_are_diagnosed_as_an_unhealthy_backend(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(prestop=4, grace=20)
    rows = synthetic.hits()
    ill = [row for row in rows if row["pod"] and row["pod"] == synthetic.pods[2].name][::40]
    for row in ill:
        row |= {"status": 500}
    wrong = [row for row in rows if row["status"] == 200 and row["pod"] == synthetic.pods[5].name][::200]
    for row in wrong:
        row |= {"status": 500}
    (cause,) = judged(tmp_path, synthetic, rows).causes
    assert not cause.the_rollouts
    assert any(
        line.startswith("an unhealthy backend: the pods answered so themselves (web-")
        for line in cause.evidence
    )


def test_the_documentation_has_every_rule_of_both_tables() -> None:
    text = (Path(__file__).parents[2] / "docs" / "judge.md").read_text()
    for rule in RULES:
        assert f"| {rule.id} | {rule.side} | {rule.name} |" in text
    for row in LINT:
        assert f"| {row.id} | {row.severity} |" in text
