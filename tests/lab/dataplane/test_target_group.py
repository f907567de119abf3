"""When a pod becomes a target, and when it stops being one."""

from __future__ import annotations

import json
import time
from contextlib import closing
from typing import TYPE_CHECKING

from harness.lab.balancer.group import TAIL, Endpoint, Group, Rules
from harness.lab.balancer.losses import Losses
from tests.lab.dataplane.sockets import read_head

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from tests.lab.dataplane.conftest import BalancerProcess, MakeApp, MakeBalancer, MakeTarget

NS = 1_000_000_000
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
NO = OK.replace(b"200 OK", b"503 No")


def until(front: BalancerProcess, status: int, within: float = 15.0) -> float:
    """Ask until the status comes; return after how many seconds it did."""
    begun = time.monotonic()
    while front.get().status != status:
        assert time.monotonic() - begun < within, f"no {status} came"
        time.sleep(0.02)
    return time.monotonic() - begun


def test_a_target_gets_nothing_before_it_is_registered(own_balancer: MakeBalancer, app: MakeApp) -> None:
    front = own_balancer(registration_ns=NS)
    front.set(app().endpoint())
    assert front.get().status == 503
    assert until(front, 200) > 0.3


def test_the_first_endpoints_have_no_lag_and_no_registration(
    own_balancer: MakeBalancer, app: MakeApp
) -> None:
    check = {"check_every_ns": 30 * NS, "check_path": "/alive"}
    front = own_balancer(lag_ns=30 * NS, registration_ns=30 * NS, **check)
    front.say({"endpoints": [app().endpoint()], "settled": True})
    assert until(front, 200) < 10
    front.set()
    assert front.get().status == 200


def test_a_target_gets_nothing_before_its_first_good_health_check(
    own_balancer: MakeBalancer, target: MakeTarget
) -> None:
    seen: list[bytes] = []

    def script(sock: socket.socket) -> None:
        seen.append(read_head(sock)[0])
        sock.sendall(NO if len(seen) < 3 else OK)

    front = own_balancer(check_every_ns=NS // 5, check_path="/health")
    front.set(target(script).endpoint())
    assert front.get().status == 503
    until(front, 200)
    assert all(head.startswith(b"GET /health ") for head in seen[:3])


def test_unhealthy_targets_get_no_requests_unless_all_are_unhealthy(
    own_balancer: MakeBalancer, target: MakeTarget
) -> None:
    ill = {"first": False, "second": False}

    def script(name: str) -> Callable[[socket.socket], None]:
        def run(sock: socket.socket) -> None:
            head, _ = read_head(sock)
            check = head.startswith(b"GET /health ")
            answer = (
                NO
                if check and ill[name]
                else OK.replace(b"\r\n\r\n", b"\r\nX-Pod: %b\r\n\r\n" % name.encode())
            )
            sock.sendall(answer)

        return run

    first, second = target(script("first")), target(script("second"))
    front = own_balancer(check_every_ns=NS // 10, check_path="/health", unhealthy=2, healthy=2)
    front.set({**first.endpoint(), "pod": "first"}, {**second.endpoint(), "pod": "second"})

    def seen(wanted: set[str]) -> None:
        until_s = time.monotonic() + 15
        while {str(front.get().headers["X-Pod"]) for _ in range(4)} != wanted:
            assert time.monotonic() < until_s, f"never {wanted}"

    seen({"first", "second"})
    ill["first"] = True
    seen({"second"})
    ill["second"] = True
    seen({"first", "second"})
    ill["first"] = ill["second"] = False


def test_requests_still_open_after_the_deregistration_delay_get_a_502(
    own_balancer: MakeBalancer, app: MakeApp, tmp_path: Path
) -> None:
    front = own_balancer(deregistration_ns=NS // 2, losses_file=str(tmp_path / "losses.jsonl"))
    front.set(app().endpoint())
    with closing(front.client()) as long, closing(front.client()) as short:
        long.request("GET", "/?ms=5000")
        short.request("GET", "/?ms=400")
        time.sleep(0.2)
        front.set()
        assert short.answer().status == 200
        assert long.answer().status == 502
    front.let_go()
    found = [json.loads(line) for line in (tmp_path / "losses.jsonl").read_text().splitlines()]
    assert [line["loss"] for line in found if line["what"] == "lost"] == ["deregistered"]


class Later:
    """A loop that only records the requested times."""

    def __init__(self) -> None:
        self.dues: list[float] = []
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, *_: Any) -> None:
        self.dues.append(when)


def dues(rules: Rules) -> list[float]:
    loop: Any = Later()
    group = Group(rules, loop, Losses("", loop))
    for n in range(200):
        loop.now = n / 10
        group.change((Endpoint("127.0.0.1", n),))
    found: list[float] = loop.dues
    return found


def test_a_random_lag_is_bounded_and_changes_keep_their_order() -> None:
    found = dues(Rules(lag_s=1, lag_tail_s=2, seed=7))
    assert found == sorted(found)
    delays = [due - n / 10 for n, due in enumerate(found)]
    assert min(delays) >= 1
    assert 3 < max(delays) <= 1 + 2 * TAIL
    assert len(set(delays)) > 20


def test_the_same_seed_gives_the_same_lags() -> None:
    assert dues(Rules(lag_tail_s=1, seed=1)) == dues(Rules(lag_tail_s=1, seed=1))
    assert dues(Rules(lag_tail_s=1, seed=1)) != dues(Rules(lag_tail_s=1, seed=2))


def test_nginx_asks_the_next_target_for_a_get_but_not_for_a_post_that_was_sent(
    own_balancer: MakeBalancer, target: MakeTarget, app: MakeApp, tmp_path: Path
) -> None:
    front = own_balancer(profile="nginx", tries=3, losses_file=str(tmp_path / "losses.jsonl"))
    front.set({**target(void).endpoint(), "pod": "bad"}, app().endpoint())
    assert [front.get().status for _ in range(4)] == [200] * 4
    posts = sorted(front.get(method="POST").status for _ in range(4))
    assert posts == [200, 200, 502, 502]
    front.let_go()
    found = [json.loads(line) for line in (tmp_path / "losses.jsonl").read_text().splitlines()]
    saved = [(line["method"], line["saved"]) for line in found if line["what"] == "lost"]
    assert set(saved) == {("GET", True), ("POST", False)}
    assert saved.count(("POST", False)) == 2


def test_nginx_retries_a_post_if_configured(
    own_balancer: MakeBalancer, target: MakeTarget, app: MakeApp
) -> None:
    front = own_balancer(profile="nginx", tries=3, retry_posts=True)
    front.set({**target(void).endpoint(), "pod": "bad"}, app().endpoint())
    assert [front.get(method="POST").status for _ in range(4)] == [200] * 4


def void(sock: socket.socket) -> None:
    """Read a request and close."""
    read_head(sock)


def test_nginx_retries_a_post_if_the_connection_was_refused(own_balancer: MakeBalancer, app: MakeApp) -> None:
    gone = app(wait=False)
    gone.let_go()
    front = own_balancer(profile="nginx", tries=2)
    front.set({**gone.endpoint(), "pod": "gone"}, app().endpoint())
    assert [front.get(method="POST").status for _ in range(4)] == [200] * 4


def test_nginx_gives_up_when_every_target_has_failed_once(
    own_balancer: MakeBalancer, target: MakeTarget
) -> None:
    one, two = target(void), target(void)
    front = own_balancer(profile="nginx", tries=5)
    front.set(one.endpoint(), two.endpoint())
    assert front.get().status == 502
    assert (one.accepted, two.accepted) == (1, 1)


def test_a_retried_request_reaches_the_next_target_whole(
    own_balancer: MakeBalancer, target: MakeTarget
) -> None:
    bodies: list[bytes] = []

    def read(sock: socket.socket) -> None:
        _, body = read_head(sock)
        while len(body) < 5:
            body += sock.recv(100)
        bodies.append(body)
        if len(bodies) == 2:
            sock.sendall(OK)

    front = own_balancer(profile="nginx", tries=2)
    front.set({**target(read).endpoint(), "pod": "1"}, {**target(read).endpoint(), "pod": "2"})
    # In one piece: a body that is still on its way is not sent to a second target.
    with front.socket() as client:
        client.sendall(b"PUT / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 5\r\n\r\nhello")
        assert read_head(client)[0].startswith(b"HTTP/1.1 200 ")
    assert bodies == [b"hello", b"hello"]
