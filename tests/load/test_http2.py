"""HTTP/2 against servers on real sockets: outcomes of answered and lost requests. Each request is sent once."""

from __future__ import annotations

import asyncio
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from h2.settings import SettingCodes

from harness.errors import UsageError
from harness.model import LoadPlan, Target
from harness.run.preflight.asking import ask
from tests.load.h2_server import ENHANCE_YOUR_CALM, INTERNAL_ERROR, REFUSED_STREAM, Asked, H2Visit
from tests.load.load_run import LoadResult, completed, plan_for, run_load
from tests.load.scripted_server import ScriptedServer, Visit, always

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Script = "Callable[[H2Visit], None]"


def speaking(script: Callable[[H2Visit], None]) -> Callable[[Visit], None]:
    return lambda visit: script(H2Visit(visit))


def h2_plan(url: str, concurrency: int = 2, **changes: Any) -> LoadPlan:
    return plan_for(url, concurrency, http2=True, error_backoff=False, **changes)


def misbehaving(fault: Callable[[H2Visit, Asked], bool], after: int = 5) -> Callable[[Visit], None]:
    """Answer some requests of a connection, then do `fault` to one; go on when that returns True."""

    def script(session: H2Visit) -> None:
        turn = 0
        while asked := session.request():
            turn += 1
            if turn % (after + 1):
                session.answer(asked)
            elif not fault(session, asked):
                return

    return speaking(script)


def lost_by(
    fault: Callable[[H2Visit, Asked], bool], folder: Path, count: int = 60
) -> tuple[LoadResult, Counter[str]]:
    with ScriptedServer(misbehaving(fault)) as server:
        result = run_load(h2_plan(server.url), folder, until=completed(count))
    assert len(result.hits) == server.seen["requests"]  # none was sent again
    assert result.outcomes["response"] == server.seen["answered"]
    assert result.failed == server.seen["lost"] > 3
    return result, server.seen


def test_many_requests_go_over_one_connection_one_at_a_time(tmp_path: Path) -> None:
    seen: list[Asked] = []

    def script(session: H2Visit) -> None:
        while asked := session.request():
            seen.append(asked)
            session.answer(asked, x_pod="a-1", set_cookie="s=1")

    with ScriptedServer(speaking(script)) as server:
        target = Target(
            f"{server.url}items/{{seq}}?q=a%20b", "POST", (("X-Own", "1"), ("Connection", "x")), b"n={seq}"
        )
        plan = h2_plan(server.url, 3, targets=(target,), trace_headers=True)
        result = run_load(plan, tmp_path, until=completed(300))
    assert result.failed == 0
    assert len(result.hits) == server.seen["requests"]
    assert (
        server.seen["connections"] == len(result.connections) <= 3
    )  # a busy machine may not come to the third
    assert {hit["pod"] for hit in result.hits} == {"a-1"}
    assert {hit["status"] for hit in result.hits} == {200}
    for hit in result.hits:
        assert 0 < hit["due_ns"] <= hit["sent_ns"] <= hit["first_byte_ns"] <= hit["done_ns"]
        assert hit["bytes_in"] > 9
        assert hit["bytes_out"] > 9
    assert {asked.headers[":method"] for asked in seen} == {"POST"}
    assert {asked.headers[":authority"] for asked in seen} == {f"127.0.0.1:{server.port}"}
    assert len({asked.headers[":path"] for asked in seen}) == len(seen)
    assert all(asked.headers[":path"].endswith("?q=a%20b") for asked in seen)
    assert all(asked.body.decode() == f"n={asked.headers[':path'][7:19]}" for asked in seen)
    assert len({asked.headers["x-request-id"] for asked in seen}) == len(seen)
    assert not {"connection", "cookie", "host"} & {name for asked in seen for name in asked.headers}
    assert {int(asked.headers["content-length"]) for asked in seen} == {len(seen[0].body)}


def test_a_refused_stream_is_one_lost_hit_and_the_connection_lives_on(tmp_path: Path) -> None:
    def refuse(session: H2Visit, asked: Asked) -> bool:
        session.reset(asked, REFUSED_STREAM)
        return True

    result, seen = lost_by(refuse, tmp_path)
    assert set(result.outcomes) == {"response", "h2_refused_stream"}
    assert seen["connections"] == 2 == len(result.connections)
    assert result.samples["h2_refused_stream"] == "RST_STREAM, code 7 (REFUSED_STREAM)"


def test_a_stream_that_is_reset_is_named_by_how_far_its_answer_had_come(tmp_path: Path) -> None:
    def reset(session: H2Visit, asked: Asked) -> bool:
        if session.visit.server.seen["lost"] % 2:
            session.head(asked, content_length="9")
            time.sleep(0.05)  # else both are read at once, and the head is not seen
        session.reset(asked, INTERNAL_ERROR)
        return True

    result, seen = lost_by(reset, tmp_path)
    assert set(result.outcomes) == {"response", "h2_reset_before_response", "h2_reset_mid_response"}
    assert {hit["status"] for hit in result.only("h2_reset_mid_response")} == {200}
    assert {hit["status"] for hit in result.only("h2_reset_before_response")} == {0}
    assert seen["connections"] == 2


def test_a_goaway_that_leaves_a_request_out_is_one_lost_hit(tmp_path: Path) -> None:
    def leave_out(session: H2Visit, asked: Asked) -> bool:
        session.visit.server.count("lost")
        session.goaway(asked.stream - 2)
        session.visit.fin()
        return False

    result, seen = lost_by(leave_out, tmp_path)
    assert set(result.outcomes) == {"response", "h2_goaway"}
    assert {(row["closed_by"], row["how"]) for row in result.connections} <= {
        ("peer", "goaway"),
        ("us", "end"),
    }
    assert seen["connections"] == len(result.connections)


def test_a_goaway_with_an_error_and_no_answer_is_a_lost_hit_of_that_name(tmp_path: Path) -> None:
    def calm(session: H2Visit, asked: Asked) -> bool:
        session.visit.server.count("lost")
        session.goaway(asked.stream, ENHANCE_YOUR_CALM)
        session.visit.fin()
        return False

    assert set(lost_by(calm, tmp_path)[0].outcomes) == {"response", "h2_goaway"}


def test_a_graceful_goaway_loses_nothing(tmp_path: Path) -> None:
    """What every proxy does at its end: announce it, answer what is in flight, close."""

    def script(session: H2Visit) -> None:
        for _ in range(10):
            asked = session.request()
            if asked is None:
                return
            session.answer(asked)
        asked = session.request()
        if asked is None:
            return
        session.visit.server.count("graceful")
        session.goaway(2**31 - 1)
        session.goaway(asked.stream)
        time.sleep(0.02)
        session.head(asked)
        time.sleep(0.02)
        session.visit.server.count("answered")
        session.body(asked, b"all of it")
        session.request()  # nothing comes but the end

    with ScriptedServer(speaking(script)) as server:
        result = run_load(h2_plan(server.url), tmp_path, until=completed(80))
    assert server.seen["graceful"] > 4
    assert set(result.outcomes) == {"response"}
    assert len(result.hits) == server.seen["requests"] == server.seen["answered"]
    ended = Counter((row["closed_by"], row["how"]) for row in result.connections)
    assert ended["peer", "goaway"] == server.seen["graceful"]


def test_a_goaway_or_close_on_an_idle_connection_is_not_a_failure(tmp_path: Path) -> None:
    def script(session: H2Visit) -> None:
        asked = session.request()
        if asked is None:
            return
        session.answer(asked)
        time.sleep(0.05)
        session.visit.server.count("ended")
        if session.visit.number % 2:
            session.goaway(asked.stream)
        else:
            session.visit.fin()
        session.request()

    with ScriptedServer(speaking(script)) as server:
        plan = h2_plan(server.url, 1, rate=2.0)
        result = run_load(plan, tmp_path, seconds=3.2)
    assert server.seen["ended"] > 3
    assert set(result.outcomes) == {"response"}
    assert len(result.hits) == server.seen["requests"]
    closed = [row for row in result.connections if row["closed_by"] == "peer"]
    assert len(closed) >= server.seen["ended"] - 1
    assert all(
        row["closed_ns"] - row["opened_ns"] < 450_000_000 for row in closed
    )  # when it came, not when it was needed


def test_a_connection_that_is_reset_or_ended_in_an_exchange_is_named_as_with_http1(tmp_path: Path) -> None:
    def end(session: H2Visit, asked: Asked) -> bool:
        turn = session.visit.server.seen["lost"] % 4
        session.visit.server.count("lost")
        if turn % 2:
            session.head(asked)
            session.body(asked, b"half", end=False)
        time.sleep(0.05)
        if turn < 2:
            session.visit.fin()
        else:
            session.visit.reset()
        return False

    result, _ = lost_by(end, tmp_path, count=100)
    assert set(result.outcomes) == {
        "response",
        "eof_before_response",
        "eof_mid_response",
        "reset_before_response",
        "reset_mid_response",
    }


def test_fewer_bytes_than_the_head_had_said_are_a_truncated_body(tmp_path: Path) -> None:
    def cut(session: H2Visit, asked: Asked) -> bool:
        session.visit.server.count("lost")
        session.head(asked, content_length="100")
        session.body(asked, b"half")
        session.request()
        return False

    assert set(lost_by(cut, tmp_path)[0].outcomes) == {"response", "eof_mid_response"}


def test_bytes_that_are_not_http2_are_a_protocol_error(tmp_path: Path) -> None:
    with ScriptedServer(always(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as server:
        result = run_load(h2_plan(server.url, 1), tmp_path, until=completed(2))
        with pytest.raises(UsageError, match="drop --http2"):
            asyncio.run(ask(h2_plan(server.url), timeout_s=1))
    assert set(result.outcomes) <= {"protocol_error", "cut_at_deadline"}
    assert result.outcomes["protocol_error"] >= 2


def test_bodies_of_megabytes_go_both_ways_and_are_not_kept(tmp_path: Path) -> None:
    got: set[int] = set()

    def script(session: H2Visit) -> None:
        while asked := session.request():
            got.add(len(asked.body))
            session.visit.server.count("answered")
            session.head(asked, content_length="4000000")
            session.big(asked, 4_000_000)

    with ScriptedServer(speaking(script)) as server:
        target = Target(server.url, "PUT", body=b"y" * 3_000_000)
        result = run_load(h2_plan(server.url, 1, target=target), tmp_path, until=completed(3))
    assert result.failed == 0
    assert got == {3_000_000}
    whole = [hit for hit in result.hits if hit["outcome"] == "response"]
    assert all(4_000_000 < hit["bytes_in"] < 4_100_000 for hit in whole)
    assert all(3_000_000 < hit["bytes_out"] < 3_100_000 for hit in whole)


def test_silence_times_out_before_and_inside_an_answer(tmp_path: Path) -> None:
    def script(session: H2Visit) -> None:
        while asked := session.request():
            if session.visit.number % 2:
                session.head(asked)
                session.body(asked, b"half", end=False)

    with ScriptedServer(speaking(script)) as server:
        plan = h2_plan(server.url, 1, timeout_ns=300_000_000)
        result = run_load(plan, tmp_path, until=completed(4), drain_ns=0)
    assert result.outcomes["read_timeout_headers"] >= 2
    assert result.outcomes["read_timeout_body"] >= 1


def test_limits_drain_and_cut_hold_for_http2_too(tmp_path: Path) -> None:
    def script(session: H2Visit) -> None:
        while asked := session.request():
            if session.visit.number == 1:
                session.visit.stall()
            session.answer(asked)

    with ScriptedServer(speaking(script)) as server:
        plan = h2_plan(server.url, 3, conn_max_hits=10, workers=2)
        result = run_load(plan, tmp_path, until=completed(60), drain_ns=300_000_000)
    assert result.failed == 0
    assert result.outcomes["cut_at_deadline"] == 1
    assert max(row["hits"] for row in result.connections) <= 10
    assert result.counts.completed == len(result.hits)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def test_over_tls_h2_is_agreed_on_in_the_handshake_or_the_handshake_fails(
    authority: trustme.CA, tmp_path: Path
) -> None:
    chosen: list[str | None] = []

    def script(session: H2Visit) -> None:
        assert isinstance(session.visit.sock, ssl.SSLSocket)
        chosen.append(session.visit.sock.selected_alpn_protocol())
        while asked := session.request():
            session.answer(asked)

    for name, protocols in (("with", ["h2", "http/1.1"]), ("without", ["http/1.1"])):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        context.set_alpn_protocols(protocols)
        ca_file = tmp_path / f"{name}.pem"
        authority.cert_pem.write_to_path(str(ca_file))
        (tmp_path / name).mkdir()
        with ScriptedServer(speaking(script), tls=context) as server:
            plan = h2_plan(server.url, 2, ca_file=str(ca_file))
            result = run_load(plan, tmp_path / name, until=completed(20 if name == "with" else 2))
        if name == "with":
            assert set(result.outcomes) == {"response"}
            assert {row["tls_version"] for row in result.connections} == {"TLSv1.3"}
        else:
            assert set(result.outcomes) == {"tls_handshake"}
    assert "h2" in chosen


@contextmanager
def nginx(folder: Path, port: int) -> Iterator[None]:
    folder.chmod(0o755)
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log; events {{ }}"
        f"http {{ access_log {folder}/access.log; keepalive_requests 7; {temporary}"
        f"server {{ listen 127.0.0.1:{port} http2; location / {{ return 200 ok; }} }} }}"
    )
    process = subprocess.Popen(["nginx", "-c", str(folder / "nginx.conf")], stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.send_signal(signal.SIGQUIT)  # it ends when its workers have, and with them what they log
        try:
            process.wait(20)
        finally:
            process.kill()


@pytest.mark.skipif(shutil.which("nginx") is None, reason="no nginx")
def test_nginx_ends_each_connection_after_some_requests_and_none_is_lost(tmp_path: Path) -> None:
    with ScriptedServer(always(b"")) as free:
        port = free.port
    (tmp_path / "run").mkdir()
    with nginx(tmp_path, port):
        for _ in range(200):
            try:
                asyncio.run(ask(h2_plan(f"http://127.0.0.1:{port}/asked"), timeout_s=5))
                break
            except UsageError:
                time.sleep(0.05)
        result = run_load(h2_plan(f"http://127.0.0.1:{port}/load", 3), tmp_path / "run", until=completed(150))
    assert set(result.outcomes) == {"response"}
    # nginx logs a request after it has answered it: count those of the load by their path, when it has ended.
    logged = (tmp_path / "access.log").read_text().splitlines()
    assert sum('"GET /load HTTP/2.0"' in line for line in logged) == len(result.hits)
    assert len(result.connections) >= len(result.hits) // 7


@pytest.mark.slow
def test_the_command_says_what_a_request_over_http2_cost(tmp_path: Path) -> None:
    def script(session: H2Visit) -> None:
        while asked := session.request():
            session.answer(asked)

    with ScriptedServer(speaking(script)) as server:
        done = subprocess.run(
            [sys.executable, "-m", "harness", "run", server.url, "--no-rollout", "-d", "1s", "-c", "2", "--rate",
             "20", "--http2",
             "-o", str(tmp_path)],
            capture_output=True, text=True, timeout=110, check=False,
        )  # fmt: skip
    output = " ".join(done.stdout.split())
    saturated = "INCONCLUSIVE the load generator keeps up" in output  # where this machine is too busy
    assert done.returncode == (3 if saturated else 0), done.stdout + done.stderr
    assert "1 worker, HTTP/2" in output
    assert "of the generator's processor time" in output
    assert "its own lag was" in output
    assert "failed 0" in output


def grpc_answers(*answers: tuple[dict[str, str], dict[str, str] | None]) -> Callable[[Visit], None]:
    """Answer with these heads and trailers in turn; without trailers the head is all there is."""

    def script(session: H2Visit) -> None:
        turn = 0
        while asked := session.request():
            head, trailers = answers[turn % len(answers)]
            turn += 1
            session.head(asked, 200, end=trailers is None, **head)
            if trailers is not None:
                session.body(asked, b"\0\0\0\0\2ok", end=not trailers)
                if trailers:
                    session.trailers(asked, **trailers)
            time.sleep(0.002)

    return speaking(script)


@pytest.mark.parametrize(
    ("head", "trailers", "outcome", "sample"),
    [
        ({"content_type": "application/grpc"}, {"grpc_status": "0"}, "response", ""),
        (
            {"content_type": "application/grpc"},
            {"grpc_status": "14", "grpc_message": "no one"},
            "UNAVAILABLE",
            "grpc-status 14 (UNAVAILABLE)",
        ),
        (
            {"content_type": "application/grpc+proto", "grpc_status": "12"},
            None,
            "UNIMPLEMENTED",
            "grpc-status 12 (UNIMPLEMENTED)",
        ),
        ({"content_type": "application/grpc+proto", "grpc_status": "0"}, None, "response", ""),
        ({"content_type": "Application/gRPC;x=y"}, {}, "grpc_error", "a response without grpc-status"),
        (
            {"content_type": "application/grpc"},
            {"x_sum": "1"},
            "grpc_error",
            "a response without grpc-status",
        ),
        (
            {"content_type": "application/grpc"},
            {"grpc_status": "99"},
            "grpc_error",
            "an invalid grpc-status",
        ),
        ({"content_type": "application/grpc-web+proto"}, {}, "response", ""),
        (
            {"content_type": "application/grpc-web", "grpc_status": "8"},
            None,
            "RESOURCE_EXHAUSTED",
            "RESOURCE_EXHAUSTED",
        ),
        ({"content_type": "application/json"}, {"grpc_status": "14"}, "response", ""),
        ({}, {"grpc_status": "14"}, "response", ""),
    ],
)
def test_a_grpc_answer_is_as_good_as_its_own_status(
    tmp_path: Path, head: dict[str, str], trailers: dict[str, str] | None, outcome: str, sample: str
) -> None:
    with ScriptedServer(grpc_answers((head, trailers))) as server:
        result = run_load(h2_plan(server.url), tmp_path, until=completed(8))
    assert set(result.outcomes) == {outcome}
    assert {hit["status"] for hit in result.hits} == {200}
    assert sample in result.samples.get(outcome, "")
    assert "no one" not in str(result.samples)
    assert (result.counts.failed > 0) is (outcome != "response")


def test_a_failed_grpc_call_spoils_neither_its_connection_nor_the_next_call(tmp_path: Path) -> None:
    grpc = {"content_type": "application/grpc"}
    answers = grpc_answers((grpc, {"grpc_status": "14"}), ({**grpc, "grpc_status": "0"}, None), ({}, {}))
    with ScriptedServer(answers) as server:
        result = run_load(h2_plan(server.url, 1), tmp_path, until=completed(30))
    outcomes = [hit["outcome"] for hit in result.hits]
    assert outcomes == [("UNAVAILABLE", "response", "response")[at % 3] for at in range(len(outcomes))]
    assert server.seen["connections"] == 1


def test_a_head_that_http_2_forbids_is_a_protocol_error(tmp_path: Path) -> None:
    def script(session: H2Visit) -> None:
        session.h2.config.validate_outbound_headers = False
        session.h2.config.normalize_outbound_headers = False
        while asked := session.request():
            session.h2.send_headers(asked.stream, [(":status", "200"), ("X-Upper", "y")], end_stream=True)
            session.raw(session.h2.data_to_send())

    with ScriptedServer(speaking(script)) as server:
        result = run_load(h2_plan(server.url), tmp_path, until=completed(6))
    assert set(result.outcomes) - {"cut_at_deadline"} == {"protocol_error"}


def test_a_reset_while_a_request_waits_to_be_written_is_a_hit_that_could_not_be_written(
    tmp_path: Path,
) -> None:
    def script(session: H2Visit) -> None:
        session.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 2**31 - 1})
        session.h2.increment_flow_control_window(2**30)
        session.raw(session.h2.data_to_send())
        session.visit.sock.recv(65536)
        session.visit.server.count("lost")
        time.sleep(0.05)  # until the buffers are full
        session.visit.reset()

    with ScriptedServer(speaking(script)) as server:
        target = Target(server.url, "PUT", body=b"y" * 8_000_000)
        result = run_load(h2_plan(server.url, 2, target=target), tmp_path, until=completed(6))
    assert result.lost == ()
    assert set(result.outcomes) - {"cut_at_deadline"} <= {
        "write_reset", "write_broken_pipe", "reset_before_response"
    }  # fmt: skip
    written = [hit["bytes_out"] for hit in result.hits if hit["outcome"] != "cut_at_deadline"]
    assert all(10_000 < size < 8_000_000 for size in written)


def test_the_bytes_of_each_request_are_counted_however_its_answer_was_read(tmp_path: Path) -> None:
    turn = Counter[str]()

    def script(session: H2Visit) -> None:
        while asked := session.request():
            turn["answers"] += 1
            session.answer(asked, data=b"%d" % (turn["answers"] % 7 and turn["answers"]))

    with ScriptedServer(speaking(script)) as server:
        targets = (Target(server.url), Target(server.url + "x" * 1000, "POST", body=b"y" * 5000))
        result = run_load(h2_plan(server.url, 2, targets=targets), tmp_path, until=completed(200))
    assert set(result.outcomes) == {"response"}
    short, long = ({hit["bytes_out"] for hit in result.of_target(index)} for index in (0, 1))
    assert len(short) == len(long) == 1
    assert 30 < min(short) < 100
    assert 6000 < min(long) < 6200
