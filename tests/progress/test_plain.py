"""What a log shows of a run: a line per 10 s, and one per event."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

from harness.model import Phase
from harness.progress.live import LiveView
from tests.progress.snapshots import BASELINE, ROLLING, WARMING, counts, first, news, pods, snapshot


def log_of(*snapshots: object) -> list[str]:
    stream = io.StringIO()
    with LiveView(stream) as view:
        for one in snapshots:
            view.show(one)  # type: ignore[arg-type]
    return stream.getvalue().splitlines()


def test_a_line_comes_every_ten_seconds_and_at_no_other_time() -> None:
    ticks = (snapshot(s / 10, None, phase=Phase.BEFORE, counts=counts(10 * s)) for s in range(10, 366))
    lines = log_of(*ticks)
    assert [line[:5] for line in lines] == ["00:11", "00:21", "00:31"]
    assert lines[0].split() == (
        ["00:11", "before", "100", "req/s", "p50", "1.1", "ms", "p99", "1.1", "ms", "0", "failed"]
    )


def test_of_streams_messages_are_counted_and_no_requests() -> None:
    ticks = (
        snapshot(s / 10, None, phase=Phase.BEFORE, counts=counts(10 * s), held=True) for s in range(10, 120)
    )
    assert "msg/s" in log_of(*ticks)[0]
    one = first("eof_mid_response", 23.4, "", "web-1")
    failing = snapshot(23.5, failures=(one,), counts=counts(100, 1), held=True)
    assert log_of(failing) == ["00:23  first stream lost or handshake failed (eof_mid_response) (pod web-1)"]


def test_each_step_is_announced_once() -> None:
    lines = log_of(
        *(snapshot(s, step) for s, step in ((0, WARMING), (1, WARMING), (2, BASELINE), (3, BASELINE)))
    )
    assert lines == [
        "00:00  the load begins with a warm-up of 2 s",
        "00:02  the baseline begins; the change comes in 20 s",
    ]


def test_the_first_failure_is_announced_with_its_words_and_each_new_kind_once() -> None:
    one = first("503", 23.4, 'envoy: "no healthy upstream"', "web-1")
    two = first("reset_before_response", 24.1, "ConnectionResetError: [Errno 104]")
    failing = snapshot(23.5, failures=(one,), counts=counts(100, 1))
    lines = log_of(failing, replace(failing, elapsed_ns=24_000_000_000), snapshot(24.2, failures=(one, two)))
    assert lines == [
        '00:23  first failed request (503): envoy: "no healthy upstream" (pod web-1)',
        "00:24  new kind of failure (reset_before_response): ConnectionResetError: [Errno 104]",
    ]


def test_of_failures_that_are_shown_together_the_earliest_is_called_first() -> None:
    lines = log_of(snapshot(25, failures=(first("504", 24.5), first("502", 24.4))))
    assert lines == ["00:24  first failed request (502)", "00:24  new kind of failure (504)"]


def test_what_happens_to_pods_is_a_line_for_each_sort_of_event() -> None:
    both = news("deleted", "web-1", "web-2") + news("ready", "web-3")
    many = news("gone", *(f"web-{n}" for n in range(60)))
    lines = log_of(snapshot(22), snapshot(23, news=both), snapshot(24, news=many))
    assert lines == [
        "00:23  pods deleted: web-1, web-2",
        "00:23  pod ready: web-3",
        "00:24  pods gone: web-0, web-1, web-2, web-3, web-4, web-5 and 54 more",
    ]


def test_a_line_of_failures_names_only_what_failed() -> None:
    expected = {200: 10, 404: 80, 503: 9}  # this run calls 404 good
    failing: dict[str, Any] = {
        "counts": counts(100, 10, statuses=expected, outcomes={"connect_refused": 1, "dropped": 5})
    }
    lines = log_of(
        snapshot(22, failures=(first("503", 22), first("connect_refused", 22)), **failing),
        snapshot(
            33, failures=(first("503", 22), first("connect_refused", 22)), progress=pods(3, 2, 1), **failing
        ),
    )
    assert lines[-1].endswith("10 failed (503: 9, connect_refused: 1)  pods: 3 ready, 2 old, 1 new")


def test_a_line_of_the_run_itself_has_the_time_once_the_load_goes_on() -> None:
    stream = io.StringIO()
    with LiveView(stream) as view:
        view.say("target from here")
        view.show(snapshot(83, ROLLING))
        view.say("ending the load (settled)")
    assert stream.getvalue().splitlines() == ["target from here", "01:23  ending the load (settled)"]


def test_hostile_names_and_words_cannot_leave_their_line() -> None:
    bad = "\x1b[2J\x1b]0;owned\x07\nPASS: all is well"
    lines = log_of(
        snapshot(22, failures=(first("502", 22, bad, bad),)), snapshot(23, news=news("deleted", bad))
    )
    assert len(lines) == 2
    assert not any(line.startswith("PASS") or "\x1b" in line for line in lines)
