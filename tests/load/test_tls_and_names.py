"""Where connections go and how they are secured: --resolve, --cert, --servername, --tls-min."""

import asyncio
import ssl
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from harness.errors import UsageError
from harness.load.feasibility import check
from harness.run.preflight.asking import ask
from tests.load.load_run import completed, plan_for, run_load
from tests.load.scripted_server import OK, ScriptedServer, Visit, always


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def files(authority: trustme.CA, tmp_path: Path) -> dict[str, str]:
    """CA, client certificate, its key."""
    paths = {name: str(tmp_path / f"{name}.pem") for name in ("ca_file", "cert_file", "key_file")}
    authority.cert_pem.write_to_path(paths["ca_file"])
    client = authority.issue_cert("client@shop.example")
    client.cert_chain_pems[0].write_to_path(paths["cert_file"])
    client.private_key_pem.write_to_path(paths["key_file"])
    return paths


def server_tls(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    return context


def test_a_name_given_with_resolve_needs_no_resolver_and_stays_in_host_header_and_certificate(
    authority: trustme.CA, files: dict[str, str], tmp_path: Path
) -> None:
    hosts: set[bytes] = set()

    def script(visit: Visit) -> None:
        while request := visit.request():
            hosts.add(request.partition(b"\r\nHost: ")[2].partition(b"\r\n")[0])
            visit.answer()

    with ScriptedServer(script, tls=server_tls(authority, "shop.invalid")) as server:
        url = f"https://shop.invalid:{server.port}/"
        plan = plan_for(
            url, 2, ca_file=files["ca_file"], resolve=(("shop.invalid", server.port, "127.0.0.1"),)
        )
        answers = asyncio.run(ask(plan, timeout_s=15))
        result = run_load(plan, tmp_path, until=completed(20))
    assert answers.statuses == (200, 200, 200)
    assert result.failed == 0
    assert {hit["peer"] for hit in result.hits} == {f"127.0.0.1:{server.port}"}
    assert hosts == {f"shop.invalid:{server.port}".encode()}


def test_all_addresses_of_a_name_are_used_in_turn_for_each_new_connection(tmp_path: Path) -> None:
    with ScriptedServer(always(OK), host="0.0.0.0") as server:
        addresses = tuple(("shop.invalid", server.port, f"127.0.0.{n}") for n in (1, 2, 3))
        url = f"http://shop.invalid:{server.port}/"
        result = run_load(plan_for(url, 2, resolve=addresses, keepalive=False), tmp_path, until=completed(60))
    assert result.failed == 0
    opened = Counter(row["peer"] for row in result.connections)
    assert set(opened) == {f"127.0.0.{n}:{server.port}" for n in (1, 2, 3)}
    assert max(opened.values()) - min(opened.values()) <= 1


def test_another_port_of_a_name_given_with_resolve_still_goes_to_the_resolver(tmp_path: Path) -> None:
    with ScriptedServer(always(OK)) as server:
        plan = plan_for(f"http://shop.invalid:{server.port}/", 1, resolve=(("shop.invalid", 1, "127.0.0.1"),))
        result = run_load(plan, tmp_path, until=completed(1))
    assert set(result.outcomes) <= {"dns_nxdomain", "dns_fail"}
    assert server.seen["connections"] == 0


def test_a_server_that_wants_a_client_certificate_gets_it(
    authority: trustme.CA, files: dict[str, str], tmp_path: Path
) -> None:
    context = server_tls(authority, "127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    with ScriptedServer(always(OK), tls=context) as server:
        plan = plan_for(
            server.url,
            2,
            ca_file=files["ca_file"],
            cert_file=files["cert_file"],
            key_file=files["key_file"],
        )
        answers = asyncio.run(ask(plan, timeout_s=15))
        (tmp_path / "with").mkdir()
        result = run_load(plan, tmp_path / "with", until=completed(20))
        (tmp_path / "without").mkdir()
        bare = replace(plan, cert_file=None, key_file=None)
        refused = run_load(bare, tmp_path / "without", until=completed(2))
    assert answers.statuses == (200, 200, 200)
    assert result.failed == 0
    assert refused.failed == len(refused.hits) > 0


def test_the_certificate_is_checked_against_the_requested_name(
    authority: trustme.CA, files: dict[str, str], tmp_path: Path
) -> None:
    with ScriptedServer(always(OK), tls=server_tls(authority, "inner.example")) as server:
        plan = plan_for(server.url, 1, ca_file=files["ca_file"], servername="inner.example")
        (tmp_path / "with").mkdir()
        result = run_load(plan, tmp_path / "with", until=completed(5))
        (tmp_path / "without").mkdir()
        refused = run_load(replace(plan, servername=None), tmp_path / "without", until=completed(1))
    assert result.failed == 0
    assert set(refused.outcomes) <= {"tls_verify", "cut_at_deadline"}
    assert refused.outcomes["tls_verify"] >= 1


def test_a_tls_version_below_the_minimum_is_refused(
    authority: trustme.CA, files: dict[str, str], tmp_path: Path
) -> None:
    context = server_tls(authority, "127.0.0.1")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with ScriptedServer(always(OK), tls=context) as server:
        plan = plan_for(server.url, 1, ca_file=files["ca_file"], tls_min="1.3")
        (tmp_path / "1.3").mkdir()
        refused = run_load(plan, tmp_path / "1.3", until=completed(1))
        (tmp_path / "1.2").mkdir()
        result = run_load(replace(plan, tls_min="1.2"), tmp_path / "1.2", until=completed(5))
    assert set(refused.outcomes) == {"tls_handshake"}
    assert result.failed == 0
    assert {row["tls_version"] for row in result.connections} == {"TLSv1.2"}


def test_a_certificate_without_its_key_is_named_before_the_start(files: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="client certificate"):
        check(plan_for("https://h/", 1, cert_file=files["cert_file"]))
    with pytest.raises(UsageError, match="CA file"):
        check(plan_for("https://h/", 1, ca_file="/nowhere.pem"))
