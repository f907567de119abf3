"""A report names one value for one field, wherever it names it: causes, headroom, lint, advice and its patch agree."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.judge.advice.advice import advise, cited
from harness.judge.causes.rules import RULES
from harness.judge.verdict.judgement import Judgement, judge
from harness.recording.read import Recording
from harness.report import markdown
from harness.report.patch import render as patch_text
from harness.report.text import render
from tests.judge.synthetic import SyntheticRun

ROOT = Path(__file__).parents[2]
NAMED = {
    "preStop": (
        r"(?:preStop:?|advised:)(?: preStop)?(?: exec)? sleep (\d+)\b(?! s, (?:grace|Failed))"
    ),  # but not what a pod has
    "grace": (
        r"(?:terminationGracePeriodSeconds`?:|(?:spare|SIGKILL)[^;]{0,40}; advised:) (\d+)\b(?! leaves| is longer|:)"
    ),
    "readinessProbe": r"readinessProbe`?: ((?:httpGet|tcpSocket) \S+(?: on \d+)?|an httpGet\b)",
    "minReadySeconds": r"minReadySeconds`?: (\d+)",
    "strategy": r"strategy`?: (RollingUpdate, maxUnavailable \d+, (?:maxSurge \d+|with a surge))",
    "startupProbe": r"startupProbe`?: (up to \d+ s|one\b)",
}


def named(judgement: Judgement) -> dict[str, set[str]]:
    """All values that the reports of a run name, by field."""
    text = " ".join(f"{render(judgement, latencies=True)} {markdown.render(judgement)}".split())
    found = {field: set(re.findall(pattern, text)) for field, pattern in NAMED.items()}
    return {field: values for field, values in found.items() if values}


def judged(folder: Path, synthetic: SyntheticRun) -> Judgement:
    return judge(Recording.open(synthetic.write(folder)))


RUNS: dict[str, dict[str, Any]] = {
    "nothing is there": {"probe": False},
    "no preStop": {},
    "traffic comes for long": {"lag": 9.0, "settle": 18.0},
    "traffic comes for longer than the default": {"lag": 33.0, "settle": 50.0, "grace": 60},
    "a preStop that is too short": {"prestop": 2, "lag": 6.0, "settle": 12.0},
    "a preStop that is tight": {"prestop": 1, "grace": 20, "lag": 0.6, "drains": True},
    "an app that does not drain": {"work": 1.5, "prestop": 3, "grace": 30, "lag": 2.0, "concurrency": 40},
    "a grace period that the hook uses up": {
        "prestop": 12, "grace": 8, "slow": 14.0, "concurrency": 100, "settle": 16.0,
    },
    "an app that ignores SIGTERM": {
        "prestop": 2, "grace": 8, "slow": 9.0, "deaf": True, "concurrency": 60, "settle": 12.0,
    },
}  # fmt: skip


@pytest.mark.parametrize("how", RUNS)
def test_a_report_names_one_value_for_one_field(tmp_path: Path, how: str) -> None:
    found = judged(tmp_path, SyntheticRun.rolling(**RUNS[how]))
    assert {field: values for field, values in named(found).items() if len(values) > 1} == {}


@pytest.mark.parametrize("how", RUNS)
def test_the_patch_sets_what_the_causes_name(tmp_path: Path, how: str) -> None:
    found = judged(tmp_path, SyntheticRun.rolling(**RUNS[how]))
    values = named(found)
    pod = yaml.safe_load(patch_text(found)).get("spec", {}).get("template", {}).get("spec", {})
    for container in pod.get("containers", ()):
        if "lifecycle" in container:
            assert values["preStop"] == {str(container["lifecycle"]["preStop"]["sleep"]["seconds"])}
    if "terminationGracePeriodSeconds" in pod:
        assert values["grace"] == {str(pod["terminationGracePeriodSeconds"])}


def test_the_example_names_one_value_for_one_field() -> None:
    values = named(judge(Recording.open(ROOT / "results/example")))
    assert values["preStop"] == {"30"}
    assert {field: found for field, found in values.items() if len(found) > 1} == {}


def test_two_values_for_one_field_would_be_seen(tmp_path: Path) -> None:
    found = judged(tmp_path, SyntheticRun.rolling())
    assert named(found)["preStop"] == {"30"}
    assert named(found)["grace"]


def test_a_time_that_could_not_be_measured_is_said_to_be_a_bound_with_the_default_beside_it(
    tmp_path: Path,
) -> None:
    advice = judged(tmp_path, SyntheticRun.rolling(lag=3.0)).advice
    assert advice is not None
    (reason,) = [line.reason for line in advice.lines if line.path.endswith("lifecycle")]
    assert re.search(
        r"measured: at least [\d.]+ s; until a run with a preStop measures it, use 30 s, the default for an unknown"
        r" balancer",
        reason,
    )


@pytest.mark.parametrize("own", ["D5", "D6"])
def test_a_rollout_without_room_is_not_advised_a_surge_and_none_at_once(tmp_path: Path, own: str) -> None:
    found = judged(tmp_path, SyntheticRun.rolling())
    manifest = SyntheticRun.rolling().deployment()
    manifest["spec"].pop("strategy", None)
    causes = [
        replace(found.causes[0], ids=(rule.id,), mend=(rule.fix,)) for rule in RULES if rule.id in {own, "D9"}
    ]
    run = SyntheticRun.rolling().run()
    decided = advise(run, found.timeline, found.numbers, found.measured, causes, [manifest])
    assert decided.values["strategy"] == "RollingUpdate, maxUnavailable 0, maxSurge 1"
    assert "maxSurge: 0" not in str(cited(causes, decided))
    alone = advise(run, found.timeline, found.numbers, found.measured, causes[:1], [manifest])
    assert "maxSurge: 0" in str(cited(causes[:1], alone))
