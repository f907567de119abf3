"""The published JSON Schema of verdict.json: up to date, explained, and true of real verdicts."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from harness.judge.verdict.judgement import FORMAT, to_json
from harness.report.ci import schema
from tests.report.ci.runs import KINDS, hostile, judged, recorded
from tests.report.ci.test_outputs import zdtest

PUBLISHED: dict[str, Any] = json.loads(schema.published())
CHECK = jsonschema.Draft202012Validator(PUBLISHED)
EXAMPLE = Path(__file__).parents[3] / "results" / "example" / "verdict.json"


def test_the_published_schema_is_that_of_the_records() -> None:
    assert schema.schema() == PUBLISHED, "make it anew: python -m harness.report.ci.schema"


def test_it_is_a_schema_and_says_which_format_it_is_of() -> None:
    jsonschema.Draft202012Validator.check_schema(PUBLISHED)
    assert PUBLISHED["$id"] == f"urn:zdtest:verdict:{FORMAT}"
    assert PUBLISHED["$defs"]["Judgement"]["properties"]["format"]["const"] == FORMAT


def test_every_property_is_described_and_every_time_has_its_unit() -> None:
    bare = [
        f"{name}.{field}"
        for name, record in PUBLISHED["$defs"].items()
        for field, said in record.get("properties", {}).items()
        if len(said.get("description", "")) < 4
        or (field.endswith("_ns") and "nanoseconds" not in said["description"].lower())
    ]
    assert bare == [], "describe it in harness/report/ci/verdict.words.txt, and make the schema anew"


def test_no_words_are_left_of_what_is_gone() -> None:
    gone = [
        name
        for name in schema._words()
        if name.split(".")[1] not in PUBLISHED["$defs"].get(name.split(".")[0], {}).get("properties", {})
    ]
    assert gone == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_sort_of_verdict_is_valid(kind: str) -> None:
    CHECK.validate(json.loads(to_json(judged(kind))))
    CHECK.validate(json.loads(to_json(hostile(kind))))


def test_an_old_verdict_is_valid_too() -> None:
    CHECK.validate(json.loads(EXAMPLE.read_text()))


@pytest.mark.parametrize(
    "wrong", [("verdict", "grade", "GOOD"), ("numbers", "requests", "5"), ("format", None, 2)]
)
def test_what_is_no_verdict_is_not(wrong: tuple[str, str | None, Any]) -> None:
    found = copy.deepcopy(json.loads(to_json(judged("clean"))))
    part, field, value = wrong
    if field is None:
        found[part] = value
    else:
        found[part][field] = value
    assert not CHECK.is_valid(found)


def test_the_commands_print_the_schema_and_what_it_is_of(tmp_path: Path) -> None:
    assert json.loads(zdtest(tmp_path, "schema").stdout) == PUBLISHED
    done = zdtest(tmp_path, "report", str(recorded("lossy", tmp_path)), "--format", "json")
    CHECK.validate(json.loads(done.stdout))
