from __future__ import annotations

import pytest

from harness.lab.balancer.profiles import CUT, PROFILES, Loss, Stage, classify, pick

BEFORE_THE_HEAD = [Stage.CONNECTING, Stage.WAITING]
TIMEOUTS = {Loss.CONNECT_TIMEOUT, Loss.IDLE_TIMEOUT}


@pytest.mark.parametrize("stage", BEFORE_THE_HEAD)
@pytest.mark.parametrize("loss", Loss)
def test_what_takes_too_long_is_504_and_all_else_502_as_long_as_nothing_was_passed_on(
    stage: Stage, loss: Loss
) -> None:
    assert classify(stage, loss) == (504 if loss in TIMEOUTS else 502)


@pytest.mark.parametrize("loss", Loss)
def test_an_answer_that_has_begun_can_only_be_cut(loss: Loss) -> None:
    assert classify(Stage.ANSWERING, loss) == CUT


def test_each_target_gets_its_turn_and_a_shorter_list_is_no_harm() -> None:
    turn, picked = 0, []
    for targets in (3, 3, 3, 3, 2, 2, 1):
        index, turn = pick(turn, targets)
        assert index < targets
        picked.append(index)
    assert picked[:4] == [0, 1, 2, 0]


@pytest.mark.parametrize(("status", "length"), [(502, 122), (503, 162), (504, 132)])
def test_the_albs_own_answers_have_the_lengths_of_the_real_ones(status: int, length: int) -> None:
    head, body = PROFILES["alb"].page(status)
    assert len(body) == length
    assert b"Content-Length: %d\r\n" % length in head
    assert b"Server: awselb/2.0\r\n" in head
    assert b"nginx" not in body


def test_nginxs_own_answers_are_signed_in_the_body() -> None:
    head, body = PROFILES["nginx"].page(502)
    assert b"<hr><center>nginx</center>" in body
    assert b"Server: nginx\r\n" in head
