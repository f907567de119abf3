"""How log lines of real balancers are read (tests/judge/accesslogs; ALB's and Traefik's are from their manuals)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.judge.accesslogs.formats import parse

if TYPE_CHECKING:
    from harness.recording.upstreams import Entry

LOGS = Path(__file__).parent / "accesslogs"
RUN = "0123456789abcdef"
ID = re.compile(RUN + "0001([0-9a-f]{12})")
GOOD, POD_503, RESET, CUT = "127.0.0.10", "127.0.0.12", "127.0.0.13", "127.0.0.17"
SLOW, REFUSES, SILENT = "127.0.0.19", "127.0.0.30", "127.0.0.31"
PODS = {GOOD, POD_503, RESET, CUT, SLOW, REFUSES, SILENT, "fd00::7"}


def read(line: str, pods: set[str] = PODS) -> Entry:
    seen = ID.search(line)
    assert seen
    return parse(line, pods, seen.start(), seen.end())


def read_log(name: str) -> dict[int, Entry]:
    lines = (LOGS / name).read_text().splitlines()
    return {int(ID.search(line)[1], 16): read(line) for line in lines}  # type: ignore[index]


def test_ingress_nginx_names_each_pod_it_tried_and_the_last_one_counts() -> None:
    assert read_log("nginx.log") == {
        0x01: (GOOD, "nginx", "200"),
        0x05: (REFUSES, "nginx", "502"),
        0x09: (SILENT, "nginx", "504"),
        0x0D: (RESET, "nginx", "502"),
        0x16: (CUT, "nginx", "200"),
        0x1D: ("", "nginx", ""),
        0xA1: (RESET, "nginx", "502, 502, 502"),
        0xA2: (GOOD, "nginx", "502, 200"),
    }


def test_haproxys_httplog_gives_a_reason_but_no_address() -> None:
    said = {
        0x01: "",
        0x05: "SC",
        0x09: "sC",
        0x0B: "sC",
        0x0D: "SH",
        0x16: "SD",
        0x18: "sH",
        0x1D: "SC NOSRV",
    }
    assert read_log("haproxy-httplog.log") == {key: ("", "haproxy", text) for key, text in said.items()}


def test_haproxys_log_format_with_the_servers_address_gives_both() -> None:
    assert read_log("haproxy-address.log") == {
        0x01: (GOOD, "haproxy", ""),
        0x03: (REFUSES, "haproxy", "SC"),
        0x07: (SILENT, "haproxy", "sC"),
        0x09: (SILENT, "haproxy", "sC"),
        0x0B: (RESET, "haproxy", "SH"),
        0x11: (GOOD, "haproxy", ""),
        0x14: ("", "haproxy", "SC NOSRV"),
    }


def test_istios_text_has_the_pod_and_the_response_flags() -> None:
    assert read_log("istio.log") == {
        0x01: (GOOD, "envoy", ""),
        0x04: (POD_503, "envoy", ""),
        0x05: (REFUSES, "envoy", "UF"),
        0x09: (SILENT, "envoy", "UT"),
        0x0D: (RESET, "envoy", "UC"),
        0x16: (CUT, "envoy", "UPE"),
        0x1D: ("", "envoy", "UH"),
    }


def test_envoys_json_has_the_same() -> None:
    assert read_log("envoy-json.log") == {
        0x01: (GOOD, "envoy", ""),
        0x03: (REFUSES, "envoy", "UF"),
        0x07: (SILENT, "envoy", "UF"),
        0x0B: (RESET, "envoy", "UC"),
    }


def test_caddy_names_the_pod_in_the_field_that_was_appended_and_none_where_the_body_was_cut() -> None:
    named = {0x01: GOOD, 0x04: POD_503, 0x09: SILENT, 0x0D: RESET, 0x16: "", 0x18: SLOW, 0x1D: ""}
    assert read_log("caddy.log") == {key: (address, "caddy", "") for key, address in named.items()}


def test_caddys_error_lines_say_why_and_name_the_pod() -> None:
    line = (
        '{"level":"error","ts":1.5,"logger":"http.log.error.log0","msg":"MESSAGE","request":{"method":"GET",'
        f'"headers":{{"X-Request-Id":["{RUN}0001000000000001"]}}}},"duration":0.002,"status":502,"err_id":"x",'
        '"err_trace":"reverseproxy.statusError (reverseproxy.go:1390)"}'
    )
    told = {
        f"dial tcp {REFUSES}:8080: connect: connection refused": (REFUSES, "caddy", "dial: connection refused"),
        f"dial tcp {SILENT}:8080: i/o timeout": (SILENT, "caddy", "dial: i/o timeout"),
        f"read tcp 127.0.0.1:41:8080->{RESET}:8080: read: connection reset by peer": (
            RESET, "caddy", "read: connection reset by peer"),
        "EOF": ("", "caddy", "EOF"),
        "no upstreams available": ("", "caddy", "no upstreams available"),
        "": ("", "caddy", ""),
    }  # fmt: skip
    assert {said: tuple(read(line.replace("MESSAGE", said))) for said in told} == told


def test_any_other_log_that_has_the_pods_address_on_the_line_will_do() -> None:
    assert read_log("apache.log") == {
        0x01: (GOOD, "", ""),
        0x05: (REFUSES, "", ""),
        0x0D: (RESET, "", ""),
        0x12: ("", "", ""),  # its pod is none of this run's
    }
    plain = f'192.0.2.1 "GET / HTTP/1.1" 502 up=[fd00::7]:8080 rid={RUN}0001000000000001'
    assert read(plain) == ("fd00::7", "", "")


def test_envoys_own_default_text_ends_with_the_pod() -> None:
    line = (
        f'[2026-11-30T10:48:10.557Z] "GET / HTTP/1.1" 503 UF,URX 0 98 0 - "127.0.0.13" "agent" "{RUN}0001000000000001" '
        f'"web.example" "{REFUSES}:8080"'
    )
    assert read(line) == (REFUSES, "envoy", "UF,URX")


def test_an_alb_names_its_target_and_both_statuses() -> None:
    line = (
        "https 2026-11-25T14:02:24.186641Z app/web/50dc6c495c0c9188 127.0.0.10:2817 "
        "127.0.0.30:8080 0.000 0.001 -1 502 - 34 366 "
        '"GET https://web.example:443/ HTTP/1.1" "zdtest/0.1" ECDHE TLSv1.2 arn:aws:x '
        f'"Root=1-67400000-{RUN}0001000000000001" "-"'
    )
    assert read(line) == (REFUSES, "alb", "502 -")
    assert read(line.replace("127.0.0.30:8080", "-")) == ("", "alb", "502 -")


def test_traefiks_json_names_the_pod_under_either_name() -> None:
    line = (
        '{"ClientAddr":"127.0.0.10:4242","DownstreamStatus":502,"OriginStatus":502,"ServiceAddr":"127.0.0.30:8080",'
        f'"ServiceURL":"http://127.0.0.30:8080","request_X-Request-Id":"{RUN}0001000000000001","msg":""}}'
    )
    assert read(line) == (REFUSES, "traefik", "502 502")
    assert read(line.replace('"ServiceAddr":"127.0.0.30:8080",', "")) == (REFUSES, "traefik", "502 502")


@pytest.mark.parametrize(
    "before", ["", "2026-11-30T10:48:08.553Z stdout F ", "Nov 30 10:48:08 lb caddy[7]: "]
)
def test_prefixes_of_container_runtimes_and_syslog_are_ignored(before: str) -> None:
    for name in ("caddy.log", "istio.log", "nginx.log", "haproxy-address.log", "envoy-json.log"):
        lines = (LOGS / name).read_text().splitlines()
        assert [read(before + line) for line in lines] == list(read_log(name).values())


def test_an_address_that_is_not_the_pods_field_does_not_count() -> None:
    """A client, a sidecar and a header may all have the address of a pod."""
    client = f"{GOOD}:4242 "
    haproxy = (LOGS / "haproxy-httplog.log").read_text().splitlines()[1]
    assert read(haproxy.replace("127.0.0.1:47740 ", client)).address == ""
    assert read(haproxy.replace("{", f"{{{GOOD}:80|")).address == ""
    istio = (LOGS / "istio.log").read_text().splitlines()[2]
    assert read(istio.replace("127.0.0.1:18303", f"{GOOD}:8080")).address == REFUSES
    caddy = (LOGS / "caddy.log").read_text().splitlines()[2]
    assert read(caddy.replace('"host":"localhost"', f'"host":"{GOOD}:80"')).address == SILENT


@pytest.mark.parametrize(
    "name",
    [
        "caddy.log",
        "istio.log",
        "nginx.log",
        "haproxy-address.log",
        "haproxy-httplog.log",
        "envoy-json.log",
        "apache.log",
    ],
)
def test_a_line_that_is_cut_anywhere_names_the_right_pod_or_none(name: str) -> None:
    for line in (LOGS / name).read_text().splitlines():
        whole = read(line)
        for cut in range(0, len(line), 3):
            for part in (line[:cut], line[cut:]):
                if ID.search(part):
                    assert read(part).address in {whole.address, ""}, part


def test_what_the_balancer_said_is_cleaned_and_short() -> None:
    record = '{"upstream_host":"127.0.0.30:1","response_flags":"U\\u001b[31mF%s","request_id":"%s0001000000000001"}'
    said = read(record % ("x" * 500, RUN)).said
    assert said.startswith("U??31mFxx")
    assert len(said) == 60


@pytest.mark.parametrize(
    "junk", ['{"a":' * 5000, '{"', "{}", '{"log":NaN}', "[] [] - - - -", "\x00\x1b", "]" * 9000]
)
def test_junk_around_an_id_is_read_without_a_crash(junk: str) -> None:
    for line in (
        f"{junk}{RUN}0001000000000001",
        f"{junk} {RUN}0001000000000001{junk}",
        f'{junk}"{RUN}0001000000000001"}}',
    ):
        assert read(line).address == ""
