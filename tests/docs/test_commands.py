"""Commands and flags that the pages quote are ones that zdtest has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest

import harness.cli  # noqa: F401  registers the commands
from harness.cli.root import root
from tests.docs.pages import PAGES, Quoted, flags, name, quoted

if TYPE_CHECKING:
    from pathlib import Path

# Flags of other programs that the pages speak of.
FOREIGN = frozenset({"--drain-time-s", "--as", "--since", "--timestamps", "--previous", "--tail", "--http1"})


def options(command: click.Command) -> set[str]:
    return {text for param in command.params for text in (*param.opts, *param.secondary_opts)} | {
        "-h", "--help", "--version",
    }  # fmt: skip


def everything(command: click.Command) -> set[str]:
    below = command.commands.values() if isinstance(command, click.Group) else ()
    return options(command).union(*(everything(one) for one in below))


def fault(line: Quoted) -> str:
    """Say what zdtest would not take of a command line; "" if it takes it all."""
    command: click.Command = root
    words = list(line.words)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        if words[0] not in command.commands:
            return f"zdtest has no command {words[0]!r}: {' '.join(line.words)}"
        command = command.commands[words.pop(0)]
    known = options(command)
    for word in words:
        flag = word.partition("=")[0]
        if flag.startswith("--") and flag not in known:
            return f"{command.name} has no {flag}: {' '.join(line.words)}"
        if flag[:1] == "-" and flag[1:2].isalpha() and flag[:2] not in known:
            return f"{command.name} has no {flag[:2]}: {' '.join(line.words)}"
    return ""


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_on_a_page_are_ones_that_zdtest_takes(page: Path) -> None:
    assert [said for line in quoted(page) if (said := fault(line))] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_flags_named_on_a_page_are_ones_that_zdtest_has(page: Path) -> None:
    assert sorted(set(flags(page)) - everything(root) - FOREIGN) == []


def test_commands_are_found_and_wrong_ones_are_told_apart() -> None:
    assert sum(len(quoted(page)) for page in PAGES) > 30
    assert "no command 'prove'" in fault(Quoted("page", ("prove", "results")))
    assert "run has no --fast" in fault(Quoted("page", ("run", "--fast", "-c", "200")))
    assert "report has no -c" in fault(Quoted("page", ("report", "results", "-c", "3")))
    assert fault(Quoted("page", ("run", "-c", "200", "-f", "seed/1-no-probe", "--lab"))) == ""
