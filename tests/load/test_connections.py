"""Opening connections: refused, unresolved, unanswered, TLS good and bad, and what their rows say."""

import socket
import ssl
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from itertools import pairwise
from pathlib import Path

import pytest
import trustme

from harness.errors import UsageError
from harness.model import Target
from tests.load.load_run import completed, plan_for, run_load
from tests.load.scripted_server import ScriptedServer, Visit, always

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    path = tmp_path / "run"
    path.mkdir()
    return path


def server_tls(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    return context


@contextmanager
def free_port() -> Iterator[int]:
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


def test_a_refused_connection_is_a_failed_hit_and_the_slot_backs_off(run_folder: Path) -> None:
    with free_port() as port:  # bound, and not listening
        result = run_load(plan_for(f"http://127.0.0.1:{port}/", 1), run_folder, seconds=2)
    assert set(result.outcomes) == {"connect_refused"}
    assert {(row["closed_by"], row["how"], row["connect_ns"]) for row in result.connections} == {
        ("peer", "refused", -1)
    }
    assert {(hit["conn"], hit["sent_ns"], hit["bytes_out"], hit["peer"]) for hit in result.hits} == {
        (-1, -1, 0, f"127.0.0.1:{port}")
    }
    pauses = [(b["due_ns"] - a["done_ns"]) / 1e6 for a, b in pairwise(result.hits)]
    assert [pause > wanted * 0.98 for pause, wanted in zip(pauses, [50, 100, 200, 400], strict=False)] == [
        True
    ] * len(pauses[:4])
    assert result.backed_off == len(result.hits)
    assert str(port) not in result.samples["connect_refused"]


def test_without_back_off_a_slot_goes_on_at_once(run_folder: Path) -> None:
    with free_port() as port:
        result = run_load(
            plan_for(f"http://127.0.0.1:{port}/", 1, error_backoff=False),
            run_folder,
            until=completed(300),
            seconds=20,
        )
    assert result.counts.completed >= 300
    assert result.backed_off == 0


def test_a_name_that_nobody_has_is_a_failed_hit_without_a_connection(run_folder: Path) -> None:
    result = run_load(plan_for("http://nowhere.invalid/", 1), run_folder, until=completed(2), seconds=20)
    assert set(result.outcomes) <= {"dns_nxdomain", "dns_fail"}
    assert result.outcomes
    assert result.connections == []
    assert {hit["peer"] for hit in result.hits} == {""}


def test_a_connect_that_nobody_answers_ends_in_time(run_folder: Path) -> None:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:  # a full backlog is silent
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        time.sleep(0.1)
        plan = plan_for(f"http://127.0.0.1:{port}/", 1, timeout_ns=300_000_000)
        result = run_load(plan, run_folder, until=completed(2), seconds=10)
        for filler in fillers:
            filler.close()
    assert set(result.outcomes) <= {"connect_timeout", "cut_at_deadline"}
    assert result.outcomes["connect_timeout"] >= 2
    assert all(hit["done_ns"] - hit["due_ns"] > 290_000_000 for hit in result.only("connect_timeout"))


def test_a_name_is_looked_up_and_the_family_that_answers_is_kept(run_folder: Path) -> None:
    with ScriptedServer(
        always(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    ) as server:
        result = run_load(plan_for(f"http://localhost:{server.port}/", 2), run_folder, until=completed(20))
    assert result.failed == 0
    assert {hit["peer"] for hit in result.hits} == {f"127.0.0.1:{server.port}"}
    assert server.seen["connections"] == len(result.connections) == len(result.hits)


def test_ipv6_addresses_are_taken_in_brackets(run_folder: Path) -> None:
    with ScriptedServer(always(OK), host="::1") as server:
        result = run_load(plan_for(server.url, 2), run_folder, until=completed(10))
    assert result.failed == 0
    assert {hit["peer"] for hit in result.hits} == {f"[::1]:{server.port}"}


def test_tls_with_an_authority_of_ones_own(authority: trustme.CA, ca_file: str, run_folder: Path) -> None:
    seen: list[str | None] = []

    def script(visit: Visit) -> None:
        assert isinstance(visit.sock, ssl.SSLSocket)
        seen.append(visit.sock.selected_alpn_protocol())
        always(OK)(visit)

    tls = server_tls(authority)
    tls.set_alpn_protocols(["http/1.1"])
    with ScriptedServer(script, tls=tls) as server:
        result = run_load(
            plan_for(server.url, 3, ca_file=ca_file), run_folder, until=lambda _: len(seen) == 3
        )
    assert set(result.outcomes) == {"response"}
    assert len(result.hits) == server.seen["requests"]
    assert set(seen) == {"http/1.1"}
    assert {row["tls_version"] for row in result.connections} == {"TLSv1.3"}
    assert all(row["tls_ns"] > 0 and row["connect_ns"] > 0 for row in result.connections)


def test_a_certificate_of_a_stranger_is_refused_unless_insecure(
    authority: trustme.CA, tmp_path: Path, run_folder: Path
) -> None:
    with ScriptedServer(always(OK), tls=server_tls(authority)) as server:
        strict = run_load(plan_for(server.url, 1), run_folder, until=completed(2))
        (tmp_path / "loose").mkdir()
        loose = run_load(plan_for(server.url, 1, insecure=True), tmp_path / "loose", until=completed(4))
    assert set(strict.outcomes) == {"tls_verify"}
    assert {(row["closed_by"], row["how"]) for row in strict.connections} == {("us", "error")}
    assert all(hit["conn"] >= 0 and hit["sent_ns"] == -1 for hit in strict.hits)
    assert set(loose.outcomes) == {"response"}


def test_a_certificate_of_another_name_is_refused(
    authority: trustme.CA, ca_file: str, run_folder: Path
) -> None:
    with ScriptedServer(always(OK), tls=server_tls(authority, "elsewhere.example")) as server:
        result = run_load(plan_for(server.url, 1, ca_file=ca_file), run_folder, until=completed(2))
    assert set(result.outcomes) == {"tls_verify"}


def test_a_server_that_speaks_no_tls_fails_the_handshake(run_folder: Path) -> None:
    def script(visit: Visit) -> None:
        visit.answer(b"HTTP/1.1 400 No TLS\r\n\r\n")
        visit.fin()

    with ScriptedServer(script) as server:
        result = run_load(plan_for(server.url.replace("http:", "https:"), 1), run_folder, until=completed(2))
    assert set(result.outcomes) == {"tls_handshake"}


def test_a_handshake_that_gets_no_answer_ends_in_time(run_folder: Path) -> None:
    with ScriptedServer(Visit.stall) as server:
        plan = plan_for(server.url.replace("http:", "https:"), 1, timeout_ns=300_000_000)
        result = run_load(plan, run_folder, until=completed(2))
    assert set(result.outcomes) <= {"tls_timeout", "cut_at_deadline"}
    assert result.outcomes["tls_timeout"] >= 2


def test_losses_under_tls_are_the_servers_own_count(
    authority: trustme.CA, ca_file: str, run_folder: Path
) -> None:
    def script(visit: Visit) -> None:
        for _ in range(20):
            if not visit.request():
                return
            visit.answer()
        if not visit.request():
            return
        match visit.number % 4:
            case 0:
                time.sleep(0.02)
                visit.reset("lost")
            case 1:
                time.sleep(0.02)
                visit.fin("lost")
            case 2:  # no close_notify
                time.sleep(0.02)
                visit.server.count("lost")
                visit.sock.shutdown(socket.SHUT_RDWR)
            case 3:
                visit.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", what="lost")
                visit.fin()

    with ScriptedServer(script, tls=server_tls(authority)) as server:
        result = run_load(plan_for(server.url, 8, ca_file=ca_file), run_folder, until=completed(1200))
    assert server.seen["lost"] > 20
    assert result.failed == server.seen["lost"]
    assert result.outcomes["response"] == server.seen["answered"]
    assert set(result.outcomes) == {
        "response",
        "reset_before_response",
        "eof_before_response",
        "eof_mid_response",
    }


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("rate", [None, 40.0])
def test_a_close_notify_with_the_answer_ends_the_connection_even_if_tcp_stays_open(
    authority: trustme.CA, ca_file: str, run_folder: Path, version: ssl.TLSVersion, rate: float | None
) -> None:
    def script(visit: Visit) -> None:
        for _ in range(2):
            if not visit.request():
                return
            visit.answer(OK)
        if not visit.request():
            return
        visit.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)  # both records in one packet
        visit.answer(OK)
        visit.sock.setblocking(False)
        with suppress(OSError):
            visit.sock.unwrap()  # type: ignore[attr-defined]  # says close_notify, and does not wait for the other's
        visit.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
        visit.server.count("goodbye")
        visit.server.stopping.wait(60)

    context = server_tls(authority)
    context.maximum_version = version
    with ScriptedServer(script, tls=context) as server:
        plan = plan_for(server.url, 2, ca_file=ca_file, timeout_ns=5_000_000_000, rate=rate)
        result = run_load(plan, run_folder, until=completed(60), seconds=20)
    assert set(result.outcomes) == {"response"}
    assert len(result.hits) == server.seen["requests"]
    ends = Counter((row["closed_by"], row["how"]) for row in result.connections)
    assert ends["peer", "fin"] == server.seen["goodbye"] >= 15
    assert {row["hits"] for row in result.connections} <= {0, 1, 2, 3}


def test_a_reset_is_a_reset_under_tls_too(authority: trustme.CA, ca_file: str, run_folder: Path) -> None:
    def script(visit: Visit) -> None:
        if visit.request():
            visit.answer(OK)
            visit.reset()

    with ScriptedServer(script, tls=server_tls(authority)) as server:
        result = run_load(plan_for(server.url, 2, ca_file=ca_file), run_folder, until=completed(60))
    # An idle connection's end is seen at once, or by the next request on it: either way it was a reset.
    ends = Counter((row["closed_by"], row["how"]) for row in result.connections)
    assert set(ends) <= {("peer", "reset"), ("us", "end")}
    assert all("ConnectionResetError" in text for text in result.samples.values())
    assert set(result.outcomes) <= {"response", "idle_close_race", "write_reset", "reset_before_response"}


def test_a_body_that_ends_with_the_stream_needs_an_orderly_end_under_tls(
    authority: trustme.CA, ca_file: str, run_folder: Path
) -> None:
    def script(visit: Visit) -> None:
        if visit.request():
            visit.answer(b"HTTP/1.1 200 OK\r\n\r\nhello")
            if visit.number % 2:
                visit.fin()
            else:
                visit.server.count("cut")
                visit.sock.shutdown(socket.SHUT_RDWR)

    with ScriptedServer(script, tls=server_tls(authority)) as server:
        result = run_load(plan_for(server.url, 1, ca_file=ca_file), run_folder, until=completed(10))
    assert Counter(result.outcomes) == {
        "response": server.seen["fin"],
        "eof_mid_response": server.seen["cut"],
    }


def test_silence_before_and_inside_a_response_are_two_outcomes(run_folder: Path) -> None:
    def script(visit: Visit) -> None:
        if visit.request():
            if visit.number % 2:
                visit.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
            visit.stall()

    with ScriptedServer(script) as server:
        plan = plan_for(server.url, 1, timeout_ns=200_000_000)
        result = run_load(plan, run_folder, until=completed(4), drain_ns=0)
    assert result.outcomes["read_timeout_headers"] >= 2
    assert result.outcomes["read_timeout_body"] >= 2
    failed = result.only("read_timeout_headers") + result.only("read_timeout_body")
    assert all(200e6 <= hit["done_ns"] - hit["sent_ns"] < 2000e6 for hit in failed)
    assert ("us", "timeout") in {(row["closed_by"], row["how"]) for row in result.connections}


def test_a_request_that_nobody_reads_times_out_in_writing(run_folder: Path) -> None:
    with ScriptedServer(Visit.stall) as server:
        target = Target(server.url, "PUT", body=b"z" * 50_000_000)
        result = run_load(
            plan_for(server.url, 1, target=target, timeout_ns=400_000_000),
            run_folder,
            until=completed(2),
            drain_ns=0,
        )
    assert result.outcomes["write_timeout"] >= 2
    assert all(0 < hit["bytes_out"] < 50_000_000 for hit in result.only("write_timeout"))


def test_several_targets_take_turns_on_connections_of_their_own(run_folder: Path) -> None:
    with ScriptedServer(always(OK)) as one, ScriptedServer(always(OK)) as other:
        targets = (Target(one.url), Target(one.url + "b", "POST", body=b"1"), Target(other.url))
        result = run_load(plan_for(one.url, 2, targets=targets), run_folder, until=completed(30))
    assert result.failed == 0
    assert one.seen["requests"] + other.seen["requests"] == len(result.hits)
    by_target = Counter(hit["target"] for hit in result.hits)
    assert max(by_target.values()) - min(by_target.values()) <= 2
    assert all(hit["peer"].endswith(str((other if hit["target"] == 2 else one).port)) for hit in result.hits)


def test_a_plan_that_cannot_be_carried_out_is_refused_in_one_line(run_folder: Path) -> None:
    cases = {
        "URL with a host": plan_for("ftp://127.0.0.1/"),
        "CA file": plan_for("https://127.0.0.1/", ca_file=str(run_folder / "none.pem")),
        "more than this host": plan_for("http://127.0.0.1/", 65_000, workers=100),
        "cannot be sent": plan_for(
            "http://127.0.0.1/", target=Target("http://127.0.0.1/", headers=(("X", "a\r\nb"),))
        ),
    }
    for words, plan in cases.items():
        with pytest.raises(UsageError, match=words) as caught:
            run_load(plan, run_folder)
        assert "\n" not in str(caught.value)
    assert list(run_folder.iterdir()) == []
