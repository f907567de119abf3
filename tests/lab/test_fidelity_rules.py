"""When a fact of the lab and one of a real cluster count as the same."""

from __future__ import annotations

from tests.fidelity.cases import CASES
from tests.fidelity.compare import UNEXPLAINED, Difference, because, crossed, same

BY_NAME = {case.name: case for case in CASES}


def test_close_moments_have_no_order_and_others_must_not_swap() -> None:
    assert not crossed("deleted+out < exited < gone", "deleted+out < exited+gone")
    assert not crossed("deleted+out < exited < gone", "deleted+out < gone")
    assert crossed("out < exited", "exited < out") == {("out", "exited")}


def test_a_code_that_the_real_one_showed_must_be_the_labs_too() -> None:
    case = BY_NAME["readiness"]
    assert same(case, "exit codes", "0 x2", "0 x1")
    assert not same(case, "exit codes", "0 x2", "137 x1")


def test_a_difference_without_a_known_reason_stays_unexplained() -> None:
    case = BY_NAME["readiness"]
    assert because(Difference(case, "created -> started", "1.0 s", "9.0 s")) != UNEXPLAINED
    assert because(Difference(case, "created -> started", "9.0 s", "1.0 s")) == UNEXPLAINED
    assert because(Difference(case, "Events", "Created 4, Killing 2", "Created 4, Killing 3")) == UNEXPLAINED
    assert because(Difference(case, "exit codes", "0 x2", "137 x2")) == UNEXPLAINED
