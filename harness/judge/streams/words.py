"""What is said of streams, a sentence each: in the headline, the findings, the summary and the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.judge.streams.ends import is_clean
from harness.judge.streams.limits import AGE, EITHER, SILENCE
from harness.judge.wording import at, count, lasting, share

if TYPE_CHECKING:
    from harness.judge.streams.numbers import StreamNumbers

HERD_SHARE = 0.5  # of those that came back within one second: all at once
HERD_LEAST = 10
_SHOWN = 4
NAMES = {"websocket": "WebSocket", "sse": "event stream", "chunked": "open response"}


_KINDS = {
    "eof_mid_response": "cut: closed",
    "reset_mid_response": "cut: reset",
    "read_timeout_body": "silent",
}


def in_words(kind: str) -> str:
    """Return how a stream or a handshake failed."""
    return _KINDS.get(kind, kind)


def named(numbers: StreamNumbers, number: int) -> str:
    """Return a number of streams, by the only kind that there is: "30 WebSockets"."""
    kinds = list(numbers.kinds)
    return count(number, NAMES.get(kinds[0], "stream") if len(kinds) == 1 else "stream")


def headline(numbers: StreamNumbers, lost: int, because: str) -> str:
    """Return what was lost in one line: streams that were cut, and handshakes that failed."""
    blamed = numbers.blamed
    handshakes = max(lost - blamed, 0)
    refused = f"{count(handshakes, 'handshake')} failed{'' if blamed else because}" if handshakes else ""
    if not blamed:
        return f"{refused} ({_counted(numbers.refused)})" if numbers.refused else refused
    of, were = named(numbers, numbers.held), "was" if numbers.held == 1 else "were"
    how = " without a close frame" if list(numbers.kinds) == ["websocket"] else ""
    cut = f"{blamed:,} of {of} {were} cut{how}{because}"
    ends = {name: n for name, n in numbers.ends.items() if not is_clean(name)}
    if not numbers.limited:  # the others ended by the same names
        cut += f" ({_counted(ends)})"
    return "; ".join(part for part in (cut, refused, limited(numbers), how_soon(numbers)) if part)


def counted(numbers: StreamNumbers) -> str:
    """Return how many were cut because of the rollout."""
    return f"{numbers.blamed:,} of {named(numbers, numbers.held)} cut since the trigger"


def clean(numbers: StreamNumbers, because: str) -> str:
    """Return that nothing was lost, and what was closed cleanly."""
    ended = f"{numbers.announced:,} closed cleanly ({_counted(numbers.ends)})" if numbers.announced else ""
    rest = "; ".join(part for part in (ended, limited(numbers), how_soon(numbers)) if part)
    return f"none of {named(numbers, numbers.held)} was cut{because}" + (f"; {rest}" if rest else "")


def limited(numbers: StreamNumbers) -> str:
    """Say what a limit cut that has nothing to do with the rollout; "" if there is none."""
    if numbers.limit not in {AGE, SILENCE, EITHER}:
        return ""
    when, which = {
        AGE: ("when it is {} old", "a limit of the balancer (C20)"),
        SILENCE: ("after {} without a message", "an idle timeout of the balancer (C7)"),
        EITHER: (
            "when it is {} old, and has brought no message",
            "an idle timeout of the balancer, or a limit on how long a stream may last (C7 or C20)",
        ),
    }[numbers.limit]
    always = ", with and without a rollout" if numbers.limited or numbers.limited_before else ""
    return f"each stream is cut {when.format(lasting(numbers.limit_ns))}{always}: {which}"


def how_soon(numbers: StreamNumbers) -> str:
    """Say how soon lost streams were back; "" if none was lost."""
    said = []
    if numbers.back is not None:
        p50, most = numbers.back.percentiles["50"], numbers.back.max_ns
        said.append(f"back after {lasting(p50)} (median), {lasting(most)} at most")
    if numbers.away:
        said.append(f"{numbers.away:,} not back at the end, for up to {lasting(numbers.away_ns)}")
    return ", ".join(said)


def sentences(numbers: StreamNumbers, zero_ns: int) -> list[str]:
    """Return all that is worth saying of them, the most wanted first."""
    part = f" ({share(numbers.cut, numbers.held)})" if numbers.held else ""
    lines = [
        f"{numbers.opened:,} opened, {count(numbers.messages, 'message')}; longest gap {lasting(numbers.gap_ns)}",
        f"{numbers.cut:,} of {named(numbers, numbers.held)} cut{part}, {numbers.announced:,} closed cleanly"
        + (f": {_counted(numbers.ends)}" if numbers.ends else ""),
    ]
    if numbers.back is not None and numbers.handshake is not None:
        lines.append(
            f"{how_soon(numbers)}; handshake after {lasting(numbers.handshake.percentiles['50'])}, "
            f"{lasting(numbers.handshake.max_ns)} at most; {count(numbers.tries, 'try', 'tries')} at most"
        )
    if numbers.refused:
        lines.append(f"tries that failed: {_counted(numbers.refused)}")
    lines += notes(numbers, zero_ns)
    if numbers.numbered:
        lines.append(
            f"messages are numbered: {numbers.missed:,} missed while away, {numbers.skipped:,} skipped on an open "
            f"stream, {numbers.repeated:,} sent again"
        )
    return lines


def notes(numbers: StreamNumbers, zero_ns: int) -> list[str]:
    """Return what may hurt though no objective asks for it: all coming back at once, browsers that would not."""
    lines = [limited(numbers)] if numbers.limit else []
    back = numbers.back.count if numbers.back is not None else 0
    if numbers.herd >= HERD_LEAST and numbers.herd >= HERD_SHARE * back:
        lines.append(
            f"{numbers.herd:,} of {back:,} came back within one second, from {at(numbers.herd_ns, zero_ns)} on: a "
            "thundering herd; close streams over some seconds"
        )
    if numbers.given_up:
        lines.append(
            f"{count(numbers.given_up, 'event stream')} met an error status on the way back: a browser's EventSource "
            "gives up for good then (WHATWG HTML 9.2.3), zdtest went on"
        )
    return lines


def _counted(counts: dict[str, int]) -> str:
    shown = ", ".join(f"{name}: {n:,}" for name, n in list(counts.items())[:_SHOWN])
    return shown + (", ..." if len(counts) > _SHOWN else "")
