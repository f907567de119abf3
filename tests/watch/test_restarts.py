"""A watch that is ended or killed, and one that comes back: nothing is silently left out."""

from __future__ import annotations

import json
import signal
import time
from functools import partial
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.fastlab import FastLab, fast_lab
from tests.watch.watched import release, revision, until, verdict, watch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastLab]:
    with fast_lab(tmp_path_factory.mktemp("lab") / "lab") as found:
        yield found


def test_what_happened_while_no_watch_ran_and_what_was_cut_off_is_said(lab: FastLab, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with watch(lab, out) as first:
        time.sleep(3)
        release(lab, "ended")
        until(first.recordings, "the deploy was seen")
        assert first.end(signal.SIGTERM) == 0
        secret = first.url
    (ended,) = out.glob("*/run.json")
    assert verdict(ended.parent)["about"]["ended_by"] == "interrupted"  # a partial report
    for version in ("nobody saw this", "nor this"):
        before = revision(lab)
        release(lab, version)
        until(partial(_beyond, lab, before), "it had its revision")
    with watch(lab, out) as second:
        until(lambda: second.said("missed 2 deploys"), "it said what it had missed")
        assert second.url.split("/")[3] == secret.split("/")[3]  # a bookmark of the page still leads there
        assert second.metrics()["missed_deploys_total"] == 2
        page = httpx.get(second.url, trust_env=False).text
        assert "Deploys that nobody saw" in page
        until(
            lambda: not json.loads(_board(second.url))["services"][0]["doing"].startswith("waiting"),
            "it was at rest",
        )
        release(lab, "killed")
        until(lambda: len(second.recordings()) == 2, "the deploy was seen")
        time.sleep(1.5)
        second.end(signal.SIGKILL)
    with watch(lab, out) as third:
        cut, *_ = sorted(set(third.judged(2)) - {ended.parent})
        assert verdict(cut)["verdict"]["grade"] == "INCONCLUSIVE"
        assert "killed" in json.dumps(verdict(cut)["verdict"]["findings"])
        assert not third.said("missed")  # the one that was cut off had been seen


def test_a_deploy_that_was_under_way_when_the_first_watch_began_is_called_missed(
    lab: FastLab, tmp_path: Path
) -> None:
    release(lab, "early")
    with watch(lab, tmp_path / "out") as only:
        until(lambda: only.said("missed 1 deploy: it was under way when the watch began"), "it said so")


def test_a_deploy_upon_another_is_in_one_recording_and_both_are_counted(lab: FastLab, tmp_path: Path) -> None:
    with watch(lab, tmp_path / "out") as running:
        time.sleep(3)
        release(lab, "one")
        until(running.recordings, "the first was seen")
        time.sleep(0.5)
        release(lab, "two")
        (path,) = running.judged(1)
        until(lambda: running.metrics()["deploys_total"] == 2, "both were counted")
        assert any("1 more came before this one" in note for note in verdict(path)["notes"])


def _beyond(lab: FastLab, before: int) -> bool:
    return revision(lab) > before


def _board(url: str) -> str:
    return httpx.get(f"{url}scoreboard.json", trust_env=False).text
