from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from harness.judge.findings.finding import TOGETHER
from harness.model import Grade, WorkerClock
from tests.judge.synthetic import SyntheticRun
from tests.judge.test_verdict import clean, judged, open_points

if TYPE_CHECKING:
    from pathlib import Path

MS = 1_000_000


def clock(worker: int = 0, **changes: int) -> WorkerClock:
    numbers = {"offset_ns": 0, "uncertainty_ns": MS // 5, "late_ns": 0} | changes
    return WorkerClock(worker=worker, pod=f"load-{worker}", node=f"node-{worker}", **numbers)


def test_pods_that_began_together_withhold_nothing(tmp_path: Path) -> None:
    # A wall clock that is an hour off is no fault: no row is on it.
    fine = clock(late_ns=19 * MS, uncertainty_ns=49 * MS, offset_ns=3600 * 1000 * MS)
    found = judged(tmp_path, clean(record={"worker_clocks": (fine,)}))
    assert found.grade is Grade.PASS
    told = next(one.observed for one in found.verdict.findings if one.objective == TOGETHER)
    assert told == "the last 19 ms late; clocks known to within 49 ms"


def test_a_run_on_one_machine_says_nothing_of_pods(tmp_path: Path) -> None:
    found = judged(tmp_path, clean())
    assert all(one.objective != TOGETHER for one in found.verdict.findings)


@pytest.mark.parametrize(
    ("synthetic", "record", "says"),
    [
        (
            clean(),
            {"worker_clocks": (clock(late_ns=21 * MS),)},
            "1 of 1 worker began over 20 ms late, the last 21 ms: worker 0 (pod load-0 on node node-0)",
        ),
        (
            clean(),
            {"worker_clocks": (clock(uncertainty_ns=51 * MS),)},
            "the clock of worker 0 (pod load-0 on node node-0) is known to within 51 ms only",
        ),
        (
            clean(),
            {"workers": 2, "workers_lost": (1,), "worker_clocks": (clock(), clock(1))},
            "1 of 2 workers was lost (number 1 (pod load-1 on node node-1)); what it wrote until then is kept",
        ),
        (
            clean(lag_p99=0.08),
            {"worker_clocks": (clock(),)},
            "saturated: p99 over 50 ms in 100 % of worker 0's seconds (pod load-0 on node node-0)",
        ),
    ],
)
def test_a_pod_that_withholds_the_pass_is_named_with_its_node(
    tmp_path: Path, synthetic: SyntheticRun, record: dict[str, Any], says: str
) -> None:
    synthetic.record = record
    found = judged(tmp_path, synthetic)
    assert found.grade is Grade.INCONCLUSIVE
    assert any(says in point for point in open_points(found)), open_points(found)


def test_a_late_pod_erases_no_lost_request(tmp_path: Path) -> None:
    record = {"worker_clocks": (clock(late_ns=500 * MS),)}
    assert judged(tmp_path, SyntheticRun.rolling(names_pods=False, record=record)).grade is Grade.FAIL
