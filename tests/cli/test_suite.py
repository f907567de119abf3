"""`zdtest suite`: what it refuses before anything runs, a whole one on the lab, Ctrl-C, --resume and the lock."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from harness.cluster.client.api import Api
from harness.cluster.client.resources import WORKLOADS
from harness.cluster.permission import lock
from harness.recording.series import suite as file
from harness.recording.series.suite import Entry, Result, Suite
from harness.scenario.resolve import shipped
from tests.fastlab import fast_lab, web
from tests.processes import come_true
from tests.program import zdtest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]


def lab_scenario(folder: Path, name: str, **env: str) -> Path:
    """A scenario of a few seconds on the lab whose pods have no preStop and exit at once."""
    docs = web(ON_TERM="exit", **env)
    del docs[0]["spec"]["template"]["spec"]["containers"][0]["lifecycle"]
    folder.mkdir(exist_ok=True)
    (folder / f"{name}-app.yaml").write_text(yaml.safe_dump_all(docs))
    whole = {
        "name": name, "workload": "deployment/web", "namespace": "default",
        "manifests": [str(shipped() / "seed/base/configmap.yaml"), f"{name}-app.yaml"],
        "load": {"concurrency": 4, "duration": "3s"}, "rollout": {"trigger_after": "1s", "settle": "1s"},
        "lab": {"profile": "alb", "lag": "200ms", "tls": False},
    }  # fmt: skip
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(whole))
    return path


def cluster_scenario(folder: Path, name: str, port: int) -> Path:
    """A scenario on a cluster whose API server is at this port of loopback."""
    folder.mkdir(exist_ok=True)
    kubeconfig = {
        "apiVersion": "v1", "kind": "Config", "current-context": "staging", "users": [{"name": "u", "user": {}}],
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "contexts": [{"name": "staging", "context": {"cluster": "c", "user": "u"}}],
    }  # fmt: skip
    (folder / f"{name}.kubeconfig").write_text(yaml.safe_dump(kubeconfig))
    whole = {
        "name": name, "workload": name, "namespace": "shop",
        "target": {"url": f"http://127.0.0.1:{port}/", "timeout": "4s"},
        "cluster": {"context": "staging", "kubeconfig": str(folder / f"{name}.kubeconfig")},
    }  # fmt: skip
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(whole))
    return path


def the_suite(results: Path) -> tuple[Path, Suite]:
    [directory] = [path for path in results.iterdir() if file.is_suite(path)]
    return directory, file.read(directory)


def by_name(suite: Suite) -> dict[str, Entry]:
    return {entry.name: entry for entry in suite.entries}


@contextmanager
def silent_server() -> Iterator[int]:
    """A server that takes connections and answers none."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield server.getsockname()[1]


@contextmanager
def closed_port() -> Iterator[int]:
    """A port that refuses connections for as long as this lasts."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "no scenario: give FILE or FOLDER"),
        (("none.yaml",), "no such file: none.yaml"),
        (("empty",), "no scenario in empty"),
        (("web.yaml", "web.yaml"), "two scenarios are called web: web.yaml and web.yaml; give one of them"),
        (("web.yaml", "odd.yaml"), "odd.yaml:1: nonsense: no such field"),
        (("web.yaml", "--only", "api"), "--only api: no scenario of this name; there are web"),
        (("web.yaml", "--budget", "soon"), "--budget: 'soon' is not a duration"),
        (("web.yaml", "--budget", "5s"), "no scenario fits into the budget of 5 s: the shortest takes about"),
        (("web.yaml", "--run-timeout", "0s"), "--run-timeout: 0s is too short"),
        (("web.yaml", "--wait", "soon"), "--wait: 'soon' is not a duration"),
        (("web.yaml", "--baseline", "nights"), "--baseline nights: no such folder"),
        (("web.yaml", "--baseline-level", "0.05"), "--baseline-level goes with --baseline"),
        (("--resume", "empty", "--only", "web"), "--resume takes everything from the suite; drop --only"),
        (("web.yaml", "--parallel", "0"), "0 is not in the range"),
        (("web.yaml", "-c", "0"), "--concurrency: must be at least 1"),
        (("web.yaml", "--junit", "gone/x.xml"), "there is no folder gone"),
        (("--resume", "empty"), "empty is no suite"),
        (("web.yaml", "--resume", "empty"), "--resume takes everything from the suite; drop the files"),
        (("web.yaml", "--trigger", "restart"), "No such option"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_nothing_runs(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    lab_scenario(tmp_path, "web")
    (tmp_path / "odd.yaml").write_text("nonsense: 1\n")
    (tmp_path / "empty").mkdir()
    done = zdtest("suite", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "results").exists()


def test_a_dry_run_prints_the_plan_and_writes_nothing(tmp_path: Path) -> None:
    for name in ("web", "api"):
        lab_scenario(tmp_path / "all", name)
    done = zdtest("suite", "all", "--dry-run", "--parallel", "2", "--budget", "2m", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "never tested" in done.stdout
    assert "one at a time, for they share the embedded lab: api, web" in done.stdout
    assert "1 of 2 scenarios, about 87 s of the budget of 2m00s" in done.stdout
    assert not (tmp_path / "results").exists()


def test_a_second_suite_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    lab_scenario(tmp_path, "web")
    (tmp_path / "results").mkdir()
    with file.mine(tmp_path / "results"):
        done = zdtest("suite", "web.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert (
        "another suite is under way in results: wait for its end, or choose another folder with -o"
        in done.stderr
    )


def test_what_looks_like_production_is_refused_before_anything_runs(tmp_path: Path) -> None:
    path = cluster_scenario(tmp_path, "web", 1)
    path.write_text(path.read_text().replace("namespace: shop", "namespace: prod"))
    done = zdtest("suite", "web.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert (
        "'prod' looks like production and is protected; if you mean it, add --allow staging/prod/web"
        in done.stderr
    )
    assert (
        zdtest("suite", "web.yaml", "--allow", "staging/prod/web", "--dry-run", cwd=tmp_path).returncode == 0
    )


@pytest.fixture(scope="module")
def night(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Path, subprocess.CompletedProcess[str]]]:
    """One suite: a service that loses requests, and one whose target is away."""
    home = tmp_path_factory.mktemp("night")
    with closed_port() as away:
        lab_scenario(home / "all", "bad")
        cluster_scenario(home / "all", "away", away)
        (home / "nightly.yaml").write_text(
            "parallel: 2\nscenarios:\n- {file: all, overrides: {load: {concurrency: 5}}}\n"
        )
        env = {name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")}
        env["GITHUB_STEP_SUMMARY"] = str(home / "summary.md")
        yield (
            home,
            zdtest("suite", "-f", "nightly.yaml", "--junit", "out.xml", cwd=home, env=env),
        )


@pytest.mark.slow
def test_each_run_of_a_night_has_its_own_end(night: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    home, done = night
    _, suite = the_suite(home / "results")
    found = by_name(suite)
    assert (found["bad"].result, found["bad"].exit_code) == (Result.FAIL, 1), done.stderr
    assert found["bad"].lost
    assert {cause.ids for cause in found["bad"].causes} & {("B1",), ("B2",)}
    assert found["away"].result is Result.REFUSED
    assert "refuses connections" in found["away"].said
    assert (done.returncode, suite.exit_code, suite.state) == (1, 1, "complete")


@pytest.mark.slow
def test_a_night_leaves_a_page_a_table_and_a_junit_file(
    night: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    home, done = night
    directory, suite = the_suite(home / "results")
    bad = by_name(suite)["bad"]
    html = (directory / "suite.html").read_text()
    assert f'href="{bad.run}/report.html"' in html
    assert (directory / bad.run / "report.html").is_file()
    assert "1 of 2 scenarios lost requests; 1 ended without a verdict" in done.stdout
    assert (
        '<testsuite name="zdtest.nightly" tests="2" failures="1" errors="1"' in (home / "out.xml").read_text()
    )
    assert (home / "summary.md").read_text().count("## ") == 1, "the runs write no summary of their own"
    assert (directory / bad.log).stat().st_mode & 0o077 == 0


@pytest.mark.slow
def test_the_overrides_of_a_suite_file_reach_its_runs(
    night: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    directory, suite = the_suite(night[0] / "results")
    record = json.loads((directory / by_name(suite)["bad"].run / "run.json").read_text())
    assert record["concurrency"] == 5


@pytest.mark.slow
def test_the_runs_of_a_suite_are_found_like_all_others(
    night: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    home, _ = night
    directory, suite = the_suite(home / "results")
    run = f"{directory.name}/{by_name(suite)['bad'].run}"
    listed = json.loads(zdtest("list", "--format", "json", cwd=home).stdout)
    assert [one["folder"] for one in listed["runs"]] == [run]
    assert listed["skipped"] == []
    for word in ("bad", "last", "last-fail", run, f"results/{run}"):
        shown = zdtest("show", word, cwd=home)
        assert (shown.returncode, shown.stdout[:4]) == (0, "FAIL"), word
    assert "bad" in zdtest("history", cwd=home).stdout
    assert zdtest("history", "--html", "h.html", cwd=home).returncode == 0
    assert f"results/{run}/report.html" in (home / "h.html").read_text()


@pytest.mark.slow
def test_the_next_night_begins_with_what_failed(
    night: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    done = zdtest("suite", "all", "--budget", "5h", "--dry-run", cwd=night[0])
    first, second = done.stdout.splitlines()[1:3]
    assert first.split()[:2] == ["1", "bad"]
    assert "FAIL last time" in first
    assert "never tested" in second


@pytest.mark.slow
def test_resume_runs_only_what_has_no_verdict(
    night: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    home, _ = night
    directory, before = the_suite(home / "results")
    done = zdtest("suite", "--resume", str(directory), cwd=home.parent)
    after = file.read(directory)
    assert by_name(after)["bad"] == by_name(before)["bad"]
    assert {entry.name: entry.tries for entry in after.entries} == {"bad": 1, "away": 2}
    assert done.returncode == 1, "the loss is still one"
    assert "1 of 2 have no verdict yet" in done.stderr


def test_a_run_that_hangs_is_ended_after_its_limit_and_the_next_one_begins(tmp_path: Path) -> None:
    with silent_server() as silent, closed_port() as away:
        cluster_scenario(tmp_path / "all", "hangs", silent)
        cluster_scenario(tmp_path / "all", "next", away)
        done = zdtest("suite", "all", "--run-timeout", "1s", cwd=tmp_path)
    _, suite = the_suite(tmp_path / "results")
    found = by_name(suite)
    assert found["hangs"].result is Result.TIMED_OUT
    assert "it did not end within 1 s, and was ended" in done.stdout
    assert found["next"].tries == 1
    assert done.returncode == 4


def begun(home: Path, *words: str) -> subprocess.Popen[str]:
    """Start a suite as its own process, and wait until its first run has begun."""
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", "suite", *words], cwd=home, stderr=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.stderr
    for line in process.stderr:
        if "begins, about" in line:
            return process
    raise AssertionError("no run began")


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out + err


def test_after_two_ctrl_c_it_leaves_at_once_and_can_be_resumed(tmp_path: Path) -> None:
    with silent_server() as port:
        for name in ("api", "web"):
            cluster_scenario(tmp_path / "all", name, port)
        process = begun(tmp_path, "all")
        process.send_signal(signal.SIGINT)
        assert process.stderr
        assert "interrupted: runs in progress end with a partial report" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        code, said = ended(process)
    directory, suite = the_suite(tmp_path / "results")
    assert code == 130, said
    assert {name: entry.result for name, entry in by_name(suite).items()} == {
        "api": Result.INTERRUPTED, "web": Result.NOT_RUN,
    }  # fmt: skip
    assert (suite.state, suite.exit_code) == ("interrupted", 130)
    assert (directory / "suite.html").is_file()
    plan = zdtest("suite", "--resume", f"results/{directory.name}", "--dry-run", cwd=tmp_path)
    assert (plan.returncode, "2 of 2 scenarios" in plan.stdout) == (0, True)
    assert file.read(directory) == suite, "a dry run changes nothing"
    done = zdtest(
        "suite", "--resume", f"results/{directory.name}", cwd=tmp_path
    )  # nothing listens there any more
    assert done.returncode == 2, done.stderr
    assert {entry.result for entry in file.read(directory).entries} == {Result.REFUSED}


@pytest.mark.slow
def test_ctrl_c_ends_the_run_in_progress_with_its_partial_report(tmp_path: Path) -> None:
    for name in ("a", "b"):
        lab_scenario(tmp_path / "all", name)
    process = begun(tmp_path, "all", "-d", "2m", "--trigger-after", "60s")
    directory, _ = the_suite(tmp_path / "results")
    log = directory / "logs" / "a.log"
    while not (log.exists() and "the baseline begins" in log.read_text()):
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    code, said = ended(process)
    found = by_name(file.read(directory))
    assert code == 130, said
    assert (found["a"].result, found["a"].exit_code, found["b"].result) == (
        Result.INTERRUPTED, 130, Result.NOT_RUN,
    )  # fmt: skip
    assert (directory / found["a"].run / "summary.txt").is_file()
    assert f'href="{found["a"].run}/report.html"' in (directory / "suite.html").read_text()


@pytest.mark.slow
def test_a_workload_that_another_run_holds_is_busy_and_not_touched(tmp_path: Path) -> None:
    with fast_lab(tmp_path / "lab") as lab:
        api = Api.connect(lab.kubeconfig, None)
        held = lock.patch(lock.claim("20261130T000000Z-x on host2", datetime.now(UTC)))
        api.patch("Deployment", "default", "web", held, field_manager=lock.MANAGER)
        before = api.get(WORKLOADS["Deployment"], "default", "web")["metadata"]["generation"]
        whole = {"name": "web", "target": {"url": lab.url}, "workload": "web", "namespace": "default"}
        (tmp_path / "web.yaml").write_text(yaml.safe_dump(whole))
        words = ("--context", "zdtest-lab", "--kubeconfig", lab.kubeconfig, "-c", "2", "--wait", "1s")
        done = zdtest("suite", "web.yaml", *words, cwd=tmp_path)
        after = api.get(WORKLOADS["Deployment"], "default", "web")["metadata"]["generation"]
    _, suite = the_suite(tmp_path / "results")
    assert suite.entries[0].result is Result.BUSY, done.stderr
    assert suite.entries[0].said.startswith("another run is using web: 20261130T000000Z-x on host2 (until ")
    assert (done.returncode, before) == (3, after)


def test_a_suite_that_is_killed_leaves_what_can_be_resumed_and_its_run_ends(tmp_path: Path) -> None:
    with silent_server() as port:
        cluster_scenario(tmp_path / "all", "web", port)
        process = begun(tmp_path, "all")
        # The suite says that a run begins, then starts it.
        assert come_true(lambda: next((tmp_path / "results").glob("*/logs/web.log"), None) is not None)
        process.kill()
        # The run holds the other ends of these pipes no longer once it has ended, too.
        code, _ = ended(process)
    directory, suite = the_suite(tmp_path / "results")
    assert code == -signal.SIGKILL
    assert (suite.state, suite.entries[0].result) == ("running", Result.NOT_RUN)
    with file.mine(tmp_path / "results"):
        pass  # the lock went with its process
    assert (directory / "logs" / "web.log").is_file()


def test_secrets_of_the_command_line_are_not_kept_and_asked_for_again(tmp_path: Path) -> None:
    with closed_port() as port:
        cluster_scenario(tmp_path / "all", "web", port)
        first = zdtest("suite", "all", "-H", "Authorization: hunter2-of-this-test", cwd=tmp_path)
        assert first.returncode == 2
        directory, _ = the_suite(tmp_path / "results")
        texts: list[Any] = [path.read_bytes() for path in directory.rglob("*") if path.is_file()]
        assert not any(b"hunter2-of-this-test" in text for text in texts)
        refused = zdtest("suite", "--resume", str(directory), cwd=tmp_path)
        assert "give -H again: what it said may be secret and was not kept" in refused.stderr
