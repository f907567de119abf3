"""What was sent is found in the answer in any spelling and masked, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from harness.load.echoes import Sent, plain

REQUEST = (
    b"POST /shop/items;session=s3ssion?token=t0k%2Fen%3D%3D&page=12&who=anna+b HTTP/1.1\r\n"
    b"Host: shop.example\r\nUser-Agent: zdtest/1\r\nAccept: */*\r\nContent-Type: application/json\r\n"
    b"Authorization: Basic dXNlcjpvcGVuIHNlc2FtZQ==\r\nCookie: sid=c00kie; "
    b"theme=dark\r\nX-Api-Key: a key with blanks\r\n"
    b"\r\n"
    b'{"password": "hunter22", "note": "connection reset", "long": "abcdefghijklmnopqrstuvwxyz"}'
)


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("cannot GET /shop/items;session=s3ssion?token=t0k%2Fen%3D%3D&page=12&who=anna+b", "cannot GET ***"),
        ("no route /shop/items", "no route ***"),
        ("bad t0k/en== is it", "bad *** is it"),
        ("bad t0k&#x2F;en== is it", "bad *** is it"),
        ('{"bad":"t0k\\/en=="}', '{"bad":"***"}'),
        ("Basic dXNlcjpvcGVuIHNlc2FtZQ== refused", "*** refused"),
        ("for user:open sesame", "for ***"),
        ("word open sesame", "word ***"),
        ("C00KIE", "***"),
        ("key: a key with blanks.", "key: ***."),
        ("key=a+key+with+blanks", "key=***"),
        ("key=a%20key%20with%20blanks", "key=***"),
        ("hunter22", "***"),
        ("(hunter22)", "(***)"),
        ("myhunter22x", "myhunter22x"),  # another word
        ("got klmnopqrstuvw", "got ***"),  # a part of a long one
        ("got abcdefg", "got ***"),  # its beginning, where a page was cut
        ("abcdefg came", "abcdefg came"),
    ],
)
def test_what_was_sent_is_hidden(text: str, hidden: str) -> None:
    assert Sent(REQUEST).hidden(plain(text, 1000)) == hidden


@pytest.mark.parametrize(
    "text",
    [
        "upstream connect error or disconnect/reset before headers. reset reason: connection termination",
        (
            "<html> <head><title>502 Bad Gateway</title></head> <body> <center><h1>502 Bad "
            "Gateway</h1></center> <hr><center>nginx</center>"
        ),
        "No server is available to handle this request.",
        "no healthy upstream",
        "application/json",
        "text/html; charset=utf-8",
        "Apache/2.4 Server at shop.example Port 80",
        "page 12",
        "",
    ],
)
def test_what_a_balancer_says_of_itself_stays(text: str) -> None:
    assert Sent(REQUEST).hidden(plain(text, 1000)) == text
    assert Sent(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").hidden(text) == text


def test_words_of_common_errors_stay_even_if_the_request_contains_them() -> None:
    request = b"GET /upstream/connect/error?reason=termination HTTP/1.1\r\nX-Mode: error\r\n\r\nupstream connect error"
    text = "upstream connect error or disconnect/reset before headers. reset reason: connection termination"
    assert Sent(request).hidden(text.replace("upstream connect error", "error")) == text.replace(
        "upstream connect error", "error"
    )


def test_a_body_of_any_size_is_known_by_its_beginning() -> None:
    request = b"POST / HTTP/1.1\r\n\r\n" + b" ".join(b"word%06d" % n for n in range(500_000))
    sent = Sent(request)
    assert sent.hidden("word000007 of it") == "*** of it"


@given(
    secret=st.text("abcdefghijkmXYZ0123456789-_.~+/", min_size=8, max_size=60).filter(
        lambda text: text[:8].isalnum()
    ),
    kept=st.integers(8, 60),
    before=st.sampled_from(["", "bad token ", "<pre>", 'token="', "x=", "(", "a: "]),
    after=st.sampled_from(["", " is bad", "</pre>", '"', "...", "\u2026", ")", "\n", "&y=1"]),
)
def test_no_beginning_of_a_token_that_was_sent_is_left(
    secret: str, kept: int, before: str, after: str
) -> None:
    request = f"GET /?q={secret} HTTP/1.1\r\nAuthorization: Bearer {secret}\r\n\r\n".encode()
    found = Sent(request).hidden(plain(before + secret[:kept] + after, 1000))
    assert secret[:8] not in found
