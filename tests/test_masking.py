"""Which parts of a text that may contain a secret stay, and which are masked."""

from __future__ import annotations

import pytest

from harness import masking
from harness.k8s.hooks import last_sleep_ns

S = 1_000_000_000


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:s3cret@host:8443/a?b=s3cret@d", "https://host:8443/a?b=***"),
        ("http://host/a@b", "http://host/a@b"),
        ("http://u:s3@cret@h/", "http://h/"),
        ("http://h/?a=s3cret&b=&wsdl&c={seq}", "http://h/?a=***&b=&wsdl&c={seq}"),
        ("http://h/?s3cret", "http://h/?***"),
        ("http://h/a;jsessionid=s3cret/b?x=1#s3cret", "http://h/a;jsessionid=***/b?x=***#***"),
        ("/a?token=s3cret", "/a?token=***"),
        ("http://h/?$filter=s3cret&$select=s3cret", "http://h/?$filter=***&$select=***"),
        ("http://h/plain/path", "http://h/plain/path"),
    ],
)
def test_a_url_keeps_host_path_and_the_names_of_its_parameters(url: str, shown: str) -> None:
    assert masking.url(url) == shown


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["app", "--token=s3cret", "-ps3cret", "-p", "s3cret", "A=s3cret", "s3cret"],
         ["app", "--token=***", "-p***", "-p", "***", "A=***", "***"]),
        (["sh", "-c", "s3cret=1 exec app --token s3cret"], ["sh", "-c", "s3cret=*** exec app --token ***"]),
        (["sh", "-c", "curl -H 'X: a; s3cret' http://u:s3cret@h"], ["sh", "-c", "curl -H *** ***"]),
        (["sh", "-c", "cat <<E\ns3cret\nE"], ["sh", "-c", "cat ***"]),
        (["sh", "-c", "echo 's3cret"], ["sh", "-c", "***"]),
        (["sh", "-c", "app", "s3cret"], ["sh", "-c", "app", "***"]),
        (["sh", "-c", "echo x > s3cret; app"], ["sh", "-c", "echo *** > ***; app"]),
        (["s3cret!"], ["***"]),
        ([], []),
    ],
)  # fmt: skip
def test_a_command_keeps_its_programs_and_the_names_of_flags(words: list[str], shown: list[str]) -> None:
    found = masking.command(words)
    assert found == shown
    assert "s3cret" not in " ".join(found).replace("s3cret=***", "")


@pytest.mark.parametrize(
    "words",
    [
        ["sleep", "5"],
        ["/bin/sleep", "1.5m"],
        ["sh", "-c", "sleep 10"],
        ["/bin/sh", "-c", "/bin/sleep 10"],
        ["sh", "-c", "nginx -s quit; sleep 5s"],
        ["sh", "-c", "nginx -s quit && sleep 5;"],
        ["sh", "-c", "echo a\nsleep 3\n"],
        ["bash", "-ec", "exec sleep 7"],
        ["sh", "-c", "sleep 5; curl http://h/"],
        ["sh", "-c", "sleep $N"],
        ["sh", "-c", "echo 'sleep 5"],
        ["sh", "-c", "(sleep 5) &"],
        ["drain", "--for", "sleep 5"],
    ],
)
def test_the_judge_reads_the_same_length_from_a_masked_hook(words: list[str]) -> None:
    plain = last_sleep_ns({"exec": {"command": words}})
    masked = last_sleep_ns({"exec": {"command": masking.command(words)}})
    assert masked == (None if words[0] == "drain" or "'" in words[-1] else plain)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('Get "http://10.0.0.1:8080/h?token=s3cret": dial tcp', 'Get "http://10.0.0.1:8080/h?token=***": dial tcp'),
        ("cannot reach https://u:s3cret@proxy:3128", "cannot reach https://proxy:3128"),
        ("Authorization: Bearer s3cret", "Authorization: ***"),
        ("it sent Bearer s3cret to us", "it sent Bearer *** to us"),
        ("helm --password s3cret failed", "helm --password *** failed"),
        ("DB_PASSWORD=s3cret is wrong", "DB_PASSWORD=*** is wrong"),
        ('{"apiKey": "s3cret", "a": 1}', '{"apiKey": ***, "a": 1}'),
        ('web is invalid: spec.x: Invalid value: core.EnvVar{Name:"A", Value:"s: s3cret"}: must be b',
         "web is invalid: spec.x: Invalid value: ***: must be b"),
        ("spec.replicas: Invalid value: -1: must be 0 or more", "spec.replicas: Invalid value: -1: must be 0 or more"),
        ('exec: "app s3cret": executable file not found', 'exec: "***": executable file not found'),
        ('secret "db" not found', 'secret "db" not found'),
        ("failed to fetch oauth token: 401 Unauthorized", "failed to fetch oauth token: 401 Unauthorized"),
        ("0/3 nodes are available: 3 Insufficient cpu.", "0/3 nodes are available: 3 Insufficient cpu."),
        ("New size: 5; reason: cpu resource utilization above target",
         "New size: 5; reason: cpu resource utilization above target"),
    ],
)  # fmt: skip
def test_a_message_keeps_everything_but_what_looks_like_a_secret(text: str, shown: str) -> None:
    assert masking.prose(text) == shown


@pytest.mark.parametrize(
    "part", ["a", "a.", "-", "a-", "://", "token", "Basic ", "Invalid value: ", 'exec: "', "x-", "{"]
)
def test_masking_takes_linear_time(part: str) -> None:
    text = part * (200_000 // len(part))  # quadratic time would be hours
    assert masking.prose(text).startswith(part[:4])
