"""report.html in a real Chromium without a network: `nox -s browser`. Skips where driver or Chromium is missing."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from harness.judge.verdict.judgement import judge_with_picture
from harness.recording.answers import Answer
from harness.recording.read import Recording
from harness.report.page import page as pages
from harness.report.patch import render as patch_of
from tests.judge.synthetic import SyntheticRun
from tests.judge.test_rollouts import clean, lossy, series

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

playwright = pytest.importorskip("playwright.sync_api")

HOSTILE = "</script><img src=x onerror=\"window.hit=1\"><svg onload='window.hit=1'>"
CHROMIUM = (
    os.environ.get("CHROMIUM")
    or shutil.which("chromium")
    or shutil.which("chromium-browser")
    or shutil.which("google-chrome")
)
if not CHROMIUM:
    pytest.skip("no chromium on the PATH, and CHROMIUM names none", allow_module_level=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


class Opened:
    """A page in the browser, with all that it asked for and complained of."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []

    def text(self, selector: str) -> str:
        return str(self.page.locator(selector).inner_text())


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages of a loss with words, of one whose every text is hostile, of a clean run and of several rollouts."""
    root = tmp_path_factory.mktemp("pages")
    told = SyntheticRun.rolling(said={"502": Answer(502, (("server", "nginx"),), "no live upstream")})
    evil = SyntheticRun.rolling(said={"502": Answer(502, (("server", HOSTILE),), HOSTILE)})
    evil.names_pods = False
    for pod in evil.pods:
        pod.name = f"{pod.name}{HOSTILE}"
    evil.record = {"notes": (HOSTILE,), "command": ("zdtest", HOSTILE)}
    runs = {
        "lossy": told.write(root / "a"),
        "evil": evil.write(root / "b"),
        "clean": clean().write(root / "c"),
        "several": series(root / "d", lossy(), clean(), lossy()),
        "noisy": SyntheticRun.rolling(noise=0.02).write(root / "e"),
    }
    files = {}
    for name, run in runs.items():
        file = root / f"{name}.html"
        file.write_text(pages.render(*judge_with_picture(Recording.open(run))), encoding="utf-8")
        files[name] = file
    patch = patch_of(judge_with_picture(Recording.open(runs["lossy"]))[0])
    (root / "patch").write_text(patch, encoding="utf-8")
    files["patch"] = root / "patch"
    return files


@contextmanager
def opened(browser: Any, file: Path, **options: Any) -> Iterator[Opened]:
    context = browser.new_context(
        **{"viewport": {"width": 1280, "height": 1000}, "reduced_motion": "reduce", **options}
    )
    context.set_offline(True)
    page = context.new_page()
    found = Opened(page)

    def refuse(route: Any) -> None:
        if route.request.url == file.as_uri():
            route.continue_()
        else:
            found.requests.append(route.request.url)
            route.abort()

    context.route("**/*", refuse)
    page.on("console", lambda message: found.complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    page.goto(file.as_uri())
    page.wait_for_selector("html[data-ready]")
    frame(page)
    yield found
    assert found.complaints == []
    assert found.requests == []
    context.close()


def frame(page: Any) -> None:
    """Wait until what was asked for is painted."""
    page.evaluate(
        "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))"
    )


def scales(page: Any) -> dict[str, list[float]]:
    """What each panel, the lanes included, shows of the time, as they say themselves."""
    found: dict[str, list[float]] = page.evaluate("window.zdtest.scales()")
    return found


def marks(page: Any) -> list[tuple[float, float]]:
    """Where the failures that are chosen are on the screen."""
    return [(x, y) for x, y in page.evaluate("window.zdtest.marks()")]


@pytest.mark.parametrize("name", ["lossy", "evil", "clean", "several"])
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_a_page_opens_without_a_request_or_a_complaint(
    browser: Any, written: dict[str, Path], name: str, scheme: str, width: int
) -> None:
    with opened(
        browser, written[name], color_scheme=scheme, viewport={"width": width, "height": 800}
    ) as found:
        assert found.page.evaluate("document.documentElement.scrollWidth") <= width
        assert found.page.locator("#throughput canvas").count() == 1


def test_the_counts_of_failures_say_how_many_of_them_the_warm_up_had(
    browser: Any, written: dict[str, Path]
) -> None:
    with opened(browser, written["noisy"]) as found:
        assert re.search(r"\b\d+ of them in the warm-up, which is not judged", found.text("#kinds"))
    with opened(browser, written["lossy"]) as found:
        assert "warm-up" not in found.text("#kinds")


def test_hostile_names_and_answers_do_nothing(browser: Any, written: dict[str, Path]) -> None:
    with opened(browser, written["evil"]) as found:
        page = found.page
        for x, y in marks(page)[:1]:
            page.mouse.move(x, y)
        assert "<img src=x" in found.text("#tip")
        page.locator("#names button").first.click()
        page.locator("#table").scroll_into_view_if_needed()
        frame(page)
        assert page.evaluate("window.hit") is None
        assert page.locator("img, svg, iframe").count() == 0
        assert page.locator("script").count() == 2


def test_the_first_view_is_the_rollout_and_all_panels_zoom_together(
    browser: Any, written: dict[str, Path]
) -> None:
    with opened(browser, written["lossy"]) as found:
        page = found.page
        first = scales(page)
        assert len({tuple(span) for span in first.values()}) == 1
        assert set(first) == {"throughput", "marks", "latency", "lanes"}
        box = page.locator("#throughput .u-over").bounding_box()
        page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 40)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 45, steps=4)
        page.mouse.up()
        frame(page)
        zoomed = scales(page)
        assert len({tuple(span) for span in zoomed.values()}) == 1
        low, high = first["marks"]
        assert zoomed["marks"] == pytest.approx(
            [low + 0.25 * (high - low), low + 0.5 * (high - low)], abs=0.02
        )
        page.locator("#latency .u-over").dblclick()
        frame(page)
        assert scales(page) == first
        page.get_by_role("button", name="Whole run").click()
        frame(page)
        assert scales(page)["lanes"][0] < low
        page.get_by_role("button", name="Rollout", exact=True).click()
        frame(page)
        assert scales(page) == first


def test_a_failure_under_the_pointer_says_time_answer_pod_connection_and_cause(
    browser: Any, written: dict[str, Path]
) -> None:
    with opened(browser, written["lossy"]) as found:
        page = found.page
        x, y = marks(page)[0]
        page.mouse.move(x, y)
        said = found.text("#tip")
        for words in ("at +", "no live upstream", "pod ", "web-", "connection", "(B1)", "took"):
            assert words in said, said
        assert "in endpoints: " in found.text("#readout")
        page.mouse.move(2, 2)
        assert not page.locator("#tip").is_visible()


def test_a_click_on_a_cause_or_a_pod_shows_its_failures_only(browser: Any, written: dict[str, Path]) -> None:
    with opened(browser, written["lossy"]) as found:
        page = found.page
        every = int(found.text("#counted").split()[0].replace(",", ""))
        cause = page.locator(".answers button.cause").first
        count = int(cause.locator(".count").inner_text().replace(",", ""))
        cause.click()
        assert cause.get_attribute("aria-pressed") == "true"
        assert f"{count:,} of {every:,} failed requests" in found.text("#counted")
        assert len(marks(page)) == count
        cause.click()
        assert len(marks(page)) == every
        pod = page.locator("#names button").first
        pod.click()
        of_pod = len(marks(page))
        assert 0 < of_pod < every
        assert f"{of_pod:,} of {every:,}" in found.text("#counted")
        page.locator("#chosen button").click()
        assert len(marks(page)) == every


def test_the_table_finds_and_sorts(browser: Any, written: dict[str, Path]) -> None:
    with opened(browser, written["lossy"]) as found:
        page = found.page
        rows = page.locator("#table .body .row")
        assert rows.count() < 60, "only the rows in sight are elements"
        page.get_by_role("button", name="took").click()
        page.get_by_role("button", name="took").click()
        assert page.locator("#table [aria-sort=descending]").inner_text().startswith("took")
        slowest = page.evaluate("window.zdtest.slowest()")
        assert rows.first.locator("> *").nth(2).inner_text() == slowest
        page.locator("#find").fill("no live b1")
        frame(page)
        assert " of " in found.text("#counted")
        assert "no live upstream" in rows.first.inner_text()
        page.locator("#find").fill("no such words")
        assert rows.count() == 0
        page.locator("#find").fill("")
        assert rows.count() > 0
        rows.nth(2).click()
        assert page.locator("#table [aria-selected=true]").count() == 1


def test_a_click_on_a_mark_finds_its_row(browser: Any, written: dict[str, Path]) -> None:
    with opened(browser, written["lossy"]) as found:
        x, y = marks(found.page)[-1]
        found.page.mouse.click(x, y)
        chosen = found.page.locator("#table [aria-selected=true]")
        assert chosen.count() == 1
        assert chosen.locator("> *").first.inner_text() in found.text("#tip")


def test_the_patch_can_be_copied(browser: Any, written: dict[str, Path]) -> None:
    with opened(browser, written["lossy"], permissions=["clipboard-read", "clipboard-write"]) as found:
        button = found.page.get_by_role("button", name="Copy")
        button.click()
        playwright.expect(found.page.locator("button.copy")).to_have_text("Copied")
        assert found.page.evaluate("navigator.clipboard.readText()") == written["patch"].read_text()


def test_the_theme_follows_the_system_until_it_is_switched(browser: Any, written: dict[str, Path]) -> None:
    def ground(page: Any) -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    with opened(browser, written["lossy"], color_scheme="light") as found:
        light = ground(found.page)
        found.page.get_by_role("button", name="Switch to the dark theme").click()
        switched = ground(found.page)
        frame(found.page)
    with opened(browser, written["lossy"], color_scheme="dark") as found:
        assert ground(found.page) == switched != light


def test_the_keyboard_reaches_and_moves_everything(browser: Any, written: dict[str, Path]) -> None:
    with opened(browser, written["lossy"]) as found:
        page = found.page
        first = scales(page)["marks"]
        page.locator("#stack").focus()
        page.keyboard.press("+")
        frame(page)
        near = scales(page)["marks"]
        assert near[1] - near[0] < first[1] - first[0]
        page.keyboard.press("ArrowRight")
        frame(page)
        assert scales(page)["lanes"][0] > near[0]
        page.keyboard.press("-")
        page.keyboard.press("0")
        frame(page)
        assert scales(page)["marks"] == first
        names = set()
        page.evaluate("document.activeElement.blur()")
        for _ in range(80):
            page.keyboard.press("Tab")
            names.add(page.evaluate("document.activeElement.id || document.activeElement.className"))
            shown = "getComputedStyle(document.activeElement).outlineStyle != 'none'"
            assert page.evaluate(f"document.activeElement === document.body || {shown}"), names
        assert {"stack", "theme", "zoom-in", "find", "table"} <= names
        page.locator("#table").focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        chosen = page.locator("#table [aria-selected=true]")
        assert chosen.get_attribute("aria-rowindex") == "3"


def test_a_rollout_of_several_can_be_looked_at(browser: Any, written: dict[str, Path]) -> None:
    with opened(browser, written["several"]) as found:
        page = found.page
        spans = []
        for number in (1, 2, 3):
            page.locator(f"button.rollout[data-rollout='{number - 1}']").click()
            frame(page)
            spans.append(scales(page)["marks"])
        assert spans[0][1] < spans[1][0] + 20
        assert spans[0][0] < spans[1][0] < spans[2][0]
        page.locator("#spans button").nth(1).click()
        frame(page)
        assert scales(page)["marks"] == spans[1]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_that_wcag_asks_for(
    browser: Any, written: dict[str, Path], scheme: str
) -> None:
    with opened(browser, written["lossy"], color_scheme=scheme) as found:
        poor = found.page.evaluate(CONTRAST)
        assert poor == []


def test_the_page_can_be_printed(browser: Any, written: dict[str, Path]) -> None:
    with opened(browser, written["lossy"], color_scheme="dark") as found:
        found.page.emulate_media(media="print")
        assert not found.page.locator("#tools").is_visible()
        assert found.page.locator("#patch").is_visible()
        assert found.page.pdf()[:5] == b"%PDF-"


# For each text that is shown: the ratio of its colour and the ground behind it, if it is under 4.5 (WCAG 2, 1.4.3).
CONTRAST = """() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => [r, g, b].map((v) => linear(v / 255))
    .reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = numbers(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const poor = new Set();
  const walker = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.textContent.trim() || !element.checkVisibility() || element.closest('script, style, noscript')) continue;
    const [a, b] = [light(numbers(getComputedStyle(element).color)), light(ground(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.add(`${element.tagName}.${element.className}: ${ratio.toFixed(2)}`);
  }
  return [...poor];
}"""
