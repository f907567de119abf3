"""What access logs add to answers: the balancer's own reason narrows what a failed request can mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from harness.judge.balancers.family import Failure
from harness.judge.balancers.known import BY_NAME, FAMILIES, Chain, Seen
from harness.judge.balancers.meaning import BROKEN, NONE, TIMED_OUT, Meaning
from harness.judge.verdict.judgement import Judgement, judge
from harness.model import Outcome
from harness.recording.answers import Answer
from harness.recording.read import Recording
from harness.recording.upstreams import Entry, keep
from tests.judge.balancers import answers as say
from tests.judge.balancers.behind import CLOSED, by_ids, told_by, words
from tests.judge.synthetic import SyntheticRun, write_hits

if TYPE_CHECKING:
    from pathlib import Path

M = Meaning
ERROR_PAGE = Answer(503, (("server", "web"),), "<h1>We are sorry</h1>")


def chain(*names: str) -> Chain:
    return Chain(tuple(Seen(name, name, "") for name in names))


def logged(said: str, log: str, *, named: bool = False) -> dict[str, Any]:
    return {"logged": BY_NAME[log].logs(said, named), "log": log}


@pytest.mark.parametrize(
    ("log", "said", "named", "expected"),
    [
        ("envoy", "UH", False, M.NOBODY),
        ("envoy", "UF,URX", True, M.REFUSED | M.CONNECT_TIMEOUT),
        ("envoy", "UC", True, BROKEN | M.CUT),
        ("envoy", "URX", True, NONE),
        ("envoy", "DC", True, NONE),
        ("envoy", "UT", True, TIMED_OUT),
        ("envoy", "NR", False, M.BALANCER),
        ("haproxy", "SC", True, M.REFUSED),
        ("haproxy", "SC", False, M.NOBODY | M.REFUSED),
        ("haproxy", "SC NOSRV", False, M.NOBODY),
        ("haproxy", "sC", True, M.CONNECT_TIMEOUT),
        ("haproxy", "SH", True, BROKEN),
        ("haproxy", "sH", True, M.NO_ANSWER),
        ("haproxy", "SD", True, M.CUT),
        ("haproxy", "CD", True, NONE),
        ("haproxy", "cD", True, NONE),
        ("nginx", "502", True, M.REFUSED | BROKEN | M.APP_UNAVAILABLE),
        ("nginx", "502, 504", True, TIMED_OUT | M.APP),
        ("nginx", "503", True, M.APP_UNAVAILABLE),
        ("nginx", "502, 200", True, NONE),
        ("alb", "502 -", True, M.REFUSED | BROKEN),
        ("alb", "503 -", False, M.NOBODY),
        ("alb", "503 503", True, M.APP_UNAVAILABLE),
        ("alb", "502 502", True, M.APP_UNAVAILABLE),
        ("alb", "502 502", False, NONE),
        ("alb", "460 -", True, NONE),
        ("traefik", "503 503", True, M.APP_UNAVAILABLE),
        ("traefik", "503 503", False, M.NOBODY),
        ("traefik", "502 502", True, M.REFUSED | BROKEN | M.APP_UNAVAILABLE),
        ("traefik", "499 502", True, NONE),
        ("traefik", "499 499", True, NONE),
        ("caddy", "dial: connection refused", True, M.REFUSED),
        ("caddy", "dial: i/o timeout", True, M.CONNECT_TIMEOUT),
        ("caddy", "read: connection reset by peer", True, BROKEN),
        ("caddy", "unexpected EOF", True, BROKEN),
        ("caddy", "no upstreams available", False, M.NOBODY),
        ("caddy", "context canceled", False, NONE),
    ],
)
def test_each_family_logs_reasons_of_its_own(log: str, said: str, expected: Meaning, *, named: bool) -> None:
    assert BY_NAME[log].logs(said, named) == expected


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_reason_that_nobody_knows_says_nothing(family: Any) -> None:
    for said in ("", "??", "XX", "9", "0 0", "abc def", "-", ","):
        assert family.logs(said, True) == NONE


def test_a_page_of_somebodys_own_is_read_by_the_log() -> None:
    page = Failure(Outcome.RESPONSE, 503, ERROR_PAGE)
    without = chain("envoy").meaning(page)
    assert without & M.NOBODY
    assert without & M.REFUSED
    for said, expected in (("UH", M.NOBODY), ("UF", M.REFUSED), ("UC", BROKEN)):
        told = Failure(Outcome.RESPONSE, 503, ERROR_PAGE, **logged(said, "envoy"))
        assert chain("envoy").meaning(told) == expected


def test_a_connection_that_haproxy_closed_means_what_its_log_says() -> None:
    closed = Failure(Outcome.EOF_BEFORE_RESPONSE, 0, reused=True, quick=False)
    assert chain("haproxy").meaning(closed) == M.BROKEN_REUSED | M.BALANCER
    for said, expected in (
        ("sC", M.CONNECT_TIMEOUT),
        ("SH", M.BROKEN_REUSED),
        ("CD", M.BROKEN_REUSED | M.BALANCER),
    ):
        told = Failure(Outcome.EOF_BEFORE_RESPONSE, 0, reused=True, quick=False, **logged(said, "haproxy"))
        assert chain("haproxy").meaning(told) == expected


def test_an_answer_that_says_why_outweighs_a_log_that_says_something_else() -> None:
    answer = say.envoy(503, "remote connection failure")
    contradicted = Failure(Outcome.RESPONSE, 503, answer, **logged("UH", "envoy"))
    assert chain("envoy").meaning(contradicted) == M.REFUSED
    behind = Failure(Outcome.RESPONSE, 503, say.nginx(503), **logged("502", "nginx"))
    assert chain("nginx").meaning(behind) == M.NOBODY | NONE


def test_an_answer_that_names_its_pod_stays_the_pods_whatever_the_log_says() -> None:
    own = Failure(Outcome.RESPONSE, 503, ERROR_PAGE, named=True, **logged("UF", "envoy"))
    assert chain("envoy").meaning(own) == M.APP_UNAVAILABLE


def test_the_log_of_a_balancer_that_is_not_known_to_stand_there_may_narrow_and_not_replace() -> None:
    closed = Failure(Outcome.EOF_BEFORE_RESPONSE, 0, reused=True, quick=False, **logged("sC", "haproxy"))
    assert chain("nginx").meaning(closed) == M.BALANCER
    refused = Failure(Outcome.RESPONSE, 502, say.nginx(502), **logged("UF", "envoy"))
    assert chain("nginx").meaning(refused) == M.REFUSED


def test_no_whole_answer_was_cut_whatever_the_log_says() -> None:
    whole = Failure(Outcome.RESPONSE, 500, Answer(500, (), "oops"), **logged("SD", "haproxy"))
    assert chain("haproxy").meaning(whole) == M.APP


def kept(
    tmp_path: Path, synthetic: SyntheticRun, rows: list[dict[str, Any]], said: str, log: str
) -> Judgement:
    """Judge a run in which every failed request has a line in an access log, which names no pod."""
    for number, row in enumerate(rows):
        row["seq"] = number
    directory = synthetic.write(tmp_path)
    write_hits(directory / "hits" / "0.arrow", rows)
    keep(directory, {(0, row["seq"]): Entry("", log, said) for row in rows if row["status"] != 200})
    return judge(Recording.open(directory))


def test_behind_an_unknown_balancer_the_log_says_who_stands_there_and_splits_the_set(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(lag=3.0, prestop=1, settle=8.0)
    rows = told_by(synthetic, {"B1": [(ERROR_PAGE, 0.002)], "cut": [(ERROR_PAGE, 0.0)]})
    without = kept(tmp_path / "without", synthetic, rows, "", "")
    found = kept(tmp_path, synthetic, rows, "UF", "envoy")
    assert any(len(cause.ids) > 1 for cause in without.causes)
    assert found.balancers is not None
    assert [(one.name, one.evidence) for one in found.balancers.seen] == [
        ("envoy", "the format of its access log")
    ]
    assert by_ids(found)["C1",].hits >= synthetic.truth["B1"]
    assert any(
        line == f"the balancer's log says UF ({cause.hits:,})"
        for cause in found.causes
        for line in cause.evidence
    )


def test_a_log_of_closed_connections_tells_timeouts_from_a_reload(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling(lag=3.0, prestop=1, settle=8.0)
    synthetic.record = {"scenario": {"balancer": "haproxy"}}
    rows = told_by(synthetic, {"B1": [(None, 3.1)], "cut": [CLOSED]})
    assert "C8" not in words(kept(tmp_path, synthetic, rows, "sC", "haproxy"))


def test_a_reason_of_no_family_changes_nothing(tmp_path: Path) -> None:
    synthetic = SyntheticRun.rolling()
    rows = told_by(synthetic, {"B1": [(say.nginx(502), 0.002)], "cut": [(say.nginx(502), 0.0)]})
    plain = kept(tmp_path / "plain", synthetic, rows, "", "")
    odd = kept(tmp_path / "odd", synthetic, rows, "what is this", "elsewhere")
    assert [(c.ids, c.hits) for c in plain.causes] == [(c.ids, c.hits) for c in odd.causes]
