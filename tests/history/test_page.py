"""The page of the history: harmless, offline, readable, and each run one click away."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest

from harness.history.groups import grouped
from harness.history.listing import Skipped, listed
from harness.history.page.charts import scale
from harness.history.page.links import links
from harness.history.page.page import render
from harness.history.page.style import STYLE
from harness.history.reading import compared
from harness.history.runs import Cause, Run
from harness.judge.verdict.fieldchanges import FieldChange
from tests.history.folders import deployment, folder_name, make_run, verdict

if TYPE_CHECKING:
    from pathlib import Path

EVIL = "<script>alert(1)</script>\"' onload=x \x1b[2J\u202e&amp;"
VOID = {"meta", "path", "circle", "rect", "br"}


class Reader(HTMLParser):
    """Every tag with its attributes; fails where tags do not nest."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open.pop() == tag


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def a_month(root: Path) -> None:
    for night in range(40):
        judged = verdict("FAIL", lost=40, outage_ms=61, causes=((("B1",), 40),)) if night < 20 else verdict()
        objects = deployment() if night < 20 else deployment(terminationGracePeriodSeconds=60)
        make_run(root, night, judged if night != 30 else None, objects)


def made(root: Path, here: Path) -> str:
    found = listed(root)
    return render(grouped(found.runs, compared(root)), found.skipped, links(found.runs, root, here))


def test_each_run_is_one_click_away_by_a_relative_link_wherever_the_page_is(tmp_path: Path) -> None:
    root = tmp_path / "some results"
    a_month(root)
    for night in range(40):
        (root / folder_name(night) / ("report.html" if night else "summary.txt")).write_text("")
    for here in (root, tmp_path, tmp_path / "site"):
        here.mkdir(exist_ok=True)
        hrefs = {attrs["href"] for tag, attrs in read(made(root, here)).found if tag == "a"}
        assert len(hrefs) == 40
        for href in hrefs:
            assert href
            assert not re.match(r"[a-z]+:|/", href)
            assert (here / unquote(href)).is_file()


def test_a_run_without_any_page_has_no_link(tmp_path: Path) -> None:
    a_month(tmp_path)
    (tmp_path / folder_name(1) / "report.html").symlink_to("/etc/passwd")
    assert not [tag for tag, _ in read(made(tmp_path, tmp_path)).found if tag == "a"]


def test_the_page_loads_nothing_runs_nothing_and_allows_only_its_own_style(tmp_path: Path) -> None:
    a_month(tmp_path)
    page = made(tmp_path, tmp_path)
    reader = read(page)
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = next(attrs["content"] for tag, attrs in reader.found if attrs.get("http-equiv"))
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert f"<style>{STYLE}</style>" in page
    assert not {"script", "link", "img", "iframe", "object", "base", "form"} & {
        tag for tag, _ in reader.found
    }
    assert not {
        name for _, attrs in reader.found for name in attrs if name == "style" or name.startswith("on")
    }
    assert "://" not in page
    assert "url(" not in page


def test_hostile_names_are_shown_and_do_nothing() -> None:
    run = Run(
        f"x{EVIL}", EVIL, 5, workload=EVIL, cluster=EVIL, target=EVIL, trigger=EVIL, headline=EVIL, missing=EVIL,
        grade="FAIL", lost=5, causes=(Cause((EVIL,), 5),), p99_ns=5, objects="1", rollouts=1,
    )  # fmt: skip
    runs = [run, replace(run, began_ns=9, objects="2", trigger=f"2{EVIL}")]
    groups = grouped(runs, lambda _, __: (FieldChange(EVIL, EVIL, EVIL),))
    page = render(groups, [Skipped(EVIL, EVIL)], {run.folder: "javascript%3Aalert/report.html"})
    reader = read(page)
    assert not {tag for tag, _ in reader.found} & {"script"}
    assert not {name for _, attrs in reader.found for name in attrs if name.startswith("on")}
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "&lt;script&gt;" in page


def test_a_folder_whose_name_looks_like_an_address_stays_a_folder(tmp_path: Path) -> None:
    path = make_run(tmp_path, 1, verdict())
    (path / "report.html").write_text("")
    path.rename(tmp_path / "javascript:alert(1)")
    (link,) = links(listed(tmp_path).runs, tmp_path, tmp_path).values()
    assert link == "javascript%3Aalert%281%29/report.html"


def test_changes_are_numbered_in_the_charts_as_in_the_list(tmp_path: Path) -> None:
    a_month(tmp_path)
    page = made(tmp_path, tmp_path)
    assert page.count('class="number"') == 6  # one in each chart
    assert '<b class="n">1</b>before the run of 2026-11-21 03:00' in page
    assert "terminationGracePeriodSeconds: <del>(absent)</del> &rarr; <ins>60</ins>" in page


def test_a_long_history_is_drawn_in_part_and_listed_whole(tmp_path: Path) -> None:
    run = Run("f", "nightly", 0, grade="PASS", lost=0, p99_ns=5, workload="w", rollouts=1)
    runs = [replace(run, folder=f"f{n}", began_ns=n * 10**14) for n in range(1000)]
    page = render(grouped(runs, lambda _, __: ()), (), {})
    assert "the latest 120 in the charts" in page
    assert page.count("<tr>") == 1000 + 2
    assert "970 older runs" in page
    assert len(page) < 1_000_000
    assert tmp_path.is_dir()


def test_no_run_at_all_is_said() -> None:
    assert "There is no run to show." in render((), (), {})


def test_a_value_far_beyond_the_rest_does_not_press_them_to_the_ground() -> None:
    plain = scale([10, 20, 30, 40, 50])
    assert (plain.top, plain.beyond) == (60, 0)
    odd = scale([10, 11, 12, 13, 14, 15, 900])
    assert (odd.top, odd.beyond) == (20, 1)
    assert odd.y(900) == odd.y(20) < odd.y(10) < odd.y(0)
    assert scale([]).beyond == scale([0, 0]).beyond == 0
    assert scale([0] * 9 + [63]).top == 80  # zeros are not the rest that a value is far beyond


def test_every_text_has_enough_contrast_in_both_themes() -> None:
    def light(colour: str) -> float:
        digits = colour.strip("#")
        digits = digits if len(digits) == 6 else "".join(2 * digit for digit in digits)
        parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(one: str, other: str) -> float:
        low, high = sorted((light(one), light(other)))
        return (high + 0.05) / (low + 0.05)

    themes = [
        dict(re.findall(r"--([\w-]+):(#\w+)", block))
        for block in re.findall(r":root\{(.*?)\}", STYLE, re.DOTALL)
    ]
    assert len(themes) == 2
    for theme in themes:
        for ink in ("ink", "soft", "link", "pass", "fail", "open", "none", "change"):
            assert contrast(theme[ink], theme["card"]) >= 4.5, ink
        for ink in ("ink", "soft"):
            assert contrast(theme[ink], theme["page"]) >= 4.5, ink
        for grade in ("pass", "fail", "open", "none"):
            assert contrast(theme[grade], theme[f"{grade}-on"]) >= 4.5, grade
        assert contrast(theme["line"], theme["card"]) >= 3


@pytest.mark.skipif(not shutil.which("chromium"), reason="needs chromium")
def test_a_browser_complains_of_nothing(tmp_path: Path) -> None:
    a_month(tmp_path)
    (tmp_path / "page.html").write_text(made(tmp_path, tmp_path))
    done = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0",
         f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", (tmp_path / "page.html").as_uri()],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert "History of rollouts" in done.stdout
    assert "CONSOLE" not in done.stderr


def test_the_badge_shows_the_last_run_as_it_is() -> None:
    good = Run("f", "nightly", 0, grade="PASS", lost=0, workload="w", rollouts=1)
    killed = replace(
        good, folder="g", began_ns=1, grade="", state="killed", missing="no verdict.json", rollouts=0
    )
    page = render(grouped([good, killed], lambda _, __: ()), [], {})
    assert '<span class="badge none">last: killed</span>' in page
    assert "last: PASS" not in page
