"""If one report fails, the verdict, the exit code and the other reports are still there."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness import cli
from harness.judge.numbers.summary import SecondRow
from harness.judge.verdict import judgement
from harness.judge.verdict.judgement import judge
from harness.recording.read import Recording
from harness.report import markdown, plot, text, write_all
from harness.report.page import page
from harness.report.plot import draw
from tests.judge.synthetic import SyntheticRun

if TYPE_CHECKING:
    from harness.judge.verdict.judgement import Judgement

ALL = {"verdict.json", "summary.txt", "summary.md", "timeline.png", "report.html"}
MATHEMATICS = (
    "http://shop.example/items?$filter=price gt 5&$select=name",
    "a pod said $a{$ and $\\frac{",
    "$x^$",
    "\\$\\alpha$$",
)


def rolled(tmp_path: Path, **how: Any) -> Path:
    return SyntheticRun.rolling(2, prestop=4, grace=20, **how).write(tmp_path)


def ended(path: Path, monkeypatch: pytest.MonkeyPatch, command: str = "report") -> int:
    monkeypatch.setattr("sys.argv", ["zdtest", command, str(path)])
    return cli.main()


def with_words(found: Judgement, words: str) -> Judgement:
    """Return a judgement that has `words` wherever the picture shows foreign text."""
    return replace(
        found,
        about=replace(found.about, name=words, workload=words, targets=(words,), began=words),
        verdict=replace(found.verdict, headline=words),
        timeline=replace(found.timeline, pods=tuple(replace(pod, name=words) for pod in found.timeline.pods)),
    )


@pytest.mark.parametrize("words", MATHEMATICS)
def test_dollars_are_dollars_wherever_the_picture_shows_text(tmp_path: Path, words: str) -> None:
    found = judge(Recording.open(rolled(tmp_path)))
    draw(with_words(found, words), tmp_path / "timeline.png")
    assert (tmp_path / "timeline.png").read_bytes().startswith(b"\x89PNG")


def test_no_text_of_the_picture_is_read_as_mathematics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import matplotlib.text

    seen: list[tuple[str, bool]] = []
    drawn = matplotlib.text.Text.draw

    def watched(self: Any, *args: Any, **kwargs: Any) -> None:
        seen.append((self.get_text(), self.get_parse_math() or self.get_usetex()))
        drawn(self, *args, **kwargs)

    monkeypatch.setattr(matplotlib.text.Text, "draw", watched)
    draw(judge(Recording.open(rolled(tmp_path))), tmp_path / "timeline.png")
    assert len(seen) > 20
    assert [words for words, mathematics in seen if mathematics] == []


def test_a_style_in_the_working_folder_does_not_change_the_picture(tmp_path: Path) -> None:
    path = rolled(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "matplotlibrc").write_text("text.usetex: True\nfont.size: 40\naxes.facecolor: black\n")
    pictures = []
    for folder in (tmp_path, elsewhere):
        done = subprocess.run(
            [sys.executable, "-m", "harness", "report", str(path)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2])},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr == ""
        pictures.append((path / "timeline.png").read_bytes())
    assert pictures[0] == pictures[1]


def test_a_url_with_two_dollars_gets_its_verdict_and_its_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = rolled(tmp_path, record={"targets": ({"method": "GET", "url": MATHEMATICS[0].replace(" ", "+")},)})
    assert ended(path, monkeypatch) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert printed.out.splitlines()[-1].startswith("PASS: ")
    assert {file.name for file in path.iterdir()} >= ALL


@pytest.mark.parametrize(
    "fault",
    [
        ValueError("Expected end of text,\nfound '$'"),
        MemoryError(),
        RecursionError("too deep"),
        ImportError("libfreetype.so.6: cannot open shared object file"),
        OSError("matplotlib requires access to a writable cache directory"),
        ZeroDivisionError("oh"),
    ],
)
@pytest.mark.parametrize(
    ("module", "function", "name"),
    [
        (plot, "draw", "timeline.png"),
        (markdown, "render", "summary.md"),
        (page, "render", "report.html"),
        (judgement, "picture", "report.html"),
    ],
)
def test_a_report_that_cannot_be_made_is_named_and_nothing_else_is_lost(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fault: Exception,
    module: Any,
    function: str,
    name: str,
) -> None:
    def broken(*_: object, **__: object) -> str:
        raise fault

    path = rolled(tmp_path)
    monkeypatch.setattr(module, function, broken)
    assert ended(path, monkeypatch) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[-1].startswith("PASS: ")
    assert len(printed.err.splitlines()) == 1
    assert name in printed.err
    assert (str(fault).split("\n")[0] or type(fault).__name__) in printed.err
    assert {file.name for file in path.iterdir()} >= ALL - {name}
    assert not list(path.glob(".*"))


def test_without_matplotlib_there_is_a_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "harness.report.plot")
    monkeypatch.delattr("harness.report.plot")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    path = rolled(tmp_path)
    assert ended(path, monkeypatch) == 0
    printed = capsys.readouterr()
    assert "(timeline.png)" in printed.err
    assert "matplotlib" in printed.err
    assert len(printed.err.splitlines()) == 1


def test_a_summary_that_cannot_be_written_out_still_gives_verdict_and_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> str:
        raise KeyError("oh")

    path = rolled(tmp_path)
    monkeypatch.setattr(text, "render", broken)
    assert ended(path, monkeypatch) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[-1].startswith("PASS: ")
    assert "(summary.txt, report.html)" in printed.err  # the page has the summary in it
    assert "cannot print the summary" in printed.err
    assert {file.name for file in path.iterdir()} >= ALL - {"summary.txt", "report.html"}


def test_a_terminal_that_lacks_a_character_shows_its_number(tmp_path: Path) -> None:
    path = rolled(tmp_path, record={"notes": ("\u5e97",)})
    done = subprocess.run(
        [sys.executable, "-m", "harness", "report", str(path)],
        env={**os.environ, "PYTHONIOENCODING": "iso-8859-1:strict"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"Note: \u5e97" in done.stdout


def test_ctrl_c_while_drawing_is_not_reported_as_a_failed_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    path = rolled(tmp_path)
    found = judge(Recording.open(path))
    monkeypatch.setattr(plot, "draw", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_all(found, path)
    assert not list(path.glob(".*"))


def test_characters_that_the_font_lacks_cause_no_warning(tmp_path: Path) -> None:
    found = judge(Recording.open(rolled(tmp_path)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_all(with_words(found, "店 \U0001f6d2 \x00 \x1b[31m"), tmp_path)
    assert {file.name for file in tmp_path.iterdir()} >= ALL


def test_a_day_of_failures_is_drawn_with_as_many_bars_as_fit(tmp_path: Path) -> None:
    found = judge(Recording.open(rolled(tmp_path)))
    day = tuple(SecondRow(n, 10, 10, {"502": 1 + n % 7, "eof_before_response": 1}) for n in range(86_400))
    draw(replace(found, numbers=replace(found.numbers, seconds=day)), tmp_path / "timeline.png")
    assert (tmp_path / "timeline.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("seconds", "apart", "stretches"),
    [
        ([], 0, []),
        ([3], 0, [(3, 4)]),
        ([1, 2, 3, 7], 0, [(1, 4), (7, 8)]),
        ([1, 5, 20], 3, [(1, 6), (20, 21)]),
    ],
)
def test_stalled_seconds_are_joined_to_stretches(
    seconds: list[int], apart: int, stretches: list[tuple[int, int]]
) -> None:
    assert plot._joined(seconds, apart) == stretches
