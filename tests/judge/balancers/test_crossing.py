"""A request that crosses the closing of a connection breaks as one in flight does: then both are named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from harness.clock import NS
from harness.judge.causes.context import LONG_NS
from harness.judge.causes.matching import Match
from harness.judge.causes.rules import RULES
from harness.judge.causes.told import rules_of
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


def test_a_request_of_just_the_length_that_counts_as_long_was_in_flight(tmp_path: Path) -> None:
    assert set(by_ids(broken_at_the_end(tmp_path, ends=1, took=LONG_NS / NS))) == {("B2",)}


def test_name_fix_and_evidence_speak_of_both_causes(tmp_path: Path) -> None:
    """No other request was lost: no rule but that of B2 fits any."""
    (cause,) = broken_at_the_end(tmp_path, ends=1, took=0.15).causes
    assert cause.ids == ("B1", "B2")
    assert cause.name == (
        "the app does not drain: it exits with requests in flight,"
        " or no preStop: pods stopped listening while requests still came"
    )
    assert any(line.startswith("graceful shutdown in the app") for line in cause.mend)
    assert any(line.startswith("spec.template.spec.containers[web].lifecycle.preStop") for line in cause.mend)
    assert any("cut none" in line for line in cause.evidence)


def test_what_was_in_flight_for_certain_is_not_said_to_have_crossed_anything(tmp_path: Path) -> None:
    (cause,) = broken_at_the_end(tmp_path, ends=3, took=0.05).causes
    assert "no preStop" not in cause.name
    assert not any("cut none" in line for line in cause.evidence)


def test_a_published_service_is_named_by_what_it_does_to_pods_that_end() -> None:
    """Two rows of the table have the id C19; the other one is of pods that start."""
    found = Match({(_row("B2"), 0): np.ones(1, dtype=bool)}, np.zeros(1, dtype=np.int64))
    rules, crossed = rules_of(("C19", "B2"), np.ones(1, dtype=bool), found)
    assert crossed
    assert [(rule.id, rule.side) for _, rule in rules] == [("C19", "stop"), ("B2", "stop")]


def _row(name: str) -> int:
    return next(row for row, rule in enumerate(RULES) if rule.id == name)
