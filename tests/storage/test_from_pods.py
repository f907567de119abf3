"""Runs are fetched from a pod. Here kubectl is a stand-in that runs the words after -- on this machine; tests/e2e has a
real one.
"""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from harness.recording.read import Recording
from tests.judge.synthetic import SyntheticRun
from tests.program import zdtest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from subprocess import CompletedProcess

NAME = "20261130T030000Z-web"
KUBECTL = f"""#!{sys.executable}
import os, sys
words = sys.argv[1:]
open(os.environ["SEEN"], "a").write(" ".join(words[: words.index("--")]) + "\\n")
inner = words[words.index("--") + 1 :]
if "CUT" in os.environ and inner[0] == "tar":
    os.execvp("sh", ["sh", "-c", 'tar "$@" | head -c 3000; echo broken pipe >&2; exit 1', *inner])
os.execvp(inner[0], inner)
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return SyntheticRun.rolling().write(tmp_path_factory.mktemp("made") / NAME)


@pytest.fixture
def pod(recorded: Path, tmp_path: Path) -> Path:
    """The folder in the pod."""
    shutil.copytree(recorded, tmp_path / "pod" / NAME)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "kubectl").write_text(KUBECTL)
    (tmp_path / "bin" / "kubectl").chmod(0o755)
    return tmp_path / "pod"


@pytest.fixture
def fetch(pod: Path, tmp_path: Path) -> Callable[..., CompletedProcess[str]]:
    def ask(*words: str, **env: str) -> CompletedProcess[str]:
        path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, "SEEN": str(tmp_path / "seen"), **env}
        return zdtest("fetch", f"pod/reader:{pod}", *words, cwd=tmp_path, env=env)

    return ask


def test_runs_come_whole_and_once(
    fetch: Callable[..., CompletedProcess[str]], pod: Path, tmp_path: Path
) -> None:
    (pod / NAME / "report.html").write_text("<script>")
    (pod / "lost+found").mkdir()
    done = fetch("-n", "shop", "--context", "staging")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"fetched results/{NAME}" in done.stdout
    here = tmp_path / "results" / NAME
    assert Recording.open(here).hits().equals(Recording.open(pod / NAME).hits())
    assert not (here / "report.html").exists()
    assert here.stat().st_mode & 0o077 == 0
    seen = set((tmp_path / "seen").read_text().splitlines())
    assert seen == {"--context staging --namespace shop exec reader"}
    assert fetch().stdout == "0 new, 1 here already\n"


@pytest.mark.parametrize("make", ["link", "name", "pipe"])
def test_what_is_no_file_of_a_run_does_not_get_in(
    make: str, fetch: Callable[..., CompletedProcess[str]], pod: Path, tmp_path: Path
) -> None:
    if make == "link":
        (pod / NAME / "passwd").symlink_to("/etc/passwd")
    elif make == "name":
        (pod / NAME / "a\nb").write_text("x")
    else:
        os.mkfifo(pod / NAME / "pipe")
    done = fetch()
    assert done.returncode == 2
    assert "cannot be a file of a run" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list((tmp_path / "results").iterdir()) == []


def test_a_way_that_is_cut_off_leaves_nothing(
    fetch: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    done = fetch(CUT="1")
    assert done.returncode == 2
    assert "the way from the pod was cut off: broken pipe" in done.stderr
    assert list((tmp_path / "results").iterdir()) == []
    assert fetch().returncode == 0


def test_a_run_that_goes_on_is_left_there(fetch: Callable[..., CompletedProcess[str]], pod: Path) -> None:
    record = (pod / NAME / "run.json").read_text()
    (pod / NAME / "run.json").write_text(record.replace('"complete"', '"running"'))
    done = fetch()
    assert done.returncode == 2
    assert "it has not ended, or was killed" in done.stderr


def test_a_folder_without_runs_and_a_machine_without_kubectl_are_one_line_each(
    fetch: Callable[..., CompletedProcess[str]], pod: Path
) -> None:
    assert "kubectl, which is not installed" in fetch(PATH="/nowhere").stderr
    shutil.rmtree(pod / NAME)
    done = fetch()
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "there is no run" in done.stderr
    shutil.rmtree(pod)
    assert "No such file" in fetch().stderr
