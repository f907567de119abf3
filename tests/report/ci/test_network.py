"""The webhook and the Pushgateway, against real servers: what they get, and that no failure of theirs matters."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import parser as text_format

from harness.cli.ci.leaving import leave
from harness.cli.ci.outputs import Outputs, outputs_of
from harness.errors import UsageError
from harness.report.ci import network
from harness.report.ci.chat import payload
from tests.report.ci.runs import KINDS, hostile, judged, recorded
from tests.report.ci.test_outputs import zdtest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "T0000/B0000/s3cr3tw0rd"  # noqa: S105  not one


class Server:
    """A real HTTP server that keeps what it gets, and answers with one status."""

    def __init__(self, status: int = 200) -> None:
        got: list[tuple[str, str, dict[str, str], bytes]] = []
        self.got = got

        class Keeps(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                got.append((self.command, self.path, dict(self.headers.items()), body))
                self.send_response(status)
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_PUT = do_POST  # noqa: N815  as http.server has it

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  its parent's
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Keeps)
        self.address = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def serving(status: int = 200) -> Iterator[Server]:
    server = Server(status)
    try:
        yield server
    finally:
        server.close()


# --- the webhook ------------------------------------------------------------------------------------------


def test_a_run_is_posted_once_as_json_with_a_text_for_slack(tmp_path: Path) -> None:
    path = recorded("lossy", tmp_path)
    with serving() as server:
        done = zdtest(
            tmp_path, "report", str(path), "--link", "https://ci.example/1?a=1&b=2",
            ZDTEST_WEBHOOK=f"http://{server.address}/services/{SECRET}",
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "")
    (command, where, headers, body), *more = server.got
    assert more == []
    assert (command, where) == ("POST", f"/services/{SECRET}")
    assert headers["Content-Type"] == "application/json"
    found = json.loads(body)
    assert found["verdict"] == "FAIL"
    assert found["headline"] in found["text"]
    assert found["causes"][0]["ids"] == ["B1"]
    assert found["causes"][0]["fix"][0].startswith("spec.template.spec.containers[")
    assert found["link"] == "https://ci.example/1?a=1&amp;b=2".replace("&amp;", "&")
    assert "<https://ci.example/1?a=1&amp;b=2|The job>" in found["text"]
    assert "s3cr3tw0rd" not in done.stdout + done.stderr
    assert [f for f in tmp_path.rglob("*") if f.is_file() and b"s3cr3tw0rd" in f.read_bytes()] == []


def test_a_webhook_for_losses_alone_hears_of_no_other_run(tmp_path: Path) -> None:
    with serving() as server:
        for kind in ("clean", "lossy"):
            outputs = Outputs({}, webhook=f"http://{server.address}/{SECRET}", webhook_on="loss")
            leave(outputs, [(tmp_path, judged(kind))])
    (one,) = server.got
    assert json.loads(one[3])["lost"] > 0


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (302, "it answered 302, and redirects are not followed"),
        (404, "it answered 404"),
        (500, "it answered 500"),
    ],
)
def test_an_answer_that_is_no_success_is_one_line_with_the_host_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], status: int, said: str
) -> None:
    with serving(status) as server:
        leave(Outputs({}, webhook=f"http://u:pw@{server.address}/{SECRET}"), [(tmp_path, judged("clean"))])
        assert len(server.got) == 1
    assert capsys.readouterr().err == f"zdtest: cannot post to the webhook at {server.address}: {said}\n"


def test_a_server_that_is_not_there_changes_neither_verdict_nor_exit_code(tmp_path: Path) -> None:
    path = recorded("clean", tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        done = zdtest(tmp_path, "report", str(path), "--webhook", f"http://{address}/{SECRET}")
    assert done.returncode == 0
    assert done.stderr == f"zdtest: cannot post to the webhook at {address}: no connection\n"


def test_a_server_that_never_answers_is_left_in_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        leave(Outputs({}, webhook=f"http://{address}/{SECRET}"), [(tmp_path, judged("clean"))])
    assert (
        capsys.readouterr().err
        == f"zdtest: cannot post to the webhook at {address}: no answer within 0.2 s\n"
    )


def test_a_server_that_answers_with_nonsense_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"nonsense " + SECRET.encode() + b"\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        leave(Outputs({}, webhook=f"http://{address}/{SECRET}"), [(tmp_path, judged("clean"))])
    said = capsys.readouterr().err
    assert said == f"zdtest: cannot post to the webhook at {address}: RemoteProtocolError\n"


@pytest.mark.parametrize(
    "address", ["hooks.example/s3cr3t", "ftp://h/s3cr3t", "http:///s3cr3t", "http://[s3cr3t", "//h/s3cr3t"]
)
@pytest.mark.parametrize("option", ["webhook", "pushgateway"])
def test_what_is_no_address_is_refused_without_repeating_it(option: str, address: str) -> None:
    with pytest.raises(UsageError, match=f"--{option}: its address must begin with http") as caught:
        outputs_of({option: address})
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_text_makes_no_link_and_no_mention(kind: str) -> None:
    text = payload(hostile(kind), "https://ci.example/1")["text"]
    assert text.replace("<https://ci.example/1|The job>", "").count("<") == 0
    assert len(text) < 4000
    assert all(c == "\n" or c.isprintable() for c in text)


def test_what_looks_like_a_secret_is_masked() -> None:
    from dataclasses import replace

    found = judged("lossy")
    causes = (replace(found.causes[0], mend=("set Authorization: Bearer c4n4ry, http://u:c4n4ry@h/",)),)
    found = replace(found, causes=causes, verdict=replace(found.verdict, headline="password=c4n4ry"))
    assert "c4n4ry" not in json.dumps(payload(found))


def test_a_doubt_says_what_to_do() -> None:
    found = payload(judged("in doubt"))
    assert found["verdict"] == "INCONCLUSIVE"
    assert any("; to do: " in doubt for doubt in found["not_shown"])
    assert "• not shown: " in found["text"]


# --- the Pushgateway --------------------------------------------------------------------------------------


def test_metrics_are_put_where_the_gateway_keeps_the_latest_run_of_a_workload(tmp_path: Path) -> None:
    with serving(202) as server:
        leave(Outputs({}, pushgateway=f"http://u:pw@{server.address}/push"), [(tmp_path, judged("lossy"))])
    ((command, where, headers, body),) = server.got
    assert command == "PUT"
    assert (
        where == "/push/metrics/job/zdtest/scenario/web/namespace/shop/workload/web/workload_kind/Deployment"
    )
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert headers["Authorization"].startswith("Basic ")
    names = {family.name for family in text_format.text_string_to_metric_families(body.decode())}
    assert "zdtest_lost_requests" in names


def test_a_gateway_that_refuses_is_one_line_without_its_password(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(400) as server:
        leave(Outputs({}, pushgateway=f"http://u:pw@{server.address}"), [(tmp_path, judged("clean"))])
    said = capsys.readouterr().err
    assert said == f"zdtest: cannot send metrics to the Pushgateway at {server.address}: it answered 400\n"
