"""What a run has for itself while it goes on: its workload, and the balancer that its requests go through. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.scenario.resolve import Resolved

LAB = "the embedded lab"  # one at a time: two would measure each other's use of this machine
_PORTS = {"http": 80, "https": 443}


def shares(resolved: Resolved, said: Sequence[str] = ()) -> tuple[str, ...]:
    """Return what no two runs may use at the same time; `said` is what a suite file adds to that.

    A balancer is the host and port of a URL, and the address that the scenario resolves that host to. Two names of one
    balancer are not recognised.
    """
    found = (LAB,) if resolved.use_lab else (*_workload(resolved), *_balancers(resolved))
    return tuple(dict.fromkeys((*found, *said)))


def workload(resolved: Resolved) -> str:
    """Return the workload as "Deployment shop/web"; "" without any."""
    scenario = resolved.scenario
    if scenario.workload is None:
        return ""
    kind, name = scenario.workload
    return f"{kind} {scenario.namespace or 'default'}/{name}"


def _workload(resolved: Resolved) -> Iterator[str]:
    where = resolved.scenario.cluster.context
    if named := workload(resolved):
        yield f"{named} in {where}" if where else named


def _balancers(resolved: Resolved) -> Iterator[str]:
    urls = [resolved.scenario.target.url, *(one.target.url for one in resolved.listed if not one.is_path)]
    for url in filter(None, urls):
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port or _PORTS.get(parts.scheme, 0)
        yield f"{host}:{port}"
        for name, its_port, address in resolved.scenario.target.resolve:
            if (name, its_port) == (host, port):
                yield f"{address}:{port}"
