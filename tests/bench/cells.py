"""The cells of the matrix on a real Kubernetes: each balancer x each fault, from the labelled scenarios.

A cell is small (10 connections, under a minute), since there are many of them. Those that matter most come first.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.judge.causes.matching import NOT_THE_ROLLOUT, UNEXPLAINED

SCENARIOS = Path(__file__).parents[2] / "scenarios"
PROXIES = ("envoy", "haproxy", "caddy", "nginx", "nginx-reload", "apache")
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
    kind: str = "Deployment"
    lag_s: float | None = None

    @property
    def folder(self) -> Path:
        """Where the scenario lies."""
        return SCENARIOS / self.scenario


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
