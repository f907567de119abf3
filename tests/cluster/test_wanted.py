"""The first template that is seen after a change is the wanted one; any later one is a second change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.cluster.rollout.view import Baseline
from harness.cluster.rollout.wanted import strayed, wanting

A: dict[str, Any] = {"spec": {"v": "a"}, "digest": "a"}
B: dict[str, Any] = {"spec": {"v": "b"}, "digest": "b"}
C: dict[str, Any] = {"spec": {"v": "c"}, "digest": "c"}
OBSERVED = Baseline((), "aaa", template_before=A, template={}, generation=1, foreign=True)
DELETING = Baseline((), "aaa", template_before=A, template=A, generation=1)


def web(template: dict[str, Any], generation: int) -> dict[str, Any]:
    return {"metadata": {"generation": generation}, "spec": {"replicas": 2, "template": template}}


def test_the_first_other_template_is_the_wanted_one() -> None:
    found = wanting(OBSERVED, web(B, 2), may_come=True)
    assert (found.template, found.generation) == (B, 2)
    assert strayed(web(B, 3), found) == "", "scaling and annotations raise the generation too"
    assert wanting(found, web(C, 3), may_come=True) is found, "it is wanted whatever comes later"


def test_a_later_template_is_a_second_change() -> None:
    found = wanting(OBSERVED, web(B, 2), may_come=False)
    assert strayed(web(C, 3), found) == "the pod template was changed again"


def test_the_template_of_before_is_a_second_change_too() -> None:
    found = wanting(OBSERVED, web(B, 2), may_come=False)
    assert strayed(web(A, 3), found) == "the pod template was changed back to what it was"


def test_while_a_template_may_come_the_one_of_before_is_not_yet_the_wanted_one() -> None:
    assert wanting(OBSERVED, web(A, 2), may_come=True) is OBSERVED
    assert strayed(web(A, 2), OBSERVED) == ""


def test_a_change_of_size_alone_wants_the_template_of_before() -> None:
    found = wanting(OBSERVED, web(A, 2), may_come=False)
    assert found.template == A
    assert strayed(web(B, 3), found) == "the pod template was changed again"


def test_a_pod_that_is_deleted_or_evicted_leaves_no_room_for_another_template() -> None:
    assert wanting(DELETING, web(B, 2), may_come=False) is DELETING
    assert strayed(web(B, 2), DELETING) == "the pod template was changed by somebody else"


def test_nothing_is_wanted_of_a_workload_that_is_not_known_yet() -> None:
    assert wanting(OBSERVED, {}, may_come=False) is OBSERVED


def test_our_own_change_that_was_undone_is_somebody_else_s_doing() -> None:
    ours = replace(DELETING, template=B, generation=2)
    assert strayed(web(A, 3), ours) == "the pod template was changed back to what it was by somebody else"
    assert strayed(web(A, 2), ours) == "", "what the watch tells late was so before our change"
