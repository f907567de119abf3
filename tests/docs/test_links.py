"""Every link on a page leads to something that is there."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.docs.pages import DOCS, PAGES, ROOT, anchors, links, name


def broken(page: Path, link: str) -> str:
    """Say what is wrong with a link; "" if nothing is, or if it leads out of the repository."""
    if link.startswith(("http://", "https://", "mailto:")):
        return ""
    path, _, anchor = link.partition("#")
    target = (page.parent / unquote(path)).resolve() if path else page
    if not target.is_relative_to(ROOT):
        return f"{link} leads out of the repository"
    if not target.exists():
        return f"{link}: there is no {name(target)}"
    if anchor and target.suffix == ".md" and anchor not in anchors(target):
        return f"{link}: {name(target)} has no heading with that anchor"
    return ""


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_and_pictures_on_a_page_are_there(page: Path) -> None:
    assert [fault for link in links(page) if (fault := broken(page, link))] == []


def test_links_are_found_and_broken_ones_are_told_apart(tmp_path: Path) -> None:
    page = DOCS / "verdict.md"
    assert sum(len(links(one)) for one in PAGES) > 50
    assert "there is no" in broken(page, "nowhere.md")
    assert "no heading" in broken(page, "judge.md#nowhere")
    assert "out of the repository" in broken(page, str(tmp_path))
    assert broken(page, "judge.md#advice") == ""


def test_every_page_is_in_the_site_s_contents() -> None:
    contents = (DOCS / "index.md").read_text(encoding="utf-8")
    contents += (DOCS / "causes/index.md").read_text(encoding="utf-8")
    listed = {line.strip() for line in contents.splitlines()}
    pages = [page.relative_to(DOCS) for page in DOCS.rglob("*.md")]
    missing = [
        str(page)
        for page in pages
        if page != Path("index.md") and not {page.stem, str(page.with_suffix(""))} & listed
    ]
    assert missing == []


def test_pictures_are_small_and_used() -> None:
    pictures = sorted((DOCS / "pictures").iterdir())
    shown = {(page.parent / link).resolve() for page in PAGES for link in links(page)}
    assert [picture.name for picture in pictures if picture not in shown] == []
    assert sum(picture.stat().st_size for picture in pictures) < 500_000
