"""suite.html in a real Chromium without a network: `nox -s browser`. Skips where driver or Chromium is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from harness.recording.series.suite import Cause, Result
from harness.report.suite.page import render
from tests.report.suite.test_suite_reports import ALL, entry, suite

pytest.importorskip(
    "playwright.sync_api", reason="drives a Chromium"
)  # before the next import, which does so too
from tests.report.page.test_in_a_browser import CONTRAST, HOSTILE, browser, opened

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["browser"]  # the fixture

NAMES = ["night", "evil", "bare"]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A night of all results, one of hostile texts, and one in which nothing ran."""
    root = tmp_path_factory.mktemp("suites")
    cause = Cause((HOSTILE,), HOSTILE, 3, (HOSTILE, f"spec.{'x' * 300}: 3"))
    evil = entry(
        "a", Result.FAIL, said=HOSTILE, workload=f"Deployment {'long-' * 60}", why=HOSTILE, causes=(cause,)
    )
    texts = {
        "night": render(ALL, "1 of 7 scenarios lost requests"),
        "evil": render(suite(evil, evil, name=HOSTILE, budget_s=9.0), HOSTILE),
        "bare": render(suite(entry("a", Result.NOT_RUN)), "nothing ran"),
    }
    files = {}
    for name, text in texts.items():
        files[name] = root / f"{name}.html"
        files[name].write_text(text, encoding="utf-8")
    return files


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", NAMES)
def test_the_page_asks_for_nothing_and_complains_of_nothing(
    browser: Any, written: dict[str, Path], name: str, scheme: str
) -> None:
    with opened(browser, written[name], color_scheme=scheme) as found:
        assert found.page.locator("h1").is_visible()
        assert not found.page.evaluate("window.hit")


@pytest.mark.parametrize("width", [320, 390, 820])
@pytest.mark.parametrize("name", NAMES)
def test_the_page_fits_a_narrow_screen(browser: Any, written: dict[str, Path], name: str, width: int) -> None:
    with opened(browser, written[name], viewport={"width": width, "height": 844}) as found:
        assert found.page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_that_wcag_asks_for(
    browser: Any, written: dict[str, Path], scheme: str
) -> None:
    with opened(browser, written["night"], color_scheme=scheme) as found:
        assert found.page.evaluate(CONTRAST) == []


def test_the_theme_can_be_switched_and_sections_are_linked(browser: Any, written: dict[str, Path]) -> None:
    with opened(browser, written["night"], color_scheme="light") as found:
        page = found.page
        assert found.text("#theme") == "Dark"
        page.click("#theme")
        assert found.text("#theme") == "Light"
        assert page.evaluate("getComputedStyle(document.body).colorScheme") == "dark"
        assert page.locator("nav a").all_inner_texts() == ["What to change", "Scenarios", "When each ran"]


def test_the_page_reads_without_scripts(browser: Any, written: dict[str, Path]) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(written["night"].as_uri())
    assert page.locator("table.scenarios tbody tr").count() == len(ALL.entries)
    assert page.locator("#theme").is_hidden()
    context.close()
