"""What the baseline explains is no fault of the rollout's, and hides nothing that is: by table, and by simulation."""

from __future__ import annotations

import bisect
import itertools
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.judge import chance
from harness.judge.numbers.excess import Stretch, excesses_of
from harness.judge.verdict.judgement import Judgement, judge
from harness.model import Grade, Outcome
from harness.recording.read import Recording
from tests.judge.synthetic import TRIGGER, S, SyntheticRun, write_hits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    Process = Callable[[np.random.Generator, float, float], NDArray[np.float64]]

RESET = Outcome.RESET_BEFORE_RESPONSE
PASS, FAIL, OPEN = Grade.PASS, Grade.FAIL, Grade.INCONCLUSIVE


def fail(rows: list[dict[str, Any]], moments: Iterable[float], how: str = "503") -> None:
    """Turn the good rows that end next after each moment (seconds from the trigger) into failures."""
    ends = [row["done_ns"] for row in rows]
    for moment in moments:
        index = bisect.bisect_left(ends, round((TRIGGER + moment) * S))
        while index < len(rows) - 1 and (
            rows[index]["status"] != 200 or rows[index]["outcome"] is not Outcome.RESPONSE
        ):
            index += 1
        broken = {"status": 0, "outcome": how, "first_byte_ns": -1}
        change = broken if isinstance(how, Outcome) else {"status": int(how)}
        rows[index] |= change | {"pod": ""}


def judged(tmp_path: Path, synthetic: SyntheticRun, *failures: tuple[Iterable[float], str]) -> Judgement:
    rows = synthetic.hits()
    for moments, how in failures:
        fail(rows, moments, how)
    directory = synthetic.write(tmp_path)
    write_hits(directory / "hits" / "0.arrow", rows)
    return judge(Recording.open(directory))


def clean(**rest: Any) -> SyntheticRun:
    # 50 slots and 40 ms of work: about 1,200 requests/s, 12,000 in the baseline.
    return SyntheticRun.rolling(
        prestop=4, grace=20, concurrency=50, **{"record": {"max_baseline_failures": 0.01}, **rest}
    )


def spread(n: int, from_s: float, to_s: float) -> list[float]:
    return [from_s + (index + 0.5) * (to_s - from_s) / n for index in range(n)]


def burst(n: int, at_s: float, length_s: float = 0.07) -> list[float]:
    return spread(n, at_s, at_s + length_s)


BEFORE = (-9.9, -0.1)
BASELINES: dict[str, list[float]] = {
    "none": [],
    "one": [-5.0],
    "1 of 10,000": [],  # by SyntheticRun's own noise
    "1 of 1,000": spread(12, *BEFORE),
    "bursts of 4": [moment for at_s in (-9.0, -6.0, -3.0) for moment in burst(4, at_s)],
}
# How many of the same kind fail during the rollout, in what shape, and the verdict on it by baseline.
LOSSES: dict[str, tuple[list[float], dict[str, Grade]]] = {
    "nothing": ([], {"none": PASS, "one": PASS, "1 of 1,000": PASS, "bursts of 4": PASS}),
    "1": ([2.0], {"none": FAIL, "one": PASS, "1 of 1,000": PASS, "bursts of 4": PASS}),
    "5 in a burst": (burst(5, 2.0), {"none": FAIL, "one": OPEN, "1 of 1,000": FAIL, "bursts of 4": PASS}),
    "5 spread": (spread(5, 0.5, 9.5), {"none": FAIL, "one": PASS, "1 of 1,000": PASS, "bursts of 4": PASS}),
    "20 in a burst": (burst(20, 2.0), {"none": FAIL, "one": FAIL, "1 of 1,000": FAIL, "bursts of 4": OPEN}),
    "50 in a burst": (burst(50, 2.0), {"none": FAIL, "one": FAIL, "1 of 1,000": FAIL, "bursts of 4": OPEN}),
    "50 spread": (spread(50, 0.2, 15.2), {"none": FAIL, "one": FAIL, "1 of 1,000": FAIL, "bursts of 4": FAIL}),
}  # fmt: skip


@pytest.mark.parametrize("settle", [5.0, 40.0])
@pytest.mark.parametrize(
    ("baseline", "losses"),
    [(b, name) for name, (_, wanted) in LOSSES.items() for b in wanted],
)
def test_a_baseline_hides_no_loss_whatever_the_length_of_the_run(
    tmp_path: Path, baseline: str, losses: str, settle: float
) -> None:
    moments, wanted = LOSSES[losses]
    found = judged(tmp_path, clean(settle=settle), (BASELINES[baseline], "503"), (moments, "503"))
    assert found.grade is wanted[baseline], found.verdict.headline


@pytest.mark.parametrize("n", [1, 5, 20])
def test_a_kind_that_never_failed_before_counts_whatever_else_did(tmp_path: Path, n: int) -> None:
    """Shown in a review: one 503 before the trigger, 20 resets within 70 ms of the first deletion, PASS."""
    found = judged(tmp_path, clean(), ([-5.0], "503"), (burst(n, 2.0), RESET))
    assert found.grade is FAIL
    assert found.verdict.lost == n


def test_60_resets_in_a_quarter_of_a_second_fail_a_run_that_settles_for_minutes(tmp_path: Path) -> None:
    found = judged(tmp_path, clean(settle=120.0), ([-5.0], RESET), (burst(60, 2.0, 0.24), RESET))
    assert found.grade is FAIL
    assert found.verdict.lost in range(58, 61)


def test_ways_in_which_one_thing_shows_on_the_wire_are_one_kind(tmp_path: Path) -> None:
    found = judged(tmp_path, clean(), (spread(6, *BEFORE), RESET), ([2.0], Outcome.EOF_BEFORE_RESPONSE))
    assert found.grade is PASS


def test_the_whole_baseline_counts_not_its_last_part(tmp_path: Path) -> None:
    """A rollout of 8 s after 40 s of baseline: what failed 30 s before the trigger is background too."""
    early = clean(before=40.0)
    moments = spread(12, -9.9, -5.5)  # none of them in a window as long as the rollout but for the whole
    assert judged(tmp_path, early, (moments, "503"), (spread(3, 0.5, 8.0), "503")).grade is PASS


def test_the_finding_says_what_was_subtracted_and_why(tmp_path: Path) -> None:
    found = judged(tmp_path, clean(), (spread(12, *BEFORE), "503"), (spread(9, 0.5, 9.5), "503"))
    observed = found.verdict.findings[0].observed
    assert "503: 9 since, 12 of 1" in observed
    assert "no more than chance: all subtracted" in observed
    more = judged(tmp_path, clean(), (spread(12, *BEFORE), "503"), (burst(30, 2.0), "503"))
    observed = more.verdict.findings[0].observed
    assert "within 100 ms at +2.0 s" in observed
    assert "expected, p = " in observed
    assert more.verdict.lost in range(28, 31)


def test_what_is_too_little_to_tell_says_how_to_tell(tmp_path: Path) -> None:
    found = judged(tmp_path, clean(), ([-5.0], "503"), (burst(5, 2.0), "503"))
    assert found.grade is OPEN
    assert "make it longer (--trigger-after)" in found.verdict.headline


def test_background_gets_no_cause_and_what_is_beyond_it_does(tmp_path: Path) -> None:
    found = judged(
        tmp_path, clean(), (spread(12, *BEFORE), "503"), (spread(4, 8.0, 12.0) + burst(30, 2.0), "503")
    )
    hits = Counter({cause.ids: cause.hits for cause in found.causes})
    assert hits["not the rollout",] == 4
    assert sum(n for ids, n in hits.items() if ids != ("not the rollout",)) == 30


def test_failures_at_a_pod_that_ends_are_not_background(tmp_path: Path) -> None:
    """Connections go straight to pods: one reset before, and two when a pod exits, each at that pod."""
    run = SyntheticRun.rolling(2, direct=True, concurrency=4, work=0.2, settle=60.0)
    found = judged(tmp_path, run, ([-5.0], RESET))
    assert found.grade is not PASS
    assert any(cause.the_rollouts for cause in found.causes)


# --- how often a clean rollout is accused, by simulation ---------------------------------------------------------


def singles(per_s: float) -> Process:
    return lambda rng, a, b: np.sort(rng.uniform(a, b, rng.poisson(per_s * (b - a))))


def bursts(every_s: float, size: float, length_s: float) -> Process:
    """Make bursts at random moments, of geometric sizes."""

    def make(rng: np.random.Generator, a: float, b: float) -> NDArray[np.float64]:
        starts = rng.uniform(a, b, rng.poisson((b - a) / every_s))
        points = [start + rng.uniform(0, length_s, rng.geometric(1 / size)) for start in starts]
        every = np.sort(np.concatenate([*points, np.zeros(0)]))
        return every[every < b]

    return make


def look_at(rng: np.random.Generator, process: Process, lengths: tuple[float, float, float]) -> Grade | None:
    """Judge one clean rollout by what goes beyond the baseline; None where nothing failed in the baseline."""
    before, during, after = lengths
    points = process(rng, -before, during + after)
    edges = (-before, 0.0, during, during + after)
    parts = [
        Stretch(
            round(a * S),
            round(b * S),
            round((b - a) * 1000),
            (points[(points >= a) & (points < b)] * S).astype(np.int64),
        )
        for a, b in itertools.pairwise(edges)
    ]
    if not len(parts[0]):
        return None
    excesses = excesses_of("503", parts[0], {"during": parts[1], "after": parts[2]})
    return FAIL if any(one.sure for one in excesses) else OPEN if excesses else PASS


@pytest.mark.parametrize("lengths", [(18.0, 12.0, 8.0), (58.0, 20.0, 300.0), (300.0, 60.0, 30.0)])
@pytest.mark.parametrize(
    ("process", "open_share"),
    [
        (singles(0.02), 0.01),
        (singles(0.4), 0.01),
        (singles(4.0), 0.01),
        (bursts(10, 5, 0.05), 0.25),
        (
            bursts(40, 5, 0.05),
            0.4,
        ),  # a baseline of a minute shows one or two of these, which says little of their size
        (bursts(15, 10, 2.0), 0.4),
    ],
    ids=["rare", "1 in 10,000 of 4,000/s", "1 in 1,000 of 4,000/s", "bursts", "rare bursts", "long bursts"],
)
def test_a_clean_rollout_with_a_dirty_baseline_is_accused_in_one_of_a_hundred_at_most(
    process: Process, open_share: float, lengths: tuple[float, float, float]
) -> None:
    rng = np.random.default_rng(20261130)
    grades = Counter[Grade]()
    while grades.total() < 300:
        grade = look_at(rng, process, lengths)
        if grade is not None:
            grades[grade] += 1
    # 1 % of 300 is 3; 9 or more would come in one of two hundred such tests if the true share were 1 %.
    assert grades[FAIL] < 9
    assert grades[OPEN] <= 300 * open_share + 8


def test_the_tests_are_those_of_the_textbook() -> None:
    assert chance.share_p(5, 1, 0, 1) == pytest.approx(0.5**5)
    assert chance.share_p(3, 1, 2, 3) == pytest.approx(106 / 1024)  # 3 or more of 5 at odds of 1 in 4
    assert chance.share_p(0, 1, 5, 1) == 1.0
    # Naus 1965: for two points the scan statistic is exact, 1 - (1 - w)^2.
    assert chance.burst_p(2, 2, 0.01) == pytest.approx(1 - 0.99**2, rel=0.02)
    assert chance.burst_p(1, 9, 0.1) == 1.0
    assert chance.larger_burst_p(1, [1], 3) == 1.0
    # Beta(1/4, 1) and one burst of 1: the chance of 2 or more is (1/4) / (1/4 + 2).
    assert chance.larger_burst_p(2, [1], 1) == pytest.approx(1 / 9)
    assert chance.larger_burst_p(20, [1] * 50, 5) < 1e-6
    assert chance.larger_burst_p(6, [5, 7, 6], 3) > 0.5


def test_the_scan_statistic_is_that_of_points_thrown_at_random() -> None:
    rng = np.random.default_rng(7)
    points = np.sort(rng.uniform(0, 1, (4000, 20)), axis=1)
    largest = np.array(
        [(np.searchsorted(row, row + 0.01, side="right") - np.arange(20)).max() for row in points]
    )
    for size in (3, 4):
        assert chance.burst_p(size, 20, 0.01) == pytest.approx((largest >= size).mean(), rel=0.25)


def test_dispersion_is_one_for_even_failures_and_more_for_bursts() -> None:
    rng = np.random.default_rng(3)
    even = (singles(4.0)(rng, 0, 60) * S).astype(np.int64)
    together = (bursts(5, 8, 0.05)(rng, 0, 60) * S).astype(np.int64)
    assert chance.dispersion([(even, 0, 60 * S)], 5 * S) == 1.0
    assert chance.dispersion([(together, 0, 60 * S)], 5 * S) > 2
