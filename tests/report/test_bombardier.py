"""bombardier's layout and units, to the column."""

from __future__ import annotations

import pytest

from harness.report.bombardier import Block, Row, duration, render, size

GOLDEN = """\
Statistics        Avg      Stdev        Max
  Reqs/sec        12.58      67.10    1470.52
  Latency      100.21ms   130.73ms      1.21s
  Latency Distribution
     50%    75.40ms
     75%    79.78ms
     90%    96.40ms
     95%   148.84ms
     99%   577.28ms
  HTTP codes:
    1xx - 0, 2xx - 100, 3xx - 0, 4xx - 0, 5xx - 0
    others - 0
  Throughput:   122.63KB/s"""


def sample(**change: object) -> Block:
    fields: dict[str, object] = {
        "rates": Row(12.58, 67.10, 1470.52),
        "latency_us": Row(100_210, 130_730, 1_210_000),
        "percentiles_us": {"50": 75_400, "75": 79_780, "90": 96_400, "95": 148_840, "99": 577_280},
        "classes": {"2xx": 100},
        "throughput": 125_573,
    }
    return Block(**(fields | change))  # type: ignore[arg-type]


def test_the_block_is_bombardiers_own_to_the_column() -> None:
    assert render(sample()) == GOLDEN


def test_errors_come_before_the_throughput_and_long_ones_overflow() -> None:
    lines = render(sample(errors={"timeout": 6, "reset_before_response": 1})).splitlines()
    assert lines[-4:] == [
        "  Errors:",
        "       timeout - 6",
        "    reset_before_response - 1",
        "  Throughput:   122.63KB/s",
    ]


def test_without_samples_it_says_so() -> None:
    lines = render(Block(rates=None, latency_us=None)).splitlines()
    assert lines[1:3] == [
        "  There wasn't enough data to compute statistics for requests.",
        "  There wasn't enough data to compute statistics for latencies.",
    ]
    assert lines[-1] == "  Throughput:       0.00/s"


@pytest.mark.parametrize(
    ("us", "words"),
    [
        (849.99, "849.99us"),
        (850, "0.85ms"),
        (20_000, "20.00ms"),
        (849_990, "849.99ms"),
        (850_000, "0.85s"),
        (999_999, "1.00s"),
        (50_900_000, "50.90s"),
        (51_000_000, "0.85m"),
        (600_000_000, "10.00m"),
        (3_060_000_000, "0.85h"),
        (5_400_000_000, "1.50h"),
    ],
)
def test_times_step_up_at_0_85_of_the_next_unit(us: float, words: str) -> None:
    assert duration(us) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [(870, "870.00"), (870.4, "0.85KB"), (1024, "1.00KB"), (901_775.36, "0.86MB"), (7 * 1024**3, "7.00GB")],
)
def test_a_kilobyte_is_1024_bytes(count: float, words: str) -> None:
    assert size(count) == words
