"""Good answers and missing ones: there is no PASS without the first, or with too many of the second."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.judge.findings.finding import ANSWERED
from harness.judge.numbers.usual import NOISE_NS, late
from harness.judge.verdict.judgement import judge
from harness.model import NEVER, Grade, Mark, MarkAt, Outcome
from harness.recording.read import Recording
from tests.judge.synthetic import TRIGGER, S, SyntheticRun, write_hits
from tests.judge.test_rollouts import series

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.judge.verdict.judgement import Judgement

Rows = list[dict[str, Any]]


def clean(**rest: Any) -> SyntheticRun:
    return SyntheticRun.rolling(prestop=4, grace=20, **rest)


def judged(root: Path, synthetic: SyntheticRun, change: Callable[[Rows], Rows] = list) -> Judgement:
    path = synthetic.write(root)
    write_hits(path / "hits" / "0.arrow", change(synthetic.hits()))
    health = path / "generator.jsonl"  # counts nothing, for there are other hits now than were simulated
    samples = [json.loads(line) | {"completed": 0} for line in health.read_text().splitlines()]
    health.write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    return judge(Recording.open(path))


def said(found: Judgement, objective: str) -> tuple[Grade, str]:
    """A finding's grade and text; a missing finding counts as PASS."""
    findings = found.verdict.findings
    return next(((f.grade, f.observed) for f in findings if f.objective == objective), (Grade.PASS, ""))


# --- good answers in every phase


def failing(from_s: float, to_s: float) -> Callable[[Rows], Rows]:
    """All requests that end between two moments, counted from the trigger, get an error."""

    def change(rows: Rows) -> Rows:
        span = range(round((TRIGGER + from_s) * S), round((TRIGGER + to_s) * S))
        return [row | {"status": 503, "pod": ""} if row["done_ns"] in span else row for row in rows]

    return change


@pytest.mark.parametrize(
    "scenario",
    [{}, {"objectives": ["failed < 1000000"]}, {"objectives": ["failed_share <= 100%"]},
     {"fail_on": ["lost > 1000000"]}],
    ids=str,
)  # fmt: skip
def test_a_service_without_good_answers_never_passes(tmp_path: Path, scenario: dict[str, Any]) -> None:
    record = {"max_baseline_failures": 1.0, "scenario": scenario}
    found = judged(tmp_path, clean(record=record), failing(-TRIGGER, 99))
    assert found.grade is Grade.INCONCLUSIVE
    grade, observed = said(found, ANSWERED)
    assert grade is Grade.INCONCLUSIVE
    assert "no good answer before the trigger (10 s, all " in observed
    assert "no good answer during the rollout" in observed


@pytest.mark.parametrize("phase", ["before", "during", "after"])
def test_each_phase_needs_good_answers_whatever_may_fail(tmp_path: Path, phase: str) -> None:
    rolled = clean().rolled
    span = {"before": (-TRIGGER, 0.0), "during": (0.0, rolled), "after": (rolled, 99.0)}[phase]
    record = {"max_baseline_failures": 1.0, "scenario": {"objectives": ["failed < 1000000"]}}
    found = judged(tmp_path, clean(record=record), failing(*span))
    assert found.grade is Grade.INCONCLUSIVE
    assert f"no good answer {phase}" in said(found, ANSWERED)[1]


def test_a_plain_load_test_without_a_good_answer_does_not_pass(tmp_path: Path) -> None:
    kept = tuple(
        m for m in clean().run().marks if m.mark in {Mark.LOAD_START, Mark.WARMUP_END, Mark.LOAD_END}
    )
    record: dict[str, Any] = {
        "rollout_wanted": False, "cluster": None, "rollout": None, "path": None, "ended_by": "duration",
        "marks": kept, "scenario": {"objectives": ["failed < 1000000"]},
    }  # fmt: skip
    found = judged(tmp_path / "bad", clean(record=record), failing(-TRIGGER, 99))
    assert found.grade is Grade.INCONCLUSIVE
    assert "no good answer in the whole run" in found.verdict.headline
    assert judged(tmp_path / "good", clean(record=record)).grade is Grade.PASS


def test_each_of_several_rollouts_needs_good_answers(tmp_path: Path) -> None:
    allowed = {"max_baseline_failures": 1.0, "scenario": {"objectives": ["failed_share < 99%"]}}
    found = judge(Recording.open(series(tmp_path, clean(), clean(noise=1.0, record=allowed))))
    assert found.grade is Grade.INCONCLUSIVE
    assert "rollout 2: no good answer before the trigger" in said(found, ANSWERED)[1]


def test_a_phase_that_is_shorter_than_one_request_needs_no_answer_of_its_own(tmp_path: Path) -> None:
    """A slow service and no time to settle: the requests of the last moment are answered in the drain."""
    slow = clean(concurrency=1, work=0.9, settle=0.05)
    end = round((TRIGGER + slow.rolled) * S)
    found = judged(tmp_path, slow, lambda rows: [row for row in rows if row["done_ns"] < end])
    assert found.numbers.parts[-1].name == "after"
    assert found.numbers.parts[-1].requests == 0
    assert found.grade is Grade.PASS


@pytest.mark.parametrize(
    ("lasts", "grade"), [(0.4, Grade.PASS), (3.0, Grade.INCONCLUSIVE)], ids=["short", "long"]
)
def test_a_rollout_in_which_no_request_ended_is_fine_only_if_it_was_short(
    tmp_path: Path, lasts: float, grade: Grade
) -> None:
    begin, end = TRIGGER * S, round((TRIGGER + lasts) * S)
    marks = [
        MarkAt(m.mark, end) if m.mark in {Mark.OLD_PODS_GONE, Mark.ENDPOINTS_SETTLED} else m
        for m in clean().run().marks
    ]
    found = judged(
        tmp_path,
        clean(concurrency=2, work=0.9, record={"marks": tuple(marks)}),
        lambda rows: [row for row in rows if not begin <= row["done_ns"] <= end],
    )
    assert said(found, ANSWERED)[0] is grade


# --- requests that are still out at the end


def cut_off(rows: Rows, end_s: float, drain_s: float) -> Rows:
    """End load and drain: requests sent later do not exist, those that end later are in flight."""
    end, cut = round((TRIGGER + end_s) * S), round((TRIGGER + end_s + drain_s) * S)
    out = {"done_ns": cut, "outcome": Outcome.CUT_AT_DEADLINE, "status": 0, "first_byte_ns": NEVER, "pod": ""}
    return [row | out if row["done_ns"] > cut else row for row in rows if row["due_ns"] < end]


def hanging(synthetic: SyntheticRun, slots: int, for_s: float, drain_s: float) -> Callable[[Rows], Rows]:
    """This many slots get no answer to what they send in the last moments of the load."""

    def change(rows: Rows) -> Rows:
        since = round((TRIGGER + synthetic.ended - for_s) * S)
        kept = [row for row in rows if row["slot"] >= slots or row["done_ns"] < since]
        last = {row["slot"]: row for row in kept if row["slot"] < slots}
        hung = [
            row | {"due_ns": row["done_ns"], "sent_ns": row["done_ns"], "done_ns": 99 * S}
            for row in last.values()
        ]
        return sorted(cut_off([*kept, *hung], synthetic.ended, drain_s), key=lambda row: row["done_ns"])  # fmt: skip

    return change


@pytest.mark.parametrize("drain", [0.0, 1.0, 4.9])
@pytest.mark.parametrize("slots", [10, 5, 1])
def test_requests_that_hang_longer_than_any_before_withhold_a_pass(
    tmp_path: Path, drain: float, slots: int
) -> None:
    synthetic = clean(slow=0.4)
    found = judged(tmp_path, synthetic, hanging(synthetic, slots, 1.5, drain))
    assert found.numbers.cut >= slots
    assert found.grade is Grade.INCONCLUSIVE
    assert "still out when the load was over" in found.verdict.headline
    assert "before that, no good answer took over 400 ms" in found.verdict.headline


def test_half_of_all_slots_need_not_hang_for_twice_as_long_as_anything_before(tmp_path: Path) -> None:
    synthetic = clean(slow=1.0)
    assert judged(tmp_path / "5", synthetic, hanging(synthetic, 5, 1.5, 0.1)).grade is Grade.INCONCLUSIVE
    # One of ten may just be the slowest so far.
    assert judged(tmp_path / "1", synthetic, hanging(synthetic, 1, 1.5, 0.1)).grade is Grade.PASS
    assert judged(tmp_path / "2", synthetic, hanging(synthetic, 1, 2.5, 0.1)).grade is Grade.INCONCLUSIVE


def test_a_request_delayed_by_the_rollout_does_not_define_what_is_usual(tmp_path: Path) -> None:
    """It was sent before the trigger and answered well 4 s after it."""
    synthetic = clean()

    def change(rows: Rows) -> Rows:
        early = max((row for row in rows if row["done_ns"] < TRIGGER * S), key=lambda row: row["done_ns"])
        early["done_ns"] = round((TRIGGER + 4) * S)
        return hanging(synthetic, 10, 1.5, 1.0)(sorted(rows, key=lambda row: row["done_ns"]))

    assert judged(tmp_path, synthetic, change).grade is Grade.INCONCLUSIVE


@pytest.mark.parametrize("drain", [0.0, 0.05])
@pytest.mark.parametrize("service", ["steady", "slow now and then", "exponential", "lognormal"])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_clean_run_with_usual_requests_in_flight_at_its_end_passes(
    tmp_path: Path, drain: float, service: str, seed: int
) -> None:
    synthetic = clean(slow=0.4 if service == "slow now and then" else 0.0, seed=seed)
    chance = np.random.default_rng(seed)

    def change(rows: Rows) -> Rows:
        if service in {"steady", "slow now and then"}:
            return cut_off(rows, synthetic.ended, drain)
        slots: dict[int, int] = {}
        for row in sorted(
            rows, key=lambda row: row["due_ns"]
        ):  # each slot sends its next request when one ends
            draw = chance.exponential(0.08) if service == "exponential" else chance.lognormal(-3.2, 0.8)
            row["due_ns"] = row["sent_ns"] = slots.get(row["slot"], row["due_ns"])
            slots[row["slot"]] = row["done_ns"] = row["due_ns"] + round(draw * S)
            row |= {"first_byte_ns": row["done_ns"], "pod": ""}  # it may be sent later than its pod lived
        return sorted(cut_off(rows, synthetic.ended, drain), key=lambda row: row["done_ns"])

    found = judged(tmp_path, synthetic, change)
    out = [f for f in found.verdict.findings if f.objective == "no request is still out at the end"]
    assert found.grade is Grade.PASS, (found.verdict.headline, out)
    if not drain:
        assert found.numbers.cut == 10


@pytest.mark.parametrize(
    ("draw", "most"),
    [
        (lambda chance, n: 0.8 + 0.4 * chance.random(n), 0.0),
        (lambda chance, n: chance.exponential(1, n), 0.01),
        (lambda chance, n: chance.lognormal(0, 1, n), 0.01),
        (lambda chance, n: np.where(chance.random(n) < 0.02, 10, 1) * (0.8 + 0.4 * chance.random(n)), 0.01),
    ],
    ids=["steady", "exponential", "lognormal", "2 % take ten times as long"],
)
@pytest.mark.parametrize(("slots", "before"), [(10, 2_500), (50, 12_500), (2, 500)])
def test_a_request_is_late_by_chance_in_fewer_than_one_clean_run_of_a_hundred(
    draw: Callable[[np.random.Generator, int], Any], most: float, slots: int, before: int
) -> None:
    """Without a drain. At any moment, mostly long requests are in flight, because they last longer."""
    chance = np.random.default_rng(1)
    pool = draw(chance, 50_000)
    wrong = 0
    for _ in range(1_000):
        usual = draw(chance, before).max()
        ages = chance.choice(pool, slots, p=pool / pool.sum()) * chance.random(slots)
        wrong += bool(late((ages * S).astype(np.int64), round(usual * S), slots))
    assert wrong <= 1_000 * most


def test_requests_that_the_load_host_may_have_delayed_are_not_late() -> None:
    ages = np.full(10, NOISE_NS, dtype=np.int64)
    assert late(ages, 1_000_000, 10) == 0
    assert late(ages + 1, 1_000_000, 10) == 10
