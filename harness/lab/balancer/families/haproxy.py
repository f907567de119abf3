"""HAProxy 2.6, as measured: 503 for a refused connection too, with the words of "no server".

None of its answers names it. A failure before the answer is a 502 only for the first request of a client's
connection. A later one gets no answer: the connection is closed (the client is expected to send it again), and the
log has no line. A connect timeout of a later request closes the connection in the same way, but is logged.
"""

from __future__ import annotations

from harness.lab.balancer.families.family import Meaning, Profile, Reply, Retry


def _page(title: str, words: str, *, closes: bool = False, first_only: bool = False) -> Reply:
    body = f"<html><body><h1>{title}</h1>\n{words}\n</body></html>\n"
    head = f"HTTP/1.1 {title}\r\ncontent-length: {len(body)}\r\ncache-control: no-cache\r\ncontent-type: text/html\r\n"
    return Reply(int(title[:3]), head.encode(), body.encode(), closes, first_only)


_NO_SERVER = ("503 Service Unavailable", "No server is available to handle this request.")
_INVALID = ("502 Bad Gateway", "The server returned an invalid or incomplete response.")

HAPROXY = Profile(
    name="haproxy",
    replies={
        Meaning.NOBODY: _page(*_NO_SERVER),
        Meaning.REFUSED: _page(*_NO_SERVER),
        Meaning.CONNECT_TIMEOUT: _page(*_NO_SERVER, first_only=True),
        Meaning.BROKEN: _page(*_INVALID, first_only=True),
        Meaning.INVALID: _page(*_INVALID),
        Meaning.NO_ANSWER: _page("504 Gateway Time-out", "The server didn't respond in time."),
        Meaning.BAD_REQUEST: _page("400 Bad request", "Your browser sent an invalid request.", closes=True),
        Meaning.SLOW_REQUEST: _page(
            "408 Request Time-out", "Your browser didn't send a complete request in time.", closes=True
        ),
    },
    end="{close}",
    own_end="{close}",
    lower=True,
    client_idle_ns=75_000_000_000,
    retries=Retry.CONNECTING,
)
