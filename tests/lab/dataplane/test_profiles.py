from __future__ import annotations

import pytest

from harness.lab.balancer.families import PROFILES
from harness.lab.balancer.families.family import Meaning
from harness.lab.balancer.profiles import Loss, Stage, asks_again, may_retry, meaning, pick

BEFORE_THE_HEAD = [Stage.CONNECTING, Stage.WAITING]
TIMEOUTS = {Loss.CONNECT_TIMEOUT, Loss.IDLE_TIMEOUT}


@pytest.mark.parametrize("name", ["alb", "nginx"])
@pytest.mark.parametrize("stage", BEFORE_THE_HEAD)
@pytest.mark.parametrize("loss", Loss)
def test_for_nginx_and_an_alb_a_timeout_is_504_and_everything_else_502(
    name: str, stage: Stage, loss: Loss
) -> None:
    means = meaning(stage, loss)
    assert means
    assert PROFILES[name].replies[means].status == (504 if loss in TIMEOUTS else 502)


@pytest.mark.parametrize("loss", Loss)
def test_an_answer_that_has_begun_can_only_be_cut(loss: Loss) -> None:
    assert meaning(Stage.ANSWERING, loss) is None


@pytest.mark.parametrize("name", PROFILES)
def test_every_balancer_has_an_answer_to_everything_and_its_length_is_right(name: str) -> None:
    profile = PROFILES[name]
    for means in Meaning:
        reply = profile.replies[means]
        assert reply.head.startswith(b"HTTP/1.1 %d " % reply.status)
        assert b"content-length: %d\r\n" % len(reply.body) in (reply.head + profile.own_end.encode()).lower()


def test_what_is_retried_by_default_or_with_tries_differs_by_balancer() -> None:
    def may(name: str, method: bytes, stage: Stage, loss: Loss = Loss.RESET) -> bool:
        return may_retry(PROFILES[name].retries, method + b" / HTTP/1.1", stage, loss)

    connecting = {name for name in PROFILES if may(name, b"POST", Stage.CONNECTING, Loss.REFUSED)}
    assert connecting == {"nginx", "haproxy", "envoy", "caddy", "apache"}
    assert {name for name in PROFILES if may(name, b"GET", Stage.WAITING)} == {"nginx", "caddy"}
    assert {name for name in PROFILES if may(name, b"PUT", Stage.WAITING)} == {"nginx"}
    assert not {name for name in PROFILES if may(name, b"POST", Stage.WAITING)}
    assert not {name for name in PROFILES if may(name, b"GET", Stage.ANSWERING)}
    own = {
        name
        for name, profile in PROFILES.items()
        if asks_again(profile, b"GET / HTTP/1.1", Stage.WAITING, Loss.EOF, reused=True)
    }
    assert own == {"caddy"}


def test_round_robin_survives_a_shorter_list_of_targets() -> None:
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
