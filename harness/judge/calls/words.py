"""What is said of gRPC calls, a sentence each; and what mends a cause where the requests are calls."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from harness.judge.causes.rules import AFTER_STOP, AT_EXIT
from harness.judge.wording import at, count, lasting
from harness.model import Outcome

if TYPE_CHECKING:
    from harness.judge.calls.numbers import CallNumbers, PodCalls
    from harness.judge.causes.causes import Cause

_DRAIN = (
    "on SIGTERM send GOAWAY, take no new calls and let those in flight finish: server.stop(grace) in Python,"
    " GracefulStop in Go, shutdown and awaitTermination in Java"
)
# What the rules say of HTTP, and what that is of gRPC.
_INSTEAD = {
    "on SIGTERM answer with `Connection: close`": _DRAIN,
    "graceful shutdown in the app": f"the app: {_DRAIN}",
    "so the app has to close it (`Connection: close` after SIGTERM), or the client ask again": (
        "so the server has to end it (GOAWAY on SIGTERM, and a maximum connection age)"
    ),
}
_AGE = (
    "grpc.max_connection_age_ms and grpc.max_connection_age_grace_ms in C++ and Python, keepalive.ServerParameters"
    " (MaxConnectionAge, MaxConnectionAgeGrace) in Go, maxConnectionAge and maxConnectionAgeGrace in Java"
)
_SHOWN = 6
_BROKEN_OFF = frozenset({Outcome.GRPC_UNAVAILABLE.value, Outcome.GRPC_CANCELLED.value})
_STOPS = AFTER_STOP | AT_EXIT


def sentences(numbers: CallNumbers, zero_ns: int) -> list[str]:
    """Return all that is worth saying of them, the most wanted first."""
    return [*_pinned(numbers), *_endings(numbers), *_shares(numbers, zero_ns)]


def advice(numbers: CallNumbers) -> str:
    """Return the maximum connection age that is advised; "" if none is."""
    if not numbers.age_s:
        return ""
    return (
        f"let the server end connections at an age of {numbers.age_s} s, with {numbers.grace_s} s of grace for calls in"
        f" flight: {_AGE}; or balance calls instead of connections: a headless Service with the client's round_robin,"
        " or a proxy that speaks HTTP/2 (Envoy, a mesh)"
    )


def pinned(numbers: CallNumbers) -> list[str]:
    """Say in one line which pods no call could reach; nothing if there is none."""
    if not numbers.left_out:
        return []
    names = ", ".join(numbers.left_out[:_SHOWN]) + (", …" if len(numbers.left_out) > _SHOWN else "")
    said = (
        f"{count(len(numbers.left_out), 'pod')} got no call, though ready for {lasting(numbers.left_out_ns)}"
    )
    return [
        f"{said}: connections stay with the pods that they were opened to, and none was opened since ({names})"
    ]


def _pinned(numbers: CallNumbers) -> list[str]:
    said = pinned(numbers)
    return [*said, f"what mends it: {advice(numbers)}"] if said else []


def _endings(numbers: CallNumbers) -> list[str]:
    lines = []
    if numbers.goaway or numbers.unannounced:
        quiet = (
            f", {numbers.unannounced:,} without it, {numbers.unannounced_lost:,} of these under a call that was lost"
            if numbers.unannounced
            else ", none without it"
        )
        lines.append(f"servers ended {count(numbers.goaway, 'connection')} by GOAWAY{quiet}")
    if numbers.turned_away:
        lines.append(
            f"{count(numbers.turned_away, 'call')} turned away by GOAWAY or REFUSED_STREAM: not processed, so a client"
            " library sends them again by itself; zdtest never does"
        )
    if numbers.renewed_ns:
        lines.append(
            f"the server ends connections by itself, at an age of {lasting(numbers.renewed_ns)} (median before the"
            " trigger): a maximum connection age is set"
        )
    return lines


def _shares(numbers: CallNumbers, zero_ns: int) -> list[str]:
    if not numbers.pods:
        unknown = "no answer names its pod, so nobody knows which pods calls went to"
        return [f"{unknown}: let the server send its name as the metadata x-pod"]
    begin = at(numbers.from_ns, zero_ns)
    lines = [f"share of calls by pod, in windows of {lasting(numbers.window_ns)} from {begin}:"]
    for pod in numbers.pods:
        shares = " ".join(f"{100 * share:3.0f}" for share in pod.shares)
        lines.append(f"{pod.pod} ({_when(pod, zero_ns)}): {shares} %, {count(pod.calls, 'call')}")
    return lines


def _when(pod: PodCalls, zero_ns: int) -> str:
    """Say since when a pod could be called, if it came after the trigger, and since when it was."""
    if pod.old:
        return "old"
    if pod.ready_ns is None or pod.ready_ns < zero_ns:
        return "there before" if pod.ready_ns is not None else "never in the endpoints"
    first = "no call" if pod.first_ns is None else f"first call {at(pod.first_ns, zero_ns)}"
    return f"new, ready {at(pod.ready_ns, zero_ns)}, {first}"


def of_calls(cause: Cause, *, direct: bool) -> Cause:
    """Return a cause with what mends it in gRPC's words.

    `direct`: connections lead to pods, so a status is the server's own. One that breaks calls off as it stops has to
    drain: a preStop lets them come for longer on the connections that are there, and breaks off others.
    """
    mend = list(map(_instead, cause.mend))
    broken_off = direct and cause.of_pods and not _BROKEN_OFF.isdisjoint(cause.kinds)
    if broken_off and _STOPS.intersection(cause.ids) and not any(_DRAIN in line for line in mend):
        mend.append(f"the app: {_DRAIN}")
    return dataclasses.replace(cause, mend=tuple(mend), evidence=tuple(map(_instead, cause.evidence)))


def _instead(line: str) -> str:
    for of_http, of_grpc in _INSTEAD.items():
        line = line.replace(of_http, of_grpc)
    return line
