"""docs/architecture.md speaks of files that are there, and no folder outgrows what one can see."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PATHS = sorted(
    {path for path in re.findall(r"`([\w./-]+)`", PAGE) if "/" in path and not path.startswith("hits/")}
)
ROOMS = sorted(path.parent for path in (ROOT / "harness").rglob("__init__.py"))


def test_the_page_names_files() -> None:
    assert len(PATHS) > 40


@pytest.mark.parametrize("path", PATHS)
def test_a_path_on_the_page_is_there(path: str) -> None:
    folders = (
        ROOT,
        ROOT / "harness",
        ROOT / "tests",
        ROOT / "scenarios",
        *(room for room in ROOMS if f"`{room.name}/`" in PAGE),
    )
    assert any((folder / path).exists() for folder in folders)


def test_every_folder_of_the_harness_is_on_the_page() -> None:
    missing = [
        str(room) for room in ROOMS if room.parent == ROOT / "harness" and f"`{room.name}/`" not in PAGE
    ]
    assert missing == []


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.relative_to(ROOT)))
def test_a_folder_holds_at_most_12_modules_and_says_what_it_is(room: Path) -> None:
    assert sum(file.name != "__init__.py" for file in room.glob("*.py")) <= 12
    assert (room / "__init__.py").read_text(encoding="utf-8").startswith('"""') or room.name == "harness"
