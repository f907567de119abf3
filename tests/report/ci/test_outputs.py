"""The options as a user gives them: files, the step summary, and what goes wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from harness.cli.ci.outputs import outputs_of
from harness.errors import UsageError
from harness.report.ci.document import MIB
from harness.report.ci.link import link
from tests import program
from tests.report.ci.runs import recorded

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

CI = (
    "CI_JOB_URL", "BUILD_URL", "BUILDKITE_BUILD_URL", "CIRCLE_BUILD_URL", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY",
    "GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID", "ZDTEST_WEBHOOK",
)  # fmt: skip


def zdtest(folder: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    import os

    plain = {name: value for name, value in os.environ.items() if name not in CI}
    return program.zdtest(*words, cwd=folder, env={**plain, **environ})


def test_files_are_written_beside_the_summary_and_the_exit_code_is_the_verdict_s(tmp_path: Path) -> None:
    path = recorded("lossy", tmp_path)
    done = zdtest(
        tmp_path,
        "report",
        str(path),
        "--junit",
        "a.xml",
        "--markdown",
        "a.md",
        "--link",
        "https://u:pw@ci.example/1",
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr == ""
    assert ET.parse(tmp_path / "a.xml").getroot().attrib["failures"] == "2"  # noqa: S314  our own text
    text = (tmp_path / "a.md").read_text()
    assert text.startswith("## ")
    assert "https://ci.example/1" in text
    assert "pw" not in text + (tmp_path / "a.xml").read_text()


@pytest.mark.parametrize("command", ["run", "report", "ladder"])
def test_a_folder_that_is_not_there_is_refused_before_anything_is_done(tmp_path: Path, command: str) -> None:
    words = {"run": ["--lab", "-o", "runs"], "report": ["."], "ladder": ["-o", "runs"]}[command]
    done = zdtest(tmp_path, command, *words, "--junit", "nowhere/a.xml")
    assert done.returncode == 2
    assert done.stderr == (
        "zdtest: --junit nowhere/a.xml: there is no folder nowhere; create it, or name another file\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_the_runs_is_made_by_the_run_and_so_need_not_be_there(tmp_path: Path) -> None:
    asked = {"junit": tmp_path / "results" / "a.xml", "output": tmp_path / "here" / ".." / "results"}
    assert outputs_of(dict(asked)).files == {"junit": tmp_path / "results" / "a.xml"}
    with pytest.raises(UsageError, match="there is no folder"):
        outputs_of({**asked, "junit": tmp_path / "results" / "deeper" / "a.xml"})


def test_a_file_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="this is a folder"):
        outputs_of({"markdown": tmp_path})


def test_a_file_that_cannot_be_written_is_one_line_and_changes_nothing_else(tmp_path: Path) -> None:
    path = recorded("clean", tmp_path)
    done = zdtest(tmp_path, "report", str(path), "--junit", "/dev/full", "--markdown", "a.md")
    assert done.returncode == 0
    assert done.stderr == "zdtest: cannot write --junit /dev/full: No space left on device\n"
    assert (tmp_path / "a.md").is_file()


def test_the_step_summary_is_appended_to(tmp_path: Path) -> None:
    path = recorded("clean", tmp_path)
    (tmp_path / "summary").write_text("from another step\n")
    done = zdtest(tmp_path, "report", str(path), GITHUB_STEP_SUMMARY=str(tmp_path / "summary"))
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "summary").read_text()
    assert text.startswith("from another step\n## ✅ PASS: ")


def test_the_step_summary_never_grows_over_what_github_takes(tmp_path: Path) -> None:
    path = recorded("lossy", tmp_path)
    (tmp_path / "summary").write_text("x\n" * (MIB // 2 - 500))
    done = zdtest(tmp_path, "report", str(path), GITHUB_STEP_SUMMARY=str(tmp_path / "summary"))
    assert done.returncode == 1
    assert done.stderr == ""
    assert (tmp_path / "summary").stat().st_size <= MIB
    assert "cut here" in (tmp_path / "summary").read_text()
    full = "x\n" * (MIB // 2)
    (tmp_path / "summary").write_text(full)
    done = zdtest(tmp_path, "report", str(path), GITHUB_STEP_SUMMARY=str(tmp_path / "summary"))
    assert done.returncode == 1
    assert (
        done.stderr
        == "zdtest: cannot write GitHub's step summary: summary is full already: GitHub takes 1 MiB\n"
    )
    assert (tmp_path / "summary").read_text() == full


# --- the link -------------------------------------------------------------------------------------------

GITHUB = {
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "acme/shop",
    "GITHUB_RUN_ID": "17",
    "GITHUB_RUN_ATTEMPT": "1",
}
AZURE = {
    "SYSTEM_TEAMFOUNDATIONCOLLECTIONURI": "https://dev.azure.com/acme/",
    "SYSTEM_TEAMPROJECT": "the shop",
    "BUILD_BUILDID": "17",
}


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        (GITHUB, "https://github.com/acme/shop/actions/runs/17"),
        ({**GITHUB, "GITHUB_RUN_ATTEMPT": "3"}, "https://github.com/acme/shop/actions/runs/17/attempts/3"),
        ({"CI_JOB_URL": "https://gitlab.com/a/b/-/jobs/1"}, "https://gitlab.com/a/b/-/jobs/1"),
        ({"BUILD_URL": "https://u:pw@jenkins.example/job/a/1/"}, "https://jenkins.example/job/a/1/"),
        ({"BUILDKITE_BUILD_URL": "https://buildkite.com/a/b/builds/1"}, "https://buildkite.com/a/b/builds/1"),
        ({"CIRCLE_BUILD_URL": "https://circleci.com/gh/a/b/1"}, "https://circleci.com/gh/a/b/1"),
        (AZURE, "https://dev.azure.com/acme/the%20shop/_build/results?buildId=17"),
        ({}, ""),
        ({"BUILD_URL": "javascript:alert(1)"}, ""),
        ({"BUILD_URL": "https://a b"}, ""),
    ],
)
def test_the_link_is_the_ci_job_s(environ: dict[str, str], wanted: str) -> None:
    assert link(None, environ) == wanted


def test_a_link_that_is_given_comes_first_and_never_with_a_password() -> None:
    assert link("https://me:p@ss@a.example/r?x=1", GITHUB) == "https://a.example/r?x=1"


@pytest.mark.parametrize("given", ["ci.example/1", "javascript:alert(1)", "https://a b"])
def test_a_link_that_is_none_is_refused(given: str) -> None:
    with pytest.raises(UsageError, match="--link: it must begin with"):
        outputs_of({"link": given})
