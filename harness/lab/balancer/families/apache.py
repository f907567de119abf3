"""Apache 2.4 with mod_proxy_balancer, as measured: 503 for a refused connection, and 502 where others say 504.

Its 503 closes the client's connection and says so. A failure before the answer is a 502 only for the first request
of a client's connection: a later one gets no answer, and the connection is closed.
"""

from __future__ import annotations

from harness.lab.balancer.families.family import Meaning, Profile, Reply, Retry

_SERVER = "Server: Apache/2.4.71 (Debian)\r\n"
_DOCTYPE = '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01//EN" "http://www.w3.org/TR/html4/strict.dtd">\n'


def _page(title: str, words: str, *, closes: bool = False, first_only: bool = False) -> Reply:
    top = f"<html><head>\n<title>{title}</title>\n</head><body>\n<h1>{title[4:]}</h1>\n"
    body = f"{_DOCTYPE}{top}{words}\n</body></html>\n"
    head = f"HTTP/1.1 {title}\r\n{_SERVER}Content-Length: {len(body)}\r\n"
    return Reply(int(title[:3]), head.encode(), body.encode(), closes, first_only)


_DOWN = _page(
    "503 Service Unavailable",
    "<p>The server is temporarily unable to service your\nrequest due to maintenance downtime or capacity\n"
    "problems. Please try again later.</p>",
    closes=True,
)
_WORDS = (
    "<p>The proxy server received an invalid\r\nresponse from an upstream server.<br />\r\n"
    "The proxy server could not handle the request<p>Reason: <strong>Error reading from remote server</strong></p></p>"
)

APACHE = Profile(
    name="apache",
    replies={
        Meaning.NOBODY: _DOWN,
        Meaning.REFUSED: _DOWN,
        Meaning.CONNECT_TIMEOUT: _DOWN,
        Meaning.BROKEN: _page("502 Proxy Error", _WORDS, first_only=True),
        Meaning.INVALID: _page("502 Proxy Error", _WORDS),
        Meaning.NO_ANSWER: _page("502 Proxy Error", _WORDS),
        Meaning.BAD_REQUEST: _page(
            "400 Bad Request",
            "<p>Your browser sent a request that this server could not understand.<br />\n</p>",
            closes=True,
        ),
        Meaning.SLOW_REQUEST: _page(
            "408 Request Timeout",
            "<p>Server timeout waiting for the HTTP request from the client.</p>",
            closes=True,
        ),
    },
    end="{date}{close}",
    own_end="{date}{close}Content-Type: text/html; charset=iso-8859-1\r\n",
    server=_SERVER.encode(),
    client_idle_ns=75_000_000_000,  # KeepAliveTimeout, as the others have it here
    retries=Retry.CONNECTING,
)
