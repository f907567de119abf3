"""The live view as text. Whether it is drawn well on a real terminal is in test_terminal.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.clock import NS
from harness.model import NEVER
from harness.progress import screen
from harness.run import steps
from tests.progress.snapshots import BASELINE, ROLLING, WARMING, counts, first, history, pods, snapshot

if TYPE_CHECKING:
    from rich.text import Text

FAILING = [
    snapshot(s, counts=counts(1000 * s, max(0, s - 20) * 10), failures=(first("503", 21),)) for s in range(30)
]


def shown(*snapshots: object, width: int = 79, height: int = 23, **more: object) -> list[str]:
    found = screen.lines(snapshots[-1], history(snapshots), "", width, height, **more)  # type: ignore[arg-type]
    return [row.plain for row in found]


def row(rows: list[str], name: str) -> str:
    return next(line for line in rows if line.startswith(name)).removeprefix(name).strip()


def test_a_failing_rollout_shows_rate_latencies_kinds_pods_and_when() -> None:
    last = snapshot(30, counts=counts(30_000, 100), failures=(first("503", 21),), progress=pods(3, 2, 1))
    rows = shown(*FAILING, last)
    assert rows[0] == "00:30  rollout for 8 s, of about 12 s by its manifest"
    assert row(rows, "requests") == "1,000/s    p50 1.1 ms  p99 1.1 ms (last 5 s)  30,000 in all"
    assert row(rows, "failed") == "100        503: 100"
    assert row(rows, "pods") == "3 ready, 2 old, 1 new"
    assert row(rows, "failures") == "·" * 21 + "█" * 9 + "█" + "  1 s a cell, at most 10"


def test_without_a_failure_that_is_what_it_says() -> None:
    rows = shown(snapshot(5, BASELINE, counts=counts(500)))
    assert row(rows, "failed") == "0"
    assert row(rows, "failures") == "······  1 s a cell"


@pytest.mark.parametrize(
    ("step", "second", "words"),
    [
        (WARMING, 1, "warm-up, 1 s left"),
        (BASELINE, 12.5, "baseline, the change comes in 10 s"),
        (ROLLING, 90, "rollout for 68 s, of about 12 s by its manifest"),
        (
            steps.Step(steps.WAITING, 22 * NS),
            30,
            "waiting for the change, for 8 s so far",
        ),
        (
            steps.Step(steps.SETTLING, 40 * NS, 50 * NS),
            44,
            "rollout over, settling: 6 s left unless a request fails",
        ),
        (
            steps.Step(steps.DRAINING, 50 * NS, 65 * NS),
            51,
            "load ended, 0 requests still out, 14 s left at most",
        ),
        (steps.Step(steps.LOAD, 2 * NS, 602 * NS), 3, "load, 9 min 59 s left"),
    ],
)
def test_the_time_left_is_said_as_far_as_it_is_known(step: steps.Step, second: float, words: str) -> None:
    assert shown(snapshot(second, step))[0].split("  ", 1)[1] == words


def test_of_several_rollouts_it_says_which_one() -> None:
    (head, *_) = shown(snapshot(30, BASELINE, rollout=2, rollouts=5))
    assert head == "00:30  rollout 2 of 5: baseline, the change comes in 0 s"


def test_the_bar_is_filled_up_to_the_step_under_way() -> None:
    bars = [
        shown(snapshot(second, step))[1] for step, second in ((WARMING, 1), (BASELINE, 12), (ROLLING, 28))
    ]
    filled = [bar.count("━") for bar in bars]
    assert filled == sorted(filled)
    assert len(set(filled)) == 3
    assert all(len(bar) == 79 for bar in bars)
    assert bars[1].index("━") < bars[1].index("baseline") < bars[1].index("─") < bars[1].index("rollout")


def test_a_rollout_whose_end_is_not_known_never_looks_done() -> None:
    late = shown(snapshot(10_000, ROLLING))[1]
    assert "─" in late[late.index("rollout") : late.index("settling")]
    unknown = [
        leg if leg.name != steps.ROLLOUT else steps.Leg(steps.ROLLOUT, NEVER) for leg in snapshot(1).course
    ]
    late = shown(snapshot(10_000, ROLLING, course=tuple(unknown)))[1]
    assert "─" in late[late.index("rollout") : late.index("settling")]


@pytest.mark.parametrize("width", [1, 10, 20, 39, 63, 64, 79, 100, 300])
@pytest.mark.parametrize("height", [1, 2, 4, 23])
def test_the_view_fits_every_terminal(width: int, height: int) -> None:
    rows = shown(*FAILING, snapshot(5000, progress=pods(60, 60, 60)), width=width, height=height)
    assert 1 <= len(rows) <= height
    assert max(map(len, rows)) <= min(width, screen.WIDEST)


def test_a_low_terminal_keeps_the_step_and_the_failures() -> None:
    first_words = [line.split()[0] for line in shown(*FAILING, height=2)]
    assert first_words == ["00:29", "failed"]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "no such thing"])
def test_a_terminal_that_knows_only_ascii_is_sent_only_ascii(encoding: str) -> None:
    drawn = screen.characters(encoding)
    rows = shown(*FAILING, width=30, drawn=drawn)
    assert "".join(rows).isascii()
    assert screen.characters("utf-8") is screen.BLOCKS


def test_nothing_is_told_by_colour_alone() -> None:
    found = screen.lines(FAILING[-1], history(FAILING), "", 79, 23)
    assert any(span.style for text in found for span in text.spans)
    strip = next(text for text in found if text.plain.startswith("failures"))
    failed = {text for text, style in pieces(strip) if style == "red"}
    fine = {text for text, style in pieces(strip) if style == "dim"}
    assert failed
    assert not failed & fine


def pieces(text: Text) -> list[tuple[str, str]]:
    return [(text.plain[span.start : span.end], str(span.style)) for span in text.spans]
