"""docs/scenarios.md is what the schema says today."""

from __future__ import annotations

import pytest

from harness.scenario.labpart import LabPart
from harness.scenario.reading import read_file
from harness.scenario.schema import Scenario, TargetPart
from tests.docs.scenario_page import EXAMPLE, PAGE, PARTS, default, flags, kind, page


def test_the_page_is_not_stale() -> None:
    assert page() == PAGE.read_text(encoding="utf-8"), "run `nox -s pages`"


@pytest.mark.parametrize("prefix", PARTS)
def test_every_field_has_a_description(prefix: str) -> None:
    assert [name for name, field in PARTS[prefix].model_fields.items() if not field.description] == []


def test_every_flag_that_sets_a_field_stands_beside_it() -> None:
    known = flags()
    assert known["load.concurrency"] == ["-c, --concurrency, --connections"]
    assert known["target.headers"] == ["-H, --header"]
    assert known["load.keepalive"] == ["--disable-keepalive"]
    paths = {f"{prefix}.{name}".lstrip(".") for prefix, part in PARTS.items() for name in part.model_fields}
    assert set(known) <= paths


def test_types_and_defaults_are_in_words() -> None:
    fields = TargetPart.model_fields
    assert (kind(fields["timeout"]), default(fields["timeout"])) == ("duration", "`65s`")
    assert (kind(fields["expect"]), default(fields["expect"])) == ("statuses: `200-299,304`", "`200-299`")
    assert kind(LabPart.model_fields["tries"]) == "whole number, from 1 to 10"
    assert kind(Scenario.model_fields["objectives"]).startswith("list of conditions")


def test_the_example_is_a_scenario() -> None:
    scenario = Scenario.model_validate(read_file(EXAMPLE)[0])
    assert scenario.workload == ("Deployment", "web")
    assert scenario.rollout.rollouts == 5
