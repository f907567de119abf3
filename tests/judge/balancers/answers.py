"""What balancers really answer, as it was measured: one answer for each way in which a pod fails them."""

from __future__ import annotations

from harness.recording.answers import Answer


def nginx(status: int) -> Answer:
    reason = {502: "Bad Gateway", 503: "Service Temporarily Unavailable", 504: "Gateway Time-out"}[status]
    title = f"{status} {reason}"
    body = (
        f"<html> <head><title>{title}</title></head> <body> <center><h1>{title}</h1></center>"
        " <hr><center>nginx</center> </body> </html>"
    )
    return Answer(status, (("server", "nginx"), ("content-type", "text/html")), body)


def envoy(status: int, reason: str, server: str = "envoy") -> Answer:
    words = {
        "no endpoint": "no healthy upstream",
        "timeout": "upstream request timeout",
    }.get(reason, f"upstream connect error or disconnect/reset before headers. reset reason: {reason}")
    return Answer(status, (("server", server), ("content-type", "text/plain")), words)


HAPROXY_503 = Answer(
    503,
    (("content-type", "text/html"),),
    "<html><body><h1>503 Service Unavailable</h1> No server is available to handle this request. </body></html>",
)
HAPROXY_502 = Answer(
    502,
    (("content-type", "text/html"),),
    "<html><body><h1>502 Bad Gateway</h1> The server returned an invalid or incomplete response. </body></html>",
)
HAPROXY_504 = Answer(
    504,
    (("content-type", "text/html"),),
    "<html><body><h1>504 Gateway Time-out</h1> The server didn't respond in time. </body></html>",
)
CADDY_502 = Answer(502, (("server", "Caddy"),))
CADDY_503 = Answer(503, (("server", "Caddy"),))
CADDY_504 = Answer(504, (("server", "Caddy"),))
CADDY_GOOD = Answer(200, (("via", "1.1 Caddy"),), good=True)
APACHE_503 = Answer(
    503,
    (("server", "Apache/2.4.71 (Debian)"),),
    "<h1>Service Unavailable</h1> <p>The server is temporarily unable to service your request due to maintenance"
    " downtime or capacity problems.",
    closes=True,
)
APACHE_502 = Answer(
    502,
    (("server", "Apache/2.4.71 (Debian)"),),
    "<h1>Proxy Error</h1> <p>The proxy server received an invalid",
)
TRAEFIK_502 = Answer(502, (("content-type", "text/plain"),), "Bad Gateway")
TRAEFIK_503 = Answer(503, (("content-type", "text/plain"),), "no available server")
TRAEFIK_504 = Answer(504, (("content-type", "text/plain"),), "Gateway Timeout")


def alb(status: int, *headers: tuple[str, str]) -> Answer:
    return Answer(
        status,
        (("server", "awselb/2.0"), *headers),
        f"<html> <head><title>{status}</title></head> <body> </body> </html>",
    )


GOOGLE_502 = Answer(
    502,
    (("via", "1.1 google"),),
    "<h1>Error: Server Error</h1> <h2>The server encountered a temporary error and could not complete your"
    " request.<p>Please try again",
)
CLOUDFRONT_502 = Answer(
    502,
    (
        ("server", "CloudFront"),
        ("x-cache", "Error from cloudfront"),
        ("via", "1.1 abc.cloudfront.net (CloudFront)"),
    ),
    "<H1>502 ERROR</H1>",
)
