"""What people are told of balancers and their answers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from click.testing import CliRunner

from harness.cli.reports import report
from harness.judge.balancers.known import BY_NAME
from harness.judge.balancers.shown import lines
from harness.judge.verdict.judgement import from_json, judge, to_json
from harness.model import BALANCERS
from harness.recording.answers import Answer, words
from harness.recording.read import Recording
from harness.report.text import render
from tests.judge.balancers import answers as say
from tests.judge.balancers.behind import judged, told_by
from tests.judge.synthetic import SyntheticRun, write_hits

if TYPE_CHECKING:
    from pathlib import Path

    from harness.judge.verdict.judgement import Judgement


def behind_envoy(tmp_path: Path, body: str = "") -> Judgement:
    synthetic = SyntheticRun.rolling()
    broken = say.envoy(503, "connection termination")
    broken = replace(broken, body=body) if body else broken
    return judged(tmp_path, synthetic, told_by(synthetic, {"B1": [(broken, 0.002)], "cut": [(broken, 0.0)]}))


def test_the_summary_names_the_balancer_its_evidence_and_a_sample_of_each_kind(tmp_path: Path) -> None:
    found = behind_envoy(tmp_path)
    n = found.numbers.failed
    text = " ".join(render(found, latencies=False).split())
    assert f"Balancer Envoy (`server: envoy` on {n} of {n} failed answers)" in text
    assert '503 Envoy: "upstream connect error or disconnect/reset before headers' in text
    assert 'reset reason: connection termination"' in text
    assert "broken before the answer" in text


def test_what_an_answer_said_cannot_act_on_a_terminal(tmp_path: Path) -> None:
    found = behind_envoy(tmp_path, "before \u202eafter")
    assert "\u202e" not in render(found, latencies=False)


def test_nothing_is_said_where_nothing_is_known_and_nothing_failed(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(prestop=4, grace=20)
    assert lines(judge(Recording.open(synthetic.write(tmp_path))).balancers) == ()


def test_a_body_is_shown_without_its_tags() -> None:
    assert words(say.nginx(502), "nginx") == 'nginx: "502 Bad Gateway nginx"'
    assert words(Answer(502, (("server", "gunicorn"),)), "") == "gunicorn: (no words)"


def test_a_judgement_with_a_balancer_comes_back_from_its_json(tmp_path: Path) -> None:
    found = behind_envoy(tmp_path)
    assert from_json(to_json(found)) == found


def test_report_takes_the_balancer_and_keeps_it(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling()
    path = synthetic.write(tmp_path)
    mystery = Answer(503, (), "sorry")
    write_hits(
        path / "hits" / "0.arrow", told_by(synthetic, {"B1": [(mystery, 0.002)], "cut": [(mystery, 0.0)]})
    )
    assert "A7" in {name for cause in judge(Recording.open(path)).causes for name in cause.ids}
    CliRunner().invoke(report, [str(path), "--balancer", "envoy", "--exit-zero"])
    again = judge(Recording.open(path))
    assert again.balancers is not None
    assert [one.evidence for one in again.balancers.seen] == ["--balancer"]
    assert {name for cause in again.causes for name in cause.ids} <= {"B1", "B2"}


def test_every_name_that_the_option_takes_has_a_table() -> None:
    assert set(BALANCERS) | {"unknown"} == set(BY_NAME)
