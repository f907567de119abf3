"""nginx as ingress-nginx configures it, with `proxy_next_upstream off` unless `tries` is over 1.

502 = an error while connecting, sending or reading the head; 504 = proxy_connect_timeout or proxy_read_timeout; 503
= the Service has no endpoint. It hides the target's Server and Date (proxy_hide_header's defaults), so every answer
has `Server: nginx`; its own have <center>nginx</center> in the body.
"""

from __future__ import annotations

from harness.lab.balancer.families.family import Profile, Retry
from harness.lab.balancer.families.pages import pages

NGINX = Profile(
    name="nginx",
    replies=pages("nginx", "<hr><center>nginx</center>"),
    end="Server: nginx\r\n{date}Connection: {connection}\r\n",
    own_end="{date}Connection: {connection}\r\n",
    drop=frozenset({b"server", b"date"}),
    client_left=499,
    client_idle_ns=75_000_000_000,  # keepalive_timeout
    retries=Retry.IDEMPOTENT,
)
