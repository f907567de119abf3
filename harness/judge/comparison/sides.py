"""A side of a comparison: its runs, and every rollout of them, those that count apart from those that tell nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness import masking
from harness.judge.comparison.rollouts import OneRollout, rollouts_of
from harness.judge.verdict.fieldchanges import fingerprint
from harness.judge.verdict.judgement import judge
from harness.model import without_labs_address

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.judge.verdict.judgement import Judgement
    from harness.model import Grade, RunRecord
    from harness.recording.read import Recording


_ORIGINS = {"local": "outside the cluster", "cluster": "inside the cluster", "both": "outside and inside"}


@dataclass(frozen=True, slots=True)
class OneRun:
    """What must be alike of two runs, if their numbers are to be compared. Unknown texts are empty."""

    folder: str
    began_ns: int  # wall time
    grade: Grade
    headline: str
    format: int  # of the recording
    version: str  # of the zdtest that made it
    loop: str  # "closed" | "open"
    load: str  # "50 connections", "50 connections of 10 streams", "500 requests/s"
    strength: float  # slots of a closed loop, requests a second of an open one
    targets: tuple[str, ...]  # "GET https://..."
    http2: bool
    trigger: str
    workload: str  # "Deployment shop/web"
    replicas: int
    cluster: str  # the server, or "the lab"
    balancers: tuple[str, ...]  # as recognised, the client's side first; () where unknown
    timeout_ns: int
    expect: tuple[tuple[int, int], ...]
    doubts: tuple[str, ...]  # what withheld its PASS
    objects: str  # digest of the live objects that it began with; "" where they were not kept
    requests_per_s: float
    stream: str = ""  # websocket | http, where streams were held
    load_from: str = ""  # "outside the cluster"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A rollout that does not count, and why."""

    run: str
    number: int
    why: str
    rollout: OneRollout


@dataclass(frozen=True, slots=True)
class Side:
    """One side. `manifests` are the live objects with which its first run that kept them began."""

    name: str  # "before" | "after", or the arm's name
    runs: tuple[OneRun, ...]
    rollouts: tuple[OneRollout, ...]  # that count, in order of time
    left_out: tuple[LeftOut, ...] = ()
    manifests: tuple[Mapping[str, Any], ...] = ()

    @property
    def label(self) -> str:
        """Return how sentences call it: BEFORE, AFTER, or the arm's name as it is."""
        return self.name.upper() if self.name in {"before", "after"} else self.name

    @property
    def noun(self) -> str:
        """Return what is sent or held, and lost."""
        return "streams" if any(run.stream for run in self.runs) else "requests"

    @property
    def lost(self) -> tuple[int, ...]:
        """Return the requests that each rollout lost."""
        return tuple(one.lost for one in self.rollouts)

    @property
    def shown(self) -> tuple[OneRollout, ...]:
        """Return the rollouts that a table is made of: those that count, or all where none does."""
        return self.rollouts or tuple(one.rollout for one in self.left_out)

    @property
    def lossy(self) -> int:
        """Return how many rollouts lost any."""
        return sum(one.lost > 0 for one in self.rollouts)


@dataclass(frozen=True, slots=True)
class JudgedRun:
    """A run as it comes into a comparison: its record, its judgement, its live objects, its block."""

    run: RunRecord
    judgement: Judgement
    manifests: tuple[Mapping[str, Any], ...] = ()
    block: int = 0


def judged_run(recording: Recording, block: int = 0) -> JudgedRun:
    """Judge a recording for a comparison. Raises RecordingError if it cannot be read."""
    return JudgedRun(recording.run, judge(recording), tuple(recording.manifests("before")), block)


def side_of(name: str, runs: Iterable[JudgedRun]) -> Side:
    """Put the runs of one side together."""
    ordered = sorted(runs, key=lambda one: (one.run.wall_ns, one.judgement.about.folder))
    every = [
        rollout for one in ordered for rollout in rollouts_of(one.judgement, one.run.wall_ns, block=one.block)
    ]
    every.sort(key=lambda rollout: rollout.began_ns)
    return Side(
        name=name,
        runs=tuple(_run(one) for one in ordered),
        rollouts=tuple(rollout for rollout in every if rollout.counts),
        left_out=tuple(LeftOut(one.run, one.number, one.why_not, one) for one in every if not one.counts),
        manifests=next((one.manifests for one in ordered if one.manifests), ()),
    )


def _run(one: JudgedRun) -> OneRun:
    run, judgement = one.run, one.judgement
    about, cluster = judgement.about, run.cluster
    open_loop = run.rate is not None
    held = "streams" if run.stream else "connections"
    streams = f" of {run.streams} streams" if run.streams > 1 else ""
    return OneRun(
        folder=about.folder,
        began_ns=run.wall_ns,
        grade=judgement.grade,
        headline=judgement.verdict.headline,
        format=run.format,
        version=about.version,
        loop="open" if open_loop else "closed",
        load=f"{run.rate:g} requests/s" if open_loop else f"{run.concurrency:,} {held}{streams}",
        strength=float(run.concurrency * run.streams if run.rate is None else run.rate),
        targets=_targets(run),
        http2=run.http2,
        stream=run.stream,
        trigger=run.rollout.trigger if run.rollout else "",
        workload=about.workload,
        replicas=about.replicas,
        cluster="" if cluster is None else "the lab" if cluster.lab else cluster.server,
        balancers=tuple(
            seen.name
            for seen in (judgement.balancers.seen if judgement.balancers else ())
            if seen.name != "unknown"
        ),
        timeout_ns=run.timeout_ns,
        expect=run.expect,
        doubts=tuple(f.observed for f in judgement.verdict.findings if f.grade == "INCONCLUSIVE"),
        objects=fingerprint(one.manifests),
        requests_per_s=judgement.numbers.rates.mean,
        load_from=_ORIGINS.get(run.load_from, ""),
    )


def _targets(run: RunRecord) -> tuple[str, ...]:
    """Return what was asked for. Each lab has another address, which is none of the target's."""
    each: Sequence[Mapping[str, Any]] = run.targets
    urls = [masking.url(str(one.get("url", "?"))) for one in each]
    if run.cluster and run.cluster.lab:
        urls = list(map(without_labs_address, urls))
    return tuple(f"{one.get('method', 'GET')} {url}" for one, url in zip(each, urls, strict=True))
