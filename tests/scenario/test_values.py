from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from harness.clock import NS
from harness.scenario.values import duration_ns, kind_and_name, status_ranges


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", 90 * NS),
        ("1m30s", 90 * NS),
        ("500ms", NS // 2),
        ("2h", 7200 * NS),
        ("1.5s", 3 * NS // 2),
        (3, 3 * NS),
        ("0.25", NS // 4),
    ],
)
def test_a_duration_is_read_as_go_and_kubernetes_write_it(text: object, expected: int) -> None:
    assert duration_ns(text) == expected


@pytest.mark.parametrize(
    "text", ["", "soon", "-1s", "3 m", "1d", True, None, "1e12", "s", "9" * 400 + "h", "99999999h"]
)
def test_invalid_durations_are_refused(text: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        duration_ns(text)


@given(st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_minutes_seconds_and_milliseconds_add_up(m: int, s: int, ms: int) -> None:
    assert duration_ns(f"{m}m{s}s{ms}ms") == (m * 60_000 + s * 1000 + ms) * 1_000_000


def test_expected_statuses_are_ranges_and_single_codes() -> None:
    assert status_ranges("200-299,304") == ((200, 299), (304, 304))


@pytest.mark.parametrize("text", ["", "2xx", "299-200", "99", "200-", "700"])
def test_invalid_status_lists_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="statuses"):
        status_ranges(text)


def test_a_workload_is_written_as_kubectl_writes_it() -> None:
    assert kind_and_name("web") == ("Deployment", "web")
    assert kind_and_name("deploy/web") == ("Deployment", "web")
    assert kind_and_name("sts/db") == ("StatefulSet", "db")
    assert kind_and_name("DaemonSet/agent") == ("DaemonSet", "agent")


@pytest.mark.parametrize("text", ["pod/web", "deployment/", "Web", "a b", "deployment/web/x"])
def test_invalid_workloads_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="workload"):
        kind_and_name(text)
