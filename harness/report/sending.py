"""The summary's blocks about the load: corrected and raw latency, targets, connections, the generator's own lag."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.judge.wording import count, lasting
from harness.report.summary.layout import wrapped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.judge.numbers.sending import Connections, OpenLoop, Sending, TargetNumbers
    from harness.judge.numbers.summary import Latency

_RANKS = ("50", "75", "90", "95", "99")
_TARGETS = 12
_ENDS = {
    "us end": "by us at the end",
    "us limit": "by us at their limit",
    "us fin": "by us, as the response asked for it",
    "us timeout": "by us after a timeout",
    "us error": "by us after an error",
    "us unasked": "by us after a response that nobody had asked for",
    "peer fin": "by the server",
    "peer goaway": "by the server, by GOAWAY",
    "peer reset": "reset by the server",
    "peer error": "by the server with a TLS error",
    "network timeout": "lost in the network",
    "network error": "lost in the network",
}


def latencies(sent: Sending | None) -> list[str]:
    """Show corrected and raw latency side by side, for a load with a rate."""
    if sent is None or sent.open_loop is None:
        return []
    loop = sent.open_loop
    lines = [
        f"{'Latency at ' + _rate(loop):<36}"
        + "".join(f"{'p' + rank:>9}" for rank in _RANKS)
        + f"{'max':>10}",
        *_row("  corrected (from when it was due)", loop.corrected),
        *_row("  raw (from when it was sent)", loop.raw),
    ]
    counts = f"  {loop.due:,} due: {loop.late:,} sent over 50 ms late"
    if loop.late:
        counts += f" (worst {lasting(loop.late_max_ns)})"
    return [*lines, f"{counts}, {loop.dropped:,} dropped"]


def _rate(loop: OpenLoop) -> str:
    return f"{loop.rate:g} requests/s"


def _row(name: str, latency: Latency | None) -> list[str]:
    if latency is None:
        return [f"{name:<36}" + f"{'-':>9}" * len(_RANKS) + f"{'-':>10}"]
    shown = "".join(f"{lasting(latency.percentiles[rank]):>9}" for rank in _RANKS)
    return [f"{name:<36}{shown}{lasting(latency.max_ns):>10}"]


def targets(sent: Sending | None) -> list[str]:
    """Return a line for each of several targets: those with failures first."""
    if sent is None or not sent.targets:
        return []
    lines = [f"{'Target':<47}{'requests':>11}{'failed':>9}{'p50':>11}{'p99':>11}{'max':>11}"]
    shown = sent.targets[:_TARGETS]
    for row in shown:
        name = row.name if len(row.name) <= 43 else row.name[:20] + "..." + row.name[-20:]
        lines.append(f"  {name:<45}{row.requests:>11,}{row.failed:>9,}{_three(row)}")
        if row.kinds:
            kinds = ", ".join(f"{kind}: {n:,}" for kind, n in row.kinds.items())
            lines += wrapped(kinds, "    ", "    ")
    left = len(sent.targets) - len(shown) + sent.targets_left_out
    return lines + ([f"  ... and {count(left, 'more target')}"] if left else [])


def _three(row: TargetNumbers) -> str:
    latency = row.latency
    if latency is None:
        return f"{'-':>11}" * 3
    values = (latency.percentiles["50"], latency.percentiles["99"], latency.max_ns)
    return "".join(f"{lasting(value):>11}" for value in values)


def samples(sent: Sending | None, kinds: Mapping[str, int]) -> list[str]:
    """Return one raw text for each outcome that failed."""
    if sent is None:
        return []
    texts = [(name, text) for name, text in sent.samples.items() if name in kinds and text]
    return [line for name, text in texts for line in wrapped(f"{name}, for one: {text}", "    ", "      ")]


def pods(sent: Sending | None) -> list[str]:
    """Say how many pods sent the load, and how well their clocks are known."""
    clocks = sent.worker_clocks if sent else ()
    if not clocks:
        return []
    many, nodes = len({one.pod for one in clocks}), len({one.node for one in clocks})
    off = max((abs(one.offset_ns) for one in clocks), default=0)
    text = (
        f"{count(many, 'pod')} on {count(nodes, 'node')}, {count(len(clocks), 'worker')}; the last began "
        f"{lasting(max(one.late_ns for one in clocks))} late; their moments are true to within "
        f"{lasting(max(one.uncertainty_ns for one in clocks))} (their wall clocks were up to {lasting(off)} off)"
    )
    return wrapped(text, f"{'Sent from':<14}", " " * 14)


def connections(sent: Sending | None) -> list[str]:
    """Return how many connections there were, how long they took to open, and who closed them."""
    if sent is None:
        return []
    if sent.connections is None:
        return [f"{'Connections':<14}unknown: {lost}" for lost in _of_lost(sent)]
    found = sent.connections
    opened = f"{count(found.opened)} opened to {count(len(found.peers), 'address', 'addresses')}"
    if found.hits:
        opened += f", {count(found.hits, 'request')} each (median)"
    if found.connect_ns is not None:
        opened += f"; {lasting(found.connect_ns)} to connect"
    if found.tls_ns is not None:
        opened += f", {lasting(found.tls_ns)} for {' and '.join(found.tls_versions)}"
    lines = wrapped(opened, f"{'Connections':<14}", " " * 14)
    lines += wrapped(_ended(found), f"{'  closed':<14}", " " * 14)
    if len(found.peers) > 1:
        spread = ", ".join(f"{peer}: {n:,}" for peer, n in list(found.peers.items())[:6])
        more = f", ... {len(found.peers) - 6} more" if len(found.peers) > 6 else ""
        lines += wrapped(spread + more, f"{'  to':<14}", " " * 14)
    if found.refused:
        lines.append(f"{'  not opened':<14}{found.refused:,}")
    lines += [f"{'  unknown':<14}{lost}" for lost in _of_lost(sent)]
    if sent.backed_off:
        waits = (
            f"{count(sent.backed_off, 'time')} a connection waited after a failed request, so "
            "that fast failures do not raise the rate"
        )
        lines += wrapped(f"{waits} (--error-backoff 0 turns it off)", f"{'Back-off':<14}", " " * 14)
    return lines


def _of_lost(sent: Sending) -> list[str]:
    """Say which workers' connections are missing: a row is written on close, and a lost worker closes none."""
    lost = sent.workers_lost
    if not lost:
        return []
    numbers = ", ".join(map(str, lost))
    who, when = (f"worker {numbers}", "it was") if len(lost) == 1 else (f"workers {numbers}", "they were")
    return [f"those that {who} had open when {when} lost"]


def _ended(found: Connections) -> str:
    return ", ".join(f"{n:,} {_ENDS.get(end, end)}" for end, n in found.ends.items()) or "none"


def stalls(sent: Sending | None) -> list[str]:
    """Name the seconds in which the generator itself was late."""
    found = sent.stalled_seconds if sent else {}
    if not found:
        return []
    worst = sorted(found.items(), key=lambda item: -item[1])[:8]
    late = ", ".join(f"{second:+d} ({lasting(lag)})" for second, lag in sorted(worst))
    more = f", ... {len(found) - len(worst)} more" if len(found) > len(worst) else ""
    text = (
        f"{count(len(found), 'second')} in which the generator itself was over 50 ms late: "
        f"{late}{more}; latencies in them are partly its own delay"
    )
    return wrapped(text, f"{'Own stalls':<14}", " " * 14)


def cost(sent: Sending | None) -> list[str]:
    """Say what a request over HTTP/2 cost the generator, and how late it was with it."""
    if sent is None or sent.protocol == "HTTP/1.1" or sent.cpu_ns_per_request is None:
        return []
    text = (
        f"a request took {lasting(sent.cpu_ns_per_request)} "
        "of the generator's processor time, and its own lag was "
        f"{lasting(sent.lag_p99_ns or 0)} (p99 of the worst second)"
    )
    return wrapped(text, f"{sent.protocol:<14}", " " * 14)
