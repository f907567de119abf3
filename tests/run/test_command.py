"""Somebody else's tool as a trigger: run to its end, and ended gently where the run is over first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from harness.run.change.command import run_to_its_end

if TYPE_CHECKING:
    from pathlib import Path


def run(folder: Path, *words: str, for_s: float = 20.0, ending_s: float = 5.0) -> tuple[str | None, str]:
    """Return what went wrong (None: it was cut off), and what it printed."""

    async def main() -> str | None:
        with (folder / "command.log").open("wb") as output:
            with anyio.move_on_after(for_s):
                return await run_to_its_end(words, output, ending_s)
        return None

    failure = anyio.run(main)
    return failure, (folder / "command.log").read_text()


def test_what_it_prints_is_kept_and_its_exit_code_told(tmp_path: Path) -> None:
    assert run(tmp_path, "sh", "-c", "echo upgraded; echo careful >&2") == ("", "upgraded\ncareful\n")
    assert run(tmp_path, "sh", "-c", "exit 3")[0] == "exit code 3"


def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    failure, _ = run(tmp_path, "helm-of-another-world")
    assert failure == "helm-of-another-world: No such file or directory"


def test_a_word_that_is_no_program_is_not_repeated(tmp_path: Path) -> None:
    failure, _ = run(tmp_path, "TOKEN=s3cret", "helm")
    assert failure == "***: No such file or directory"


def test_one_that_is_cut_off_gets_time_to_put_its_work_in_order(tmp_path: Path) -> None:
    script = "trap 'sleep 0.3; echo in order; exit 0' TERM; echo begun; while :; do sleep 0.05; done"
    failure, printed = run(tmp_path, "sh", "-c", script, for_s=1.0)
    assert failure is None
    assert printed.endswith("in order\n")


def test_one_that_does_not_listen_is_killed_with_what_it_started(tmp_path: Path) -> None:
    script = "trap '' TERM; (trap '' TERM; sleep 4; echo survived) & echo begun; wait; sleep 9"
    failure, printed = run(tmp_path, "sh", "-c", script, for_s=1.0, ending_s=0.5)
    assert failure is None
    anyio.run(anyio.sleep, 4)
    assert (tmp_path / "command.log").read_text() == printed == "begun\n"
