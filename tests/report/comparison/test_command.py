"""`zdtest compare --html`, as a user types it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.history.test_commands import zdtest
from tests.judge.test_rollouts import clean, lossy, series
from tests.report.page.test_page import parsed

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with four lossy rollouts in one run below `bad`, and four clean ones below `good`."""
    root = tmp_path_factory.mktemp("here")
    series(root / "bad", *(lossy() for _ in range(4)))
    series(root / "good", *(clean() for _ in range(4)))
    return root


def test_the_page_is_written_beside_what_is_printed(here: Path) -> None:
    done = zdtest(here, "compare", "bad", "good", "--format", "json", "--html", "page.html")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["conclusion"] == "better"
    assert done.stderr.splitlines() == ["zdtest: wrote page.html"]
    assert "BETTER" in parsed((here / "page.html").read_text("utf-8")).text


def test_without_a_name_it_is_compare_html_and_the_exit_code_is_the_same(here: Path) -> None:
    done = zdtest(here, "compare", "good", "bad", "--html")
    assert done.returncode == 1, done.stderr
    assert "WORSE" in parsed((here / "compare.html").read_text("utf-8")).text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("bad", "good", "--html", "nowhere/page.html"), "nowhere/page.html cannot be written"),
        (("bad", "good", "--html", "good"), "good cannot be written: it is a folder"),
        (("bad", "missing", "--html", "new.html"), "missing"),
        (("--html", "new.html", "bad"), "give two sides"),
    ],
)
def test_a_page_that_cannot_be_written_is_one_line_and_leaves_nothing(
    here: Path, words: tuple[str, ...], said: str
) -> None:
    before = sorted(path.name for path in here.iterdir())
    done = zdtest(here, "compare", *words)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr
    assert sorted(path.name for path in here.iterdir()) == before


def test_an_old_page_stays_when_the_comparison_fails(here: Path) -> None:
    (here / "kept.html").write_text("old", encoding="utf-8")
    assert zdtest(here, "compare", "bad", "missing", "--html", "kept.html").returncode == 2
    assert (here / "kept.html").read_text("utf-8") == "old"
