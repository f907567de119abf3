"""gRPC calls over our own wire, against grpcio's server in a process of its own."""

from __future__ import annotations

import anyio
import pytest

pytest.importorskip("grpc_tools", reason="the extra grpc is not installed")
pytest.importorskip("grpc_reflection", reason="the extra grpc is not installed")

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.clock import NS, Clock
from harness.load.generator import running
from harness.model import LoadPlan, Target
from harness.run.preflight.grpc.calls import of_calls
from harness.scenario.parts.grpcpart import GrpcPart
from tests.grpcshop.running import PROTO, Shop, shop
from tests.load.load_run import LoadResult, completed, finish_load, read, run_load, wait_until


def calls_of(
    a_shop: Shop, method: str = "Buy", /, *, slots: int = 2, timeout_s: float = 20, **order: Any
) -> LoadPlan:
    """The plan of a load of calls, their message encoded."""
    plan = LoadPlan(
        (Target(a_shop.url(method), "POST"),),
        slots,
        timeout_ns=round(timeout_s * NS),
        http2=True,
        error_backoff=False,
    )
    return anyio.run(of_calls, plan, GrpcPart(proto=str(PROTO), data=json.dumps(order)), Path())


def test_calls_are_answered(tmp_path: Path) -> None:
    with shop(pod="till-1") as till:
        result = run_load(calls_of(till, id="a-{seq}"), tmp_path, until=completed(200))
    assert set(result.outcomes) == {"response"}
    assert {hit["status"] for hit in result.hits} == {200}
    assert {hit["pod"] for hit in result.hits} == {"till-1"}
    assert result.counts.failed == 0


@pytest.mark.parametrize(
    ("code", "outcome"), [(1, "CANCELLED"), (8, "RESOURCE_EXHAUSTED"), (14, "UNAVAILABLE"),
                          (16, "UNAUTHENTICATED")],
)  # fmt: skip
def test_the_status_in_the_trailers_is_the_outcome(code: int, outcome: str, tmp_path: Path) -> None:
    with shop() as till:
        result = run_load(calls_of(till, fail=code), tmp_path, until=completed(10))
    assert set(result.outcomes) == {outcome}
    assert result.counts.failed == len(result.hits)
    said = [json.loads(line) for line in (tmp_path / "answers" / "0.jsonl").read_text().splitlines()]
    assert ["grpc-message", "as the order asks"] in said[0]["headers"]


def test_a_method_that_the_server_does_not_have_is_unimplemented(tmp_path: Path) -> None:
    with shop() as till:
        plan = calls_of(till)
        elsewhere = replace(plan.targets[0], url=till.url("Sell"))
        result = run_load(replace(plan, targets=(elsewhere,)), tmp_path, until=completed(4))
    assert set(result.outcomes) == {"UNIMPLEMENTED"}


def test_a_deadline_is_sent_and_the_server_or_we_end_the_call_by_it(tmp_path: Path) -> None:
    with shop() as till:
        result = run_load(calls_of(till, timeout_s=0.3, wait="5s"), tmp_path, until=completed(4))
    assert set(result.outcomes) <= {
        "DEADLINE_EXCEEDED",
        "read_timeout_headers",
        "h2_reset_before_response",
    }
    taken = [hit["done_ns"] - hit["sent_ns"] for hit in result.hits]
    assert all(0.25 * NS <= each <= NS for each in taken)
    assert result.counts.failed == len(result.hits)


def test_a_stream_of_messages_is_one_hit_that_its_trailers_judge(tmp_path: Path) -> None:
    for name in ("good", "bad", "none"):
        (tmp_path / name).mkdir()
    with shop() as till:
        good = run_load(calls_of(till, "Watch", messages=3), tmp_path / "good", until=completed(4))
        bad = run_load(calls_of(till, "Watch", messages=3, fail=13), tmp_path / "bad", until=completed(4))
        none = run_load(calls_of(till, "Watch"), tmp_path / "none", until=completed(4))
    assert set(good.outcomes) == set(none.outcomes) == {"response"}
    assert set(bad.outcomes) == {"INTERNAL"}
    assert all(hit["done_ns"] - hit["first_byte_ns"] > NS // 100 for hit in good.hits)
    assert good.hits[0]["bytes_in"] > none.hits[0]["bytes_in"]


def test_max_connection_age_moves_calls_to_new_connections_and_loses_none(tmp_path: Path) -> None:
    with shop("--max-age", "0.5") as till:
        result = run_load(calls_of(till), tmp_path, seconds=3)
    assert set(result.outcomes) == {"response"}
    assert len(result.connections) >= 6
    assert sum(c["how"] == "goaway" for c in result.connections) >= 4


def stopped_in_the_middle(till: Shop, plan: LoadPlan, folder: Path, *, kill: bool) -> LoadResult:
    """Run the load, and stop or kill the server in it."""
    result = LoadResult()

    async def main() -> None:
        async with running(plan, Clock.start(), folder) as load:
            with anyio.fail_after(30):
                await wait_until(lambda: load.counts.completed > 20)
            till.kill() if kill else till.stop()
            with anyio.fail_after(30):
                await wait_until(lambda: load.counts.outcomes.get("connect_refused", 0) > 0)
            await finish_load(load, result, NS)

    anyio.run(main)
    read(folder, result)
    return result


def test_a_server_that_drains_loses_no_call_in_flight(tmp_path: Path) -> None:
    with shop("--grace", "5") as till:
        result = stopped_in_the_middle(till, calls_of(till, wait="0.2s"), tmp_path, kill=False)
    # What comes after it has stopped finds nobody; nothing that it had taken is lost.
    assert set(result.outcomes) == {"response", "connect_refused"}


def test_a_server_that_stops_without_grace_breaks_off_calls(tmp_path: Path) -> None:
    with shop("--grace", "0") as till:
        result = stopped_in_the_middle(till, calls_of(till, wait="0.2s"), tmp_path, kill=False)
    cut = set(result.outcomes) - {"response", "connect_refused"}
    assert cut
    assert cut <= {"UNAVAILABLE", "CANCELLED", "UNKNOWN", "h2_reset_before_response", "h2_goaway",
                   "eof_before_response", "reset_before_response"}  # fmt: skip


def test_a_server_that_is_killed_loses_what_was_in_flight(tmp_path: Path) -> None:
    with shop() as till:
        result = stopped_in_the_middle(till, calls_of(till, wait="0.2s"), tmp_path, kill=True)
    lost = set(result.outcomes) - {"response", "connect_refused"}
    assert lost
    assert lost <= {"eof_before_response", "reset_before_response"}
