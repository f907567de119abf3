"""Pure: the error pages that nginx and AWS's load balancers share."""

from __future__ import annotations

from harness.lab.balancer.families.family import Meaning, Reply

_STATUSES = {
    Meaning.NOBODY: 503,
    Meaning.REFUSED: 502,
    Meaning.CONNECT_TIMEOUT: 504,
    Meaning.BROKEN: 502,
    Meaning.INVALID: 502,
    Meaning.NO_ANSWER: 504,
    Meaning.BAD_REQUEST: 400,
    Meaning.SLOW_REQUEST: 408,
}
_REASONS = {
    400: "Bad Request",
    408: "Request Time-out",
    502: "Bad Gateway",
    503: "Service Temporarily Unavailable",
    504: "Gateway Time-out",
}


def pages(server: str, signature: str = "") -> dict[Meaning, Reply]:
    """Return all replies. `server`: the Server line's value; `signature`: the line below the title."""
    return {meaning: _page(status, server, signature) for meaning, status in _STATUSES.items()}


def _page(status: int, server: str, signature: str) -> Reply:
    title = f"{status} {_REASONS[status]}"
    body = "\r\n".join(
        (
            "<html>",
            f"<head><title>{title}</title></head>",
            "<body>",
            f"<center><h1>{title}</h1></center>",
            *([signature] if signature else []),
            "</body>",
            "</html>",
            "",
        )
    ).encode()
    head = (
        f"HTTP/1.1 {title}\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\nServer: {server}\r\n"
    )
    return Reply(status, head.encode(), body)
