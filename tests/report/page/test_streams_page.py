"""The page and the picture of a run that held streams: how many were open, which were cut, and no words of requests."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.judge.verdict.judgement import judge_with_picture
from harness.recording.read import Recording
from harness.report.drawing.columns import rates
from harness.report.page.page import render
from tests.judge.streams.test_streams_judged import rolling
from tests.judge.synthetic import SyntheticRun

if TYPE_CHECKING:
    from pathlib import Path

    from harness.judge.picture.picture import Picture
    from harness.judge.verdict.judgement import Judgement


def drawn(root: Path, **changes: Any) -> tuple[Judgement, Picture]:
    run = replace(rolling(prestop=3, grace=20, concurrency=12), **changes)
    return judge_with_picture(Recording.open(run.write(root)))


def test_the_picture_shows_how_many_streams_are_open(tmp_path: Path) -> None:
    _, picture = drawn(tmp_path, closes=True)
    found = rates(picture.close, picture.focus, 160)
    assert picture.close.held
    assert round(float(found.good.max()), 6) == 12
    assert 0 < float(found.good.min()) < 12
    assert not found.all_failed.any()


def test_streams_that_are_cut_at_once_are_a_column_as_high_as_their_number(tmp_path: Path) -> None:
    _, picture = drawn(tmp_path, reloads=4.0, closes=True)
    found = rates(picture.close, picture.focus, 160)
    assert round(float(found.all_failed.max()), 6) == 12
    assert float(found.good.min()) == 0.0
    assert (np.asarray(picture.close.failed_latency.max_ns) < 0).all()  # how old it was is no latency


def test_the_page_has_the_words_of_streams(tmp_path: Path) -> None:
    page = render(*drawn(tmp_path))
    shown = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
    for words in (
        "Streams open",
        "Cut streams, failed handshakes",
        "From one message to the next",
        "Back after their loss",
    ):
        assert words in shown
    for words in ("Requests per second", "Failed requests", "Every failed request", "Latency <"):
        assert words not in shown
    assert "cut: closed" in page
    requests = judge_with_picture(Recording.open(SyntheticRun.rolling().write(tmp_path / "requests")))
    assert "Requests per second" in render(*requests)
    assert "Streams open" not in render(*requests)


def test_what_a_clean_run_proves_is_told_of_streams(tmp_path: Path) -> None:
    judgement, _ = drawn(tmp_path, closes=True)
    assert re.match(
        r"0 of \d+ WebSockets cut since the trigger; 1 clean rollout of 3 pods", judgement.verdict.bound
    )
