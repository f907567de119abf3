"""The cells of the matrix on a real Kubernetes: each balancer x each fault, from the labelled scenarios.

A cell is small (10 connections, under a minute), since there are many of them. Those that matter most come first.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.judge.causes.matching import NOT_THE_ROLLOUT, UNEXPLAINED
from tests.bench.real import servers

if TYPE_CHECKING:
    from collections.abc import Iterator

SCENARIOS = Path(__file__).parents[2] / "scenarios"
PROXIES = ("envoy", "haproxy", "caddy", "nginx", "nginx-reload", "apache")
THREE = ("nginx", "envoy", "haproxy")  # behind which real servers are tried
SMALL = ("-c", "10", "-d", "25s", "--trigger-after", "5s", "--settle", "6s")
CLEAN = "clean"
# Those that take a change of the endpoints by a reload, or a new configuration: they close clients' connections then.
RELOADING = frozenset({"nginx-reload", "caddy", "apache"})
# What a pod does as it comes; all else it does as it goes.
_STARTS = frozenset({"A1", "A2"})
_NOT_TAKEN = ("UF", "SC", "sC")  # Envoy's flags and HAProxy's states of a connection that was not made
_TAKEN = ("UC", "UPE", "SH", "SD")  # ... and of one that broke with the request on it
_IN_FLIGHT = frozenset({"B2", "B4"})


@dataclass(frozen=True, slots=True)
class Row:
    """One fault (or none), behind whichever balancer.

    `true` are the causes that a lost request of this cell may truly have: the label, and what the same fault becomes
    a moment later (a request in flight when an app exits at once is B2; one sent to a pod that is gone is C6).
    """

    name: str
    label: str
    scenario: str
    true: frozenset[str]
    options: tuple[str, ...] = ()
    load: tuple[str, ...] = SMALL
    kind: str = "Deployment"
    lag_s: float | None = None
    server: servers.Server | None = None
    prestop_s: int = 0
    proxies: tuple[str, ...] = PROXIES

    @property
    def folder(self) -> Path:
        """Where the scenario lies, if it is a shipped one."""
        return SCENARIOS / self.scenario

    @contextmanager
    def opened(self) -> Iterator[Path]:
        """Yield the scenario's folder; a real server's is written for as long as it is wanted."""
        if self.server is None:
            yield self.folder
            return
        servers.installed()
        with tempfile.TemporaryDirectory(prefix="zdtest-server-") as scratch:
            yield servers.written(self.server, self.prestop_s, Path(scratch) / self.name)


def _row(name: str, scenario: str, *also: str, **rest: object) -> Row:
    label = CLEAN if scenario.startswith("clean/") else scenario.partition("/")[2].partition("-")[0]
    return Row(
        name,
        label,
        scenario,
        frozenset({label, *also} - {CLEAN}),
        **rest,  # type: ignore[arg-type]  # Row's own
    )


# In the order of what they are worth.
ROWS = (
    _row("B1", "faults/B1-no-prestop", "C6"),
    _row("C1", "faults/C1-lag-outlasts-prestop", "C6", lag_s=4),
    _row("A1", "faults/A1-no-readiness-probe", lag_s=0),
    _row("clean", "clean/prestop", lag_s=0),
    _row("B1-exit", "faults/B1-exit-at-once", "B2", "C6"),
    _row("B2", "faults/B2-no-drain"),
    _row("StatefulSet", "faults/B1-exit-at-once", "B2", "C6", kind="StatefulSet"),
    _row("B6", "faults/B6-no-shell", "C6"),
    _row("A2", "faults/A2-probe-too-shallow"),
    _row("POST", "faults/B1-no-prestop", "C6", options=("--method", "POST", "--body", "x")),
    _row("B4", "faults/B4-grace-too-short"),
    _row("B5", "faults/B5-prestop-outlasts-grace"),
    _row("C6", "faults/C6-dead-address", "B1", "B2"),
    _row("D1", "faults/D1-one-replica"),
    _row("D3", "faults/D3-recreate"),
    _row("clean-waits", "clean/app-waits", lag_s=0),
)


def _server(name: str, label: str, *also: str, prestop_s: int = 0) -> Row:
    # 0.6 s of lag in all: what a preStop of 3 s covers, and no preStop does not.
    of = servers.SERVERS[name.removesuffix("-prestop")]
    true = frozenset({label, *also} - {CLEAN})
    return Row(name, label, "", true, server=of, prestop_s=prestop_s, proxies=THREE)


# What a lost request may truly have met follows from what the server does on SIGTERM (servers.py): uvicorn drains;
# gunicorn's listener takes connections that nobody reads, and drops them as it ends; node ends at once.
SERVER_ROWS = (
    _server("uvicorn", "B1", "C6"),
    _server("gunicorn", "B1", "B2", "C6"),
    _server("node", "B1", "B2", "C6"),
    _server("uvicorn-prestop", CLEAN, prestop_s=3),
    _server("gunicorn-prestop", CLEAN, prestop_s=3),
    _server("node-prestop", CLEAN, prestop_s=3),
    _server(
        "node-first", CLEAN
    ),  # not touched by SIGTERM, and let go of by the balancer long before it is killed
)
# Published cases, with the load that they were published with (docs/cases.md); behind the balancer that comes next to
# the one they were seen behind.
CASE_ROWS = tuple(
    _row(folder, f"cases/{folder}", *also, proxies=(proxy,), load=())
    for folder, proxy, also in (
        ("B1-ingress-gce-769", "nginx", ("C6",)),
        ("C1-open-vsx-12422", "nginx", ("C6",)),
        ("B1-istio-12183", "envoy", ("B2", "C6")),
        ("D1-kuberay-3166", "envoy", ()),
    )
)


@dataclass(frozen=True, slots=True)
class Lost:
    """What the proxy's own log says of one failed hit, and what the client saw.

    `old`: whether the pod that it was sent to is one that the rollout ended; None where the log names none. `said`:
    the proxy's reason in its own words, "" where it gives none. `quick`: it took less than a timeout does.
    """

    answered: bool
    quick: bool = False
    said: str = ""
    old: bool | None = None
    logged: bool = True


def truth(row: Row, proxy: str, seen: Lost) -> frozenset[str]:
    """Return the causes that a failed hit may truly have; none where the witnesses do not fit together."""
    if not seen.answered and proxy in RELOADING:
        # Apache also closes without an answer where a pod failed it; the others do so only by themselves.
        return frozenset({"C8"}) | (row.true if proxy == "apache" else frozenset())
    true = row.true
    if row.label == CLEAN:
        return frozenset({NOT_THE_ROLLOUT, UNEXPLAINED})
    if seen.old is not None and true & _STARTS:
        true = true - _STARTS if seen.old else true & _STARTS
    elif seen.old is False and row.kind == "Deployment":
        return frozenset()
    # Envoy lets requests wait for one connection together: those that came last are told of its timeout soon.
    if seen.quick and proxy != "envoy":
        true -= {"C6"}
    if seen.said.startswith(_NOT_TAKEN):
        true -= _IN_FLIGHT
    elif seen.said.startswith(_TAKEN):
        true -= {"C6"}
    return true
