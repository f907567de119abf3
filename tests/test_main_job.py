"""The main job end to end on the embedded lab: the command itself, real processes, real sockets, real files."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness import cli
from harness.model import NEVER, Mark
from harness.recording import trace
from harness.recording.read import Recording
from harness.scenario.resolve import shipped
from tests import program
from tests.processes import come_true, descendants, ended_within, signalled_until_it_ends

FAST = ["-c", "20", "-d", "12s", "--trigger-after", "3s", "--settle", "3s"]


@dataclass(frozen=True)
class Run:
    code: int
    stdout: str
    stderr: str
    path: Path

    @property
    def verdict(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.path / "verdict.json").read_text())
        return loaded

    @property
    def last_line(self) -> str:
        return self.stdout.rstrip().splitlines()[-1]


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "harness", *words]


def zdtest(out: Path, *words: str, cwd: Path | None = None) -> Run:
    done = subprocess.run(
        command("run", "-o", str(out), *words),
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
        cwd=cwd,
    )
    runs = sorted(out.glob("*")) if out.exists() else []
    return Run(done.returncode, done.stdout, done.stderr, runs[-1] if runs else out)


def started(out: Path, until: str, scenario: str = "seed/1-no-probe") -> subprocess.Popen[str]:
    """A run in the background, as far as the line that begins with `until`."""
    words = command("run", "-o", str(out), "-f", str(shipped() / scenario), *FAST)
    process = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stderr
    for line in process.stderr:
        if re.match(rf"(\d\d:\d\d  )?{re.escape(until)}", line):
            return process
    raise AssertionError(f"no line began with {until!r}")


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that loses requests: the ladder's first step."""
    return zdtest(tmp_path_factory.mktemp("lost"), "-f", str(shipped() / "seed/1-no-probe"), *FAST)


def test_the_first_step_of_the_ladder_fails_with_502s_that_fall_in_the_rollout(lost: Run) -> None:
    assert lost.code == 1, lost.stderr
    assert lost.last_line.startswith("FAIL")
    recording = Recording.open(lost.path)
    hits = recording.hits()
    bad = hits[hits["status"] == 502]
    trigger = recording.run.mark(Mark.TRIGGER)
    assert len(bad) > 5
    assert (bad["done_ns"] >= trigger).all()
    assert recording.run.mark(Mark.WARMUP_END) < trigger < recording.run.mark(Mark.OLD_PODS_GONE)
    assert (
        recording.run.mark(Mark.OLD_PODS_GONE)
        <= recording.run.mark(Mark.ENDPOINTS_SETTLED)
        < recording.run.mark(Mark.LOAD_END)
    )


def test_a_log_tells_of_each_step_of_each_pod_and_of_the_first_failure_with_its_words(lost: Run) -> None:
    said = [re.sub(r"^\d\d:\d\d  ", "", line) for line in lost.stderr.splitlines()]
    steps = (
        "the load begins",
        "the baseline begins",
        "restarted deployment/web",
        "the rollout is over",
        "ending the",
    )
    places = [next(n for n, line in enumerate(said) if line.startswith(step)) for step in steps]
    assert places == sorted(places)
    (first,) = (n for n, line in enumerate(said) if line.startswith("first failed request (502): "))
    assert "502 Bad Gateway" in said[first]
    assert first > places[2]
    words = " ".join(said)
    for what in ("created", "ready", "deleted", "gone"):
        assert re.search(rf"pods? {what}: web-", words), what
    assert "\x1b" not in lost.stderr


def test_the_labs_own_access_log_tells_exactly_which_requests_met_which_of_two_faults(lost: Run) -> None:
    lines = [json.loads(line) for line in (lost.path / "lab/truth.jsonl").read_text().splitlines()]
    recording = Recording.open(lost.path)
    digits = trace.run_digits(recording.run.wall_ns, recording.run.monotonic_ns)
    true = Counter(line["cause"] for line in lines if str(line["request_id"]).startswith(digits))
    causes = {tuple(cause["ids"]): cause for cause in lost.verdict["causes"]}
    assert {cause["confidence"] for cause in causes.values()} == {"exact"}
    assert causes["A1",]["hits"] == true["A1"] > 0
    # On a slow machine a few hits meet an address that has gone silent meanwhile: C6, at the root B1.
    assert causes["B1",]["hits"] >= true["B1"] > 0
    assert sum(cause["hits"] for cause in causes.values()) == sum(true.values())
    coverage = recording.access_log().coverage
    assert coverage
    assert (coverage.named, coverage.unlogged, coverage.strays) == (sum(true.values()), 0, 0)
    assert f"names the pod of {coverage.failed:,} of {coverage.failed:,} failed requests" in lost.stdout


def test_every_old_pod_is_on_record_from_ready_to_gone(lost: Run) -> None:
    recording = Recording.open(lost.path)
    assert recording.run.rollout
    old = {ref.uid for ref in recording.run.rollout.old_pods}
    assert len(old) == 3
    gone = {e.uid for e in recording.events() if e.kind == "Pod" and e.change == "DELETED"}
    assert old <= gone
    assert recording.run.rollout.state == "complete"


def test_a_run_leaves_all_that_its_reader_needs(lost: Run) -> None:
    for name in (
        "run.json",
        "events.jsonl",
        "generator.jsonl",
        "verdict.json",
        "summary.txt",
        "summary.md",
        "timeline.png",
        "report.html",
    ):
        assert (lost.path / name).stat().st_size > 0, name
    assert (lost.path / "timeline.png").read_bytes().startswith(b"\x89PNG")
    assert len((lost.path / "summary.md").read_text().splitlines()) <= 15
    assert json.loads((lost.path / "manifests/before.json").read_text())[0]["kind"] == "Deployment"
    assert list((lost.path / "hits").glob("*.arrow"))


def test_the_first_line_says_where_the_target_came_from(lost: Run) -> None:
    assert "seed/1-no-probe" in lost.stderr.splitlines()[0]
    assert "lab" in lost.stderr.splitlines()[0]


def test_the_change_is_announced_before_it_is_made(lost: Run) -> None:
    line = next(line for line in lost.stderr.splitlines() if "will restart" in line)
    for word in ("zdtest-lab", "default", "deployment/web", "https://127.0.0.1"):
        assert word in line


def test_report_gives_the_same_verdict_from_the_recording_alone(lost: Run) -> None:
    before = lost.verdict
    for name in ("verdict.json", "summary.txt", "summary.md", "timeline.png", "report.html"):
        (lost.path / name).unlink()
    done = subprocess.run(
        command("report", str(lost.path)), capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == lost.code
    assert done.stdout == lost.stdout
    assert lost.verdict == before
    assert (lost.path / "timeline.png").exists()
    assert (lost.path / "report.html").exists()


def test_the_last_step_of_the_ladder_passes_and_compare_tells_the_two_apart(
    lost: Run, tmp_path: Path
) -> None:
    clean = zdtest(tmp_path / "clean", "-f", str(shipped() / "seed/4-grace"), *FAST)
    assert clean.code == 0, clean.stdout + clean.stderr
    assert clean.last_line.startswith("PASS")
    done = subprocess.run(
        command("compare", str(lost.path), str(clean.path)),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "terminationGracePeriodSeconds" in done.stdout or "readinessProbe" in done.stdout
    assert "chance" in done.stdout


def test_a_plain_load_test_needs_no_rollout(tmp_path: Path) -> None:
    run = zdtest(
        tmp_path, "-f", str(shipped() / "seed/1-no-probe"), "--no-rollout", "-c", "5", "-d", "2s", "-l"
    )
    doubts = [f["objective"] for f in run.verdict["verdict"]["findings"] if f["grade"] != "PASS"]
    # In a run of four seconds one that this machine took away is a quarter.
    assert [objective for objective in doubts if "keeps up" not in objective] == []
    assert run.code == (3 if doubts else 0), run.stdout + run.stderr
    assert "Latency Distribution" in run.stdout
    assert Recording.open(run.path).run.mark(Mark.TRIGGER) == NEVER


def test_a_dry_run_does_everything_up_to_the_patch_and_ends_with_zero(tmp_path: Path) -> None:
    run = zdtest(tmp_path, "-f", str(shipped() / "seed/1-no-probe"), "--dry-run", "-c", "5", "-d", "3s")
    assert run.code == 0, run.stdout + run.stderr
    recording = Recording.open(run.path)
    assert recording.run.mark(Mark.TRIGGER) == NEVER
    assert len(recording.hits()) > 0
    assert "nothing was changed" in run.stderr


def test_ctrl_c_during_the_rollout_keeps_what_there_is_and_leaves_no_process(tmp_path: Path) -> None:
    process = started(tmp_path, "restarted")
    # A worker, the lab, its balancer and the pods.
    assert come_true(lambda: len(descendants(process.pid)) >= 5)
    below = descendants(process.pid)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    recording = Recording.open(next(iter(tmp_path.glob("*"))))
    assert recording.run.state == "interrupted"
    assert len(recording.hits()) > 0
    assert "interrupted" in stdout.lower()
    assert ended_within(below, 10)


def test_a_second_ctrl_c_after_the_change_says_that_it_was_made_and_where_the_recording_is(
    tmp_path: Path,
) -> None:
    process = started(tmp_path, "restarted")
    below = descendants(process.pid)
    process.send_signal(signal.SIGINT)
    assert process.stderr
    assert any("interrupted: ending the load" in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "nothing was touched" not in stderr
    assert stderr.count("deployment/web was changed (restart)") == 1
    (path,) = tmp_path.glob("*")
    assert f"zdtest report {path}" in stderr
    assert Recording.open(path).run.state == "interrupted"
    assert ended_within(below, 10)


def test_no_request_is_lost_by_ending_a_run_however_often_it_is_asked(tmp_path: Path) -> None:
    process = started(tmp_path, "restarted", scenario="clean/prestop")
    below = descendants(process.pid)
    _, stderr = signalled_until_it_ends(process, signal.SIGTERM)
    assert process.returncode == 130, stderr
    recording = Recording.open(next(iter(tmp_path.glob("*"))))
    hits = recording.hits()
    assert set(hits["status"][hits["outcome"] != "cut_at_deadline"]) == {200}
    assert ended_within(below, 10)


def test_a_disk_that_is_full_in_the_rollout_ends_the_run_with_what_there_is_and_a_verdict(
    tmp_path: Path,
) -> None:
    words = command("run", "-o", str(tmp_path), "-f", str(shipped() / "clean/prestop"), *FAST, "-c", "2")

    def small() -> None:  # no file of this process, or of one below it, grows over this
        resource.setrlimit(resource.RLIMIT_FSIZE, (80_000, 80_000))

    done = subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=120, preexec_fn=small, cwd=tmp_path
    )
    (path,) = (found for found in tmp_path.glob("*") if found.is_dir())
    assert done.returncode == 3, done.stderr
    assert done.stdout.splitlines()[-1].startswith("INCONCLUSIVE: ")
    assert f"{path}: File too large: the recording ends early" in done.stderr
    assert "deployment/web was changed (restart)" in done.stderr
    assert "crash" not in done.stderr
    assert not (tmp_path / "crash.txt").exists()


def test_a_verdict_does_not_depend_on_where_it_is_printed(lost: Run) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            command("report", str(lost.path)), stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr == "zdtest: cannot print to standard output: No space left on device\n"


def test_a_terminal_that_is_closed_ends_a_run_as_ctrl_c_does(tmp_path: Path) -> None:
    before = signal.signal(
        signal.SIGHUP, signal.SIG_DFL
    )  # these tests may run under nohup, which is inherited
    try:
        process = started(tmp_path, "restarted")
    finally:
        signal.signal(signal.SIGHUP, before)
    below = descendants(process.pid)
    assert process.stderr
    process.stderr.close()  # nobody reads any more
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=60)
    assert process.returncode == 130
    (path,) = tmp_path.glob("*")
    assert Recording.open(path).run.state == "interrupted"
    assert (path / "summary.txt").exists()
    assert ended_within(below, 10)


def test_ctrl_c_while_the_report_is_made_says_where_the_recording_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    module = sys.modules["harness.cli.run"]
    monkeypatch.setattr(module, "carry_out", lambda *_, **__: tmp_path / "the-run")
    monkeypatch.setattr(module, "report_on", interrupted)
    monkeypatch.setattr("sys.argv", ["zdtest", "run", "--no-rollout", "http://127.0.0.1:1/"])
    assert cli.main() == 130
    assert f"zdtest report {tmp_path / 'the-run'}" in capsys.readouterr().err


def test_a_home_that_cannot_be_written_makes_no_noise_beside_the_verdict(lost: Run) -> None:
    home = {
        k: v for k, v in os.environ.items() if k not in {"MPLCONFIGDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"}
    }
    done = subprocess.run(
        command("report", str(lost.path)),
        capture_output=True,
        text=True,
        check=False,
        env={**home, "HOME": "/dev/null/none"},
    )
    assert (done.returncode, done.stderr) == (1, "")


def test_the_exit_code_is_right_even_if_no_warning_can_be_written(lost: Run) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(command("report", str(lost.path)), stdout=full, stderr=full, check=False)
    assert done.returncode == 1


def test_ctrl_c_before_the_load_leaves_nothing_at_all(tmp_path: Path) -> None:
    process = started(tmp_path / "out", "starting the lab")
    assert come_true(lambda: bool(descendants(process.pid)))
    below = descendants(process.pid)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert list((tmp_path / "out").glob("*")) == []
    assert ended_within(below, 10)


def test_kill_9_leaves_no_process_and_a_recording_that_can_be_reported(tmp_path: Path) -> None:
    process = started(tmp_path, "restarted")
    (path,) = tmp_path.glob("*")
    first = sum(file.stat().st_size for file in path.glob("hits/*.arrow"))
    assert come_true(lambda: sum(file.stat().st_size for file in path.glob("hits/*.arrow")) > first)
    below = descendants(process.pid)
    process.kill()
    process.communicate(timeout=20)
    assert ended_within(below, 15)
    done = subprocess.run(
        command("report", str(path)),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    grade = done.stdout.rstrip().splitlines()[-1].partition(":")[0]
    assert (grade, done.returncode) in {("FAIL", 1), ("INCONCLUSIVE", 3)}, done.stderr
    assert "Traceback" not in done.stderr


def test_without_any_target_one_line_names_every_way_to_give_one(tmp_path: Path) -> None:
    run = zdtest(tmp_path / "out", cwd=tmp_path)
    assert run.code == 2
    assert len(run.stderr.splitlines()) == 1
    assert "--lab" in run.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["http://127.0.0.1:9/", "--no-rollout"], "refuses"),
        (["http://no-such-host.invalid/", "--no-rollout"], "does not resolve"),
        (["http://127.0.0.1:9/"], "--deployment"),
        (["-c", "0", "--lab"], "--concurrency"),
        (["-c", "many", "--lab"], "many"),
        (["-d", "soon", "--lab"], "--duration"),
        (["--no-such-flag"], "--no-such-flag"),
        (["-f", "no-such-file.yaml"], "no-such-file.yaml"),
        (
            [
                "http://127.0.0.1:9/",
                "--deployment",
                "web",
                "-n",
                "x",
                "--context",
                "y",
                "--kubeconfig",
                "/no/such",
            ],
            "/no/such",
        ),
    ],
)
def test_bad_input_is_one_line_exit_2_and_nothing_left(
    tmp_path: Path, words: list[str], expected: str
) -> None:
    run = program.zdtest("run", "-o", str(tmp_path / "out"), *words, cwd=tmp_path)
    assert run.returncode == 2, run.stderr
    last = run.stderr.rstrip().splitlines()[-1]
    assert expected in last
    assert last.startswith("zdtest: ")
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").glob("*")) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_output_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    run = zdtest(tmp_path / "out", "--lab", *FAST)
    tmp_path.chmod(0o700)
    assert run.code == 2
    assert "-o" in run.stderr


def test_an_output_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    run = zdtest(tmp_path / "out", "--lab", *FAST)
    assert run.code == 2
    assert "-o" in run.stderr.splitlines()[-1]


def test_report_refuses_a_folder_that_is_not_a_run(tmp_path: Path) -> None:
    done = program.zdtest("report", str(tmp_path))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_two_rollouts_of_one_run_each_lose_requests_and_have_a_report_of_their_own(tmp_path: Path) -> None:
    run = zdtest(tmp_path, "-f", str(shipped() / "seed/1-no-probe"), *FAST, "--rollouts", "2")
    assert run.code == 1, run.stderr
    assert "rollout 1 of 2 has settled" in run.stderr
    assert [one["verdict"]["grade"] for one in run.verdict["rollouts"]] == ["FAIL", "FAIL"]
    assert run.last_line.startswith("FAIL: ")
    assert "because of 2 of 2 rollouts" in run.last_line
    record = Recording.open(run.path).run
    first, second = record.earlier[0].rollout, record.rollout
    assert second
    assert first.new_revision == second.old_revision
    assert len(first.old_pods) == len(second.old_pods) == 3
    assert (run.path / "rollouts/2/timeline.png").exists()
    again = subprocess.run(
        command("report", str(run.path)), capture_output=True, text=True, check=False, timeout=100
    )
    assert again.returncode == 1
    assert again.stdout == run.stdout
