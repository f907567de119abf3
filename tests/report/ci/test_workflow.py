"""GitHub's annotations: which line, which level, and escaping by GitHub's rules."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.model import Grade
from harness.report.ci.workflow import MOST, Annotation, of_run, render
from harness.scenario.places import Place, written
from tests.report.ci.runs import HOSTILE, KINDS, hostile, judged, recorded
from tests.report.ci.test_outputs import zdtest

if TYPE_CHECKING:
    from pathlib import Path

APP = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  template:
    spec:
      containers:
      - name: app
        image: web:1
"""
COMMAND = re.compile(r"::(error|warning|notice) (?:file=([^,:]+),line=(\d+),)?title=([^,:]+)::(.*)")


def parsed(lines: list[str]) -> list[tuple[str, str, str, str, str]]:
    """Read workflow commands as the runner does."""
    found = []
    for line in lines:
        match = COMMAND.fullmatch(line)
        assert match, line
        text = match[5].replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%")
        found.append((match[1], match[2] or "", match[3] or "", match[4], text))
    return found


def test_a_cause_stands_at_the_line_that_its_fix_belongs_to() -> None:
    found = judged("lossy")
    container = found.advice.lines[0].path.split("containers[")[1].split("]")[0] if found.advice else ""
    objects = list(written(APP.replace("name: app", f"name: {container}"), "k8s/app.yaml"))
    lines = parsed(render(of_run(found, objects)))
    assert lines[0][:4] == ("error", "", "", "zdtest%3A FAIL")
    at = {(level, file, line) for level, file, line, _, _ in lines[1:]}
    assert ("error", "k8s/app.yaml", "9") in at  # preStop: of the container
    assert ("error", "k8s/app.yaml", "7") in at  # grace period: of the pod
    assert all("fix: spec.template.spec" in text for *_, text in lines[1:])


def test_without_a_file_the_cause_is_said_all_the_same() -> None:
    lines = parsed(render(of_run(judged("lossy"), [])))
    assert [line[1] for line in lines] == ["", ""]
    assert "(B1)" in lines[1][4]


def test_a_doubt_is_a_warning_with_what_to_do_and_a_pass_is_a_notice() -> None:
    doubts = parsed(render(of_run(judged("in doubt"), [])))
    assert {line[0] for line in doubts} == {"warning"}
    assert any("\nto do: " in line[4] for line in doubts)
    assert [line[0] for line in parsed(render(of_run(judged("clean"), [])))] == ["notice"]


def test_losses_that_the_run_s_objectives_allow_are_no_errors() -> None:
    found = judged("lossy")
    found = replace(found, verdict=replace(found.verdict, grade=Grade.PASS))
    assert [line[0] for line in parsed(render(of_run(found, [])))] == ["notice", "warning"]


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_text_makes_no_second_command_and_no_property(kind: str) -> None:
    lines = render(of_run(hostile(kind), list(written(APP, "a.yaml"))))
    for line in lines:
        assert line.isprintable()
    parsed(lines)


def test_properties_and_text_are_escaped_by_github_s_rules() -> None:
    one = Annotation("error", "a:b,c%", "100 % of\n::error::x", Place("a,b:c.yaml", 3))
    assert render([one]) == ["::error file=a%2Cb%3Ac.yaml,line=3,title=a%3Ab%2Cc%25::100 %25 of%0A::error::x"]
    assert "\n" not in render([Annotation("error", HOSTILE, HOSTILE)])[0]


def test_no_more_are_made_than_github_shows() -> None:
    many = [Annotation(level, "t", str(n)) for n in range(30) for level in ("error", "warning")]
    lines = render(many)
    assert len(lines) == 2 * MOST
    assert lines[0].endswith("::0")


# --- as a user gives it -----------------------------------------------------------------------------------


def run_with_manifest(root: Path, manifests: list[str]) -> Path:
    import json

    path = recorded("lossy", root)
    record = json.loads((path / "run.json").read_text())
    record["source"] = "-f deploy/zdtest.yaml"
    record["scenario"] = {"manifests": manifests}
    (path / "run.json").write_text(json.dumps(record))
    return path


def test_in_github_actions_they_are_printed_on_standard_error(tmp_path: Path) -> None:
    path = run_with_manifest(tmp_path, ["app.yaml"])
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "app.yaml").write_text(APP)
    done = zdtest(tmp_path, "report", str(path), GITHUB_ACTIONS="true")
    assert done.returncode == 1
    lines = parsed(done.stderr.splitlines())
    assert {line[1] for line in lines} == {"", "deploy/app.yaml"}
    assert "::error" not in done.stdout
    inner = zdtest(tmp_path / "deploy", "report", str(path), "--annotations", GITHUB_WORKSPACE=str(tmp_path))
    assert inner.returncode == 1  # the run was not started here: no manifest is found
    assert parsed(inner.stderr.splitlines())[0][3] == "zdtest%3A FAIL"


def test_they_can_be_switched_off(tmp_path: Path) -> None:
    path = recorded("lossy", tmp_path)
    assert zdtest(tmp_path, "report", str(path), "--no-annotations", GITHUB_ACTIONS="true").stderr == ""
    assert zdtest(tmp_path, "report", str(path)).stderr == ""


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../outside.yaml", "gone.yaml", "broken.yaml", "pipe", "a\0b", 5]
)
def test_a_stranger_s_recording_leads_to_no_file_outside_and_to_no_error(tmp_path: Path, name: str) -> None:
    import os

    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "outside.yaml").write_text(APP)
    (inside / "deploy").mkdir()
    (inside / "deploy" / "broken.yaml").write_text("a: [")
    os.mkfifo(inside / "deploy" / "pipe")
    path = run_with_manifest(inside, [name, "../../outside.yaml"])
    done = zdtest(inside, "report", str(path), "--annotations")
    assert done.returncode == 1
    assert {line[1] for line in parsed(done.stderr.splitlines())} == {""}
