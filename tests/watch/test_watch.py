"""A deploy that somebody makes is recorded as a run like any other, and shown."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from harness.model import Mark
from harness.recording.read import Recording
from tests.fastlab import fast_lab
from tests.program import zdtest
from tests.watch.watched import Watching, release, until, verdict, watch

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def watching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watching]:
    """A watch that has seen one deploy, four seconds after it began."""
    home = tmp_path_factory.mktemp("watch")
    with fast_lab(home / "lab") as lab, watch(lab, home / "out", "--boost", "20") as running:
        time.sleep(4)  # the baseline
        release(lab, "2")
        running.judged(1)
        until(lambda: running.metrics()["deploys_total"], "it was counted")
        yield running


def test_a_deploy_becomes_a_recording_with_its_baseline(watching: Watching) -> None:
    (path,) = watching.recordings()
    recording = Recording.open(path)
    run = recording.run
    assert (run.state, run.ended_by, run.rollout and run.rollout.state) == ("complete", "settled", "complete")
    assert run.mark(Mark.LOAD_START) == 0
    assert 1e9 < run.mark(Mark.TRIGGER) < 60e9
    assert run.mark(Mark.TRIGGER) < run.mark(Mark.OLD_PODS_GONE) <= run.mark(Mark.SETTLED)
    assert "the change: pipeline changed the pod template" in run.notes
    hits = recording.hits()
    before = hits[hits["done_ns"] < run.mark(Mark.TRIGGER)]
    assert len(before) >= 2  # sent before anybody knew of the deploy
    assert hits["due_ns"].max() <= run.mark(Mark.LOAD_END)


def test_the_judge_sees_a_whole_rollout_in_it(watching: Watching) -> None:
    found = verdict(watching.recordings()[0])
    doubts = {one["objective"] for one in found["verdict"]["findings"] if one["grade"] != "PASS"}
    # What a busy machine does to the load is no fault of the recording.
    assert doubts <= {
        "the load generator keeps up (its own lag)",
        "the rate is held (sent within 50 ms of when it was due)",
    }
    assert found["verdict"]["lost"] == 0
    assert {pod["old"] for pod in found["timeline"]["pods"]} == {True, False}


def test_it_is_a_run_for_the_other_commands(watching: Watching) -> None:
    listed = json.loads(zdtest("history", str(watching.out), "--format", "json").stdout)
    (group,) = listed["groups"]
    assert group["nights"][0]["run"]["workload"] == "Deployment default/web"
    assert group["nights"][0]["run"]["trigger"] == "observe"


def test_its_metrics_are_those_of_the_recording(watching: Watching) -> None:
    found, grade = watching.metrics(), verdict(watching.recordings()[0])["verdict"]["grade"]
    assert (found["deploys_total"], found["lost_requests_total"], found["missed_deploys_total"]) == (1, 0, 0)
    assert found[f"last_verdict {grade}"] == 1
    assert found["requests_total"] > 10
    assert found["watched"] == 1
    assert httpx.get(f"{watching.server}/healthz", trust_env=False).text == "ok\n"


def test_the_page_and_the_report_are_given_to_those_who_know_the_address(watching: Watching) -> None:
    with httpx.Client(trust_env=False) as client:
        page = client.get(watching.url).text
        assert "deployment/web" in page
        (path,) = watching.recordings()
        assert f"runs/{path.name}/report.html" in page
        assert client.get(f"{watching.url}runs/{path.name}/report.html").status_code == 200
        assert client.get(f"{watching.url}runs/{path.name}/run.json").status_code == 404
        assert client.get(f"{watching.url}runs/..%2Fstate.json").status_code == 404
        assert client.get(f"{watching.server}/").status_code == 404
        assert client.get(watching.url, headers={"Host": "evil.example"}).status_code == 421
        board = client.get(f"{watching.url}scoreboard.json").json()
    (row,) = board["services"][0]["deploys"]
    assert row["what"] == "pipeline changed the pod template"
    assert row["hits"] > 0
    assert row["hidden_ns"] > 0


def test_a_second_watch_on_the_same_folder_is_refused(watching: Watching) -> None:
    words = (watching.process.args if isinstance(watching.process.args, list) else [])[3:]
    done = zdtest(*map(str, words))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "another watch writes to" in done.stderr
