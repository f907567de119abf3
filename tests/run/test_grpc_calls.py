"""What is done for gRPC before the load: the schema, the message, the health service; and what is said of bad input."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("grpc_tools", reason="the extra grpc is not installed")
pytest.importorskip("grpc_reflection", reason="the extra grpc is not installed")

import json
import re
from typing import TYPE_CHECKING

import trustme

from harness.run.preflight.grpc.exchange import deadline, messages
from tests.grpcshop.running import HERE, PROTO, Shop, shop
from tests.load.scripted_server import ScriptedServer, always
from tests.program import zdtest

if TYPE_CHECKING:
    from collections.abc import Iterator

SHORT = ("--no-rollout", "-d", "1s", "-c", "2")


@pytest.fixture(scope="module")
def till() -> Iterator[Shop]:
    with shop(pod="till-7") as one:
        yield one


@pytest.fixture(scope="module")
def closed_till() -> Iterator[Shop]:
    """Says nothing of itself, and that it does not serve."""
    with shop("--no-reflection", "--not-serving") as one:
        yield one


def refused(*words: str, folder: Path) -> str:
    """Run zdtest, which must refuse in one line, and return that line."""
    done = zdtest("run", *words, *SHORT, cwd=folder)
    assert done.returncode == 2, done.stderr + done.stdout
    said = done.stderr.splitlines()[-1]
    assert said.startswith("zdtest: ")
    assert not list((folder / "results").glob("*"))
    return said.removeprefix("zdtest: ")


def all_good(done: subprocess.CompletedProcess[str], folder: Path) -> str:
    """Make sure that calls were answered, and all of them well; return the verdict's text. A busy machine may withhold
    the PASS.
    """
    assert done.returncode in {0, 3}, done.stderr
    text = next((folder / "results").glob("*/verdict.json")).read_text()
    numbers = json.loads(text)["numbers"]
    assert numbers["good"] == numbers["requests"] > 0
    return text


def test_by_reflection_a_message_with_imported_types_is_sent(till: Shop, tmp_path: Path) -> None:
    data = '{"id": "o-{seq}-{uuid}", "items": [{"sku": "a", "count": 3}], "wait": "0.001s"}'
    done = zdtest("run", till.url(), "--data", data, *SHORT, cwd=tmp_path)
    assert f"the health service of {till.url()} says SERVING (3) for the server" in done.stderr
    assert "till-7" in all_good(done, tmp_path)


def test_by_a_proto_file_with_imports_a_server_without_reflection_is_called(
    closed_till: Shop, tmp_path: Path
) -> None:
    done = zdtest(
        "run",
        closed_till.url(),
        "--proto",
        str(PROTO),
        "--proto-path",
        str(HERE),
        "--no-health",
        *SHORT,
        cwd=tmp_path,
    )
    all_good(done, tmp_path)


def test_a_scenario_file_says_the_same(till: Shop, tmp_path: Path) -> None:
    (tmp_path / "zdtest.yaml").write_text(
        f"target: {{url: {till.url('Watch')!r}}}\ngrpc:\n  proto: {PROTO}\n  data: {{id: x, messages: 2}}\n"
    )
    done = zdtest("run", *SHORT, cwd=tmp_path)
    all_good(done, tmp_path)


def test_the_message_is_a_secret(till: Shop, tmp_path: Path) -> None:
    zdtest("run", till.url(), "--data", '{"id": "hush-hush"}', *SHORT, cwd=tmp_path)
    zdtest("run", till.url(), '--data={"id": "hush-hush", "fail": 3}', *SHORT, cwd=tmp_path)
    runs = list((tmp_path / "results").iterdir())
    assert len(runs) == 2
    for file in (file for run in runs for file in run.rglob("*") if file.is_file()):
        assert b"hush" not in file.read_bytes(), file


def test_what_the_server_does_not_have_is_refused_with_what_it_has(till: Shop, tmp_path: Path) -> None:
    assert re.search(r"has no service shop\.Shop: ", refused(till.url(service="shop.Shop"), folder=tmp_path))
    assert "no method Sell; there is Buy, Watch, Fill, Talk" in refused(till.url("Sell"), folder=tmp_path)
    by_file = refused(till.url(service="shop.Shop"), "--proto", str(PROTO), folder=tmp_path)
    assert by_file == f"{PROTO} has no service shop.Shop; there is shop.Till"


@pytest.mark.parametrize(
    ("method", "what"), [("Fill", "client-streaming"), ("Talk", "bidirectional-streaming")]
)
def test_streams_of_requests_are_refused(method: str, what: str, till: Shop, tmp_path: Path) -> None:
    said = refused(till.url(method), folder=tmp_path)
    assert said.startswith(
        f"shop.Till/{method} is {what}: only unary and server-streaming methods can be called"
    )


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("{", "Failed to load JSON"),
        ('{"prize": 1}', 'no field named "prize"'),
        ('{"items": [{"count": -1}]}', "-1"),
        ('{"fail": "{seq}"}', "fail"),
    ],
)
def test_data_that_does_not_fit_is_refused(data: str, why: str, till: Shop, tmp_path: Path) -> None:
    said = refused(till.url(), "--data", data, folder=tmp_path)
    assert said.startswith("--data is no shop.Order, which shop.Till/Buy takes: ")
    assert why in said


def test_a_proto_file_that_cannot_be_used_is_refused(till: Shop, tmp_path: Path) -> None:
    assert "no such file" in refused(till.url(), "--proto", "none.proto", folder=tmp_path)
    (tmp_path / "bad.proto").write_text('syntax = "proto3";\nservice {\n')
    assert "cannot be compiled: bad.proto:2:9: Expected service name." in refused(
        till.url(), "--proto", "bad.proto", folder=tmp_path
    )
    (tmp_path / "far.proto").write_text('syntax = "proto3";\nimport "elsewhere.proto";\n')
    assert "elsewhere.proto" in refused(till.url(), "--proto", "far.proto", folder=tmp_path)


def test_a_server_without_reflection_wants_a_proto_file(closed_till: Shop, tmp_path: Path) -> None:
    said = refused(closed_till.url(), folder=tmp_path)
    assert said.endswith("has no reflection; give the .proto file that defines shop.Till with --proto")


def test_a_server_that_does_not_serve_by_its_own_word_is_refused(closed_till: Shop, tmp_path: Path) -> None:
    said = refused(closed_till.url(), "--proto", str(PROTO), folder=tmp_path)
    assert said == (
        f"the health service of {closed_till.url()} says NOT_SERVING for the server; mend that first, or go on with"
        " --no-health"
    )


def test_a_server_without_a_health_service_is_called_all_the_same(tmp_path: Path) -> None:
    with shop("--no-health") as plain:
        done = zdtest("run", plain.url(), *SHORT, cwd=tmp_path)
    all_good(done, tmp_path)
    assert "has no health service (grpc.health.v1)" in done.stderr


def test_nobody_there_and_no_grpc_there_are_told(till: Shop, tmp_path: Path) -> None:
    nobody = refused("grpc://127.0.0.1:1/shop.Till/Buy", folder=tmp_path)
    assert nobody.endswith("refuses connections; is it up, and is the port right?")
    tls = refused(till.url(scheme="grpcs"), folder=tmp_path)
    assert "tls_handshake" in tls
    assert tls.endswith("is it grpc://, without TLS?")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("grpc://h:1",), "a gRPC URL ends with the method that is called"),
        (("grpc://h:1/Buy",), "a gRPC URL ends with the method that is called"),
        (("grpc://h:1/shop.Till/Buy?x=1",), "a gRPC URL ends with the method that is called"),
        (
            ("http://h:1/", "--data", "{}"),
            "these fields are about gRPC calls, which need a URL such as grpc://",
        ),
        (("grpc://h:1/shop.Till/Buy", "--body", "x"), "drop body"),
        (("grpc://h:1/shop.Till/Buy", "--method", "GET"), "drop method GET"),
        (("grpc://h:1/shop.Till/Buy", "--mix", "GET:1,PUT:1"), "drop mix"),
        (("grpc://h:1/shop.Till/Buy", "--stream"), "drop"),
        (
            ("grpc://h:1/shop.Till/Buy", "--proto", "a", "--reflection"),
            "--proto and --reflection cannot be combined",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(words: tuple[str, ...], why: str, tmp_path: Path) -> None:
    assert why in refused(*words, folder=tmp_path)


def test_without_the_extra_one_line_names_it(tmp_path: Path) -> None:
    (tmp_path / "grpc_tools.py").write_text("raise ImportError")
    done = subprocess.run(
        [sys.executable, "-m", "harness", "run", "grpc://127.0.0.1:1/shop.Till/Buy", *SHORT],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}"},
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "zdtest: gRPC calls need grpcio and protobuf: pip install 'zdtest[grpc]'"
    )


def test_deadlines_are_written_as_grpc_has_them() -> None:
    assert [deadline(ns) for ns in (1, 300_000_000, 65_000_000_000, 200_000_000_000_000)] == [
        "1m", "300m", "65000m", "200000S",
    ]  # fmt: skip


def test_a_body_is_cut_into_its_messages() -> None:
    assert messages(b"\0\0\0\0\2ok\0\0\0\0\0\0\0\0\0\1x") == [b"ok", b"", b"x"]


def test_reports_name_grpcs_own_statuses(till: Shop, tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    words = ("--data", '{"fail": 14}', "--fail-on", "UNAVAILABLE>5", "--junit", str(junit), *SHORT)
    done = zdtest("run", till.url(), *words, cwd=tmp_path)
    assert done.returncode == 1
    folder = next((tmp_path / "results").iterdir())
    told = json.loads((folder / "verdict.json").read_text())
    assert set(told["numbers"]["outcomes"]) == {"UNAVAILABLE"}
    assert told["about"]["targets"] == [f"call {till.url()}"]
    assert 'first failed request (UNAVAILABLE): "as the order asks" (pod till-7)' in done.stderr
    assert 'UNAVAILABLE "as the order asks"' in done.stdout
    assert "not UNAVAILABLE>5" in done.stdout
    for file in (junit, folder / "report.html", folder / "summary.md"):
        assert "UNAVAILABLE" in file.read_text(), file


def test_a_good_call_is_ok_in_reports(till: Shop, tmp_path: Path) -> None:
    done = zdtest("run", till.url(), *SHORT, cwd=tmp_path)
    statuses = json.loads(all_good(done, tmp_path))["numbers"]["statuses"]
    assert list(statuses) == ["OK"]
    assert f"statuses    OK: {statuses['OK']:,}" in done.stdout
    assert f"2xx - {statuses['OK']}," in done.stdout


def test_over_tls_the_schema_and_the_calls_go_by_the_same_certificate(tmp_path: Path) -> None:
    authority = trustme.CA()
    pair = authority.issue_cert("127.0.0.1")
    files = {name: tmp_path / f"{name}.pem" for name in ("ca", "cert", "key")}
    authority.cert_pem.write_to_path(files["ca"])
    pair.cert_chain_pems[0].write_to_path(files["cert"])
    pair.private_key_pem.write_to_path(files["key"])
    with shop("--cert", str(files["cert"]), "--key", str(files["key"])) as till:
        url = till.url(scheme="grpcs")
        unknown = refused(url, folder=tmp_path)
        assert "tls_verify" in unknown
        assert unknown.endswith("use -k to go on without, or --cacert")
        plain = refused(till.url(), folder=tmp_path)
        assert "does it speak gRPC?" in plain
        done = zdtest("run", url, "--cacert", str(files["ca"]), *SHORT, cwd=tmp_path)
        all_good(done, tmp_path)


def test_the_summary_and_the_page_say_where_calls_went(till: Shop, tmp_path: Path) -> None:
    done = zdtest("run", till.url(), *SHORT, cwd=tmp_path)
    calls = json.loads(all_good(done, tmp_path))["calls"]
    assert [pod["pod"] for pod in calls["pods"]] == ["till-7"]
    assert "-- gRPC calls --" in done.stdout
    page = next((tmp_path / "results").glob("*/report.html")).read_text()
    assert "share of calls by pod" in page


def test_requests_of_http_have_no_section_about_calls(tmp_path: Path) -> None:
    with ScriptedServer(always(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as server:
        done = zdtest("run", server.url, *SHORT, cwd=tmp_path)
    assert json.loads(all_good(done, tmp_path))["calls"] is None
    assert "gRPC" not in done.stdout
