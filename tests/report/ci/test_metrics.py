"""Metrics, read back by Prometheus' own parsers of both formats."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest
from prometheus_client import parser as text_format
from prometheus_client.openmetrics import parser as open_format

from harness.judge.numbers.summary import KindNumbers
from harness.report.ci import gateway, metrics
from tests.report.ci.runs import HOSTILE, KINDS, hostile, judged
from tests.report.ci.test_outputs import zdtest

if TYPE_CHECKING:
    from pathlib import Path

    from prometheus_client import Metric
    from prometheus_client.samples import Sample

BASE_UNITS = {"", "seconds", "ratio"}


def read_open(text: str) -> dict[str, Metric]:
    assert text.endswith("# EOF\n")
    made = open_format.text_string_to_metric_families(text)  # type: ignore[no-untyped-call]  # the client's own
    return {family.name: family for family in made}


def read_text(text: str) -> dict[str, Metric]:
    assert "# EOF" not in text
    assert "# UNIT" not in text
    return {family.name: family for family in text_format.text_string_to_metric_families(text)}


def value(family: Metric, **labels: str) -> float:
    found = [s.value for s in family.samples if labels.items() <= s.labels.items()]
    assert len(found) == 1
    return float(found[0])


@pytest.mark.parametrize("kind", KINDS)
def test_both_formats_are_read_by_the_official_parsers_and_say_the_same(kind: str) -> None:
    found = judged(kind)
    one, other = read_open(metrics.openmetrics(found)), read_text(metrics.prometheus(found))
    samples = [sorted(map(_plain, family.samples)) for family in one.values()]
    assert samples == [sorted(map(_plain, family.samples)) for family in other.values()]
    assert len(one) > 4
    for family in one.values():
        assert family.documentation
        assert family.unit in BASE_UNITS
        assert family.name.endswith(family.unit)
        assert family.type in {"gauge", "stateset", "info"}
    assert {family.type for family in other.values()} == {"gauge"}
    assert all(sample.timestamp is None for family in other.values() for sample in family.samples)


def _plain(sample: Sample) -> tuple[str, float, str]:
    return sample.name, float(sample.value), str(sorted(sample.labels.items()))


def test_a_lossy_run_in_numbers() -> None:
    found = judged("lossy")
    read = read_open(metrics.openmetrics(found))
    own = {"scenario": "web", "namespace": "shop", "workload": "web", "workload_kind": "Deployment"}
    assert all(own.items() <= s.labels.items() for family in read.values() for s in family.samples)
    assert value(read["zdtest_verdict"], zdtest_verdict="FAIL") == 1
    assert sum(s.value for s in read["zdtest_verdict"].samples) == 1
    assert value(read["zdtest_lost_requests"]) == found.verdict.lost > 0
    assert value(read["zdtest_requests"]) == found.numbers.requests
    assert sum(s.value for s in read["zdtest_failed_requests"].samples) == found.numbers.failed
    assert value(read["zdtest_failed_ratio"]) == pytest.approx(found.numbers.failed / found.numbers.requests)
    assert 0.01 < value(read["zdtest_latency_seconds"], phase="during", quantile="0.99") < 1
    assert 5 < value(read["zdtest_rollout_seconds"]) < 60
    assert value(read["zdtest_run_timestamp_seconds"]) == 1795615331  # 2026-11-25 14:02:11 UTC
    assert value(read["zdtest_watch_gap_seconds"]) == 0
    assert found.numbers.outage
    length = (found.numbers.outage.to_ns - found.numbers.outage.from_ns) / 1e9
    assert value(read["zdtest_longest_outage_seconds"]) == pytest.approx(length)


def test_what_was_not_measured_is_left_out() -> None:
    read = read_open(metrics.openmetrics(judged("no rollout")))
    assert not read.keys() & {"zdtest_rollout_seconds", "zdtest_reach_seconds", "zdtest_watch_gap_seconds"}


def test_of_several_rollouts_the_longest_counts() -> None:
    read = read_open(metrics.openmetrics(judged("several")))
    assert 5 < value(read["zdtest_rollout_seconds"]) < 60


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_text_stays_a_label_s_value(kind: str) -> None:
    found = hostile(kind)
    for read in (read_open(metrics.openmetrics(found)), read_text(metrics.prometheus(found))):
        assert all(name.startswith("zdtest_") for name in read)
        names = {s.labels["scenario"] for family in read.values() for s in family.samples}
        assert len(names) == 1
        assert names.pop().startswith("a\\x00b\\x1b[31m")


def test_a_server_cannot_make_names_of_its_own() -> None:
    found = judged("lossy")
    one = found.numbers.kinds[0]
    made = (
        *(replace(one, kind=str(n), count=1) for n in range(100, 999)),
        replace(one, kind=HOSTILE, count=5),
    )
    assert isinstance(made[0], KindNumbers)
    read = read_open(metrics.openmetrics(replace(found, numbers=replace(found.numbers, kinds=made))))
    samples = read["zdtest_failed_requests"].samples
    assert len(samples) == metrics.MOST_KINDS + 1
    assert value(read["zdtest_failed_requests"], kind="other") == 899 - metrics.MOST_KINDS + 5


def test_the_file_s_suffix_says_which_format(tmp_path: Path) -> None:
    from harness.cli.ci.leaving import leave
    from harness.cli.ci.outputs import Outputs

    for name in ("a.prom", "a.txt"):
        leave(Outputs({"openmetrics": tmp_path / name}), [(tmp_path, judged("clean"))])
    assert read_text((tmp_path / "a.prom").read_text())
    assert read_open((tmp_path / "a.txt").read_text())
    assert zdtest(tmp_path, "report", ".", "--openmetrics", "no/a.prom").returncode == 2


# --- the Pushgateway's address ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        ({"scenario": "web", "namespace": "shop"}, "/metrics/job/zdtest/scenario/web/namespace/shop"),
        ({"scenario": "a b%#?", "namespace": ""}, "/metrics/job/zdtest/scenario/a%20b%25%23%3F"),
        ({"scenario": "faults/b1"}, "/metrics/job/zdtest/scenario@base64/ZmF1bHRzL2Ix"),
        ({"scenario": ".."}, "/metrics/job/zdtest/scenario@base64/Li4"),
    ],
)
def test_the_grouping_key_is_escaped_by_the_gateway_s_rules(labels: dict[str, str], wanted: str) -> None:
    assert gateway.address("http://push.example/prefix/", labels) == f"http://push.example/prefix{wanted}"


@pytest.mark.parametrize("name", ["web", "a/b", HOSTILE, "ü", "?", "a%2Fb"])
def test_the_gateway_reads_every_name_back(name: str) -> None:
    labels = metrics.labels_of(replace(judged("clean"), about=replace(judged("clean").about, name=name)))
    path = gateway.address("", labels)
    match = re.search(r"/scenario(@base64)?/([^/]*)/", path)
    assert match
    value_ = (
        urlsafe_b64decode(match[2] + "=" * (-len(match[2]) % 4)).decode() if match[1] else unquote(match[2])
    )
    assert value_ == labels["scenario"]
