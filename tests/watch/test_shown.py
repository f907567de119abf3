"""The scoreboard says what each recording could have missed, and nothing that a stranger wrote is obeyed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from harness.report.watch.page import hidden, render
from harness.report.watch.rows import Board, DeployRow, MissedRow, ServiceRow
from harness.watch import state as kept
from harness.watch.changed import Missed
from harness.watch.shown.board import hidden_ns, rows
from harness.watch.shown.metrics import Metrics
from harness.watch.shown.serving import is_ours, wanted

if TYPE_CHECKING:
    from pathlib import Path

RUN = "20261130T221357Z-web"
ROW = DeployRow(
    RUN, "2026-11-30 22:13", "helm changed the image", "PASS", lost=0, hits=40, hidden_ns=1_500_000_000
)


def board(*deploys: DeployRow, **more: Any) -> Board:
    service = ServiceRow("deployment/web", "http://web.test/", "2/s", "watching", deploys=deploys)
    return Board("staging", "2026-11-30 22:14:00", "2026-11-30 22:00", (service,), **more)


def test_at_two_requests_a_second_an_outage_of_a_second_and_a_half_can_hide() -> None:
    assert hidden_ns(60, 30_000_000_000) == pytest.approx(1.5e9, rel=0.01)
    assert hidden_ns(600, 30_000_000_000) == pytest.approx(0.15e9, rel=0.01)
    assert hidden_ns(0, 30_000_000_000) is None


def test_one_outage_in_twenty_of_that_length_meets_no_request() -> None:
    rate, lasting = 2.0, (hidden_ns(60, 30_000_000_000) or 0) / 1e9
    # Requests that come at random, at this rate: the chance of none in that time.
    assert 2.718281828 ** (-rate * lasting) == pytest.approx(0.05, rel=0.01)


def test_what_could_have_hidden_is_on_the_page_of_a_pass_too() -> None:
    assert hidden(ROW) == (
        "40 requests while it went on; what could have gone unseen: 1.50 s of full outage, or 7.50 s of a fifth of the"
        " pods"
    )
    assert hidden(ROW) in render(board(ROW))
    assert "any loss could have gone unseen" in hidden(DeployRow(RUN, "", "", "PASS"))


def test_the_page_says_no_loss_only_of_what_was_seen() -> None:
    assert "NO DEPLOY YET" in render(board())
    assert "none of them lost a request that was seen" in render(board(ROW))
    lost = render(
        board(DeployRow(RUN, "now", "x", "FAIL", lost=3, cause="B1: no preStop", fix="preStop: sleep 5"))
    )
    assert "3 requests lost in 1 of 1 deploy" in lost
    assert "fix: preStop: sleep 5" in lost


def test_the_page_runs_nothing_and_escapes_what_others_wrote() -> None:
    evil = "<script>alert(1)</script>\u202e"
    page = render(
        board(
            DeployRow(RUN, "now", evil, "FAIL", lost=1, cause=evil, fix=evil, headline=evil),
            not_watched=((evil, evil, evil),),
            missed=(MissedRow(evil, 2, evil),),
        )
    )
    assert "<script" not in page
    assert "\u202e" not in page
    assert "default-src 'none'" in page.replace("&#x27;", "'")


@pytest.mark.parametrize(
    "host", ["127.0.0.1:9190", "localhost", "10.1.2.3:9190", "[::1]:9190", "Watch.Example:1"]
)
def test_an_address_and_an_allowed_name_may_ask(host: str) -> None:
    assert is_ours(host, {"watch.example"})


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "localhost.evil", "watch.example.evil:80"]
)
def test_another_sites_name_may_not(host: str) -> None:
    assert not is_ours(host, {"watch.example"})
    assert wanted("/metrics", [host], "", {"watch.example"}) == (421, "")


def test_only_reports_are_given_and_only_below_the_secret() -> None:
    def ask(path: str, secret: str = "s3cret") -> tuple[int, str]:  # noqa: S107
        return wanted(path, ["localhost"], secret, ())

    assert ask("/s3cret/") == (200, "page")
    assert ask("/s3cret/scoreboard.json") == (200, "board")
    assert ask(f"/s3cret/runs/{RUN}/report.html?x=1") == (200, f"{RUN}/report.html")
    assert ask(f"/runs/{RUN}/report.html", secret="") == (200, f"{RUN}/report.html")
    for path in (
        "/", "/runs/", f"/runs/{RUN}/report.html", "/s3cre/", f"/s3cret/runs/{RUN}/run.json", "/s3cret/state.json",
        f"/s3cret/runs/{RUN}/../state.json", "/s3cret/runs/../../etc/passwd", f"/s3cret/runs/{RUN}/hits/0.arrow",
    ):  # fmt: skip
        assert ask(path)[0] == 404, path
    assert wanted("/healthz", ["localhost", "localhost"], "", ()) == (421, "")


def test_metrics_are_read_by_prometheus_own_parser_and_never_fall() -> None:
    metrics = Metrics("staging")
    metrics.standing("deployment/web", watched=True, recording=False, hits=10, gaps=1)
    metrics.judged("deployment/web", ROW)
    metrics.standing("deployment/web", watched=True, recording=True, hits=4, gaps=1)  # the load began anew
    text = metrics.exposed("")[0].decode()
    found = {
        (sample.name, sample.labels.get("verdict", "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found["zdtest_watch_requests_total", ""] == 14
    assert found["zdtest_watch_gaps_total", ""] == 1
    assert found["zdtest_watch_deploys_total", ""] == 1
    assert found["zdtest_watch_last_verdict", "PASS"] == 1
    assert found["zdtest_watch_last_hidden_seconds", ""] == 1.5
    assert metrics.exposed("application/openmetrics-text; version=1.0.0")[0].decode().endswith("# EOF\n")


def test_state_is_read_back_and_anything_else_is_a_new_one(tmp_path: Path) -> None:
    state = kept.State(
        {"deployment/web": "7"}, [Missed("deployment/web", 2, "5", "7", "away", "now")], "then"
    )
    kept.save(tmp_path, state)
    assert kept.load(tmp_path) == state
    for text in ("", "[]", "{", '{"format": 2}', '{"format": 1, "missed": [{"count": "x"}], "revisions": 3}'):
        (tmp_path / kept.FILE).write_text(text)
        assert (kept.load(tmp_path).revisions, kept.load(tmp_path).missed) == ({}, [])


def test_the_state_does_not_grow(tmp_path: Path) -> None:
    state = kept.State()
    for number in range(1000):
        state.miss(Missed("deployment/web", 1, str(number), str(number + 1), "away", "now"))
    assert len(state.missed) == 200
    assert state.missed[-1].after == "1000"
    kept.save(tmp_path, state)
    assert (tmp_path / kept.FILE).stat().st_mode & 0o077 == 0  # it holds the page's secret


def test_a_damaged_recording_is_left_out_of_the_scoreboard(tmp_path: Path) -> None:
    for name, text in ((RUN, "{"), ("20261130T221358Z-web", json.dumps({"format": 1})), ("notes", "{}")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(text)
    assert rows(tmp_path) == {}
