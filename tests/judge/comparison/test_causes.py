"""Causes from side to side, and the changes of a manifest that explain what became of them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.judge.causes.rules import RULES
from harness.judge.comparison.causes import _FIELDS, cause_changes, explained
from harness.judge.comparison.record import CauseChange
from harness.judge.verdict.fieldchanges import FieldChange
from tests.judge.comparison.invented import side

if TYPE_CHECKING:
    from harness.judge.comparison.sides import Side

POD = "Deployment spec.template.spec"
PRE_STOP = f"{POD}.containers[web].lifecycle.preStop.exec.command"
GRACE = f"{POD}.terminationGracePeriodSeconds"
READINESS = f"{POD}.containers[web].readinessProbe.httpGet.path"
IMAGE = f"{POD}.containers[web].image"
ABSENT = "(absent)"


def having(one: Side, *causes: dict[str, int]) -> Side:
    names = {key: key for row in causes for key in row}
    rollouts = [
        replace(each, causes=row, cause_names={key: names[key] for key in row})
        for each, row in zip(one.rollouts, causes, strict=True)
    ]
    return replace(one, rollouts=tuple(rollouts))


def became(before: list[dict[str, int]], after: list[dict[str, int]]) -> dict[str, CauseChange]:
    sides = (
        having(side("before", [1] * len(before)), *before),
        having(side("after", [1] * len(after)), *after),
    )
    return {"|".join(one.ids): one for one in cause_changes(*sides)}


def test_a_cause_appears_vanishes_or_changes_its_share_of_what_was_lost() -> None:
    found = became([{"B1": 50, "C6": 50}, {"B1": 50}], [{"C6": 4, "A1": 1}, {"C6": 2}])
    assert {ids: one.what for ids, one in found.items()} == {"B1": "vanished", "C6": "more", "A1": "appeared"}
    b1 = found["B1"]
    assert (b1.hits_before, b1.hits_after, b1.rollouts_before, b1.rollouts_after) == (100, 0, 2, 0)
    assert b1.p == pytest.approx(2 / 6)
    assert became([{"B1": 50}], [{"B1": 5}])["B1"].what == "same", "fewer hits, the same share"


def test_causes_that_cannot_be_told_apart_are_one_line() -> None:
    assert became([{"B1|C6": 5}], [{}])["B1|C6"].ids == ("B1", "C6")


def marks(changes: list[tuple[str, str, str]], ids: str, what: str) -> list[bool]:
    cause = CauseChange(tuple(ids.split("|")), ids, what, 1, 0, 1, 0, 1.0)
    fields = [FieldChange(*change) for change in changes]
    found = {one.change.path: one.explains for one in explained(fields, [cause])}
    assert all(why in {(), (f"{ids} {what}",)} for why in found.values())
    return [bool(found[path]) for path, _, _ in changes]


@pytest.mark.parametrize(
    ("path", "before", "after", "ids", "what", "fits"),
    [
        (PRE_STOP, ABSENT, "sleep 5", "B1", "vanished", True),
        (PRE_STOP, "sleep 5", ABSENT, "B1", "appeared", True),
        (PRE_STOP, ABSENT, "sleep 5", "B1", "appeared", False),
        (PRE_STOP, "sleep 5", ABSENT, "B1", "vanished", False),
        (PRE_STOP, "sleep 1", "sleep 9", "C1", "vanished", True),
        (READINESS, ABSENT, "/", "A1", "vanished", True),
        (READINESS, "/", ABSENT, "A1", "vanished", False),
        (GRACE, "1", "30", "B4", "vanished", True),
        (GRACE, "30", "1", "B4", "appeared", True),
        (GRACE, "30", "1", "B4", "vanished", False),
        (GRACE, "1", "30", "B1", "vanished", False),
        ("Deployment spec.minReadySeconds", ABSENT, "10", "A7", "vanished", True),
        ("Deployment spec.minReadySeconds", ABSENT, "10", "A7", "appeared", False),
        ("Deployment spec.minReadySeconds", "10", ABSENT, "A2", "appeared", True),
        ("Deployment spec.minReadySeconds", "10", ABSENT, "A2", "vanished", False),
        (GRACE, ABSENT, "60", "B4", "appeared", False),
        (GRACE, ABSENT, "5", "B4", "appeared", True),
        ("Deployment spec.replicas", ABSENT, "3", "D1", "appeared", False),
        ("Deployment spec.replicas", "1", "3", "D1", "vanished", True),
        ("Deployment spec.replicas", "3", "1", "D1", "vanished", False),
        ("Deployment spec.strategy.type", "Recreate", "RollingUpdate", "D3", "vanished", True),
        ("Service spec.publishNotReadyAddresses", "True", ABSENT, "C19", "vanished", True),
        ("Service spec.ports[http].port", "80", "81", "C19", "vanished", False),
        (PRE_STOP, ABSENT, "sleep 5", "A1|B1", "vanished", True),
        (PRE_STOP, ABSENT, "sleep 5", "B1", "same", False),
        (PRE_STOP, ABSENT, "sleep 5", "E3", "vanished", False),
        (IMAGE, "web:1", "web:2", "A8", "appeared", True),
    ],
)
def test_a_field_explains_a_cause_only_where_it_moved_the_right_way(
    path: str, before: str, after: str, ids: str, what: str, *, fits: bool
) -> None:
    assert marks([(path, before, after)], ids, what) == [fits]


def test_beside_the_field_that_a_cause_is_about_no_other_one_explains_it() -> None:
    image, pre_stop = (IMAGE, "web:1", "web:2"), (PRE_STOP, ABSENT, "sleep 5")
    assert marks([image, pre_stop], "B1", "vanished") == [False, True]
    assert marks([image], "B1", "vanished") == [True]


def test_what_explains_comes_first() -> None:
    cause = CauseChange(("B1",), "no preStop", "vanished", 5, 0, 1, 0, 1.0)
    fields = [FieldChange(GRACE, "1", "2"), FieldChange(PRE_STOP, ABSENT, "sleep 5")]
    assert [one.change.path for one in explained(fields, [cause])] == [PRE_STOP, GRACE]


def test_every_cause_with_a_line_in_the_manifest_has_its_fields() -> None:
    known = {rule.id for rule in RULES}
    assert set(_FIELDS) <= known | {"B5", "C2", "C7"}
    assert known - set(_FIELDS) == {"E1", "E2", "E3", "E4"}, "with these, no line of the manifest had a part"
    for rows in _FIELDS.values():
        for pattern, _ in rows:
            re.compile(pattern)
