"""Runs over time: groups, what changed between two nights, and what is said of them."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.history import text, trend
from harness.history.groups import IMAGE, MANIFEST, SETTING, VERSION, Group, grouped
from harness.history.listing import listed
from harness.history.reading import compared
from harness.history.runs import Run
from harness.judge import odds
from harness.judge.verdict.fieldchanges import FieldChange
from tests.history.folders import deployment, make_run, record, verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DAY_NS = 86_400_000_000_000
ANOTHER = (FieldChange("Deployment spec.replicas", "3", "5"),)


def run(night: int, **changed: Any) -> Run:
    folder = f"202611{night + 1:02d}T030000Z-nightly"
    base = Run(
        folder, "nightly", night * DAY_NS, grade="PASS", workload="Deployment shop/web", server="a",
        trigger="restart", rollouts=1, proven=1, objects="one", lost=0,
    )  # fmt: skip
    return replace(base, **changed)


def failed(night: int, **changed: Any) -> Run:
    return run(night, grade="FAIL", lossy=1, lost=9, **changed)


def group_of(runs: Sequence[Run], fields: tuple[FieldChange, ...] = ANOTHER) -> Group:
    (group,) = grouped(runs, lambda _, __: fields)
    return group


def told(runs: Sequence[Run]) -> str:
    return " ".join(trend.said(group_of(runs)))


# --- groups -------------------------------------------------------------------------------------------------


def test_runs_of_another_name_workload_or_cluster_are_another_group_and_the_newest_comes_first() -> None:
    runs = [
        run(0),
        run(1),
        run(2, name="weekly"),
        run(3, workload="Deployment shop/api"),
        run(4, server="b"),
        run(5),
    ]
    groups = grouped(runs, lambda _, __: ())
    assert [[one.began_ns // DAY_NS for one in group.runs] for group in groups] == [[0, 1, 5], [4], [3], [2]]


def test_a_renamed_context_is_the_same_cluster_and_so_is_each_new_lab() -> None:
    assert len(grouped([run(0, cluster="a"), run(1, cluster="b")], lambda _, __: ())) == 1
    labs = [run(night, lab=True, server=f"https://127.0.0.1:{night}") for night in range(3)]
    assert len(grouped(labs, lambda _, __: ())) == 1
    assert grouped(labs, lambda _, __: ())[0].title == "Deployment shop/web on the embedded lab, nightly"


def test_runs_without_a_rollout_are_grouped_by_their_target() -> None:
    plain = [run(n, workload="", server="", target=f"GET http://{host}/") for n, host in enumerate("aba")]
    assert [len(group.runs) for group in grouped(plain, lambda _, __: ())] == [2, 1]


def test_manifests_are_compared_only_where_a_person_may_have_changed_something() -> None:
    asked = []

    def between(before: Run, after: Run) -> tuple[FieldChange, ...]:
        asked.append((before.folder, after.folder))
        return ANOTHER

    runs = [run(0), run(1), run(2, objects=""), run(3, objects="two"), run(4, objects="two")]
    (group,) = grouped(runs, between)
    assert asked == [(runs[1].folder, runs[3].folder)]  # the run that kept nothing is passed over
    assert [[change.kind for change in night.changes] for night in group.nights] == [
        [],
        [],
        [],
        [MANIFEST],
        [],
    ]


def test_a_change_of_the_run_itself_is_marked_and_only_an_image_or_zdtest_leaves_it_one_series() -> None:
    runs = [run(0), run(1, load="9 connections"), run(2, load="9 connections", version="2")]
    nights = group_of(runs).nights
    assert [(c.kind, c.text) for c in nights[1].changes] == [(SETTING, "load: (none) -> 9 connections")]
    assert [c.kind for c in nights[2].changes] == [VERSION]
    assert [night.breaks for night in nights] == [False, True, False]
    image = (FieldChange("Deployment spec.template.spec.containers[web].image", "web:1", "web:2"),)
    night = group_of([run(0), run(1, objects="two")], image).nights[1]
    assert ([change.kind for change in night.changes], night.breaks) == ([IMAGE], False)


def test_what_a_person_changed_is_found_in_real_manifests_and_what_the_server_wrote_is_not(
    tmp_path: Path,
) -> None:
    touched = deployment(terminationGracePeriodSeconds=60)
    touched[0]["metadata"]["resourceVersion"] = "99"
    touched[0]["spec"]["revisionHistoryLimit"] = 10  # a default, now written out
    server_only = deployment()
    server_only[0]["metadata"]["resourceVersion"] = "42"
    for night, objects in enumerate((deployment(), server_only, touched, None, touched)):
        make_run(tmp_path, night, verdict(), objects)
    (group,) = grouped(listed(tmp_path).runs, compared(tmp_path))
    changes = [[change.text for change in night.changes] for night in group.nights]
    path = "Deployment spec.template.spec.terminationGracePeriodSeconds"
    assert changes == [[], [], [f"{path}: (absent) -> 60"], [], []]


def test_a_manifest_that_went_away_or_is_damaged_is_no_change(tmp_path: Path) -> None:
    make_run(tmp_path, 0, verdict(), deployment())
    path = make_run(tmp_path, 1, verdict(), deployment(terminationGracePeriodSeconds=60))
    runs = listed(tmp_path).runs
    (path / "manifests" / "before.json").write_text('[{"kind": 5}]')
    assert not any(night.changes for night in grouped(runs, compared(tmp_path))[0].nights)


# --- what is said -------------------------------------------------------------------------------------------


def test_a_streak_is_told_with_its_beginning() -> None:
    assert told([run(0)]).startswith("PASS in the only run.")
    assert told([run(n) for n in range(3)]).startswith("PASS in all 3 runs.")
    words = told([failed(0), run(1), run(2)])
    assert words.startswith("PASS in the last 2 runs, since 2026-11-02 03:00; FAIL before that.")
    words = told([run(0), failed(1)])
    assert words.startswith("FAIL in the last run, on 2026-11-02 03:00; PASS before that.")
    assert "The last PASS was on 2026-11-01 03:00." in words
    assert told([run(0, grade="")]).startswith("None of these runs was judged.")


def test_runs_that_nobody_judged_do_not_end_a_streak() -> None:
    assert told([run(0), run(1, grade="", rollouts=0), run(2)]).startswith("PASS in all 2 judged runs.")
    words = told([failed(0), run(1), run(2, grade="", rollouts=0), run(3)])
    assert words.startswith("PASS in the last 2 judged runs, since 2026-11-02 03:00; FAIL before that.")


@pytest.mark.parametrize(
    ("state", "why"),
    [("killed", "killed"), ("running", "it is still running"), ("complete", "it was not judged")],
)
def test_a_last_run_without_a_verdict_is_not_hidden_by_the_good_ones_before_it(state: str, why: str) -> None:
    runs = [run(0), run(1), run(2, grade="", rollouts=0, state=state)]
    assert told(runs).startswith(f"The last run has no verdict: {why}. PASS in all 2 judged runs.")
    words = text.render([group_of(runs)], "results", 100, 20)
    assert f"The last run has no verdict: {why}." in words


def test_a_streak_that_a_change_began_points_to_the_changes() -> None:
    words = told([failed(0), run(1, objects="two")])
    assert "Something was changed just before it: see the list of changes." in words


def test_clean_rollouts_since_a_change_bound_the_share_that_may_still_fail() -> None:
    words = told([failed(0), *(run(n, objects="two") for n in range(1, 11))])
    assert "10 rollouts since the last change, and none lost requests" in words
    assert "at most 26 % of such rollouts do" in words


@pytest.mark.parametrize(
    "changed",
    [
        {"about": {"settled_ns": 1, "ended_by": "interrupted"}},
        {},  # the target was never proven to lead to the workload
        {"rollouts": [{"verdict": {"grade": "PASS", "lost": 0}, "about": {"settled_ns": 1}}]},
    ],
    ids=["interrupted", "unproven", "a good rollout of a run that is not"],
)
def test_a_run_that_proves_nothing_is_no_clean_rollout(tmp_path: Path, changed: dict[str, Any]) -> None:
    for night in range(4):
        make_run(tmp_path, night, verdict())
    for night in range(4, 9):
        make_run(tmp_path, night, verdict("INCONCLUSIVE", **changed))
    words = " ".join(trend.said(grouped(listed(tmp_path).runs, compared(tmp_path))[0]))
    assert "4 rollouts, and none lost requests" in words


def test_of_several_rollouts_only_those_with_a_verdict_are_counted(tmp_path: Path) -> None:
    each = [
        {"verdict": {"grade": grade, "lost": lost}, "about": {"settled_ns": 1}}
        for grade, lost in (("PASS", 0), ("INCONCLUSIVE", 0), ("FAIL", 9))
    ]
    make_run(tmp_path, 0, verdict("FAIL", lost=9, rollouts=each))
    words = " ".join(trend.said(grouped(listed(tmp_path).runs, compared(tmp_path))[0]))
    assert "1 of 2 rollouts lost requests." in words


def test_loss_in_a_run_that_proves_nothing_else_still_forbids_the_bound(tmp_path: Path) -> None:
    make_run(tmp_path, 0, verdict())
    make_run(tmp_path, 1, verdict("INCONCLUSIVE", lost=9))
    words = " ".join(trend.said(grouped(listed(tmp_path).runs, compared(tmp_path))[0]))
    assert "1 of 2 rollouts lost requests." in words


def test_a_clean_streak_that_no_change_began_is_no_bound() -> None:
    words = told([failed(0), *(run(n) for n in range(1, 11))])
    assert "1 of 11 rollouts lost requests." in words
    assert "confidence" not in words


def test_a_difference_to_before_a_change_is_called_so_only_if_it_is_more_than_chance() -> None:
    few = told([failed(0), run(1, objects="two")])
    assert "1 of 1 lost requests; the difference cannot be told from chance yet (p = 1," in few
    many = told([*(failed(n) for n in range(4)), *(run(n, objects="two") for n in range(4, 8))])
    assert "4 of 4 lost requests; the difference is more than chance (p = 0.029," in many


@pytest.mark.parametrize(("sign", "word"), [(1, "rose"), (-1, "fell")])
def test_a_steady_rise_or_fall_is_told_in_words(sign: int, word: str) -> None:
    runs = [run(n, p99_ns=(200 + sign * 10 * n) * 1_000_000) for n in range(12)]
    assert f"The p99 during the rollout {word} from about" in told(runs)


@pytest.mark.parametrize(
    "series",
    [
        [100] * 12,
        [100, 900] * 6,  # noise
        [100 + n for n in range(12)],  # steady, but too small to matter
        [100 * n for n in range(1, 8)],  # too few
        [500, *range(100, 1200, 100)][:7],
    ],
)
def test_no_trend_is_told_of_noise_of_trifles_or_of_a_few_runs(series: list[int]) -> None:
    words = told([run(n, p99_ns=value * 1_000_000) for n, value in enumerate(series)])
    assert "p99" not in words


def test_a_trend_is_never_told_across_a_change_or_from_lower_bounds() -> None:
    rising = [
        run(n, p99_ns=(n + 1) * 100_000_000, reach_ns=(n + 1) * 10**8, reach_least=True) for n in range(12)
    ]
    assert "reach" not in told(rising)
    assert "p99" in told(rising)
    cut = [replace(one, objects=f"{n // 6}") for n, one in enumerate(rising)]
    assert "p99" not in told(cut)


def test_noise_is_called_a_trend_as_rarely_as_is_said() -> None:
    import random

    dice = random.Random(7)
    wrong = sum(
        "rose" in (words := told([run(n, p99_ns=dice.randrange(10**8, 10**9)) for n in range(10)]))
        or "fell" in words
        for _ in range(400)
    )
    assert wrong <= 12  # 1 of 100 each, so 4 are expected


def test_the_trend_test_is_exact_for_every_order_of_six_values() -> None:
    def score(values: Sequence[int]) -> int:
        return sum((b > a) - (b < a) for a, b in itertools.combinations(values, 2))

    scores = [score(order) for order in itertools.permutations(range(6))]
    for order in itertools.islice(itertools.permutations(range(6)), 0, 720, 37):
        reached = score(order)
        known = sum(abs(other) >= abs(reached) for other in scores) / len(scores)
        direction, p = odds.trend_p(order)
        assert math.isclose(p, min(1.0, known), rel_tol=1e-9), order
        assert direction == (reached > 0) - (reached < 0)


# --- in a terminal ------------------------------------------------------------------------------------------


def test_a_sparkline_goes_from_zero_to_its_largest_value() -> None:
    assert text.spark([0, 4, 8, None, 2]) == "\u2581\u2585\u2588 \u2583"
    assert text.spark([0, 0, None], text.PLAIN_BARS) == "__ "
    assert text.spark([]) == ""


@pytest.mark.parametrize("width", [80, 100, 160])
def test_the_text_fits_the_terminal_and_shows_changes_where_they_were_made(width: int) -> None:
    fields = (FieldChange("Deployment " + "spec." * 40 + "replicas", "3", "\x1b[31m5" * 30),) * 9
    runs = [
        run(n, p99_ns=10**9, lag_ns=5, objects=f"{n // 40}", workload="Deployment " + "w" * 150)
        for n in range(60)
    ]
    words = text.render([group_of(runs, fields)], "results", width, 25)
    lines = words.splitlines()
    assert all(len(line) <= width for line in lines), max(lines, key=len)
    assert "\x1b" not in words
    assert sum("changed: " in line for line in lines) == 7  # six, and how many more
    assert "the latest 25 of 60 runs (--last N shows more)" in words
    assert any(line.startswith("changed  ") and "^" in line for line in lines)


def test_an_empty_folder_has_no_history(tmp_path: Path) -> None:
    assert text.render([], str(tmp_path), 100, 20) == f"no run in {tmp_path}"


def test_a_run_that_is_not_judged_has_its_place_in_time(tmp_path: Path) -> None:
    make_run(tmp_path, 0, verdict())
    make_run(tmp_path, 1)
    words = text.render(grouped(listed(tmp_path).runs, compared(tmp_path)), "results", 100, 20)
    assert "verdict                 P-" in words
    assert record(0)["name"] in words
