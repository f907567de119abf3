"""Foreign text cannot affect a terminal, a chat message, a patch or a picture."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import re
import socket
import threading
import unicodedata
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from rich.console import Console
from rich.markdown import Markdown

from harness import cli, escaping
from harness.judge.comparison.comparison import compare
from harness.judge.comparison.record import ManifestChange
from harness.judge.comparison.sides import JudgedRun, side_of
from harness.judge.verdict.fieldchanges import FieldChange
from harness.judge.verdict.judgement import Judgement, judge, judge_with_picture
from harness.progress.live import LiveView
from harness.recording.answers import Answer
from harness.recording.read import Recording
from harness.report import lint, markdown, patch, text, write_all
from harness.report.comparison import markdown as comparison_markdown, text as comparison_text
from harness.report.ladder import cells, row, table
from tests.judge.synthetic import SyntheticRun
from tests.program import zdtest

if TYPE_CHECKING:
    from pathlib import Path

    from harness.judge.comparison.record import Comparison

UNSEEN = "\x1b[31m\x9b2J\x07\x00\u202e\u2066\u200b\ufeff\u2028\x85\r\nPASS: fine\U000e0041"
HOSTILE = (
    f"{UNSEEN}<img src=x>[click](http://e.example)![i](u)[r]: http://e.example "
    "`code` *b* __c__ https://e.example &lt;"
)


def is_seen(character: str) -> bool:
    unseen = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    return character == "\n" or unicodedata.category(character) not in unseen


def hostile(value: Any) -> Any:
    """The same record with hostile text appended to each string, except those from a closed list of values."""
    if isinstance(value, Enum):
        return value
    if isinstance(value, str):
        return value + HOSTILE
    if isinstance(value, dict):
        return {k: hostile(v) for k, v in value.items()}
    if isinstance(value, tuple):
        return tuple(hostile(v) for v in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        has_closed = type(value).__name__ in {"Cause", "Part"}
        closed = {"confidence", "ids", "severity", "status", "kind", "name"} if has_closed else set()
        return dataclasses.replace(
            value,
            **{
                f.name: hostile(getattr(value, f.name))
                for f in dataclasses.fields(value)
                if f.name not in closed
            },
        )
    return value


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Judgement:
    path = SyntheticRun.rolling(probe=False).write(tmp_path_factory.mktemp("bad"))
    found = hostile(judge(Recording.open(path)))
    assert isinstance(found, Judgement)
    return found


def hostile_comparison(bad: Judgement) -> Comparison:
    run = SyntheticRun.rolling().run()
    sides = [side_of(name, [JudgedRun(run, bad)]) for name in ("before", "after")]
    return dataclasses.replace(
        compare(sides[0], sides[1]),
        manifest=(ManifestChange(FieldChange("a", HOSTILE, HOSTILE), (HOSTILE,)),),
        warnings=(HOSTILE,),
    )


def test_invisible_characters_are_written_as_escapes() -> None:
    shown = escaping.for_line(f"a{UNSEEN}b")
    assert (
        shown == "a\\x1b[31m\\x9b2J\\x07\\x00\\u202e\\u2066\\u200b\\ufeff\\u2028\\x85 PASS: fine\\U000e0041b"
    )
    assert escaping.for_terminal("a\nb\tc\x1b") == "a\nb\\x09c\\x1b"
    assert escaping.for_line("Zürich 東京 é") == "Zürich 東京 é"


def test_no_report_passes_text_of_a_judgement_on_unescaped(bad: Judgement) -> None:
    assert HOSTILE in bad.about.name
    outputs = {
        "summary": text.render(bad, latencies=True),
        "comparison": comparison_text.render(hostile_comparison(bad)),
        "comparison in Markdown": comparison_markdown.render(hostile_comparison(bad)),
        "patch": patch.render(bad),
        "lint": lint.lines([lint.Placed(found) for found in bad.lint], [HOSTILE]),
        "ladder": table([cells(f"step{HOSTILE}", [row(bad)])]),
        "message": markdown.render(bad),
    }
    for name, output in outputs.items():
        assert "PASS: fine" in output, name
        assert all(map(is_seen, output)), name
        assert not re.search(r"^PASS: fine", output, re.MULTILINE), name


def test_a_chat_message_contains_no_foreign_element_link_or_image(bad: Judgement) -> None:
    message = markdown.render(bad)
    assert len(message.splitlines()) <= 15
    outside = re.sub(r"`[^`]*`", "", message)
    assert "`" not in outside, "backticks come in pairs"
    for sign in ("<img", "](", "]:", "://"):
        assert sign not in outside
    shown = io.StringIO()
    Console(file=shown, force_terminal=True, width=2000, color_system=None).print(Markdown(message))
    assert "\x1b]8;" not in shown.getvalue(), "a link"


@pytest.mark.parametrize(
    "said",
    ["a_b reset_before_response", "1 * 2 * 3", "<b>", "[a](b)", "a\\*b", "&lt;", "x` `y", "# 1", "- a", "$x$ ~~y~~",
     "__init__"],
)  # fmt: skip
def test_markdown_shows_a_value_as_it_is(said: str) -> None:
    def shown(source: str) -> str:
        out = io.StringIO()
        Console(file=out, width=200, color_system=None).print(Markdown(source))
        return out.getvalue().strip()

    assert shown(f"x {escaping.for_markdown(said)} y") == f"x {said.replace('`', chr(39))} y"


def test_a_patch_stays_a_patch_whatever_a_comment_above_it_says(bad: Judgement) -> None:
    loaded = yaml.safe_load(patch.render(bad))
    assert loaded == bad.advice.patch if bad.advice else loaded == {}


def test_a_stranger_s_recording_is_drawn_and_reported(bad: Judgement, tmp_path: Path) -> None:
    path = SyntheticRun.rolling(probe=False).write(tmp_path / "run")
    write_all(bad, tmp_path, hostile(judge_with_picture(Recording.open(path))[1]))
    assert (tmp_path / "timeline.png").read_bytes().startswith(b"\x89PNG")
    for name in ("summary.txt", "summary.md", "timeline.svg"):
        assert all(map(is_seen, (tmp_path / name).read_text()))
    json.loads((tmp_path / "verdict.json").read_text())


def test_progress_messages_stay_on_their_line() -> None:
    stream = io.StringIO()
    with LiveView(stream) as line:
        line.say(f"rollout: {HOSTILE}")
    assert len(stream.getvalue().splitlines()) == 1
    assert all(map(is_seen, stream.getvalue()))


@pytest.mark.parametrize(
    "words",
    [
        ["report", f"/nowhere/{UNSEEN}"],
        ["lint", f"/nowhere/{UNSEEN}"],
        ["run", f"--{UNSEEN}"],
        ["run", "-f", f"/nowhere/{UNSEEN}.yaml"],
        ["run", f"http://{UNSEEN}/", "--no-rollout"],
    ],
)
def test_an_error_is_one_line_whatever_it_quotes(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["zdtest", *(word.replace("\x00", "") for word in words)])
    assert cli.main() == 2
    printed = capsys.readouterr().err
    assert len(printed.splitlines()) == 1
    assert all(map(is_seen, printed))


def test_a_redirect_is_named_without_its_escape_sequence_and_its_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = b"HTTP/1.1 302 Found\r\nLocation: http://e.example/\x9b2J<img>?code=s3cret\r\nContent-Length: 0\r\n\r\n"
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        connection.recv(65536)
                        connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        monkeypatch.setattr("sys.argv", ["zdtest", "run", url, "--no-rollout", "-d", "1s"])
        assert cli.main() == 2
        listener.shutdown(socket.SHUT_RDWR)
    (line,) = capsys.readouterr().err.splitlines()[1:]
    assert "answers 302 to http://e.example/\\x9b2J<img>?code=***" in line


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("::error::x", "\\u003a:error::x"),
        ("a\n  \t::add-mask::x\nb :: c", "a\n  \t\\u003a:add-mask::x\nb :: c"),
        ("said ##[set-output name=a]b", "said \\u0023#[set-output name=a]b"),
        ("##vso[task.setvariable]x ##teamcity[x", "\\u0023#vso[task.setvariable]x \\u0023#teamcity[x"),
        ("## a heading, a::b, 1 [x]", "## a heading, a::b, 1 [x]"),
    ],
)
def test_a_ci_system_that_reads_the_log_finds_no_command_in_it(text: str, safe: str) -> None:
    assert escaping.for_log(text) == safe


def test_what_a_server_said_gives_no_command_in_a_job_and_json_stays_the_same(tmp_path: Path) -> None:
    said = {"502": Answer(502, body="##[set-output name=a]b ::set-output name=a::b ##vso[task.x]y")}
    path = SyntheticRun.rolling(2, said=said).write(tmp_path)
    words = ["report", str(path)]
    plain = {**os.environ, "GITHUB_ACTIONS": "", "GITHUB_STEP_SUMMARY": ""}
    github = {**plain, "GITHUB_ACTIONS": "true"}
    text = zdtest(*words, "--no-annotations", env=github).stdout
    assert "set-output" in text
    assert not re.search(r"(?m)^\s*::|##\w*\[", text)
    whole = [zdtest(*words, "--format", "json", env=env).stdout for env in (plain, github)]
    assert "##[set-output" in whole[0]
    assert "##[set-output" not in whole[1]
    assert json.loads(whole[0]) == json.loads(whole[1])
