"""A request that crosses the closing of a connection breaks as one in flight does: then both are named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.judge.balancers import answers as say
from tests.judge.balancers.behind import by_ids, judged, lost
from tests.judge.synthetic import SyntheticRun

if TYPE_CHECKING:
    from pathlib import Path

    from harness.judge.verdict.judgement import Judgement


def broken_at_the_end(tmp_path: Path, *, ends: int, took: float) -> Judgement:
    """Three pods without a preStop; at the ends of so many of them two requests break that began just before."""
    synthetic = SyntheticRun.rolling(3, concurrency=40, work=0.1)
    rows: list[dict[str, Any]] = [row for row in synthetic.hits() if row["status"] == 200]
    for pod in [one for one in synthetic.pods if one.deleted is not None][:ends]:
        assert pod.deleted is not None
        rows += [lost(pod.deleted + 0.03, say.nginx(502), took=took) for _ in range(2)]
    return judged(tmp_path, synthetic, sorted(rows, key=lambda row: row["done_ns"]))


def test_where_other_pods_cut_nothing_a_short_request_may_have_crossed_the_closing(tmp_path: Path) -> None:
    assert set(by_ids(broken_at_the_end(tmp_path, ends=1, took=0.05))) == {("B1", "B2")}


def test_where_every_end_cuts_requests_the_app_does_not_drain(tmp_path: Path) -> None:
    assert set(by_ids(broken_at_the_end(tmp_path, ends=3, took=0.05))) == {("B2",)}


def test_a_request_that_took_long_was_in_flight(tmp_path: Path) -> None:
    assert set(by_ids(broken_at_the_end(tmp_path, ends=1, took=0.5))) == {("B2",)}
