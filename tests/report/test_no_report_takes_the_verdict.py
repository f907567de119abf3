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
from harness.judge.verdict import judgement
from harness.judge.verdict.judgement import judge_with_picture
from harness.recording.read import Recording
from harness.report import markdown, text, write_all
from harness.report.drawing import draw
from harness.report.page import page
from tests.judge.synthetic import SyntheticRun
from tests.program import zdtest

if TYPE_CHECKING:
    from harness.judge.picture.picture import Picture
    from harness.judge.verdict.judgement import Judgement

PICTURES = {"timeline.png", "timeline-dark.png", "timeline.svg"}
ALL = {"verdict.json", "summary.txt", "summary.md", "report.html", *PICTURES}
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


def seen(path: Path) -> tuple[Judgement, Picture]:
    return judge_with_picture(Recording.open(path))


def with_words(found: Judgement, picture: Picture, words: str) -> tuple[Judgement, Picture]:
    """Return what has `words` wherever the picture shows foreign text."""
    pods = tuple(replace(pod, name=words) for pod in found.timeline.pods)
    timeline = replace(found.timeline, pods=pods)
    said = replace(
        found,
        about=replace(found.about, name=words, workload=words, targets=(words,), began=words),
        verdict=replace(found.verdict, headline=words),
        timeline=timeline,
    )
    return said, replace(picture, timeline=timeline)


@pytest.mark.parametrize("words", MATHEMATICS)
def test_dollars_are_dollars_wherever_the_picture_shows_text(tmp_path: Path, words: str) -> None:
    draw.draw(*with_words(*seen(rolled(tmp_path)), words), tmp_path / "timeline.png")
    assert (tmp_path / "timeline.png").read_bytes().startswith(b"\x89PNG")


def test_no_text_of_the_picture_is_read_as_mathematics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import matplotlib.text

    texts: list[tuple[str, bool]] = []
    drawn = matplotlib.text.Text.draw

    def watched(self: Any, *args: Any, **kwargs: Any) -> None:
        texts.append((self.get_text(), self.get_parse_math() or self.get_usetex()))
        drawn(self, *args, **kwargs)

    monkeypatch.setattr(matplotlib.text.Text, "draw", watched)
    draw.draw(*seen(rolled(tmp_path)), tmp_path / "timeline.png")
    assert len(texts) > 20
    assert [words for words, mathematics in texts if mathematics] == []


def test_a_style_in_the_working_folder_does_not_change_the_picture(tmp_path: Path) -> None:
    path = rolled(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "matplotlibrc").write_text("text.usetex: True\nfont.size: 40\naxes.facecolor: black\n")
    assert zdtest("report", str(path)).stderr == ""
    picture = (path / "timeline.png").read_bytes()
    done = subprocess.run(  # a start of Python: matplotlib looks for such a file once
        [sys.executable, "-m", "harness", "report", str(path)],
        cwd=elsewhere,
        env={**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert (path / "timeline.png").read_bytes() == picture


def test_a_url_with_two_dollars_gets_its_verdict_and_its_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = rolled(tmp_path, record={"targets": ({"method": "GET", "url": MATHEMATICS[0].replace(" ", "+")},)})
    assert ended(path, monkeypatch) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert printed.out.splitlines()[-1].startswith("PASS: ")
    assert {file.name for file in path.iterdir()} >= ALL


FAULTS = (
    ValueError("Expected end of text,\nfound '$'"),
    MemoryError(),
    RecursionError("too deep"),
    ImportError("libfreetype.so.6: cannot open shared object file"),
    OSError("matplotlib requires access to a writable cache directory"),
    ZeroDivisionError("oh"),
)
# One loop writes all files, so that every fault is tried where no picture is drawn, and two of them where it is.
BROKEN = [
    *((draw, "draw", PICTURES, fault) for fault in FAULTS),
    *((judgement, "picture", {"report.html", *PICTURES}, fault) for fault in FAULTS),
    *((markdown, "render", {"summary.md"}, fault) for fault in FAULTS[:2]),
    *((page, "render", {"report.html"}, fault) for fault in FAULTS[:2]),
]


@pytest.mark.parametrize(("module", "function", "names", "fault"), BROKEN)
def test_a_report_that_cannot_be_made_is_named_and_nothing_else_is_lost(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fault: Exception,
    module: Any,
    function: str,
    names: set[str],
) -> None:
    def broken(*_: object, **__: object) -> str:
        raise fault

    path = rolled(tmp_path)
    monkeypatch.setattr(module, function, broken)
    assert ended(path, monkeypatch) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[-1].startswith("PASS: ")
    assert len(printed.err.splitlines()) == 1
    assert min(names - {"timeline-dark.png"}) in printed.err
    assert (str(fault).split("\n")[0] or type(fault).__name__) in printed.err
    assert {file.name for file in path.iterdir()} >= ALL - names
    assert not list(path.glob(".*"))


def test_without_matplotlib_there_is_a_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("harness.report.drawing")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("harness.report.drawing")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    path = rolled(tmp_path)
    assert ended(path, monkeypatch) == 0
    printed = capsys.readouterr()
    assert "(timeline.png, timeline-dark.png, timeline.svg)" in printed.err
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


def test_pictures_of_an_earlier_verdict_do_not_stay_beside_a_new_one(tmp_path: Path) -> None:
    path = rolled(tmp_path)
    found, picture = seen(path)
    write_all(found, path, picture)
    assert (path / "report.html").exists()
    write_all(found, path)
    assert (path / "verdict.json").exists()
    assert not {"report.html", "timeline.png", "timeline-dark.png", "timeline.svg"} & {
        f.name for f in path.iterdir()
    }


def test_ctrl_c_while_drawing_is_not_reported_as_a_failed_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    path = rolled(tmp_path)
    found, picture = seen(path)
    monkeypatch.setattr(draw, "draw", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_all(found, path, picture)
    assert not list(path.glob(".*"))


def test_characters_that_the_font_lacks_cause_no_warning(tmp_path: Path) -> None:
    found, picture = with_words(*seen(rolled(tmp_path)), "店 \U0001f6d2 \x00 \x1b[31m")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_all(found, tmp_path, picture)
    assert {file.name for file in tmp_path.iterdir()} >= ALL
