"""What of a scenario and of the command line makes a run of streams, and what does not go together with it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from harness.errors import UsageError
from harness.run.log import redacted_command
from harness.run.planning import load_plan
from harness.run.preflight.asking import ask
from harness.scenario.reading import redacted, validate
from harness.scenario.resolve import Request, resolve
from tests.load.scripted_server import ScriptedServer, Visit, always
from tests.program import zdtest

if TYPE_CHECKING:
    from pathlib import Path

    from harness.model import LoadPlan

NS = 1_000_000_000


def plan_of(url: str, folder: Path, **flags: Any) -> LoadPlan:
    given = {"target.url": url} | {name.replace("__", "."): value for name, value in flags.items()}
    resolved = resolve(Request(flags=given, no_rollout=True), folder)
    return load_plan(resolved, resolved.targets(resolved.url), None)


def test_a_websockets_url_is_enough(tmp_path: Path) -> None:
    plan = plan_of("wss://shop.example/ws", tmp_path)
    assert (plan.stream, plan.websocket, plan.expect) == (True, True, ((101, 101),))
    assert plan.targets[0].url == "wss://shop.example/ws"
    assert (plan.ping_ns, plan.expect_every_ns) == (20 * NS, 0)


def test_another_url_is_a_stream_only_where_it_is_asked_for(tmp_path: Path) -> None:
    assert not plan_of("http://shop.example/events", tmp_path).stream
    plan = plan_of("http://shop.example/events", tmp_path, stream__kind="http", stream__expect_every="5s")
    assert (plan.stream, plan.websocket, plan.expect) == (True, False, ((200, 299),))
    assert plan.expect_every_ns == 5 * NS


def test_a_websocket_may_be_given_with_the_url_of_a_page(tmp_path: Path) -> None:
    plan = plan_of("https://shop.example/ws", tmp_path, stream__kind="websocket")
    assert plan.targets[0].url == "wss://shop.example/ws"


def test_statuses_that_were_asked_for_stay(tmp_path: Path) -> None:
    assert plan_of("ws://shop.example/", tmp_path, target__expect="101,200").expect == (
        (101, 101),
        (200, 200),
    )


@pytest.mark.parametrize(
    ("flag", "value", "named"),
    [("load.rate", 5.0, "rate"), ("target.http2", True, "http2"), ("load.keepalive", False, "keepalive"),
     ("target.method", "POST", "method POST"), ("load.lull", "5s", "lull"), ("load.mix", "GET:1", "mix")],
)  # fmt: skip
def test_what_makes_no_sense_for_streams_is_refused_by_name(flag: str, value: Any, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        validate({}, {"target.url": "ws://shop.example/", flag: value})


@pytest.mark.parametrize(
    "metric", ["p99>1s", "max{during}>1s", "requests<10", "failed_share>1%", "rate<1", "masked>0"]
)
def test_a_condition_on_requests_is_refused_for_streams(metric: str) -> None:
    with pytest.raises(
        UsageError, match=f"{metric[:3]}.* is measured of requests; of streams use failed, lost, cut"
    ):
        validate({}, {"target.url": "ws://a/", "fail_on": [metric]})


@pytest.mark.parametrize("metric", ["cut>0", "reconnect>5s", "gap>1s", "away>0", "missed>0"])
def test_a_condition_on_streams_is_refused_for_requests(metric: str) -> None:
    with pytest.raises(UsageError, match="is measured of streams; hold some"):
        validate({}, {"target.url": "http://a/", "fail_on": [metric]})
    assert validate({}, {"target.url": "ws://a/", "fail_on": [metric]}).fail_on == (metric,)


def test_a_latency_is_a_condition_where_messages_are_answered() -> None:
    flags = {
        "target.url": "ws://a/",
        "stream.kind": "websocket",
        "stream.message": "hi",
        "fail_on": ["p99>1s"],
    }
    assert validate({}, flags).fail_on == ("p99>1s",)


def test_bombardiers_format_is_refused_for_streams(tmp_path: Path) -> None:
    done = zdtest("run", "ws://127.0.0.1:9/", "--no-rollout", "--format", "bombardier-json", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "bombardier counts requests, and this run holds streams; use --format json or text" in done.stderr


def test_a_message_goes_with_a_websocket_only() -> None:
    with pytest.raises(UsageError, match="WebSocket only"):
        validate({}, {"target.url": "http://a/", "stream.kind": "http", "stream.message": "hi"})


def test_a_message_is_kept_out_of_what_is_recorded() -> None:
    scenario = validate(
        {}, {"target.url": "ws://a/", "stream.kind": "websocket", "stream.message": "SECRET-1"}
    )
    assert redacted(scenario)["stream"]["message"] == "***"
    assert "SECRET-1" not in " ".join(redacted_command(["zdtest", "run", "ws://a/", "--message", "SECRET-1"]))
    assert "SECRET-1" not in " ".join(redacted_command(["zdtest", "run", "ws://a/", "--message=SECRET-1"]))


def test_a_url_that_is_no_stream_is_refused_before_the_load(tmp_path: Path) -> None:
    short = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"
    with ScriptedServer(always(short)) as server:
        plan = plan_of(server.url, tmp_path, stream__kind="http")
        with pytest.raises(UsageError, match="is no stream"):
            anyio.run(partial(ask, plan, timeout_s=10))


def test_a_stream_is_left_as_soon_as_it_is_open(tmp_path: Path) -> None:
    def script(visit: Visit) -> None:
        visit.request()
        visit.answer(b"HTTP/1.1 200 OK\r\nX-Pod: web-1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\n\r\n")
        visit.sock.recv(1)

    with ScriptedServer(script) as server:
        plan = plan_of(server.url, tmp_path, stream__kind="http")
        found = anyio.run(partial(ask, plan, timeout_s=20))
    assert found.statuses == (200, 200, 200)
    assert found.pods[0][1] == ("web-1", "web-1", "web-1")
