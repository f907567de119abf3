"""The commands about runs, as a user types them: what they print, their exit codes, and what they leave alone."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.cli.runs.opening import may_have_browser
from harness.history.serving import name_of
from harness.recording.write import write_json
from tests import program
from tests.history.folders import deployment, folder_name, make_run, verdict
from tests.judge.synthetic import SyntheticRun

if TYPE_CHECKING:
    from collections.abc import Iterator

QUIET = {
    key: value for key, value in os.environ.items() if key not in {"DISPLAY", "WAYLAND_DISPLAY", "BROWSER"}
}


def zdtest(here: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return program.zdtest(*words, cwd=here, env={**QUIET, **environment})


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Five nights in results/: three FAIL, then two PASS."""
    for night in range(5):
        judged = verdict("FAIL", lost=9, causes=((("B1",), 9),)) if night < 3 else verdict()
        path = make_run(tmp_path / "results", night, judged, deployment())
        (path / "summary.txt").write_text(f"{judged['verdict']['grade']}: night {night}\n\x1b[2J\n")
    return tmp_path


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one whole recording, not judged yet; tests must not write into it."""
    root = tmp_path_factory.mktemp("real")
    SyntheticRun.rolling(probe=False).write(root)
    return root


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_list_prints_a_table_or_json(here: Path) -> None:
    done = zdtest(here, "list")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[4] for line in done.stdout.splitlines()[1:]] == ["PASS"] * 2 + ["FAIL"] * 3
    rows = json.loads(zdtest(here, "list", "results", "--format", "json").stdout)["runs"]
    assert [row["verdict"] for row in rows] == ["PASS"] * 2 + ["FAIL"] * 3
    assert rows[4]["causes"] == [{"ids": ["B1"], "hits": 9}]


def test_show_prints_the_summary_as_it_stands_and_writes_nothing(here: Path) -> None:
    before = files(here)
    done = zdtest(here, "show", "last-fail")
    assert done.stdout.splitlines() == ["FAIL: night 2", "\\x1b[2J"]
    assert done.returncode == 0
    assert files(here) == before


def test_show_judges_a_run_that_nobody_judged_and_still_writes_nothing(real: Path) -> None:
    before = files(real)
    (name,) = (path.name for path in real.iterdir())
    done = zdtest(real, "show", f"./{name[:6]}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("FAIL: ")
    assert files(real) == before


@pytest.mark.parametrize("command", ["show", "report", "advise", "open", "export"])
def test_a_name_that_no_run_has_is_one_line_and_exit_code_2(here: Path, command: str) -> None:
    more = ["--to", "csv"] if command == "export" else []
    for word in ("nothing-like-it", "2026", "results/x", "no/where"):
        done = zdtest(here, command, word, *more)
        assert done.returncode == 2, (word, done)
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert done.stderr.startswith(f"zdtest: {word.rpartition('/')[2] if word == 'results/x' else word}: ")


def test_history_is_printed_as_text_json_and_a_page(here: Path) -> None:
    done = zdtest(here, "history")
    assert "PASS in the last 2 runs, since 2026-11-04 03:00; FAIL before that." in done.stdout
    (group,) = json.loads(zdtest(here, "history", "--format", "json").stdout)["groups"]
    assert [night["run"]["verdict"] for night in group["nights"]] == ["FAIL"] * 3 + ["PASS"] * 2
    (here / "out").mkdir()
    done = zdtest(here, "history", "results", "--html", "out/page.html")
    assert done.returncode == 0, done.stderr
    page = (here / "out" / "page.html").read_text()
    assert f'href="../results/{folder_name(4)}/summary.txt"' in page


def test_a_page_that_cannot_be_written_is_one_line_and_leaves_nothing(here: Path) -> None:
    (here / "file").write_text("mine")
    for bad in ("results", "file/page.html", "/dev/null"):
        done = zdtest(here, "history", "--html", bad)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done
    assert (here / "file").read_text() == "mine"
    assert Path("/dev/null").is_char_device()


def test_clean_deletes_the_oldest_and_prints_them(here: Path) -> None:
    (here / "results" / "notes").mkdir()
    done = zdtest(here, "clean", "--keep", "3", "--dry-run")
    assert done.stdout.splitlines()[-1] == "2 runs would be deleted"
    assert len(list((here / "results").iterdir())) == 6
    done = zdtest(here, "clean", "--keep", "3")
    gone = [f"deleted results/{folder_name(n)}" for n in (0, 1)]
    assert done.stdout.splitlines() == [*gone, "2 runs deleted"]
    left = sorted(path.name for path in (here / "results").iterdir())
    assert left == [*(folder_name(n) for n in (2, 3, 4)), "notes"]
    assert zdtest(here, "clean", "--keep", "3").stdout == "nothing to delete\n"


def test_clean_without_a_number_or_a_folder_deletes_nothing(here: Path) -> None:
    before = files(here)
    for words in (["clean"], ["clean", "--keep", "0"], ["clean", "nowhere", "--keep", "1"]):
        done = zdtest(here, *words)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done
    assert files(here) == before


def test_a_shell_completes_names_of_runs(here: Path) -> None:
    words = {"_ZDTEST_COMPLETE": "bash_complete", "COMP_WORDS": "zdtest show 202611", "COMP_CWORD": "2"}
    words_of = "import sys; sys.argv = ['zdtest']; from harness.__main__ import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", words_of], cwd=here, capture_output=True, text=True, check=False,
        env={**QUIET, **words, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert done.stdout.splitlines() == [f"plain,{folder_name(n)}" for n in (4, 3, 2, 1, 0)]


# --- open ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "system", "there"),
    [
        ({}, "linux", False),
        ({"SSH_CONNECTION": "x"}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({"BROWSER": "firefox"}, "linux", True),
        ({}, "darwin", True),
    ],
)
def test_a_browser_is_expected_only_where_it_can_have_a_window(
    environment: dict[str, str], system: str, *, there: bool
) -> None:
    assert may_have_browser(environment, system) is there


def with_page(here: Path) -> Path:
    path = here / "results" / folder_name(4)
    (path / "report.html").write_text("<p>the page</p>")
    return path


def test_open_gives_the_page_to_the_browser_and_prints_where_it_is(here: Path) -> None:
    path = with_page(here)
    browser = here / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {here}/opened\n')
    browser.chmod(0o755)
    done = zdtest(here, "open", "last", BROWSER=f"{browser} %s")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == str((path / "report.html").resolve())
    assert (here / "opened").read_text().strip() == (path / "report.html").resolve().as_uri()


def test_open_says_what_to_do_where_there_is_no_browser(here: Path) -> None:
    path = with_page(here)
    done = zdtest(here, "open", "last")
    assert done.returncode == 0
    assert done.stdout.strip() == str((path / "report.html").resolve())
    assert f"zdtest open results/{path.name} --serve" in done.stderr


def test_a_page_that_is_missing_and_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    path = SyntheticRun.rolling(probe=False).write(tmp_path / "results")
    (path / "report.html").mkdir()  # in the way
    done = zdtest(tmp_path, "open", "last")
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert "has no report.html, and none could be made" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_page_that_is_missing_is_made(tmp_path: Path) -> None:
    path = SyntheticRun.rolling(probe=False).write(tmp_path / "results")
    done = zdtest(tmp_path, "open", "last")
    assert done.returncode == 0, done.stderr
    assert (path / "report.html").stat().st_size > 1000


def test_the_port_goes_with_serve(here: Path) -> None:
    with_page(here)
    done = zdtest(here, "open", "last", "--port", "80")
    assert (done.returncode, done.stderr) == (
        2,
        "zdtest: --port goes with --serve: add --serve, or leave it out\n",
    )
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = zdtest(here, "open", "last", "--serve", "--port", str(taken.getsockname()[1]))
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "choose another" in done.stderr


@contextmanager
def served(here: Path) -> Iterator[tuple[str, int, str]]:
    """A running `open --serve`: its host, port and path; ended by Ctrl-C, which must be a clean end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", "open", "last", "--serve"],
        cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**QUIET, "PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        assert process.stdout
        found = re.fullmatch(r"http://(127\.0\.0\.1):(\d+)(/.*)\n", process.stdout.readline())
        assert found
        yield found[1], int(found[2]), found[3]
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
        assert "Traceback" not in said
    finally:
        process.kill()
        process.wait()


def test_serve_gives_the_reports_and_nothing_else_until_ctrl_c(here: Path) -> None:
    path = with_page(here)
    (path / "rollouts" / "1").mkdir(parents=True)
    (path / "rollouts" / "1" / "summary.txt").write_text("the first")
    (path / "timeline.png").symlink_to("/etc/passwd")
    with served(here) as (host, port, at):

        def ask(target: str, method: str = "GET", name: str = "localhost") -> tuple[int, bytes]:
            connection = http.client.HTTPConnection(host, port, timeout=20)
            connection.request(method, target, headers={"Host": name})
            answer = connection.getresponse()
            said = answer.read()
            connection.close()
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            return answer.status, said

        root = at.removesuffix("report.html")
        assert len(root) > 20  # nobody guesses it
        assert ask(at) == (200, b"<p>the page</p>")
        assert ask(f"{at}?x=1") == (200, b"<p>the page</p>")
        assert ask(at, "HEAD") == (200, b"")
        assert ask(f"{root}rollouts/1/summary.txt") == (200, b"the first")
        assert ask(at, name=f"127.0.0.1:{port}")[0] == 200
        assert ask(at, name="localhost:8000")[0] == 200  # through ssh -L
        for target in (
            "/", root, f"{root}run.json", f"{root}hits/0.arrow", f"{root}../report.html", f"{root}rollouts/",
            f"{root}rollouts/1/../../run.json", f"{root}timeline.png", f"{root}timeline.svg", "/report.html",
            f"{root}%2e%2e/run.json", f"{root}report.html/", "/x/report.html",
        ):  # fmt: skip
            assert ask(target)[0] == 404, target
        for name in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "localhost@evil"):
            assert ask(at, name=name)[0] == 421, name
        assert ask(at, "POST")[0] == 501


def test_a_request_with_two_hosts_or_none_is_refused() -> None:
    assert name_of("/s/report.html", [], "s") == (421, "")
    assert name_of("/s/report.html", ["localhost", "evil"], "s") == (421, "")
    assert name_of("/s/report.html", ["localhost"], "s") == (200, "report.html")
    assert name_of("/\u00e4/report.html", ["localhost"], "s") == (404, "")


def test_an_index_in_results_is_no_run(here: Path) -> None:
    write_json(here / "results" / ".zdtest-index.jsonl", {})
    assert zdtest(here, "list").stdout.count("\n") == 6


def test_a_verdict_that_cannot_be_read_is_judged_again_by_show_and_export_alike(tmp_path: Path) -> None:
    path = SyntheticRun.rolling(probe=False).write(tmp_path / "results")
    (path / "verdict.json").write_text('{"format": 1}')
    for words in (["show", "last"], ["export", "last", "--to", "perfetto", "--out", "trace.json"]):
        done = zdtest(tmp_path, *words)
        assert done.returncode == 0, done.stderr
        (line,) = done.stderr.splitlines()
        assert line.startswith("zdtest: verdict.json: ")
        assert line.endswith("; judged again")
    assert '"zdtest: ' not in (tmp_path / "trace.json").read_text()
