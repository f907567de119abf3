"""Run and report files are written in one place, and YAML is read in one place, so both are safe everywhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import harness

HARNESS = Path(harness.__file__).parent
MAKES_A_FILE = re.compile(
    r"""\.write_text\(|\.write_bytes\(|\bopen\(\s*["'][wax]|\.open\(\s*["'][wax]|"""
    r"""os\.open\(|mkstemp|NamedTemporaryFile"""
)
READS_YAML = re.compile(r"yaml\.(safe_load|load|full_load|unsafe_load|compose|parse|scan)|SafeLoader|CLoader")


def offenders(words: re.Pattern[str], parts: tuple[str, ...], allowed: str) -> list[str]:
    files = (file for part in parts for file in (HARNESS / part).rglob("*.py"))
    return [
        f"{file.relative_to(HARNESS)}: {found[0]}"
        for file in files
        if file.relative_to(HARNESS).as_posix() != allowed and (found := words.search(file.read_text()))
    ]


def test_a_run_and_its_reports_make_files_in_one_way() -> None:
    parts = (
        "recording",
        "report",
        "judge",
        "run",
        "load",
        "scenario",
        "history",
        "export",
        "storage",
        "cli/runs",
    )
    assert offenders(MAKES_A_FILE, parts, "recording/folder.py") == []


def test_yaml_is_read_in_one_way() -> None:
    assert offenders(READS_YAML, (".",), "scenario/yamltext.py") == []


@pytest.mark.parametrize(
    "line", ['path.write_text("x")', 'path.open("wb")', 'open("a")', "os.open(path, 1)", 'file.open(\n"xb")']
)
def test_the_search_finds_what_it_looks_for(line: str) -> None:
    assert MAKES_A_FILE.search(line)
    assert not MAKES_A_FILE.search('with log.open("rb") as raw, folder.opened(root)')
    assert READS_YAML.search("yaml.safe_load(text)")
