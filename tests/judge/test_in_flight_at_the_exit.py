"""A request that the pod took although its deletion had been seen already was in flight when the pod ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.judge.verdict.judgement import judge
from harness.model import Outcome
from harness.recording.read import Recording
from tests.judge.synthetic import TRIGGER, S, write_hits
from tests.judge.test_shared_names import stateful

if TYPE_CHECKING:
    from pathlib import Path


def test_it_is_not_taken_for_one_that_came_to_the_pod_deleted_before(tmp_path: Path) -> None:
    run = stateful()
    path = run.write(tmp_path)
    second = [pod for pod in run.pods if pod.old][1]
    assert second.deleted is not None
    deleted = TRIGGER + second.deleted
    rows = run.hits()
    last = next(row for row in rows if row["status"] == 200 and row["due_ns"] / S > deleted - 1)
    # The pod's last good answer began 2 ms after its deletion was seen; one that began before that is cut at its exit.
    for status, outcome, begun, ended in (
        (200, Outcome.RESPONSE, deleted + 0.002, deleted + 0.025),
        (502, Outcome.RESPONSE, deleted + 0.001, deleted + 0.061),
    ):
        rows.append({
            **last,
            "seq": len(rows), "status": status, "outcome": outcome, "pod": second.name if status == 200 else "",
            "due_ns": round(begun * S), "sent_ns": round(begun * S), "first_byte_ns": round(ended * S) - 1000,
            "done_ns": round(ended * S),
        })  # fmt: skip
    write_hits(path / "hits" / "0.arrow", sorted(rows, key=lambda row: row["done_ns"]))
    found = judge(Recording.open(path))
    assert any("B2" in cause.ids for cause in found.causes), "alone, or beside what it may be as well"
    assert found.measured is not None
    latest = {pod.pod: pod.late_least_ns for pod in found.measured.pods if pod.old and pod.late_least_ns}
    assert latest
    assert max(latest.values()) < 4 * S, "a pod that was deleted long before is not made answerable for it"
