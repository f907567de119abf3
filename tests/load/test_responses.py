"""Each way a response can be framed, sent by a server on a real socket and read back from the rows."""

import itertools
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.load.generator import Load
from harness.load.wire.response import reader_for
from harness.model import POD_NAMES, Target
from tests.load.load_run import LoadResult, completed, plan_for, run_load
from tests.load.scripted_server import OK, ScriptedServer, Visit, always

HEAD = b"HTTP/1.1 200 OK\r\n"
NOTHING = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
HUNDRED_MB = 100_000_000


KEEPING = {
    "length": (HEAD + b"Content-Length: 5\r\n\r\nhello",),
    "in pieces": (HEAD + b"Content-Length: 5\r\n\r\n", b"hel", b"lo"),
    "head in pieces": (b"HTTP/1.1 2", b"00 OK\r\nContent-Length: 5\r", b"\n\r\nhello"),
    "chunked": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", b"0\r\nX-Sum: 1\r\n\r\n"),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n",),
    "100": (b"HTTP/1.1 100 Continue\r\n\r\n", HEAD + b"Content-Length: 5\r\n\r\nhello"),
    "103": (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + HEAD + b"Content-Length: 0\r\n\r\n",),
    "1.0 that keeps": (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",),
    "huge head": (HEAD + b"X-Long: " + b"x" * 300_000 + b"\r\nContent-Length: 0\r\n\r\n",),
    "a folded coding": (HEAD + b"Transfer-Encoding:\r\n chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",),
    "a folded length": (HEAD + b"Content-Length:\r\n 2\r\n\r\nok",),
    "an empty line first": (b"\r\n" + HEAD + b"Content-Length: 0\r\n\r\n",),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",),
    "text that is not ASCII": (HEAD + b"X: \xe9\t \xff\r\nY:\r\nContent-Length: 0 \t\r\n\r\n",),
    "folded": (HEAD + b"X-Folded: a\r\n b\r\nContent-Length: 0\r\n\r\n",),
    "the same length twice": (HEAD + b"Content-Length: 2\r\nX: y\r\ncontent-length:2\r\n\r\nok",),
    "the same length twice, in pieces": (
        b"HTTP/1.1 103 Early Hints\r\n\r\n" + HEAD + b"Content-Length: 2\r\nContent-Len",
        b"gth: 2\r",
        b"\n\r\no",
        b"k",
    ),
    "the same length in a list": (HEAD + b"Content-Length: 2, 2\r\n\r\nok",),
    "lines that end with LF": (b"HTTP/1.1 200 OK\nContent-Length: 2\nX: y\n\nok",),
    "a length before chunks": (
        HEAD + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ),
    "a length behind chunks": (
        HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ),
    "close in a trailer": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nConnection: close\r\n\r\n",
    ),
}
NOT_WHOLE_IN_A_HEAD = {
    "a space before the colon": b"Content-Length : 3\r\n",
    "a space before the coding's colon": b"Transfer-Encoding : chunked\r\nContent-Length: 3\r\n",
    "a tab before the colon": b"Content-Length\t: 3\r\n",
    "a space before another header's colon": b"X-Y : z\r\nContent-Length: 3\r\n",
    "a space in a name": b"X Y: z\r\nContent-Length: 3\r\n",
    "a name that is empty": b": z\r\nContent-Length: 3\r\n",
    "a name with a bracket": b"X(Y: z\r\nContent-Length: 3\r\n",
    "a NUL in a value": b"X: y\0z\r\nContent-Length: 3\r\n",
    "a control character in a value": b"X: y\x01z\r\nContent-Length: 3\r\n",
    "a CR in a value": b"X: y\rz\r\nContent-Length: 3\r\n",
    "white space before the first header": b" X: y\r\nContent-Length: 3\r\n",
    "two lengths in one line": b"Content-Length: 3 3\r\n",
    "a length with a sign": b"Content-Length: +3\r\n",
    "a length of nothing": b"Content-Length:\r\n",
    "the same length twice, once with a space": b"Content-Length: 3\r\nContent-Length : 3\r\n",
    "the same length twice and a NUL": b"Content-Length: 3\r\nX: y\0z\r\nContent-Length: 3\r\n",
    "chunked twice": b"Transfer-Encoding: chunked, chunked\r\n",
    "chunked in two headers": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
}
NOT_WHOLE_FROM_ITS_FIRST_LINE = {
    "HTTP/2.0 in text": b"HTTP/2.0 200 OK\r\nContent-Length: 3\r\n\r\nok\n",
    "HTTP/0.9 with a head": b"HTTP/0.9 200 OK\r\nContent-Length: 3\r\n\r\nok\n",
    "chunks in HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nok\n\r\n0\r\n\r\n",
    "a control character in the reason": b"HTTP/1.1 200 O\x01K\r\nContent-Length: 3\r\n\r\nok\n",
    "a NUL in a trailer": HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nok\n\r\n0\r\nX: y\0z\r\n\r\n",
    "a space before a trailer's colon": HEAD
    + b"Transfer-Encoding: chunked\r\n\r\n3\r\nok\n\r\n0\r\nX : y\r\n\r\n",
}
CLOSING = {
    "a coding that sounds like chunked": (
        (HEAD + b"Transfer-Encoding: xchunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",),
        ("peer", "fin"),
    ),
    "until close": ((HEAD + b"\r\nhel", b"lo"), ("peer", "fin")),
    "connection: close": ((HEAD + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello",), ("us", "fin")),
    "1.0 until close": ((b"HTTP/1.0 200 OK\r\n\r\nhello",), ("peer", "fin")),
    "1.0 length": ((b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",), ("us", "fin")),
    "two responses": ((HEAD + b"Content-Length: 5\r\n\r\nhello" + NOTHING,), ("us", "unasked")),
    "another coding": ((HEAD + b"Transfer-Encoding: gzip\r\nContent-Length: 9\r\n\r\nok",), ("peer", "fin")),
    "bytes after it": ((HEAD + b"Content-Length: 5\r\n\r\nhello and more",), ("us", "error")),
}
FAILING = {
    "half a body": ((HEAD + b"Content-Length: 9\r\n\r\nhello",), "eof_mid_response", 200),
    "half the chunks": (
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",),
        "eof_mid_response",
        200,
    ),
    "half a head": ((HEAD + b"X-Cut: o",), "eof_mid_response", 0),
    "interim only": ((b"HTTP/1.1 100 Continue\r\n\r\n",), "eof_mid_response", 0),
    "nothing": ((), "eof_before_response", 0),
    "not HTTP": ((b"220 mail.example ESMTP\r\n",), "protocol_error", 0),
    "two lengths": ((HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nok",), "protocol_error", 0),
    "a list of two lengths": ((HEAD + b"Content-Length: 1, 2\r\n\r\nok",), "protocol_error", 0),
    "no number": ((HEAD + b"Content-Length: 2\r\nContent-Length: two\r\n\r\nok",), "protocol_error", 0),
    "twice no number": ((HEAD + b"Content-Length: two, two\r\n\r\nok",), "protocol_error", 0),
    "a length and no header": ((HEAD + b"Content-Length: 2\r\nno header\r\n",), "protocol_error", 0),
    "two lengths and no end": (
        (HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n",),
        "eof_mid_response",
        0,
    ),
    "bad chunk": ((HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",), "protocol_error", 200),
    "chunks with LF": ((HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\nok\n0\n\n",), "protocol_error", 200),
    "endless head": ((HEAD + b"X: " + b"x" * 1_200_000,), "protocol_error", 0),
}


def result_by_path(
    cases: dict[str, tuple[bytes, ...]], folder: Path, *, close: bool
) -> tuple[LoadResult, ScriptedServer]:
    """Ask for each case by its path, in turn; pieces go out with pauses between them."""
    names = list(cases)

    def script(visit: Visit) -> None:
        while request := visit.request():
            for piece in cases[names[int(request.split()[1][1:])]]:
                visit.answer(piece, what="piece")
                time.sleep(0.01)
            if close:
                visit.fin()
                return

    with ScriptedServer(script) as server:
        targets = tuple(Target(f"{server.url}{number}") for number in range(len(names)))
        # A bad answer must not slow the next one down.
        plan = plan_for(server.url, 1, targets=targets, error_backoff=False)
        return run_load(plan, folder, until=completed(2 * len(names) + 1)), server


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[LoadResult, ScriptedServer]:
    return result_by_path(KEEPING, tmp_path_factory.mktemp("kept"), close=False)


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> LoadResult:
    cases = {name: pieces for name, (pieces, _) in CLOSING.items()}
    return result_by_path(cases, tmp_path_factory.mktemp("closed"), close=True)[0]


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> LoadResult:
    cases = {name: pieces for name, (pieces, _, _) in FAILING.items()}
    return result_by_path(cases, tmp_path_factory.mktemp("failing"), close=True)[0]


@pytest.mark.parametrize("name", KEEPING)
def test_a_whole_response_is_one_good_hit(name: str, kept: tuple[LoadResult, ScriptedServer]) -> None:
    hits = kept[0].of_target(list(KEEPING).index(name))
    assert len(hits) >= 2
    assert {hit["outcome"] for hit in hits} == {"response"}
    assert {hit["status"] for hit in hits} <= {200, 204}
    assert {hit["bytes_in"] for hit in hits} == {len(b"".join(KEEPING[name]))}
    for hit in hits:
        assert 0 < hit["due_ns"] <= hit["sent_ns"] <= hit["first_byte_ns"] <= hit["done_ns"]


def test_whole_responses_leave_their_connection_open(kept: tuple[LoadResult, ScriptedServer]) -> None:
    result, server = kept
    assert server.seen["connections"] == 1 == len(result.connections)
    assert [hit["conn_hits"] for hit in result.hits] == list(range(len(result.hits)))
    assert result.connections[0]["hits"] == len(result.hits) == server.seen["requests"]
    assert result.failed == 0 == result.counts.failed


@pytest.mark.parametrize("name", CLOSING)
def test_a_whole_response_that_ends_its_connection_is_a_good_hit(name: str, closed: LoadResult) -> None:
    hits = closed.of_target(list(CLOSING).index(name))
    assert {hit["outcome"] for hit in hits} == {"response"}
    assert {(hit["status"], hit["conn_hits"]) for hit in hits} == {(200, 0)}
    rows = [row for row in closed.connections if row["conn"] in {hit["conn"] for hit in hits}]
    assert {(row["closed_by"], row["how"]) for row in rows if row["how"] != "end"} == {CLOSING[name][1]}
    assert {row["hits"] for row in rows} == {1}


def test_rows_say_which_answers_only_the_end_of_the_connection_ended(
    closed: LoadResult, kept: tuple[LoadResult, ScriptedServer]
) -> None:
    until_close = {
        name: {hit["until_close"] for hit in closed.of_target(at)} for at, name in enumerate(CLOSING)
    }
    by_peer = {name for name, (_, ending) in CLOSING.items() if ending == ("peer", "fin")}
    assert until_close == {name: {name in by_peer} for name in CLOSING}
    assert {hit["until_close"] for hit in kept[0].hits} == {False}


@pytest.mark.parametrize("name", FAILING)
def test_what_is_not_a_whole_response_is_a_failed_hit(name: str, failing: LoadResult) -> None:
    _, outcome, status = FAILING[name]
    hits = failing.of_target(list(FAILING).index(name))
    assert {(hit["outcome"], hit["status"]) for hit in hits if hit["outcome"] != "cut_at_deadline"} == {
        (outcome, status)
    }
    assert outcome in failing.samples


MALFORMED = {
    **{name: HEAD + lines + b"\r\nok\n" for name, lines in NOT_WHOLE_IN_A_HEAD.items()},
    **NOT_WHOLE_FROM_ITS_FIRST_LINE,
}


@pytest.mark.parametrize("size", [1, 7, 4096])
@pytest.mark.parametrize("name", MALFORMED)
def test_a_head_that_the_standard_forbids_is_a_fault_in_any_pieces(name: str, size: int) -> None:
    data = MALFORMED[name]
    response = reader_for(head_request=False)
    for at in range(0, len(data), size):
        if not response.fault:
            response.feed(data[at : at + size])
    assert response.fault
    assert not response.ended()


@pytest.mark.parametrize("name", KEEPING)
def test_a_head_that_the_standard_allows_is_accepted_in_any_pieces(name: str) -> None:
    response = reader_for(head_request=False)
    for byte in b"".join(KEEPING[name])[: 1 << 15] if "huge" not in name else b"":
        response.feed(bytes([byte]))
    assert not response.fault
    assert response.done or "huge" in name


@pytest.fixture(scope="module")
def malformed(tmp_path_factory: pytest.TempPathFactory) -> LoadResult:
    cases: dict[str, tuple[bytes, ...]] = {name: (data,) for name, data in MALFORMED.items()}
    return result_by_path(cases, tmp_path_factory.mktemp("malformed"), close=True)[0]


@pytest.mark.parametrize("name", MALFORMED)
def test_an_answer_that_the_standard_forbids_is_a_failed_hit(name: str, malformed: LoadResult) -> None:
    hits = malformed.of_target(list(MALFORMED).index(name))
    assert {hit["outcome"] for hit in hits if hit["outcome"] != "cut_at_deadline"} == {"protocol_error"}


def test_all_failed_hits_are_counted_as_such(failing: LoadResult) -> None:
    assert failing.failed == failing.counts.failed >= 2 * len(FAILING)


def run_one(
    script: Callable[[Visit], None], folder: Path, *, count: int = 4, **changes: Any
) -> tuple[LoadResult, Counter[str]]:
    with ScriptedServer(script) as server:
        return run_load(plan_for(server.url, 1, **changes), folder, until=completed(count)), server.seen


@pytest.mark.parametrize(
    ("lines", "body", "outcome"),
    [
        (b"Content-Type: application/grpc-web\r\nGRPC-Status: 14\r\nContent-Length: 0\r\n\r\n", b"",
         "UNAVAILABLE"),
        (b"Content-Type: application/grpc-web\r\ngrpc-status:0\r\nContent-Length: 0\r\n\r\n", b"", "response"),
        (b"Content-Type: text/plain\r\ngrpc-status: 14\r\nContent-Length: 0\r\n\r\n", b"", "response"),
        (b"Content-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n",
         b"2\r\nok\r\n0\r\ngrpc-status: 2\r\n\r\n", "UNKNOWN"),
        (b"Content-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n",
         b"2\r\nok\r\n0\r\ngrpc-status: 0\r\n\r\n", "response"),
    ],
)  # fmt: skip
def test_a_grpc_answer_over_http_1_is_as_good_as_its_own_status(
    lines: bytes, body: bytes, outcome: str, tmp_path: Path
) -> None:
    result, seen = run_one(always(HEAD + lines + body), tmp_path, error_backoff=False)
    assert set(result.outcomes) == {outcome}
    assert {hit["status"] for hit in result.hits} == {200}
    assert seen["connections"] == 1
    assert (result.counts.failed > 0) is (outcome != "response")


def test_a_response_to_head_has_no_body_whatever_its_head_says(tmp_path: Path) -> None:
    with ScriptedServer(always(HEAD + b"Content-Length: 500\r\n\r\n")) as server:
        result = run_load(
            plan_for(server.url, 1, target=Target(server.url, "HEAD")), tmp_path, until=completed(10)
        )
    assert set(result.outcomes) == {"response"}
    assert result.failed == 0
    assert server.seen["connections"] == 1


def test_a_redirect_is_a_failed_hit_and_never_followed(tmp_path: Path) -> None:
    result, seen = run_one(
        always(b"HTTP/1.1 302 Found\r\nLocation: /else\r\nContent-Length: 0\r\n\r\n"), tmp_path, count=6
    )
    assert {hit["status"] for hit in result.hits} == {302}
    assert result.failed == len(result.hits) == seen["requests"]


def test_an_expected_status_is_a_good_hit(tmp_path: Path) -> None:
    not_modified = b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"
    result, _ = run_one(always(not_modified), tmp_path, expect=((200, 299), (304, 304)))
    assert result.counts.failed == 0
    assert result.counts.statuses == {304: len(result.hits)}


def test_a_body_of_a_hundred_megabytes_is_counted_and_not_kept(tmp_path: Path) -> None:
    peak: list[int] = []

    def script(visit: Visit) -> None:
        block = b"x" * 1_000_000
        while visit.request():
            visit.answer(HEAD + f"Content-Length: {HUNDRED_MB}\r\n\r\n".encode(), what="big")
            for _ in range(100):
                visit.answer(block, what="block")

    def until(load: Load) -> bool:
        [worker] = load._workers
        status = Path(f"/proc/{worker.process.pid}/status").read_text(encoding="ascii").splitlines()
        peak.extend(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
        return load.counts.completed >= 2

    with ScriptedServer(script) as server:
        result = run_load(plan_for(server.url, 1), tmp_path, until=until)
    assert result.hits[0]["bytes_in"] == HUNDRED_MB + len(HEAD) + len(f"Content-Length: {HUNDRED_MB}\r\n\r\n")
    assert result.hits[0]["outcome"] == "response"
    assert result.hits[0]["done_ns"] > result.hits[0]["first_byte_ns"]
    assert max(peak) < 150_000  # KiB, all of Python and pyarrow included


def test_a_body_of_ten_megabytes_is_sent_whole(tmp_path: Path) -> None:
    body = b"y" * 10_000_000
    got: list[int] = []

    def script(visit: Visit) -> None:
        while request := visit.request():
            got.append(len(request.partition(b"\r\n\r\n")[2]))
            visit.answer()

    with ScriptedServer(script) as server:
        result = run_load(
            plan_for(server.url, 1, target=Target(server.url, "POST", body=body)),
            tmp_path,
            until=completed(3),
        )
    assert set(got) == {len(body)}
    assert set(result.outcomes) == {"response"}
    assert min(hit["bytes_out"] for hit in result.hits) > len(body)


def test_interim_answers_to_a_body_on_its_way_do_not_hold_it_up(tmp_path: Path) -> None:
    body = b"y" * 8_000_000

    def script(visit: Visit) -> None:
        got = visit.sock.recv(1 << 16)
        while b"\r\n\r\n" not in got:
            got += visit.sock.recv(1 << 16)
        while True:
            left = len(body) - len(got.partition(b"\r\n\r\n")[2])
            for eighth in range(8):
                while left > len(body) * (7 - eighth) // 8:
                    piece = visit.sock.recv(1 << 18)
                    if not piece:
                        return
                    left -= len(piece)
                visit.answer(b"HTTP/1.1 102 Processing\r\n\r\n", what="interim")
            visit.answer()
            got = b""
            while b"\r\n\r\n" not in got:
                piece = visit.sock.recv(1 << 16)
                if not piece:
                    return
                got += piece

    with ScriptedServer(script) as server:
        plan = plan_for(server.url, 4, target=Target(server.url, "POST", body=body), timeout_ns=5_000_000_000)
        result = run_load(plan, tmp_path, until=completed(40))
    assert set(result.outcomes) == {"response"}
    assert {hit["status"] for hit in result.hits} == {200}
    assert len(result.connections) == len({hit["slot"] for hit in result.hits})


def test_an_answer_to_half_a_request_is_kept_and_the_connection_is_not(tmp_path: Path) -> None:
    body = b"y" * 30_000_000

    def script(visit: Visit) -> None:
        visit.sock.recv(1000)
        visit.answer(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n", what="413")
        time.sleep(0.3)

    with ScriptedServer(script) as server:
        plan = plan_for(server.url, 1, target=Target(server.url, "POST", body=body))
        result = run_load(plan, tmp_path, until=completed(2))
    assert {hit["status"] for hit in result.hits} == {413}
    assert set(result.outcomes) == {"response"}
    assert all(hit["bytes_out"] < len(body) for hit in result.hits)
    assert {hit["conn_hits"] for hit in result.hits} == {0}


def test_the_pod_is_read_from_the_first_of_three_headers(tmp_path: Path) -> None:
    answers = [
        (HEAD + b"x-served-by: c\r\nX-Pod-Name: b\r\nX-POD: a\r\nContent-Length: 0\r\n\r\n", "a"),
        (HEAD + b"X-Served-By: c\r\nX-Pod-Name: b\r\nContent-Length: 0\r\n\r\n", "b"),
        (HEAD + b"X-Served-By: c\r\nContent-Length: 0\r\n\r\n", "c"),
        (OK, ""),
    ]

    def script(visit: Visit) -> None:
        for turn in range(1000):
            if not visit.request():
                return
            time.sleep(0.002)
            visit.answer(answers[turn % len(answers)][0])

    result, _ = run_one(script, tmp_path, count=40)
    assert [hit["pod"] for hit in result.hits[:8]] == [pod for _, pod in answers] * 2
    assert {hit["pod"] for hit in result.hits} == {"a", "b", "c", ""}


def test_a_pod_header_with_ever_new_values_costs_bounded_memory(tmp_path: Path) -> None:
    numbers = itertools.count()

    def script(visit: Visit) -> None:
        while visit.request():
            visit.answer(
                b"HTTP/1.1 200 OK\r\nX-Served-By: cache-%d\r\nContent-Length: 0\r\n\r\n" % next(numbers)
            )

    with ScriptedServer(script) as server:
        result = run_load(plan_for(server.url, 4), tmp_path, until=completed(POD_NAMES + 1000))
    assert set(result.outcomes) == {"response"}
    assert len(result.hits) == server.seen["requests"] == result.counts.completed
    names = Counter(hit["pod"] for hit in result.hits)
    assert len(names) == POD_NAMES + 1
    assert names[""] == len(result.hits) - POD_NAMES
    assert result.counts.statuses == {200: len(result.hits)}
