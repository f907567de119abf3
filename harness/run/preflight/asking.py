"""Preflight of the target: does it answer, and which pods do its answers name?"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from dataclasses import dataclass, replace
from time import monotonic_ns, time_ns
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from harness import masking
from harness.clock import NS
from harness.errors import UsageError
from harness.load.dial import Dialler
from harness.load.request import Marking, prepare
from harness.load.single_request import Attempt, reach, send
from harness.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.model import LoadPlan, Target

ASKED = 3
_HARMLESS = ("GET", "HEAD", "OPTIONS")
_WORKER = 99  # no worker of a load has this number, so these requests' ids are in none of its rows
_SILENT = frozenset({Outcome.CONNECT_TIMEOUT, Outcome.TLS_TIMEOUT})
# A slow body is an answer too: the load waits longer than the preflight.
_ANSWERED = frozenset({None, Outcome.RESPONSE, Outcome.READ_TIMEOUT_BODY})


@dataclass(frozen=True, slots=True)
class Answers:
    """What the plan's hosts said when they were asked a few times."""

    statuses: tuple[int, ...]
    pods: tuple[tuple[str, tuple[str, ...]], ...]  # a URL of each host, and the values of pod headers there
    notes: tuple[str, ...] = ()


async def ask(plan: LoadPlan, *, timeout_s: float) -> Answers:
    """Send a request of the plan's own to each of its hosts a few times, before any load.

    Each uses a new connection. A lost one is data, as in the load, and ends nothing. Raises UsageError
    with one line when no answer came back, or when it redirects. An error status is fine here: the baseline
    judges that. A host whose every request may change something is only connected to.
    """
    dialler = Dialler(replace(plan, timeout_ns=round(timeout_s * NS)))
    seqs = itertools.count()
    statuses: list[int] = []
    pods: list[tuple[str, tuple[str, ...]]] = []
    notes: list[str] = []
    for target in _one_of_each_host(plan.targets):
        attempts = await _ask_one(dialler, target, seqs)
        if trouble := _trouble(target, attempts, plan, timeout_s):
            raise UsageError(trouble)
        notes += _notes(target, attempts)
        statuses += [attempt.status for attempt in attempts if attempt.status]
        pods.append((target.url, tuple(attempt.pod for attempt in attempts if attempt.pod)))
    return Answers(tuple(statuses), tuple(pods), tuple(notes))


def _one_of_each_host(targets: Iterable[Target]) -> list[Target]:
    """Choose one target for each host: the first that changes nothing, else the first."""
    found: dict[tuple[str, str], Target] = {}
    for target in targets:
        parts = urlsplit(target.url)
        where = parts.scheme, parts.netloc.rpartition("@")[2].lower()
        held = found.setdefault(where, target)
        if held.method not in _HARMLESS and target.method in _HARMLESS:
            found[where] = target
    return list(found.values())


async def _ask_one(dialler: Dialler, target: Target, seqs: Iterator[int]) -> list[Attempt]:
    plan = dialler.plan
    # No trace headers: what is sent here is no hit of a run.
    marking = Marking(time_ns(), monotonic_ns(), _WORKER, close=not plan.keepalive)
    ready = prepare(0, target, marking)

    async def once() -> Attempt:
        return await (
            send(dialler, ready, next(seqs)) if target.method in _HARMLESS else reach(dialler, ready)
        )

    first = await once()  # by itself: it learns which of the addresses answer
    if first.outcome in _SILENT or first.outcome is None:
        return [first]
    # The others at once: when nothing answers, the user waits for two timeouts, not three.
    return [first, *await asyncio.gather(*(once() for _ in range(ASKED - 1)))]


def _trouble(target: Target, attempts: list[Attempt], plan: LoadPlan, timeout_s: float) -> str:
    """Say why a load would be pointless; "" when it would not."""
    shown = masking.url(target.url)
    if plan.stream and all(attempt.ended and plan.expected(attempt.status) for attempt in attempts):
        return (
            f"{shown} is no stream: each of {len(attempts)} answers ended at once; use the URL of a stream, or drop"
            " --stream"
        )
    if any(plan.expected(attempt.status) for attempt in attempts):
        return ""
    for attempt in attempts:
        if 300 <= attempt.status < 400 and attempt.location:
            where = masking.url(attempt.location)
            return (
                f"{shown} answers {attempt.status} to {where}; redirects are not followed; use that URL, or --expect"
                f" {attempt.status}"
            )
    if any(attempt.status or attempt.outcome in _ANSWERED for attempt in attempts):
        return ""
    return _why_not(target, attempts, shown, plan, timeout_s)


def _why_not(target: Target, attempts: list[Attempt], shown: str, plan: LoadPlan, timeout_s: float) -> str:
    last = attempts[-1]
    why = last.why
    late = f"{shown} does not answer within {timeout_s:g} s" + (
        " in HTTP/2; check the URL, raise --timeout, or drop --http2"
        if plan.http2
        else "; check the URL, or raise --timeout"
    )
    unknown = f"{urlsplit(target.url).hostname} does not resolve ({why}); check the URL {shown}"
    unreachable = f"{shown} cannot be reached ({why}); check the URL"
    lines: dict[Outcome | None, str] = {
        Outcome.DNS_NXDOMAIN: unknown,
        Outcome.DNS_FAIL: unknown,
        Outcome.CONNECT_REFUSED: f"{shown} refuses connections; is it up, and is the port right?",
        Outcome.CONNECT_TIMEOUT: late,
        Outcome.CONNECT_RESET: unreachable,
        Outcome.CONNECT_UNREACHABLE: unreachable,
        Outcome.CONNECT_FAIL: unreachable,
        Outcome.TLS_VERIFY: f"the certificate of {shown} cannot be verified ({why}); use -k to go on without",
        Outcome.TLS_HANDSHAKE: f"no TLS with {shown} ({why}); is it http://?",
        Outcome.TLS_TIMEOUT: late,
        Outcome.READ_TIMEOUT_HEADERS: late,
    }
    doubt = "is it up?"
    if plan.http2:
        doubt = "is it up, and does it speak HTTP/2? else drop --http2"
        lines[Outcome.PROTOCOL_ERROR] = f"{shown} speaks no HTTP/2 that we understand: {why}; drop --http2"
        lines[Outcome.TLS_HANDSHAKE] = (
            f"no TLS for HTTP/2 with {shown} ({why}); is it http://, or HTTP/1.1 alone? then drop --http2"
        )
    lost = f"{shown} does not answer: each of {len(attempts)} requests was lost ({_counted(attempts)}; {why}); {doubt}"
    return lines.get(last.outcome, lost)


def _notes(target: Target, attempts: list[Attempt]) -> Iterator[str]:
    shown = masking.url(target.url)
    if target.method not in _HARMLESS:
        what = "call" if target.url.startswith("grpc") else target.method
        yield f"{shown} accepts connections; no request was sent before the load, since a {what} may change something"
    lost = [attempt for attempt in attempts if attempt.outcome not in _ANSWERED]
    if lost:
        yield f"{len(lost)} of {len(attempts)} requests to {shown} before the load were lost ({_counted(lost)})"


def _counted(attempts: list[Attempt]) -> str:
    counts = Counter(attempt.outcome.value for attempt in attempts if attempt.outcome)
    return ", ".join(f"{name}: {count}" for name, count in counts.items())
