"""The bytes of a request, from a URL and what the user adds."""

import pytest

from harness import __version__
from harness.errors import UsageError
from harness.load.failures import sample
from harness.load.request import Marking, prepare
from harness.model import Target


def lines(target: Target) -> list[str]:
    return prepare(0, target).request.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")


def test_a_plain_request_has_host_path_and_user_agent() -> None:
    assert lines(Target("http://h.example/a/b?c=d&e")) == [
        "GET /a/b?c=d&e HTTP/1.1",
        "Host: h.example",
        f"User-Agent: zdtest/{__version__}",
        "Accept: */*",
    ]


@pytest.mark.parametrize(
    ("url", "host", "port", "tls", "name"),
    [
        ("http://h:80/", "Host: h", 80, False, "h"),
        ("http://h:8080", "Host: h:8080", 8080, False, "h"),
        ("https://h", "Host: h", 443, True, "h"),
        ("https://h:80/", "Host: h:80", 80, True, "h"),
        ("http://[::1]/", "Host: [::1]", 80, False, "::1"),
        ("http://[::1]:81/", "Host: [::1]:81", 81, False, "::1"),
        ("http://bücher.example/", "Host: xn--bcher-kva.example", 80, False, "xn--bcher-kva.example"),
    ],
)
def test_the_host_header_has_a_port_only_where_it_is_not_the_usual_one(
    url: str,
    host: str,
    port: int,
    tls: bool,  # noqa: FBT001  a row of the table
    name: str,
) -> None:
    ready = prepare(0, Target(url))
    assert lines(Target(url))[:2] == ["GET / HTTP/1.1", host]
    assert (ready.origin.host, ready.origin.port, ready.origin.tls) == (name, port, tls)


def test_what_the_user_gives_replaces_ours_and_a_repeated_header_stays_repeated() -> None:
    headers = (("host", "other"), ("USER-AGENT", "me"), ("X-A", "1"), ("X-A", "2"), ("Accept", "text/plain"))
    got = lines(Target("http://h/", headers=headers))
    assert got[1:] == ["host: other", "USER-AGENT: me", "X-A: 1", "X-A: 2", "Accept: text/plain"]


def test_credentials_in_the_url_become_a_header_and_leave_the_request_line() -> None:
    got = lines(Target("http://al%40ice:s%3Acret@h:81/x"))
    assert got[:2] == ["GET /x HTTP/1.1", "Host: h:81"]
    assert "Authorization: Basic YWxAaWNlOnM6Y3JldA==" in got
    own = lines(Target("http://a:b@h/", headers=(("authorization", "Bearer t"),)))
    assert [line for line in own if line.lower().startswith("authorization")] == ["authorization: Bearer t"]


def test_a_body_has_a_length_and_so_has_a_post_without_one() -> None:
    assert "Content-Length: 3" in lines(Target("http://h/", "GET", body=b"abc"))
    assert "Content-Length: 0" in lines(Target("http://h/", "POST"))
    assert not [line for line in lines(Target("http://h/")) if line.startswith("Content-Length")]
    assert prepare(0, Target("http://h/", "POST", body=b"\x00\xff")).request.endswith(b"\r\n\r\n\x00\xff")


def test_characters_that_no_request_line_may_hold_are_escaped() -> None:
    assert lines(Target("http://h/a b/ü%20?q=a b"))[0] == "GET /a%20b/%C3%BC%20?q=a%20b HTTP/1.1"


@pytest.mark.parametrize(
    "url", ["ftp://h/", "h/", "http:///x", "http://h:99999/", "http://h:x/", "", "http://[::1"]
)
def test_a_url_that_cannot_be_requested_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        prepare(0, Target(url))


@pytest.mark.parametrize("header", [("X Y", "1"), ("X", "a\nb"), ("", "1"), ("X:", "1"), ("X", "€")])
def test_a_header_that_cannot_be_sent_is_refused(header: tuple[str, str]) -> None:
    with pytest.raises(UsageError):
        prepare(0, Target("http://h/", headers=(header,)))


@pytest.mark.parametrize(
    "url", ["http://user:secret@h:99999/", "ftp://user:secret@h/", "http://user:secret@[::1"]
)
def test_a_secret_in_a_refused_url_is_not_repeated(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        prepare(0, Target(url))
    assert "secret" not in str(caught.value)


def test_sample_errors_contain_no_addresses() -> None:
    assert (
        sample(ConnectionResetError(104, "Connection reset by peer"))
        == "ConnectionResetError(104, 'Connection reset by peer')"
    )
    assert (
        sample(ConnectionRefusedError(111, "to ('10.1.2.3', 80)"))
        == "ConnectionRefusedError(111, 'Connection refused')"
    )
    assert (
        sample(ValueError("no 10.1.2.3:443 nor [fe80::1]:80 here"))
        == "ValueError('no ADDRESS nor ADDRESS here')"
    )


@pytest.mark.parametrize(
    ("target", "joined"),
    [
        (Target("http://h/%41?share=100%25", "POST", body=b"100 % {uuid}"), True),
        (Target("http://h/{seq}", headers=(("K", "{uuid}"),)), False),  # decimal digits have another form
        (Target("http://h/"), True),
    ],
)
def test_joined_or_formatted_a_request_is_the_same(target: Target, *, joined: bool) -> None:
    ready = prepare(0, target, Marking(1, 2, 3, trace=True))
    assert bool(ready.pieces) is joined
    for seq in (0, 7, 16**12 - 1 if joined else 10**10 - 1):
        formatted = ready.template % ((seq,) * ready.places)
        assert len(formatted) == len(ready.request)
        if joined:
            assert (b"%012x" % seq).join(ready.pieces) == formatted
