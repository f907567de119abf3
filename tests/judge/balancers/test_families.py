"""What each family's answers mean: one row for each that was measured, or is documented."""

from __future__ import annotations

from typing import Any

import pytest

from harness.judge.balancers.family import Failure
from harness.judge.balancers.known import BY_NAME, FAMILIES, Chain, Seen
from harness.judge.balancers.meaning import BROKEN, TIMED_OUT, WORDS, Meaning, in_words
from harness.model import Outcome
from harness.recording.answers import Answer
from tests.judge.balancers import answers as say

M = Meaning
UNREACHED = M.NOBODY | M.REFUSED | M.CONNECT_TIMEOUT


def meaning(name: str, failure: Failure) -> Meaning:
    return BY_NAME[name].meaning(failure)


def response(answer: Answer, **rest: Any) -> Failure:
    return Failure(Outcome.RESPONSE, answer.status, answer, **rest)


@pytest.mark.parametrize(
    ("name", "answer", "quick", "expected"),
    [
        ("nginx", say.nginx(502), True, M.REFUSED | BROKEN),
        ("nginx", say.nginx(503), True, M.NOBODY),
        ("nginx", say.nginx(504), False, TIMED_OUT),
        ("ingress-nginx", say.nginx(502), True, M.REFUSED | BROKEN),
        ("haproxy", say.HAPROXY_503, True, M.NOBODY | M.REFUSED),
        ("haproxy", say.HAPROXY_503, False, UNREACHED),
        ("haproxy", say.HAPROXY_502, True, BROKEN),
        ("haproxy", say.HAPROXY_504, False, M.NO_ANSWER),
        ("envoy", say.envoy(503, "remote connection failure"), True, M.REFUSED),
        ("envoy", say.envoy(503, "connection timeout"), False, M.CONNECT_TIMEOUT),
        ("envoy", say.envoy(503, "connection termination"), True, BROKEN),
        ("envoy", say.envoy(503, "no endpoint"), True, M.NOBODY),
        ("envoy", say.envoy(504, "timeout"), False, M.NO_ANSWER),
        ("istio-envoy", say.envoy(503, "connection termination", "istio-envoy"), True, BROKEN),
        ("caddy", say.CADDY_502, False, M.REFUSED | M.CONNECT_TIMEOUT | M.BROKEN_FRESH),
        ("caddy", say.CADDY_502, True, M.REFUSED | M.BROKEN_FRESH),
        ("caddy", say.CADDY_503, True, M.NOBODY),
        ("caddy", say.CADDY_504, False, M.NO_ANSWER),
        ("traefik", say.TRAEFIK_502, True, M.REFUSED | M.BROKEN_FRESH),
        ("traefik", say.TRAEFIK_503, True, M.NOBODY),
        ("traefik", say.TRAEFIK_504, False, TIMED_OUT),
        ("apache", say.APACHE_503, True, M.NOBODY | M.REFUSED),
        ("apache", say.APACHE_502, False, BROKEN | M.NO_ANSWER),
        ("alb", say.alb(502), True, M.REFUSED | BROKEN),
        ("alb", say.alb(503), True, M.NOBODY),
        ("alb", say.alb(504), False, TIMED_OUT),
        ("google", say.GOOGLE_502, True, M.REFUSED | BROKEN),
        ("cloudfront", say.CLOUDFRONT_502, True, M.REFUSED | BROKEN),
    ],
)
def test_each_family_means_something_of_its_own_by_its_answers(
    name: str, answer: Answer, expected: Meaning, *, quick: bool
) -> None:
    assert meaning(name, response(answer, quick=quick)) == expected


def test_go_asks_again_for_what_may_be_sent_twice_so_only_a_post_breaks_on_a_reused_connection() -> None:
    assert not meaning("caddy", response(say.CADDY_502)) & M.BROKEN_REUSED
    assert meaning("caddy", response(say.CADDY_502, idempotent=False)) & M.BROKEN_REUSED


@pytest.mark.parametrize("name", ["haproxy", "apache"])
def test_these_close_silently_when_a_reused_connection_breaks(name: str) -> None:
    failure = Failure(Outcome.EOF_BEFORE_RESPONSE, 0, reused=True)
    assert meaning(name, failure) == M.BROKEN_REUSED | M.BALANCER


@pytest.mark.parametrize("name", ["nginx", "envoy", "caddy", "alb", "traefik"])
@pytest.mark.parametrize(
    "outcome", [Outcome.EOF_BEFORE_RESPONSE, Outcome.IDLE_CLOSE_RACE, Outcome.CONNECT_REFUSED]
)
def test_of_these_a_connection_that_ends_without_an_answer_is_their_own_doing(
    name: str, outcome: Outcome
) -> None:
    assert meaning(name, Failure(outcome, 0, reused=True)) == M.BALANCER


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_cut_within_the_answer_is_one_behind_every_family(family: object) -> None:
    name = getattr(family, "name", "")
    assert meaning(name, Failure(Outcome.EOF_MID_RESPONSE, 0)) == M.CUT


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_too_many_requests_are_a_limit_whoever_says_so(family: object) -> None:
    name = getattr(family, "name", "")
    assert meaning(name, response(Answer(429))) == M.LIMITED
    quota = Answer(503, (("retry-after", "5"),), "come back later")
    assert meaning(name, response(quota)) & M.LIMITED
    assert not meaning(name, response(quota)) & (M.NOBODY | M.REFUSED)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("envoy", Answer(503, (("server", "envoy"), ("x-envoy-upstream-service-time", "3")), "draining")),
        ("caddy", Answer(503, (("via", "1.1 Caddy"), ("server", "gunicorn")), "draining")),
        ("alb", Answer(503, (("server", "gunicorn"),), "draining")),
    ],
)
def test_an_answer_from_behind_the_balancer_is_the_applications_own(name: str, answer: Answer) -> None:
    assert meaning(name, response(answer)) == M.APP_UNAVAILABLE


def test_a_page_of_somebodys_own_is_read_by_its_status_and_may_be_the_applications() -> None:
    sorry = Answer(503, (("server", "envoy"),), "<h1>We will be back</h1>")
    assert meaning("envoy", response(sorry)) == M.NOBODY | M.REFUSED | BROKEN | M.APP_UNAVAILABLE
    assert (
        meaning("nginx", response(Answer(503, (("server", "nginx"),), "sorry")))
        == M.NOBODY | M.APP_UNAVAILABLE
    )


def test_an_old_recording_without_answers_is_read_by_status() -> None:
    assert meaning("envoy", Failure(Outcome.RESPONSE, 503)) == M.NOBODY | M.REFUSED | BROKEN
    assert meaning("nginx", Failure(Outcome.RESPONSE, 503)) == M.NOBODY
    assert meaning("haproxy", Failure(Outcome.RESPONSE, 503)) == M.NOBODY | M.REFUSED


def test_behind_an_unknown_balancer_a_status_means_what_any_family_means_by_it() -> None:
    found = meaning("unknown", Failure(Outcome.RESPONSE, 503, quick=False))
    for family in FAMILIES:
        if family.name != "cloudfront":  # its 503 is about itself
            assert not meaning(family.name, Failure(Outcome.RESPONSE, 503, quick=False)) & ~found
    found = meaning("unknown", Failure(Outcome.RESPONSE, 502, quick=False))
    for family in FAMILIES:
        assert not meaning(family.name, Failure(Outcome.RESPONSE, 502, quick=False)) & ~found


def test_an_error_that_names_its_pod_is_that_pods_own_whatever_its_status() -> None:
    for family in BY_NAME:
        assert meaning(family, Failure(Outcome.RESPONSE, 500, named=True)) == M.APP
        assert meaning(family, Failure(Outcome.RESPONSE, 503, named=True)) == M.APP_UNAVAILABLE


def test_straight_to_pods_nobody_has_words_for_what_happened() -> None:
    assert meaning("none", Failure(Outcome.CONNECT_REFUSED, 0)) == M.NOBODY | M.REFUSED
    assert meaning("none", Failure(Outcome.RESET_BEFORE_RESPONSE, 0, reused=True)) == M.BROKEN_REUSED
    assert meaning("none", Failure(Outcome.EOF_BEFORE_RESPONSE, 0)) == M.BROKEN_FRESH
    assert meaning("none", Failure(Outcome.IDLE_CLOSE_RACE, 0, reused=True)) == M.REFUSED
    assert meaning("none", Failure(Outcome.RESPONSE, 500)) == M.APP


def test_every_outcome_means_something_behind_every_family() -> None:
    ours = {Outcome.NO_LOCAL_PORT, Outcome.NO_DESCRIPTOR, Outcome.CUT_AT_DEADLINE, Outcome.DROPPED}
    ours |= {Outcome.DNS_NXDOMAIN, Outcome.DNS_FAIL, Outcome.TLS_VERIFY}  # not on the way to a pod
    for name in BY_NAME:
        for outcome in Outcome:
            found = meaning(name, Failure(outcome, 500 if outcome is Outcome.RESPONSE else 0))
            assert bool(found & M.UNKNOWN) == (outcome in ours), (name, outcome)


def test_of_two_in_a_row_the_one_whose_words_it_bears_is_asked() -> None:
    chain = Chain((Seen("cloudfront", "CloudFront", ""), Seen("alb", "an AWS ALB", "")))
    of_the_alb = say.alb(503, ("x-cache", "Error from cloudfront"))
    assert chain.meaning(response(of_the_alb)) == M.NOBODY
    assert chain.meaning(response(say.CLOUDFRONT_502)) == M.REFUSED | BROKEN
    either = chain.meaning(Failure(Outcome.RESPONSE, 503))
    assert either & M.NOBODY
    assert either & M.BALANCER


def test_every_meaning_has_words() -> None:
    assert set(WORDS) == set(Meaning)
    assert in_words(M.NOBODY | M.REFUSED) == "no endpoint, or connection refused"
