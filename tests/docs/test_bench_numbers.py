"""docs/bench.md says what docs/bench.json has, and a comparison of two measurements tells a change from noise."""

from __future__ import annotations

import json
from typing import Any

from tests.bench.figures import LESS, MORE, PER_CPU_S, US, Line, median, table, worse
from tests.bench.load_bench import BEGIN, END, PARTS, tables, told
from tests.bench.wire.pictures import drawn
from tests.docs.pages import DOCS


def part(*lines: Line, yardstick_us: float = 2.0) -> dict[str, Any]:
    """Return a part as the JSON file keeps it."""
    kept = {"lines": [told(line) for line in lines], "yardstick_us": yardstick_us}
    read: dict[str, Any] = json.loads(json.dumps(kept))
    return {"a part": read}


def cost(*rounds: float) -> Line:
    return median("at 10,000/s", rounds, US, at_most=20)


def test_the_page_shows_the_numbers_of_the_file() -> None:
    page = (DOCS / "bench.md").read_text(encoding="utf-8")
    kept = json.loads((DOCS / "bench.json").read_text(encoding="utf-8"))
    assert page.partition(BEGIN)[2].partition(END)[0].strip() == tables(kept).strip()
    assert set(kept) <= set(PARTS)


def test_a_cost_that_rose_beyond_all_rounds_is_told() -> None:
    told_of = worse(part(cost(10, 10.5, 11)), part(cost(13, 14, 15)))
    assert told_of == ["a part: at 10,000/s: 14 us of CPU per request, was 10.5"]
    assert worse(part(cost(13, 14, 15)), part(cost(10, 10.5, 11))) == []


def test_a_cost_within_the_reach_of_the_other_rounds_is_noise() -> None:
    assert worse(part(cost(10, 10.5, 13.5)), part(cost(13, 14, 15))) == []
    assert worse(part(cost(10, 10.1, 10.2)), part(cost(10.4, 10.6, 10.8))) == []


def test_a_machine_that_became_slower_is_no_change_of_ours() -> None:
    before = part(cost(10, 10.5, 11), yardstick_us=2.0)
    assert worse(before, part(cost(14, 14.7, 15), yardstick_us=2.8)) == []
    assert worse(before, part(cost(10, 10.5, 11), yardstick_us=1.4)) == [
        "a part: at 10,000/s: 10.5 us of CPU per request, was 10.5 on a machine 0.70 times as slow"
    ]


def test_a_machine_whose_speed_was_not_kept_is_taken_to_be_as_fast() -> None:
    before = part(cost(10, 10.5, 11))
    del before["a part"]["yardstick_us"]
    assert worse(before, part(cost(13, 14, 15), yardstick_us=3.1)) == [
        "a part: at 10,000/s: 14 us of CPU per request, was 10.5"
    ]


def test_a_ratio_is_not_changed_by_the_machine() -> None:
    before = part(median("https / wrk", (0.95, 0.96, 0.97), at_least=0.9))
    assert worse(before, part(median("https / wrk", (0.70, 0.71, 0.72), at_least=0.9), yardstick_us=9)) != []
    assert worse(before, part(median("https / wrk", (0.94, 0.95, 0.98), at_least=0.9), yardstick_us=9)) == []


def test_fewer_requests_per_cpu_second_are_worse_and_more_are_not() -> None:
    few, many = (
        part(median("http", rounds, PER_CPU_S, better=MORE)) for rounds in ((70, 71, 72), (99, 100, 101))
    )
    assert len(worse(many, few)) == 1
    assert worse(few, many) == []


def test_a_rival_is_not_ours_to_watch() -> None:
    few, many = (part(median("http wrk", rounds, PER_CPU_S)) for rounds in ((70, 71, 72), (99, 100, 101)))
    assert worse(many, few) == worse(few, many) == []


def test_a_trifle_far_below_its_bound_may_double() -> None:
    assert (
        worse(part(Line("growth", 0.01, "MiB", at_most=2)), part(Line("growth", 0.1, "MiB", at_most=2))) == []
    )
    assert (
        worse(part(Line("growth", 0.01, "MiB", at_most=2)), part(Line("growth", 1.0, "MiB", at_most=2))) != []
    )


def test_an_old_figure_without_its_rounds_must_be_missed_by_a_quarter() -> None:
    old = part(Line("at 10,000/s", 10.0, US, at_most=20))
    assert worse(old, part(cost(12, 12.2, 12.4))) == []
    assert len(worse(old, part(cost(12.8, 13, 13.2)))) == 1


def test_that_others_used_the_machine_is_told_with_what_got_worse() -> None:
    after = part(cost(13, 14, 15))
    after["a part"]["others"] = 1.4
    assert worse(part(cost(10, 10.5, 11)), after) == [
        "a part: at 10,000/s: 14 us of CPU per request, was 10.5 (others used 1.40 cores meanwhile)"
    ]


def test_what_was_not_measured_before_is_not_worse() -> None:
    assert worse({}, part(cost(13, 14, 15))) == []


def test_points_of_a_curve_become_a_table_and_a_picture_that_names_each_client() -> None:
    lines = [
        median(f"{who} at {x}", (x + 9.0, x + 10.0, x + 12.0), US, better=LESS, x=float(x), who=who)
        for who in ("zdtest", "wrk")
        for x in (0, 1024, 1 << 20)
    ]
    assert table("By size", lines)[2:] == [
        "| us of CPU per request | 0 | 1 Ki | 1 Mi |",
        "|---|---|---|---|",
        "| zdtest | 10 | 1,034 | 1,048,586 |",
        "| wrk | 10 | 1,034 | 1,048,586 |",
    ]
    picture = drawn("bytes", lines).decode()
    assert picture == drawn("bytes", lines).decode()  # or every measurement would change all pictures
    assert "zdtest</text>" in picture
    assert "wrk</text>" in picture
    assert len(picture) < 40_000
