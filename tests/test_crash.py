from __future__ import annotations

from typing import TYPE_CHECKING

from harness import cli
from harness.cli.root import root

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_fault_of_our_own_is_one_line_exit_4_and_a_traceback_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> int:
        raise ZeroDivisionError("oh")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(root.commands["report"], "callback", broken)
    monkeypatch.setattr("sys.argv", ["zdtest", "report", "x"])
    assert cli.main() == 4
    printed = capsys.readouterr().err
    assert len(printed.splitlines()) == 1
    assert "crash.txt" in printed
    assert "ZeroDivisionError: oh" in (tmp_path / "crash.txt").read_text()
