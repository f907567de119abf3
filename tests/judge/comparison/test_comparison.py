"""Two sides, compared: the conclusion, and that it never points the wrong way."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from harness.errors import UsageError
from harness.judge.comparison.comparison import compare
from harness.judge.comparison.record import Comparison, Conclusion, Difference
from harness.judge.comparison.sides import judged_run, side_of
from harness.model import Grade
from harness.recording.read import Recording
from tests.judge.comparison.invented import MS, S, latency, left_out, side, with_each, with_runs
from tests.judge.comparison.significance.known import bursty, ints
from tests.judge.synthetic import SyntheticRun
from tests.judge.test_rollouts import clean, lossy, series

if TYPE_CHECKING:
    from pathlib import Path

    from harness.judge.comparison.sides import LeftOut, Side


def of(comparison: Comparison, measure: str) -> Difference:
    return next(one for one in comparison.differences if one.measure == measure)


def test_fewer_lost_requests_beyond_chance_are_better_and_more_are_worse() -> None:
    bad, good = [60, 80, 40, 90, 70], [0, 2, 0, 1, 0]
    better = compare(side("before", bad), side("after", good))
    worse = compare(side("before", good), side("after", bad))
    assert better.conclusion is Conclusion.BETTER
    assert worse.conclusion is Conclusion.WORSE
    assert better.sentence == "Better: AFTER loses fewer requests, 68.0 a rollout before, 0.6 after."
    assert worse.sentence == "Worse: AFTER loses more requests, 0.6 a rollout before, 68.0 after."
    assert better.evidence[0].startswith(
        "Lost requests: p = 0.0079 (permutation of rollouts; 5 rollouts against 5)"
    )
    assert (
        better.evidence[1] == "Rollouts that lost requests: 5 of 5 before, 2 of 5 after (p = 0.17, Fisher)."
    )


def test_whatever_is_lost_better_is_never_said_where_more_is_lost() -> None:
    rng = np.random.default_rng(3)
    said = set()
    for _ in range(40):
        means = rng.choice([0, 1, 5, 40], 2)
        sides = [ints(bursty(rng, mean, rng.choice([0.2, 1, 10]), (6,))) for mean in means]
        found = compare(side("before", sides[0]), side("after", sides[1])).conclusion
        said.add(found)
        more = sum(sides[1]) - sum(sides[0])
        assert found is not Conclusion.BETTER or more < 0
        assert found is not Conclusion.WORSE or more > 0
    assert {Conclusion.BETTER, Conclusion.WORSE, Conclusion.CANNOT_TELL} <= said


def test_exchanging_the_sides_turns_the_conclusion_round() -> None:
    rng = np.random.default_rng(4)
    turned = {Conclusion.BETTER: Conclusion.WORSE, Conclusion.WORSE: Conclusion.BETTER}
    for _ in range(40):
        one, two = (ints(bursty(rng, mean, 1.0, (6,))) for mean in rng.choice([0, 5, 40], 2))
        there, back = (compare(side("before", a), side("after", b)) for a, b in ((one, two), (two, one)))
        assert of(there, "lost").p == pytest.approx(of(back, "lost").p)
        if there.conclusion in turned:
            assert back.conclusion is turned[there.conclusion]


def test_three_rollouts_against_three_can_never_tell_and_it_says_how_many_would_and_how_long() -> None:
    found = compare(side("before", [60, 80, 70]), side("after", [0, 0, 0]))
    assert found.conclusion is Conclusion.CANNOT_TELL
    assert found.sentence == (
        "Cannot tell: 70.0 a rollout before, 0.0 after, which may be chance; 3 against 3 can never tell (least possible"
        " p = 0.10); 2 more rollouts per side would, about 6 minutes, if the sides really differ as much as here (power"
        " 80%)."
    )
    assert found.more is not None
    assert (found.more.rollouts, found.more.length_ns) == (2, 4 * 90 * S)


def test_too_few_rollouts_do_not_foretell_that_no_number_would_tell() -> None:
    found = compare(side("before", [456, 578]), side("after", [320, 334]))
    assert "2 against 2 can never tell" in found.sentence
    assert found.sentence.endswith("make 6 rollouts on each side, and compare again.")
    assert "100" not in found.sentence


def test_sides_that_differ_as_bursts_do_cannot_be_told_apart() -> None:
    found = compare(side("before", [0, 9, 0, 1, 30, 2]), side("after", [4, 0, 0, 22, 0, 1]))
    assert found.conclusion is Conclusion.CANNOT_TELL
    assert "which may be chance" in found.sentence
    assert "not even 100 rollouts per side would show so small a difference" in found.sentence


def test_two_clean_sides_are_no_proof_until_there_are_enough_clean_rollouts() -> None:
    few = compare(side("before", [0] * 6), side("after", [0] * 6))
    assert few.conclusion is Conclusion.CANNOT_TELL
    assert few.sentence == (
        "Cannot tell: no rollout lost a request, 6 before and 6 after, and up to 39% of rollouts as in AFTER may still"
        " lose some (95 %); 23 more clean rollouts of AFTER would make it 10%, about 34 minutes."
    )
    many = compare(side("before", [0] * 6), side("after", [0] * 29))
    assert many.conclusion is Conclusion.NO_WORSE
    assert "at most 10% of rollouts as in AFTER lose any" in many.sentence


def test_a_small_bound_on_what_more_is_lost_is_no_worse_by_more_than_that() -> None:
    steady = [100, 104, 96, 101, 99, 103, 97, 100]
    found = compare(side("before", steady), side("after", [one + 1 for one in steady]))
    assert found.conclusion is Conclusion.NO_WORSE
    assert found.bound is not None
    assert 1 < found.bound < 10
    assert found.sentence.startswith("No worse by more than ")
    before, after = side("before", [9, 300, 20, 80, 1, 7]), side("after", [10, 250, 2, 100, 4, 9])
    assert compare(before, after).conclusion is Conclusion.CANNOT_TELL
    assert compare(before, after, margin=500).conclusion is Conclusion.NO_WORSE


def test_clean_rollouts_or_few_bear_no_bound() -> None:
    """AFTER lost nothing in three rollouts of which the fourth may lose hundreds."""
    assert compare(side("before", [60, 0, 70]), side("after", [0, 0, 0])).conclusion is Conclusion.CANNOT_TELL
    found = compare(side("before", [60, 0, 0, 0, 0, 5]), side("after", [0] * 6), margin=1000)
    assert found.conclusion is Conclusion.CANNOT_TELL


def test_no_worse_is_said_of_what_is_worse_by_more_at_most_as_often_as_stated() -> None:
    rng = np.random.default_rng(6)
    for k in (2.0, 20.0):
        wrong = sum(
            compare(
                side("before", ints(bursty(rng, 100, k, (8,)))),
                side("after", ints(bursty(rng, 135, k, (8,)))),
            ).conclusion
            is Conclusion.NO_WORSE
            for _ in range(30)
        )
        assert wrong <= 5  # of 30: 2, and room for chance


def test_where_few_are_lost_but_outages_grew_it_does_not_say_better() -> None:
    before, after = side("before", [60, 80, 70, 90, 75]), side("after", [6, 8, 7, 9, 7])
    longer = replace(
        after, rollouts=tuple(replace(one, outage_ns=(60 + at) * S) for at, one in enumerate(after.rollouts))
    )
    found = compare(before, longer)
    assert found.conclusion is Conclusion.CANNOT_TELL
    assert "but longest outage grew beyond chance" in found.sentence
    assert compare(longer, before).conclusion is Conclusion.WORSE


def test_a_lower_rate_that_loses_fewer_is_not_better() -> None:
    before, after = side("before", [60, 64, 62, 66, 61]), side("after", [30, 32, 31, 33, 30])
    assert compare(before, after).conclusion is Conclusion.BETTER
    slower = compare(before, with_each(after, rate_before=200.0))
    assert slower.conclusion is Conclusion.CANNOT_TELL
    assert any("counts only if it is beyond chance at equal rates" in text for text in slower.warnings)
    still = compare(before, with_each(side("after", [1, 2, 0, 1, 1]), rate_before=200.0))
    assert still.conclusion is Conclusion.BETTER


def test_a_lower_rate_bears_no_bound_on_what_more_is_lost() -> None:
    """At equal rates AFTER loses more: 64 a rollout, not 35."""
    before = with_each(side("before", [50, 52, 48, 51, 49, 50]), rate_before=100.0)
    after = with_each(side("after", [35, 36, 34, 35, 36, 34]), rate_before=55.0)
    found = compare(before, after)
    assert found.conclusion is Conclusion.CANNOT_TELL
    assert found.sentence == (
        "Cannot tell: 50.0 a rollout before, 35.0 after, at different request rates; "
        "compare runs at the same rate."
    )
    same = with_each(side("after", [50, 51, 49, 50, 51, 49]), rate_before=130.0)
    assert compare(before, same).conclusion is Conclusion.NO_WORSE, "a higher rate loses more, if anything"


def test_what_else_differs_is_corrected_for_being_one_of_several() -> None:
    before, after = side("before", [0] * 6), side("after", [0] * 6)
    slow = with_each(after, during=latency(60), settled_ns=40 * S)
    found = compare(before, slow)
    assert found.conclusion is Conclusion.CANNOT_TELL, "slower is not lossier"
    assert of(found, "p99").direction == of(found, "rollout").direction == 1
    corrected = of(found, "p99").corrected_p
    assert corrected is not None
    assert corrected > 2 * (of(found, "p99").p or 0)
    assert [text.partition(":")[0] for text in found.also] == [
        "p50 during the rollout", "p95 during the rollout", "p99 during the rollout", "rollout to the end",
    ]  # fmt: skip
    assert of(found, "lost").corrected_p is None


def test_a_reach_that_is_only_a_lower_bound_is_not_compared() -> None:
    before = with_each(side("before", [0] * 5), reach_at_least=True)
    found = compare(before, side("after", [0] * 5))
    assert of(found, "reach").p is None
    rows = {row.name: row for row in found.rows}
    assert rows["reach, median"].before == ">= 2.00 s" or rows["reach, median"].before == ">= 2 s"
    assert rows["reach, median"].change == ""


def test_several_runs_a_side_are_told_apart_as_runs() -> None:
    bad, good = [60, 80, 70] * 4, [0, 1, 0] * 4
    found = compare(side("before", bad, runs=4), side("after", good, runs=4))
    assert (found.conclusion, found.unit) == (Conclusion.BETTER, "runs")
    assert "permutation of whole runs" in found.evidence[0]
    night = [0, 0, 0, 90, 80, 95]  # one bad night of two
    found = compare(side("before", night, runs=2), side("after", [0] * 6, runs=2))
    assert found.conclusion is Conclusion.CANNOT_TELL
    assert found.unit == "rollouts, and the means of runs"


def test_blocks_of_an_experiment_are_permuted_within_themselves() -> None:
    def placed(name: str, lost: list[int]) -> Side:
        one = side(name, lost, runs=len(lost))
        return replace(
            one, rollouts=tuple(replace(each, block=at + 1) for at, each in enumerate(one.rollouts))
        )

    found = compare(placed("a.yaml", [9, 50, 7, 90, 30, 12]), placed("b.yaml", [1, 40, 0, 70, 20, 5]))
    assert found.unit == "rollouts within blocks"
    assert of(found, "lost").p == pytest.approx(2 / 2**6)
    assert found.conclusion is Conclusion.BETTER


def test_one_run_a_side_is_told_with_what_it_cannot_rule_out() -> None:
    found = compare(side("before", [60, 80, 70, 90]), side("after", [0] * 4))
    assert found.conclusion is Conclusion.BETTER
    assert found.warnings[0].startswith(
        "each side is one run, so whatever else differed between the two times"
    )


def test_rollouts_that_tell_nothing_are_left_out_and_named() -> None:
    before = side("before", [60, 80, 70, 90], left_out=(left_out("the rollout was not seen to its end"),))
    found = compare(before, side("after", [0] * 4))
    assert found.conclusion is Conclusion.BETTER
    assert "1 rollout of BEFORE is left out: the rollout was not seen to its end" in found.warnings
    assert {row.name: row.before for row in found.rows}["rollouts that count"] == "4 of 5"


def unfinished(lost: int, count: int = 4) -> tuple[LeftOut, ...]:
    return (left_out("the rollout was not seen to its end", lost=lost, settled_ns=None),) * count


def test_a_side_is_not_better_for_leaving_out_rollouts_that_lost_much_and_never_ended() -> None:
    bad, good = [60, 80, 40, 90, 70], [0, 2, 0, 1, 0]
    found = compare(side("before", bad), side("after", good, left_out=unfinished(900)))
    assert found.conclusion is Conclusion.CANNOT_TELL
    assert found.sentence == (
        "Cannot tell: 68.0 a rollout before, 0.6 after, but 4 rollouts of AFTER that were not seen to their end lost "
        "3,600 requests."
    )
    found = compare(side("before", good, left_out=unfinished(900)), side("after", bad))
    assert found.conclusion is Conclusion.CANNOT_TELL
    assert "4 rollouts of BEFORE that were not seen" in found.sentence
    few = compare(side("before", bad), side("after", good, left_out=unfinished(3)))
    assert few.conclusion is Conclusion.BETTER, "they do not turn it round"
    worse = compare(side("before", good), side("after", bad, left_out=unfinished(900)))
    assert worse.conclusion is Conclusion.WORSE


def test_no_worse_takes_into_account_what_unfinished_rollouts_lost() -> None:
    steady = [100, 104, 96, 101, 99, 103, 97, 100]
    found = compare(side("before", steady), side("after", steady, left_out=unfinished(900)))
    assert found.conclusion is Conclusion.CANNOT_TELL
    found = compare(side("before", steady), side("after", steady, left_out=unfinished(100)))
    assert found.conclusion is Conclusion.NO_WORSE
    clean = compare(side("before", [0] * 6), side("after", [0] * 29, left_out=unfinished(1, 1)))
    assert clean.conclusion is Conclusion.CANNOT_TELL
    assert "1 rollout of AFTER that was not seen to its end lost 1 request" in clean.sentence


def test_few_runs_of_several_rollouts_bear_no_bound() -> None:
    """Rollouts of one night are alike, so their spread says nothing of the next night."""
    before = side("before", [100, 101, 99, 100, 103, 104, 102, 103], runs=2)
    after = side("after", [101, 102, 100, 101, 102, 101, 103, 102], runs=2)
    assert compare(before, after).conclusion is Conclusion.CANNOT_TELL


def test_a_lossy_rollout_that_is_in_doubt_counts_and_the_doubt_is_said() -> None:
    before = with_each(side("before", [60, 80, 70, 90]), doubts=("9 of 900 failed before the trigger",))
    found = compare(before, side("after", [0] * 4))
    assert (
        "4 rollouts of BEFORE lost requests and are in doubt besides: 9 of 900 failed before the trigger"
        in found.warnings
    )


def test_a_side_without_runs_or_of_one_inconclusive_run_is_refused() -> None:
    good = side("after", [0] * 4)
    with pytest.raises(UsageError, match="BEFORE has no run"):
        compare(replace(good, name="before", runs=(), rollouts=()), good)
    open_one = with_runs(
        replace(good, name="before", rollouts=()), grade=Grade.INCONCLUSIVE, headline="it never ended"
    )
    with pytest.raises(UsageError, match=r"BEFORE is one run, .*, and it is INCONCLUSIVE \(it never ended\)"):
        compare(open_one, good)
    with pytest.raises(UsageError, match="formats 1 and 2, which cannot be compared"):
        compare(with_runs(side("before", [1, 2, 3, 4]), format=2), good)


def test_a_side_whose_runs_tell_nothing_is_not_comparable() -> None:
    nothing = side("before", [0] * 2, runs=2)
    nothing = replace(nothing, rollouts=(), left_out=(left_out("a watch was blind"),))
    found = compare(nothing, side("after", [0] * 4))
    assert found.conclusion is Conclusion.NOT_COMPARABLE
    assert (
        found.sentence == "Not comparable: BEFORE has no rollout that tells what was lost: a watch was blind."
    )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"loop": "open"}, "some runs are a closed loop and some an open one"),
        ({"strength": 100.0, "load": "100 connections"}, "too far apart to compare what is lost: 50 connections and"),
    ],
)  # fmt: skip
def test_loads_that_make_the_numbers_mean_something_else_are_refused(
    changed: dict[str, object], said: str
) -> None:
    found = compare(side("before", [50] * 5), with_runs(side("after", [0] * 5), **changed))
    assert found.conclusion is Conclusion.NOT_COMPARABLE
    assert said in found.sentence


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"load": "60 connections", "strength": 60.0},
            "the load differs: 50 connections before, 60 connections after",
        ),
        ({"replicas": 5}, "the number of replicas differs: 3 before, 5 after"),
        ({"balancers": ("envoy",)}, "the balancer differs: nginx before, envoy after"),
        ({"cluster": "the lab"}, "the cluster differs: https://one:6443 before, the lab after"),
        (
            {"targets": ("GET http://other/",)},
            "the target differs: GET http://web/ before, GET http://other/ after",
        ),
        ({"version": "0.3.0"}, "the zdtest differs: 0.2.0 before, 0.3.0 after"),
        ({"trigger": "set-image web=2"}, "the trigger differs: restart before, set-image web=2 after"),
        ({"http2": True}, "the protocol differs: HTTP/1.1 before, HTTP/2 after"),
        (
            {"load_from": "inside the cluster"},
            "the place that the load is sent from differs: outside the cluster before, inside the cluster after",
        ),
    ],
)
def test_what_differs_besides_is_said(changed: dict[str, object], said: str) -> None:
    found = compare(side("before", [50] * 5), with_runs(side("after", [0] * 5), **changed))
    assert found.conclusion is Conclusion.BETTER
    assert said in found.warnings


def test_what_is_not_known_is_not_called_different() -> None:
    after = with_runs(side("after", [0] * 5), balancers=(), version="", replicas=0, cluster="")
    assert not [w for w in compare(side("before", [0] * 5), after).warnings if "differs" in w]


def test_two_runs_whose_folders_have_one_name_are_not_called_the_same_run() -> None:
    before, after = side("run", [60, 70, 80, 90]), with_runs(side("run", [0] * 4), began_ns=7)
    assert not any("the same run" in text for text in compare(before, after).warnings)
    assert any("the same run" in text for text in compare(before, before).warnings)


def test_a_late_generator_two_manifests_on_a_side_and_one_run_on_both_are_said() -> None:
    before = with_each(side("before", [50] * 5), generator_lag_ns=90 * MS)
    found = compare(before, side("after", [0] * 5))
    assert any(
        w.startswith("the load generator was late in 1 run of BEFORE (p99 up to 90 ms")
        for w in found.warnings
    )
    mixed = side("after", [0] * 6, runs=6)
    mixed = replace(mixed, runs=tuple(replace(r, objects=str(n % 2)) for n, r in enumerate(mixed.runs)))
    found = compare(side("before", [50] * 5), mixed)
    assert "the runs of AFTER did not all begin with the same manifest" in found.warnings
    same = side("x", [0] * 5)
    found = compare(replace(same, name="before"), replace(same, name="after"))
    assert any(w.startswith("on both sides there is the same run: ") for w in found.warnings)


# From recordings to the conclusion.


def compared(tmp_path: Path, before: Path, after: Path) -> Comparison:
    assert tmp_path in before.parents
    sides = [
        side_of(name, [judged_run(Recording.open(path))])
        for name, path in (("before", before), ("after", after))
    ]
    return compare(sides[0], sides[1])


def test_two_runs_of_four_rollouts_each_are_compared_rollout_by_rollout(tmp_path: Path) -> None:
    bad = series(tmp_path / "a", *(lossy() for _ in range(4)))
    good = series(tmp_path / "b", *(clean() for _ in range(4)))
    found = compared(tmp_path, bad, good)
    assert found.conclusion is Conclusion.BETTER
    rows = {row.name.strip(): row for row in found.rows}
    assert (rows["rollouts that lost requests"].before, rows["rollouts that lost requests"].after) == (
        "4 of 4",
        "0 of 4",
    )
    assert "-" not in {rows["rollout to the end, median"].before, rows["`rollout status`, median"].after}
    assert [(one.ids, one.what) for one in found.causes if one.ids == ("B1",)] == [(("B1",), "vanished")]
    explaining = [one for one in found.manifest if one.explains]
    assert any("lifecycle.preStop" in one.change.path and "B1 vanished" in one.explains for one in explaining)
    back = compared(tmp_path, good, bad)
    assert back.conclusion is Conclusion.WORSE
    assert any("B1 appeared" in one.explains for one in back.manifest)


def test_two_single_runs_differ_in_numbers_and_in_the_manifest_field_by_field(tmp_path: Path) -> None:
    one = SyntheticRun.rolling().write(tmp_path / "a")
    two = SyntheticRun.rolling(prestop=4, grace=20).write(tmp_path / "b")
    found = compared(tmp_path, one, two)
    rows = {row.name.strip(): row for row in found.rows}
    assert (rows["verdict"].before, rows["verdict"].after) == ("FAIL", "PASS")
    assert int(rows["502"].before.replace(",", "")) > 0
    assert rows["502"].after == "0"
    assert rows["longest outage"].after == "0"
    assert rows["requests/s"].change.endswith("%")
    assert [(one.change.path, one.change.before, one.change.after) for one in found.manifest] == [
        (
            "Deployment spec.template.spec.containers[web].lifecycle.preStop.exec.command",
            "(absent)",
            "/bin/sh -c sleep 4",
        ),
        ("Deployment spec.template.spec.terminationGracePeriodSeconds", "30", "20"),
    ]
    assert [bool(one.explains) for one in found.manifest] == [True, False]
    assert "1 against 1 can never tell (least possible p = 1.00)" in found.sentence


def test_manifests_that_were_not_kept_are_not_called_equal() -> None:
    before, after = side("before", [0] * 4), side("after", [0] * 4)
    assert compare(before, after).manifest_note == "Manifest: not kept by either side"
    kept = ({"kind": "A"},)
    assert (
        compare(replace(before, manifests=kept), after).manifest_note
        == "Manifest: not kept by one of the sides"
    )
    both = compare(replace(before, manifests=kept), replace(after, manifests=kept))
    assert both.manifest_note == "Manifest: no difference"
