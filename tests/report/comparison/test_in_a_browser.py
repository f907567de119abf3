"""compare.html in a real Chromium without a network: `nox -s browser`. Skips where driver or Chromium is missing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.report.comparison.page.page import render
from tests.judge.test_rollouts import clean, lossy, series
from tests.report.comparison.test_page import compared

pytest.importorskip(
    "playwright.sync_api", reason="drives a Chromium"
)  # before the next import, which does so too
from tests.report.page.test_in_a_browser import CONTRAST, HOSTILE, browser, frame, opened

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["browser"]  # the fixture

NAMES = ["better", "single", "evil", "bare"]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages of five rollouts against five, of one against one, of hostile texts, and without anything to draw."""
    root = tmp_path_factory.mktemp("pages")
    better = compared(
        [series(root / "a", *(lossy() for _ in range(5)))], [series(root / "b", *(clean() for _ in range(5)))]
    )
    comparison, laid = compared([lossy().write(root / "c")], [clean().write(root / "d")])
    evil = replace(
        comparison,
        sentence=HOSTILE,
        warnings=(HOSTILE,),
        before=replace(comparison.before, runs=(replace(comparison.before.runs[0], folder=HOSTILE),)),
    )
    first = laid.before.rollouts[0]
    named = replace(first, one=replace(first.one, run=HOSTILE))
    evil_laid = replace(laid, before=replace(laid.before, rollouts=(named, replace(named, place=1)), of=2))
    texts = {
        "better": render(*better),
        "single": render(comparison, laid),
        "evil": render(evil, evil_laid),
        "bare": render(replace(comparison, before=replace(comparison.before, rollouts=())), None),
    }
    files = {}
    for name, text in texts.items():
        files[name] = root / f"{name}.html"
        files[name].write_text(text, encoding="utf-8")
    return files


def view(page: Any) -> list[float]:
    found: list[float] = page.evaluate("window.zdtest.view()")
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", NAMES)
def test_the_page_asks_for_nothing_and_complains_of_nothing(
    browser: Any, written: dict[str, Path], name: str, scheme: str
) -> None:
    with opened(browser, written[name], color_scheme=scheme) as found:
        assert found.page.locator("h1").is_visible()
        assert not found.page.evaluate("window.hit")


@pytest.mark.parametrize("name", NAMES)
def test_the_page_fits_a_phone(browser: Any, written: dict[str, Path], name: str) -> None:
    with opened(browser, written[name], viewport={"width": 390, "height": 844}) as found:
        assert found.page.evaluate("document.documentElement.scrollWidth") <= 390
        for chart in found.page.locator("svg.plot").all():
            box = chart.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 390


def test_a_chosen_rollout_is_bold_and_its_pods_moments_are_shown(
    browser: Any, written: dict[str, Path]
) -> None:
    with opened(browser, written["better"]) as found:
        page = found.page
        page.select_option("#choice0", "3")
        bold = page.locator("#stack .r.bold[data-side='0']")
        assert {one.get_attribute("data-rollout") for one in bold.all()} == {"3"}
        assert bold.count() == 2  # failures and good answers
        shown = page.locator("#stack .lanes[data-side='0'][visibility='visible']")
        assert shown.get_attribute("data-rollout") == "3"
        assert page.locator(".dot.chosen[data-side='0']").get_attribute("data-rollout") == "3"
        page.locator(".dot[data-side='0'][data-rollout='1']").click(force=True)
        assert page.locator("#choice0").input_value() == "1"
        assert page.evaluate("window.zdtest.chosen()")[0] == 1


def test_the_numbers_of_a_moment_are_read_out_by_pointer_and_by_keyboard(
    browser: Any, written: dict[str, Path]
) -> None:
    with opened(browser, written["single"]) as found:
        page = found.page
        page.locator("#stack").focus()
        page.keyboard.press("ArrowRight")
        assert found.text("#readout").startswith("+0.0 s")
        assert "BEFORE: 0 failed" in found.text("#readout")
        seen = set()
        for _ in range(60):
            page.keyboard.press("ArrowRight")
            seen.add(found.text("#readout").split("BEFORE: ")[1].split(" failed")[0])
        assert max(map(int, seen)) > 0
        assert page.locator("#line").is_visible()
        page.keyboard.press("Escape")
        assert not found.text("#readout").strip()
        box = page.locator("#stack .plot").first.bounding_box()
        page.mouse.move(box["x"] + 2, box["y"] + 20)
        assert found.text("#readout").startswith("\u2212")


def test_lines_bands_and_ticks_move_together_when_it_is_zoomed(
    browser: Any, written: dict[str, Path]
) -> None:
    with opened(browser, written["single"]) as found:
        page = found.page
        assert view(page) == [0, 1]
        page.locator("#zoom-in").click()
        frame(page)
        begin, end = view(page)
        assert end - begin == pytest.approx(0.5)
        places = page.evaluate(
            """() => {
              return [...document.querySelectorAll('#stack .trigger')].map((one) => one.getAttribute('x1'));
            }"""
        )
        assert len(places) == 5
        assert len(set(places)) == 1
        inner = page.locator("#stack .stretched").first.get_attribute("viewBox").split()
        whole = page.evaluate("JSON.parse(document.getElementById('data').textContent).count")
        assert float(inner[0]) == pytest.approx(begin * whole)
        assert float(inner[2]) == pytest.approx(whole / 2)
        # The tick at 0 stands below the line of the trigger.
        page.locator("#zoom-whole").click()
        frame(page)
        zero = page.evaluate(
            """() => {
              const ticks = [...document.querySelectorAll('#stack text.tick-at')];
              return ticks.find((one) => one.textContent === '0').getAttribute('x');
            }"""
        )
        trigger = page.locator("#stack .trigger").first.get_attribute("x1")
        assert float(zero.rstrip("%")) == pytest.approx(float(trigger.rstrip("%")), abs=0.01)


def test_a_drag_zooms_and_a_double_click_shows_the_whole_again(
    browser: Any, written: dict[str, Path]
) -> None:
    with opened(browser, written["better"]) as found:
        page = found.page
        page.locator("#stack").scroll_into_view_if_needed()
        box = page.locator("#stack .plot").first.bounding_box()
        page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 30)
        page.mouse.down()
        page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 30)
        page.mouse.up()
        assert view(page) == pytest.approx([0.25, 0.5], abs=0.01)
        page.mouse.dblclick(box["x"] + 0.5 * box["width"], box["y"] + 30)
        assert view(page) == [0, 1]


def test_keys_zoom_and_the_moment_that_is_read_out_stays_in_view(
    browser: Any, written: dict[str, Path]
) -> None:
    with opened(browser, written["single"]) as found:
        page = found.page
        page.locator("#stack").focus()
        page.keyboard.press("ArrowRight")
        for _ in range(4):
            page.keyboard.press("+")
        begin, end = view(page)
        assert end - begin < 0.3
        page.keyboard.press("End")
        assert view(page)[1] == pytest.approx(1)
        page.keyboard.press("0")
        assert view(page) == [0, 1]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_that_wcag_asks_for(
    browser: Any, written: dict[str, Path], scheme: str
) -> None:
    with opened(browser, written["better"], color_scheme=scheme) as found:
        assert found.page.evaluate(CONTRAST.replace("getComputedStyle(element).color)", TEXT_COLOUR)) == []


# Letters in a chart have the colour with which they are filled.
TEXT_COLOUR = "element.closest('svg') ? getComputedStyle(element).fill : getComputedStyle(element).color)"


def test_the_theme_can_be_switched_and_the_page_printed(browser: Any, written: dict[str, Path]) -> None:
    with opened(browser, written["better"], color_scheme="light") as found:
        page = found.page
        assert found.text("#theme") == "Dark"
        page.locator("#theme").click()
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        assert found.text("#theme") == "Light"
        page.emulate_media(media="print")
        assert not page.locator("#tools").is_visible()
        assert page.pdf()[:5] == b"%PDF-"


def test_without_scripts_the_charts_are_there(browser: Any, written: dict[str, Path]) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(written["better"].as_uri())
    assert page.locator("#timelines svg.plot").count() == 6
    assert page.locator("#tools").is_hidden()
    assert page.locator("#theme").is_hidden()
    context.close()
