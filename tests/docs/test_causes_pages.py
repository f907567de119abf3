"""Every cause that the judge can name has a section that says how it looks and what to change."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import yaml

from harness.judge.balancers.family import Failure
from harness.judge.balancers.known import BY_NAME
from harness.judge.causes import diagnosis
from harness.judge.causes.rules import RULES
from harness.judge.lint.lint import LINT
from harness.k8s import schema
from harness.model import Outcome
from tests.docs.answer_tables import BALANCERS, FOLDER, HAPPENINGS, pages, sections, written
from tests.docs.pages import blocks

if TYPE_CHECKING:
    from pathlib import Path

IDS = sorted({rule.id for rule in RULES})
DIAGNOSES = frozenset(diagnosis._DIAGNOSES)


def section(cause: str) -> str:
    page, heading = sections()[cause]
    text = (FOLDER / page).read_text(encoding="utf-8")
    return text.partition(f"## {heading}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_the_tables_made_from_the_code_are_not_stale(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert written(text) == text, "run `nox -s pages`"


def test_every_cause_has_a_section_and_every_section_a_cause() -> None:
    assert sorted(sections()) == sorted({*IDS, *DIAGNOSES})


@pytest.mark.parametrize("cause", IDS)
def test_a_section_shows_the_words_of_its_rules(cause: str) -> None:
    said = re.sub(r"\s*\n>\s*", "\n", section(cause)).lower()
    assert [rule.name for rule in RULES if rule.id == cause and rule.name.lower() not in said] == []


@pytest.mark.parametrize("cause", sorted(sections()))
def test_a_section_says_what_happens_how_it_looks_what_to_change_and_what_else_it_may_be(cause: str) -> None:
    text = section(cause)
    for part in ("**What happens.**", "**How it looks.**", "**Fix.**", "**It is something else when**"):
        assert part in text
    if cause[0] != "E":
        assert "https://kubernetes.io/docs/" in text
        assert "```yaml" in text
        assert "- Evidence: `" in text or cause in DIAGNOSES


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_every_snippet_is_yaml(page: Path) -> None:
    for block in blocks(page, "yaml"):
        assert [one for one in yaml.safe_load_all(block) if one]


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_every_snippet_of_a_workload_has_only_fields_that_kubernetes_has(page: Path) -> None:
    for block in blocks(page, "yaml"):
        for part in yaml.safe_load_all(block):
            kind = part.get("kind", "Deployment" if "spec" in part else "")
            group = {"Deployment": "apps/v1", "Service": "v1"}.get(kind)
            if group:
                node = schema.root(group, kind)
                assert schema.unknown_fields(part, node) == []


@pytest.mark.parametrize("cause", IDS)
def test_a_section_names_the_manifest_s_fields_that_its_rules_fix(cause: str) -> None:
    fixes = " ".join(rule.fix for rule in RULES if rule.id == cause)
    fields = re.findall(
        r"(?:readinessProbe|startupProbe|preStop|terminationGracePeriodSeconds|minReadySeconds|strategy|"
        r"publishNotReadyAddresses)",
        fixes,
    )
    said = section(cause).replace("same as for B1", "preStop terminationGracePeriodSeconds")
    said = said.replace("grace period", "terminationGracePeriodSeconds")
    assert sorted(set(fields) - {field for field in fields if field in said}) == []


def test_every_id_that_lint_names_is_explained() -> None:
    text = (FOLDER / "beside.md").read_text(encoding="utf-8").partition("## Ids that only lint uses")[2]
    first_cells = " ".join(line.split("|")[1] for line in text.splitlines() if "|" in line)
    only_lint = set(re.findall(r"\b[A-E]\d+\b", first_cells))
    named = {cause for rule in LINT for cause in rule.causes}
    assert only_lint == named - set(sections())


@pytest.mark.parametrize("happening", sorted(HAPPENINGS))
@pytest.mark.parametrize("column", BALANCERS)
def test_the_judge_reads_an_answer_as_the_tables_say(happening: str, column: str) -> None:
    _, meaning, said = HAPPENINGS[happening]
    cell = said[list(BALANCERS).index(column)]
    for family in BALANCERS[column]:
        for status in re.findall(r"\d{3}", cell):
            slow = Failure(Outcome.RESPONSE, int(status), quick=False)
            assert BY_NAME[family].meaning(slow) & meaning
        if "closed" in cell:
            assert BY_NAME[family].meaning(Failure(Outcome.EOF_BEFORE_RESPONSE, 0, reused=True)) & meaning
        if cell == "cut":
            assert BY_NAME[family].meaning(Failure(Outcome.EOF_MID_RESPONSE, 200)) & meaning
