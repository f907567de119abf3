"""A run is named by a path, by a part of its folder's name, or as the last one."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.history.names import choose, completions, find
from harness.history.runs import Run
from harness.recording.series import suite
from tests.history.folders import folder_name, make_run, verdict

RUNS = tuple(
    Run(folder, "web", began_ns, grade=grade)
    for began_ns, folder, grade in (
        (9, "20261130T030000Z-web-2", ""),
        (8, "20261130T030000Z-web", "FAIL"),
        (7, "20261129T030000Z-shop", "PASS"),
        (6, "20261128T030000Z-nightly-long", "FAIL"),
        (5, "example", "PASS"),
    )
)


def chosen(word: str) -> str:
    return choose(word, RUNS, "results")


@pytest.mark.parametrize(
    ("word", "place"),
    [
        ("last", 0),
        ("last-fail", 1),
        ("last-pass", 2),
        ("20261130T030000Z-web", 1),  # the whole name, though another begins with it
        ("web", 1),  # all of what follows the time
        ("web-2", 0),
        ("20261129", 2),
        ("2026-11-29", 2),
        ("2026-11-28 03:00", 3),
        ("2026-11-28T03:00:00", 3),
        ("sh", 2),
        ("long", 3),
        ("exam", 4),
    ],
)
def test_a_part_that_no_other_run_has_names_a_run(word: str, place: int) -> None:
    assert chosen(word) == RUNS[place].folder


def test_a_part_that_several_have_is_one_line_that_lists_the_newest() -> None:
    with pytest.raises(
        UsageError, match=r"^2026: 4 runs .*Z-web-2, .*Z-web, .*Z-shop and 1 more; give more"
    ) as told:
        chosen("2026")
    assert "\n" not in str(told.value)


def test_a_name_that_no_run_has_is_one_line_that_lists_the_nearest() -> None:
    with pytest.raises(
        UsageError, match=r"^nigtly-lon: no run in results .*: 20261128T030000Z-nightly-long$"
    ):
        chosen("nigtly-lon")
    with pytest.raises(UsageError, match="no run in results"):
        chosen("")
    with pytest.raises(UsageError, match="there is no run in results"):
        choose("web", (), "results")


def test_no_run_with_that_verdict_is_said() -> None:
    with pytest.raises(UsageError, match="last-pass: there is no run with the verdict PASS in results"):
        choose("last-pass", [run for run in RUNS if run.grade != "PASS"], "results")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "results", 1, verdict("FAIL", lost=1), name="web")
    make_run(tmp_path / "results", 2, verdict(), name="shop")
    make_run(tmp_path / "nightly", 3, verdict(), name="web")
    return tmp_path


def test_a_name_without_a_folder_is_looked_up_below_results(here: Path) -> None:
    assert find("web") == Path("results") / folder_name(1, "web")
    assert find("last") == Path("results") / folder_name(2, "shop")
    assert here.is_dir()


def test_a_name_behind_a_folder_is_looked_up_there(here: Path) -> None:
    assert find("nightly/last") == Path("nightly") / folder_name(3, "web")
    assert find(f"{here}/nightly/we") == here / "nightly" / folder_name(3, "web")
    with pytest.raises(UsageError, match="last-fail: there is no run with the verdict FAIL"):
        find("nightly/last-fail")


def test_a_path_to_a_run_is_that_run_even_if_it_is_called_last(here: Path) -> None:
    path = make_run(here, 4, verdict())
    path.rename(here / "last")
    assert find("last") == Path("last")
    assert find("./last") == Path("last")
    assert find(f"results/{folder_name(1, 'web')}/") == Path("results") / folder_name(1, "web")


def test_a_folder_of_that_name_that_is_no_run_does_not_hide_the_run(here: Path) -> None:
    (here / "web").mkdir()
    assert find("web") == Path("results") / folder_name(1, "web")


def test_a_path_to_something_else_is_left_to_whoever_reads_it(here: Path) -> None:
    (here / "notes").mkdir()
    file = here / "results" / folder_name(1, "web") / "run.json"
    for path in (here / "notes", file):
        assert find(str(path)) == path


def test_where_there_are_no_runs_at_all_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="no folder results"):
        find("last")
    with pytest.raises(UsageError, match="no such folder"):
        find("elsewhere/web")
    with pytest.raises(UsageError, match="is empty"):
        find("")


def test_a_shell_is_offered_names_that_go_on_from_what_was_typed(here: Path) -> None:
    assert completions("last") == ["last", "last-pass", "last-fail"]
    assert completions("202611") == [folder_name(2, "shop"), folder_name(1, "web")]
    assert completions("nightly/2026") == [f"nightly/{folder_name(3, 'web')}"]
    assert completions("nowhere/x") == []
    (here / "results" / folder_name(1, "web")).rename(here / "results" / "202611\x1b[2J")
    assert completions("202611") == [folder_name(2, "shop")]


def test_a_run_of_a_suite_is_named_by_its_own_name_or_as_it_is_listed(here: Path) -> None:
    folder = f"20261105T010000Z-suite-nightly/runs/{folder_name(9, 'cart')}"
    make_run((here / "results" / folder).parent, 9, verdict(), name="cart")
    suite.write(here / "results" / folder.partition("/")[0], suite.Suite("nightly", ()))
    for word in ("cart", folder_name(9, "cart"), folder, f"results/{folder}"):
        assert find(word) == Path("results") / folder


def test_a_run_at_the_path_that_was_given_outranks_one_below_results(here: Path) -> None:
    for root in (here, here / "results"):
        make_run(root / "20261105T010000Z-suite-x" / "runs", 9, verdict(), name="cart")
    word = f"20261105T010000Z-suite-x/runs/{folder_name(9, 'cart')}"
    assert find(word) == Path(word)
