"""`zdtest plan`: how many rollouts it takes, from a service's history or from assumptions that are said."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from harness import cli
from harness.cli.comparing.plan import share
from harness.errors import UsageError
from harness.judge.comparison.plan import USUAL_LENGTH_NS, USUAL_REQUESTS, plan
from harness.judge.comparison.significance.power import USUAL_K
from harness.judge.verdict.judgement import judge, to_json
from harness.recording.read import Recording
from tests.judge.comparison.invented import S, rollout
from tests.judge.test_rollouts import clean, lossy, series

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Zdtest = Callable[..., tuple[int, str, str]]


@pytest.fixture
def zdtest(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Zdtest:
    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["zdtest", "plan", *map(str, words)])
        code = cli.main()
        printed = capsys.readouterr()
        return code, " ".join(printed.out.split()), printed.err

    return call


@pytest.mark.parametrize(
    ("word", "value"), [("1/1000", 0.001), ("0.001", 0.001), ("0.1%", 0.001), (" 5 % ", 0.05)]
)
def test_a_share_is_written_in_any_of_three_ways(word: str, value: float) -> None:
    assert share(word) == pytest.approx(value)


@pytest.mark.parametrize("word", ["", "0", "1", "2/1", "1/0", "-1/1000", "half", "nan", "120%", "1/2/3"])
def test_what_is_no_share_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match="give a share of requests between 0 and 1, such as 1/1000"):
        share(word)


def test_without_a_history_everything_is_assumed() -> None:
    found = plan({}, "", 1 / 1000, wanted=0.9, level=0.05)
    assert found.assumed == ("requests", "length", "bursts")
    assert (found.requests, found.length_ns, found.k) == (USUAL_REQUESTS, USUAL_LENGTH_NS, USUAL_K)
    assert found.base == 0.0
    assert found.more == pytest.approx(10)
    assert found.rollouts is not None
    assert found.total_ns == 2 * found.rollouts * USUAL_LENGTH_NS


def test_a_history_says_how_many_requests_how_long_and_how_bursty() -> None:
    steady = [rollout(lost, during_requests=8_000, length_ns=60 * S) for lost in (40, 44, 38, 42, 41, 39)]
    found = plan({"old": steady, "new": [rollout(0)] * 3}, "new", 1 / 200, wanted=0.9, level=0.05)
    assert found.assumed == ()
    assert (found.requests, found.length_ns, found.base) == (8_000, 60 * S, 0.0)
    assert found.k > 10, "losses of about 40 each time are no bursts"
    assert (found.known, found.known_lossy) == (9, 6)
    assert found.rollouts == 4
    bursts = [rollout(lost) for lost in (0, 300, 0, 2, 0, 90, 1, 0, 5)]
    assert (plan({"old": bursts}, "other", 1 / 200, wanted=0.9, level=0.05).rollouts or 0) > 6


def test_what_the_latest_manifest_loses_is_what_the_difference_stands_out_from() -> None:
    rollouts = [rollout(lost, during_requests=6_000) for lost in (90, 130, 70, 110)]
    lossy_ = plan({"now": rollouts}, "now", 1 / 200, wanted=0.9, level=0.05)
    clean_ = plan({"then": rollouts}, "now", 1 / 200, wanted=0.9, level=0.05)
    assert (lossy_.base, clean_.base) == (100.0, 0.0)
    assert (lossy_.rollouts or 0) > (clean_.rollouts or 0)


def test_more_power_a_stricter_level_or_a_smaller_difference_takes_more_rollouts() -> None:
    def needed(rate: float = 1 / 1000, power: float = 0.8, level: float = 0.05) -> int:
        return plan({}, "", rate, wanted=power, level=level).rollouts or 1000

    assert needed(power=0.95) > needed()
    assert needed(level=0.005) > needed()
    assert needed(rate=1 / 10_000) > needed()
    assert needed(rate=1e-9) == 1000


def test_the_command_says_what_it_takes_and_from_what_it_knows_that(tmp_path: Path, zdtest: Zdtest) -> None:
    for number, rollouts in enumerate(([lossy(), lossy()], [lossy(), clean(), lossy()])):
        path = series(tmp_path / f"{number}", *rollouts)
        (path / "verdict.json").write_text(to_json(judge(Recording.open(path))))
        path.rename(tmp_path / f"2026113{number}T000000Z-web")
        (tmp_path / f"{number}").rmdir()
    code, out, err = zdtest("--loss-rate", "1/2", "-o", tmp_path)
    assert (code, err) == (0, "")
    assert " rollouts per side, " in out
    assert "zdtest ab BEFORE.yaml AFTER.yaml --rollouts " in out
    assert "From 5 rollouts of web (Deployment shop/web, 10 connections), 4 of which lost requests." in out
    assert "Assumed" not in out
    _, text, _ = zdtest("--loss-rate", "1/2", "-o", tmp_path, "--format", "json", "--name", "web")
    found = json.loads(text)
    assert found["known"] == 5
    assert found["base"] > 0
    code, _, err = zdtest("--loss-rate", "1/2", "-o", tmp_path, "--name", "other")
    assert code == 2
    assert err == f"zdtest: --name other: no judged run with a rollout in {tmp_path} has it; there are web\n"


def test_without_any_run_it_says_what_it_assumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zdtest: Zdtest
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = zdtest("--loss-rate", "1/1000", "--power", "0.9")
    assert code == 0
    assert "No run of this service is known. Assumed: 10,000 requests during a rollout" in out
    assert "one side loses 0.1 % more of the requests sent while a rollout goes on, 10.0 of 10,000" in out
    _, out, _ = zdtest("--loss-rate", "1/1000", "--requests", "50000")
    assert "50.0 of 50,000" in out
    assert "requests during a rollout (" not in out


def test_what_no_plan_can_reach_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zdtest: Zdtest
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = zdtest("--loss-rate", "1/1000000")
    assert code == 0
    assert out.startswith("Not even 100 rollouts per side would show it")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--loss-rate"),
        (("--loss-rate", "2"), "give a share of requests between 0 and 1"),
        (("--loss-rate", "1/1000", "--power", "2"), "--power"),
        (("--loss-rate", "1/1000", "-o", "missing"), "missing: no such folder"),
    ],
)
def test_bad_words_are_refused_in_one_line(words: tuple[str, ...], said: str, zdtest: Zdtest) -> None:
    code, out, err = zdtest(*words)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1
