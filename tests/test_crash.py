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
    monkeypatch.setattr("sys.argv", ["zdtest", "report", str(tmp_path)])
    assert cli.main() == 4
    printed = capsys.readouterr().err
    assert len(printed.splitlines()) == 1
    assert "crash.txt" in printed
    assert "ZeroDivisionError: oh" in (tmp_path / "crash.txt").read_text()


def test_a_crash_report_contains_no_secret_and_is_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> int:
        raise ZeroDivisionError("\x1b[31mGET https://u:s3cret@h/?a=s3cret with password=s3cret\nPASS: fine")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(root.commands["report"], "callback", broken)
    monkeypatch.setattr("sys.argv", ["zdtest", "report", str(tmp_path)])
    (tmp_path / "crash.txt").write_text("an older one")
    (tmp_path / "crash.txt").chmod(0o644)
    assert cli.main() == 4
    printed, written = capsys.readouterr().err, (tmp_path / "crash.txt").read_text()
    assert "s3cret" not in printed + written
    assert "https://h/?a=***" in printed
    assert len(printed.splitlines()) == 1
    assert "\x1b" not in printed
    assert (tmp_path / "crash.txt").stat().st_mode & 0o777 == 0o600


def test_a_header_that_was_not_quoted_is_refused_without_its_value(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["zdtest", "run", "-H", "Authorization:", "Bearer", "s3cret", "https://u:s3cret@h/"]
    monkeypatch.setattr("sys.argv", words)
    assert cli.main() == 2
    printed = capsys.readouterr().err
    assert "unexpected extra argument" in printed
    assert "s3cret" not in printed
