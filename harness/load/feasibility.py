"""Check before the load whether this host can carry out a plan: what cannot work, and what may not work."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UsageError
from harness.load.dial import tls_context
from harness.load.request import prepare

if TYPE_CHECKING:
    from harness.model import LoadPlan

_MOST_SLOTS = 65_535  # which a row can tell apart
_OWN_FILES = 64  # descriptors of a worker besides its connections
_HELD_S = 60  # how long the port of a connection that we closed stays in use


def check(plan: LoadPlan) -> None:
    """Raise UsageError if this host cannot send the requests, set up TLS, or hold so many connections."""
    for index, target in enumerate(plan.targets):
        prepare(index, target)
    tls_context(plan)
    workers = max(1, min(plan.workers, plan.concurrency))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = -(-plan.concurrency // workers) + _OWN_FILES
    if hard != resource.RLIM_INFINITY and wanted > hard:
        raise UsageError(
            f"{plan.concurrency} connections need {wanted} open files in each of {workers} workers, "
            f"but the hard limit is {hard}: "
            "raise it (ulimit -Hn), or use more workers or fewer connections"
        )
    if plan.slots > _MOST_SLOTS:
        raise UsageError(
            f"{plan.slots} requests at a time are more than {_MOST_SLOTS}: lower --streams or -c"
        )
    if plan.streams > 1 and len({prepare(0, target).origin for target in plan.targets}) > 1:
        raise UsageError(
            "--streams shares each connection, so all targets must be on one host; drop --streams"
        )
    if plan.concurrency > (ports := _local_ports()):
        raise UsageError(
            f"{plan.concurrency} connections are more than this host can open to one address: it has {ports} ports "
            "(net.ipv4.ip_local_port_range); lower -c"
        )


def warnings(plan: LoadPlan) -> tuple[str, ...]:
    """Return what may go wrong on this host, one line each."""
    carried = (
        1 if not plan.keepalive else 3 * plan.conn_max_hits / 4
    )  # limits are drawn between half of the number and all of it
    if plan.rate is None or not carried:
        return ()
    fresh, ports = plan.rate / carried, _local_ports()
    if fresh * _HELD_S <= ports:
        return ()
    warning = (
        f"{plan.rate:g} requests/s at {carried:g} per connection open {fresh:,.0f} connections/s; each that we close "
        f"keeps its port for {_HELD_S} s, so this host may run out of its {ports:,} ports (no_local_port)"
    )
    return (warning,)


def _local_ports() -> int:
    try:
        first, last = map(
            int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()
        )
    except (OSError, ValueError):
        return 65_535
    return last - first + 1
