"""Run directories with known answers: a small simulated rollout, written by the real writer.

The simulation is physics, not the judge turned round: a closed loop of slots sends to whatever the data plane
(which lags behind the endpoints) believes to be there, and what happens depends on the pod's process alone.
Times are seconds from the trigger.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from harness.model import (
    NEVER,
    OUTCOME_CODE,
    ClusterEvent,
    ClusterFacts,
    HealthSample,
    Mark,
    MarkAt,
    Outcome,
    PathProof,
    PodRef,
    RolloutFacts,
    RunRecord,
    WatchGap,
)
from harness.recording import answers
from harness.recording.answers import Answer
from harness.recording.write import HIT_SCHEMA, LATER, OUTCOME_NAMES, ArrowStream, JsonLines, RunDirectory

if TYPE_CHECKING:
    from pathlib import Path

S = 1_000_000_000
TRIGGER = 12.0  # on the run clock
WALL = datetime(2026, 11, 25, 14, 2, 11, 345_000, tzinfo=UTC)
_RESTARTS = 0.5  # from the end of a process to the start of the next
HASHES = {True: "6d9f7c8b54", False: "7f5b9d6c88"}


@dataclass
class FakePod:
    name: str
    old: bool
    created: float = -900.0
    started: float = -899.0
    listens: float = -897.0
    ready: float = -896.0
    enters: float = -896.0
    deleted: float | None = None
    leaves: float | None = None
    term: float | None = None
    exits: float | None = None
    code: int = 0
    gone: float | None = None
    probe: bool = True
    prestop: int = 0
    grace: int = 30
    drains: bool = False
    address: str = ""
    hook_failed: str = ""
    # When its process ended, and when the next one was ready and an endpoint; when it was not ready for a while.
    crashes: tuple[tuple[float, float], ...] = ()
    flaps: tuple[tuple[float, float], ...] = ()
    crash_seen_late: bool = False  # the watch shows a crash only once the next process runs
    crashed_with: tuple[int, str] = (1, "Error")
    crash_noted: tuple[tuple[str, str], ...] = ()  # Events about the first of them: (reason, message)
    exit_told: bool = True  # a busy kubelet may never report it, and the pod may be listed for long after it

    @property
    def uid(self) -> str:
        return f"uid-{self.name}"

    def served(self, t: float) -> bool:
        """Whether it is a ready endpoint."""
        away = any(left <= t < back for left, back in self.absences)
        return self.enters <= t and (self.leaves is None or t < self.leaves) and not away

    @property
    def absences(self) -> tuple[tuple[float, float], ...]:
        """When it was no ready endpoint though it was not being deleted; a slice hears of a crash 0.1 s late."""
        late = 0.1 + _RESTARTS if self.crash_seen_late else 0.1
        return (*((ended + late, back) for ended, back in self.crashes), *self.flaps)


@dataclass
class Simulated:
    """What one simulation gave, kept because many tests want the very same."""

    rows: list[dict[str, Any]]
    truth: dict[str, int]
    arrow: bytes = b""
    answers: bytes = b""


_SIMULATED: dict[str, Simulated] = {}


@dataclass
class SyntheticRun:
    """What to invent. Change fields, then write."""

    pods: list[FakePod] = field(default_factory=list)
    concurrency: int = 10
    work: float = 0.04
    slow: float = 0.0  # every 50th request takes this long
    lag: float = 1.0
    names_pods: bool = True  # answers carry the pod's name
    dead_is_silent: bool = False
    before: float = 10.0
    settle: float = 5.0
    load_after: float | None = None  # when the load ended, if not settled
    noise: float = 0.0  # share of 502 that has nothing to do with pods
    strategy: str = "RollingUpdate"
    seed: int = 1
    methods: tuple[str, ...] = ("GET",)
    beside: tuple[dict[str, Any], ...] = ()  # containers that stand before the app's
    services: tuple[dict[str, Any], ...] = ()
    # What failed answers said, by the cause in `truth` ("B1", "cut", "noise") or by the status as text ("502").
    said: dict[str, Answer] = field(default_factory=dict)
    identity: tuple[Answer, ...] = ()  # good answers that tell who answers; write Answer(..., good=True)
    direct: bool = False  # no balancer: connections go to pods, failures are refused and reset
    record: dict[str, Any] = field(default_factory=dict)
    gaps: list[WatchGap] = field(default_factory=list)
    truth: dict[str, int] = field(default_factory=dict)
    lag_p99: float = 0.001
    health: bool = True
    server_skew: float = 0.0
    node_skew: float | None = None  # of the kubelets' clocks; None: as the API server's

    # --- the rollout ------------------------------------------------------------------------------------

    @classmethod
    def rolling(
        cls,
        replicas: int = 3,
        *,
        startup: float = 2.0,
        probe: bool = True,
        prestop: int = 0,
        grace: int = 30,
        drains: bool = False,
        deaf: bool = False,
        recreate: bool = False,
        **rest: Any,
    ) -> SyntheticRun:
        """A rolling update, one pod at a time (or Recreate), as the real controllers order it."""
        found: list[FakePod] = []
        olds = [FakePod(f"web-{HASHES[True]}-{_word(i)}", old=True) for i in range(replicas)]
        made = 0.15
        for index in range(replicas):
            new = FakePod(f"web-{HASHES[False]}-{_word(50 + index)}", old=False, created=made)
            new.started = made + 0.8
            new.listens = new.started + startup
            new.ready = new.listens + 0.6 if probe else new.started + 0.1
            new.enters = new.ready + 0.05
            found.append(new)
            olds[index].deleted = 0.1 if recreate else new.ready + 0.12
            made = made if recreate else new.ready + 0.15
        for pod in [*olds, *found]:
            pod.probe, pod.prestop, pod.grace, pod.drains = probe, prestop, grace, drains
            pod.address = f"10.1.0.{10 + len(pod.name) + (olds + found).index(pod)}"
        for pod in olds:
            end(pod, deaf=deaf)
        if recreate:
            shift = max(pod.gone or 0.0 for pod in olds)
            for pod in found:
                for name in ("created", "started", "listens", "ready", "enters"):
                    setattr(pod, name, getattr(pod, name) + shift)
        return cls(pods=olds + found, strategy="Recreate" if recreate else "RollingUpdate", **rest)

    # --- the run directory ------------------------------------------------------------------------------

    def write(self, root: Path) -> Path:
        """Write the run directory and return its path."""
        simulated = self._simulated()
        with RunDirectory.create(root, "web", WALL) as directory:
            for event in self.events():
                directory.event(event)
            for gap in self.gaps:
                directory.gap(gap)
            if self.health:
                ended = Counter(row["done_ns"] // S for row in simulated.rows)
                for second in range(int(TRIGGER + self.ended)):
                    lag = int(self.lag_p99 * S)
                    done = ended[second]
                    sample = HealthSample((second + 1) * S, 0, done, done, 0, 10, 0, lag, lag, S // 10, 40)
                    directory.health(sample)
            directory.manifests("before", [self.deployment(), *self.services])
            directory.manifests("after", [self.deployment(), *self.services])
            arrow, lines = directory.path / "hits" / "0.arrow", directory.path / "answers" / "0.jsonl"
            if not simulated.arrow:
                write_hits(arrow, simulated.rows, identity=self.identity)
                simulated.arrow = arrow.read_bytes()
                simulated.answers = lines.read_bytes() if lines.exists() else b""
            arrow.write_bytes(simulated.arrow)
            if simulated.answers:
                lines.write_bytes(simulated.answers)
            directory.run(self.run())
            return directory.path

    @property
    def rolled(self) -> float:
        """When the last old pod was gone and the endpoints were settled."""
        moments = [pod.gone or 0.0 for pod in self.pods if pod.old] + [pod.enters for pod in self.pods]
        return max(moments, default=10.0) + 0.1

    @property
    def ended(self) -> float:
        """When the load ended."""
        return self.load_after if self.load_after is not None else self.rolled + self.settle

    def run(self) -> RunRecord:
        marks = [
            (Mark.LOAD_START, 0.0),
            (Mark.WARMUP_END, 2.0),
            (Mark.TRIGGER, TRIGGER),
            (Mark.ROLLOUT_DONE, TRIGGER + max((p.ready for p in self.pods), default=5.0)),
            (Mark.OLD_PODS_GONE, TRIGGER + self.rolled - 0.1),
            (Mark.ENDPOINTS_SETTLED, TRIGGER + self.rolled),
            (Mark.SETTLED, TRIGGER + self.rolled + self.settle),
            (Mark.LOAD_END, TRIGGER + self.ended),
            (Mark.DRAIN_END, TRIGGER + self.ended + 0.2),
        ]
        record = RunRecord(
            format=1,
            state="complete",
            ended_by="settled",
            name="web",
            source="flags",
            command=("zdtest", "run", "http://127.0.0.1:8088/", "--deployment", "web"),
            versions={"zdtest": "0.1.0", "python": "3.11.7"},
            host={"name": "loadhost"},
            wall_ns=round(WALL.timestamp() * S),
            monotonic_ns=77 * S,
            scenario={},
            targets=tuple({"method": method, "url": "http://127.0.0.1:8088/"} for method in self.methods),
            concurrency=self.concurrency,
            workers=1,
            expect=((200, 299),),
            timeout_ns=65 * S,
            stalled_ns=5 * S,
            settle_ns=round(self.settle * S),
            max_baseline_failures=0.001,
            rollout_wanted=True,
            marks=tuple(MarkAt(mark, round(t * S)) for mark, t in marks),
            cluster=ClusterFacts("https://127.0.0.1:6443", "test", "shop", "Deployment", "web", "uid-web", "v1.30.2",
                                 "admin", services=("web",)),
            path=PathProof(proven=True, how="Service web selects the workload's pods and the target is it"),
            rollout=RolloutFacts(
                "restart", {}, "complete", "NewReplicaSetAvailable", HASHES[True], HASHES[False],
                tuple(PodRef(pod.name, pod.uid) for pod in self.pods if pod.old), sum(pod.old for pod in self.pods),
            ),
        )  # fmt: skip
        return replace(record, **self.record)

    def deployment(self) -> dict[str, Any]:
        pod = self.pods[0] if self.pods else FakePod("none", old=True)
        return {
            "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {
                "replicas": 3,
                "strategy": {"type": self.strategy},
                "template": {"spec": self._pod_spec(pod)},
            },
        }

    def _pod_spec(self, pod: FakePod) -> dict[str, Any]:
        found = pod_spec(pod)
        return {**found, "containers": [*self.beside, *found["containers"]]}

    def events(self) -> list[ClusterEvent]:
        found: list[ClusterEvent] = []
        for pod in self.pods:
            found += self._pod_events(pod)
        edges = {0.0 - TRIGGER} | {
            t
            for p in self.pods
            for t in (
                p.enters,
                p.leaves,
                p.gone,
                *(t for absence in p.absences for t in absence),
            )
            if t is not None and t > -TRIGGER
        }
        for index, t in enumerate(sorted(edges)):
            inside = [
                p for p in self.pods if p.created <= t and p.enters <= t and (p.gone is None or t < p.gone)
            ]
            slice_ = {
                "metadata": {
                    "name": "web-abc",
                    "namespace": "shop",
                    "labels": {"kubernetes.io/service-name": "web"},
                },
                "endpoints": [
                    {
                        "addresses": [p.address],
                        "conditions": {
                            "ready": p.served(t),
                            "terminating": p.leaves is not None and t >= p.leaves,
                        },
                        "targetRef": {"kind": "Pod", "name": p.name, "uid": p.uid},
                    }
                    for p in inside
                ],
            }
            found.append(
                event(t, "MODIFIED" if index else "LISTED", "EndpointSlice", "web-abc", "uid-slice", slice_)
            )
        return sorted(found, key=lambda e: e.t_ns)

    def _pod_events(self, pod: FakePod) -> list[ClusterEvent]:  # noqa: C901  a list of moments, flat
        def stamp(t: float) -> str:
            moment = WALL + timedelta(seconds=TRIGGER + t + self.server_skew)
            return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

        def local(t: float) -> str:
            own = self.server_skew if self.node_skew is None else self.node_skew
            return stamp(t - self.server_skew + own)

        def seen(t: float) -> dict[str, Any]:
            meta: dict[str, Any] = {
                "name": pod.name, "namespace": "shop", "uid": pod.uid, "creationTimestamp": stamp(pod.created),
                "labels": {"app": "web", "pod-template-hash": HASHES[pod.old]},
                "ownerReferences": [{"kind": "ReplicaSet", "uid": f"uid-rs-{HASHES[pod.old]}"}],
            }  # fmt: skip
            if pod.deleted is not None and t >= pod.deleted:
                meta |= {
                    "deletionTimestamp": stamp(pod.deleted + pod.grace),
                    "deletionGracePeriodSeconds": pod.grace,
                }
            state: dict[str, Any] = {"waiting": {"reason": "ContainerCreating"}}
            if pod.exits is not None and t >= pod.exits and pod.exit_told:
                state = {"terminated": {"exitCode": pod.code, "reason": "Error" if pod.code else "Completed",
                                        "startedAt": local(pod.started), "finishedAt": local(pod.exits)}}  # fmt: skip
            elif t >= pod.started:
                state = {"running": {"startedAt": local(pod.started)}}
            down = [ended for ended, _ in pod.crashes if ended <= t]
            last: dict[str, Any] = {}
            if down and state.get("running"):
                code, reason = pod.crashed_with
                last = {"terminated": {"exitCode": code, "reason": reason, "finishedAt": local(down[-1])}}
                again = down[-1] + _RESTARTS
                state = last if t < again else {"running": {"startedAt": local(again)}}
            ready = t >= pod.ready and (pod.exits is None or t < pod.exits)
            ready = ready and not any(left <= t < back for left, back in (*pod.crashes, *pod.flaps))
            return {
                "metadata": meta,
                "spec": {"nodeName": "node-1", **self._pod_spec(pod)},
                "status": {
                    "phase": "Running",
                    "podIP": pod.address if t >= pod.started else "",
                    "conditions": [
                        {
                            "type": "Ready",
                            "status": str(ready),
                            "lastTransitionTime": local(pod.ready if t >= pod.ready else pod.created),
                        }
                    ],
                    "containerStatuses": [
                        {
                            "name": "web",
                            "ready": ready,
                            "restartCount": len(down),
                            "state": state,
                            "lastState": last,
                        }
                    ],
                },
            }

        moments = [pod.created, pod.started + 0.3, pod.ready]
        for ended, back in pod.crashes:
            moments += [*([] if pod.crash_seen_late else [ended + 0.05]), ended + _RESTARTS + 0.05, back]
        moments += [t for flap in pod.flaps for t in flap]
        if pod.deleted is not None and pod.exits is not None and pod.gone is not None:
            moments += [pod.deleted, max(pod.exits, pod.gone - 0.05)]
        found = [event(t, "MODIFIED", "Pod", pod.name, pod.uid, seen(t)) for t in moments if t > -TRIGGER]
        if pod.created <= -TRIGGER:
            found.insert(0, event(-TRIGGER, "LISTED", "Pod", pod.name, pod.uid, seen(-TRIGGER)))
        else:
            found[0] = replace(found[0], change="ADDED")
        if pod.gone is not None:
            found.append(event(pod.gone, "DELETED", "Pod", pod.name, pod.uid, seen(pod.gone)))
        about = {"involvedObject": {"kind": "Pod", "name": pod.name, "uid": pod.uid}, "type": "Normal"}
        for number, (reason, message) in enumerate(pod.crash_noted):
            note = about | {"reason": reason, "message": message, "firstTimestamp": stamp(pod.crashes[0][0])}
            found.append(
                event(
                    pod.crashes[0][0],
                    "ADDED",
                    "Event",
                    f"{pod.name}.{number}",
                    f"uid-{number}-{pod.name}",
                    note,
                )
            )
        if pod.deleted is not None:
            killing = about | {
                "reason": "Killing",
                "message": "Stopping container web",
                "firstTimestamp": stamp(pod.deleted),
            }
            found.append(
                event(pod.deleted + 0.05, "ADDED", "Event", f"{pod.name}.k", f"uid-k-{pod.name}", killing)
            )
            if pod.hook_failed:
                failed = about | {
                    "reason": "FailedPreStopHook",
                    "message": pod.hook_failed,
                    "firstTimestamp": stamp(pod.deleted),
                }
                found.append(
                    event(pod.deleted + 0.1, "ADDED", "Event", f"{pod.name}.h", f"uid-h-{pod.name}", failed)
                )
        return found

    # --- the load ---------------------------------------------------------------------------------------

    def hits(self) -> list[dict[str, Any]]:
        """Return the rows of the closed loop in the order in which hits ended: copies, free to change."""
        return [dict(row) for row in self._simulated().rows]

    def _simulated(self) -> Simulated:
        key = repr(
            replace(
                self, record={}, gaps=[], truth={}, lag_p99=0.0, health=True, server_skew=0.0, node_skew=None
            )
        )
        if key not in _SIMULATED:
            self.truth.clear()
            _SIMULATED[key] = Simulated(self._simulate(), dict(self.truth))
        self.truth.update(_SIMULATED[key].truth)
        return _SIMULATED[key]

    def _simulate(self) -> list[dict[str, Any]]:
        chance = random.Random(self.seed)
        rows: list[dict[str, Any]] = []
        slots = [(-TRIGGER + chance.random() * self.work, slot) for slot in range(self.concurrency)]
        heapq.heapify(slots)
        carried = dict.fromkeys(range(self.concurrency), 0)
        turn = 0
        ended = self.ended
        while slots:
            t, slot = heapq.heappop(slots)
            if t >= ended:
                continue
            turn += 1
            took, status, outcome, pod, cause, byte = self._answer(t, turn, chance)
            if cause:
                self.truth[cause] = self.truth.get(cause, 0) + 1
            name = pod.name if pod and self.names_pods and status == 200 else ""
            rows.append({
                "seq": turn, "slot": slot, "conn": slot, "conn_hits": carried[slot],
                "due_ns": round((TRIGGER + t) * S), "sent_ns": round((TRIGGER + t) * S),
                "first_byte_ns": round((TRIGGER + t + took) * S) if byte else NEVER,
                "done_ns": round((TRIGGER + t + took) * S), "status": status, "outcome": outcome,
                "bytes_in": 120 if byte else 0, "bytes_out": 60, "target": turn % len(self.methods),
                "peer": f"{pod.address}:8080" if self.direct and pod else "127.0.0.1:8088", "pod": name,
                "answer": ((self.said.get(cause) or self.said.get(str(status)) or answers.NONE) if cause and byte
                           else answers.NONE),
            })  # fmt: skip
            carried[slot] = carried[slot] + 1 if outcome is Outcome.RESPONSE else 0
            heapq.heappush(slots, (t + max(took, self.work if status != 200 else 0.0), slot))
        return sorted(rows, key=lambda row: row["done_ns"])

    def _answer(  # noqa: C901, PLR0911  one exit per thing that can happen to a request
        self, t: float, turn: int, chance: random.Random
    ) -> tuple[float, int, Outcome, FakePod | None, str, bool]:
        quick = 0.001 + chance.random() * 0.002

        def refused(pod: FakePod | None, cause: str) -> tuple[float, int, Outcome, FakePod | None, str, bool]:
            if self.direct:
                return quick, 0, Outcome.CONNECT_REFUSED, pod, cause, False
            return quick, 502, Outcome.RESPONSE, pod, cause, True

        if chance.random() < self.noise:
            return refused(None, "noise")
        seen = t - self.lag
        known = [p for p in self.pods if p.served(seen)]
        if not known:
            return quick, 503, Outcome.RESPONSE, None, "D9", True
        pod = known[turn % len(known)]
        if t < pod.listens:
            return refused(pod, "A1")
        if any(ended <= t < back for ended, back in pod.crashes):
            return refused(pod, "crashed")
        if pod.exits is not None and t >= pod.exits:
            if self.dead_is_silent:
                return 3.0, 504, Outcome.RESPONSE, pod, "C6", True
            return refused(pod, "B1")
        took = self.work * (0.8 + 0.4 * chance.random())
        if self.slow and turn % 50 == 0:
            took = self.slow
        if pod.exits is not None and t + took > pod.exits:
            if self.direct:
                return pod.exits - t, 0, Outcome.RESET_BEFORE_RESPONSE, pod, "cut", False
            return pod.exits - t + 0.001, 502, Outcome.RESPONSE, pod, "cut", True
        return took, 200, Outcome.RESPONSE, pod, "", True


def end(pod: FakePod, *, deaf: bool = False) -> None:
    """Work out a pod's end from its deletion, as the kubelet does it."""
    if pod.deleted is None:
        return
    pod.leaves = pod.deleted + 0.05
    pod.term = pod.deleted + 0.05 + min(pod.prestop, pod.grace)
    killed = pod.deleted + 0.05 + pod.grace
    if pod.prestop >= pod.grace:
        pod.exits, pod.code = killed + 2.0, 137
        pod.hook_failed = (
            'Exec lifecycle hook ([/bin/sh -c sleep]) failed - error: command exited with 137: , message: ""'
        )
    elif deaf:
        pod.exits, pod.code = killed, 137
    elif pod.drains:
        pod.exits = min(pod.term + 3.0, killed)
    else:
        pod.exits, pod.code = pod.term + 0.02, 0
    pod.gone = pod.exits + 0.6


def pod_spec(pod: FakePod) -> dict[str, Any]:
    container: dict[str, Any] = {"name": "web", "image": "web:1", "ports": [{"containerPort": 8080}]}
    if pod.probe:
        container["readinessProbe"] = {"httpGet": {"path": "/alive", "port": 8080}, "periodSeconds": 1}
    if pod.prestop:
        container["lifecycle"] = {"preStop": {"exec": {"command": ["/bin/sh", "-c", f"sleep {pod.prestop}"]}}}
    return {"terminationGracePeriodSeconds": pod.grace, "containers": [container]}


def event(t: float, change: str, kind: str, name: str, uid: str, thing: dict[str, Any]) -> ClusterEvent:
    return ClusterEvent(round((TRIGGER + t) * S), change, kind, "shop", name, uid, thing)


def write_hits(
    path: Path, rows: list[dict[str, Any]], batch: int = 1000, identity: tuple[Answer, ...] = ()
) -> None:
    """Write rows as a worker does: batches, dictionaries that grow.

    A row's "answer" may be an Answer: it goes to answers/<worker>.jsonl beside the folder of the hits, once, and the
    row points to it. So do good answers that tell who answers.
    """
    path.unlink(missing_ok=True)
    rows = write_answers(path.parent.parent / answers.FOLDER / f"{path.stem}.jsonl", rows, identity)
    stream = ArrowStream(path, HIT_SCHEMA, int(path.stem))
    words: dict[str, dict[str, int]] = {"peer": {}, "pod": {}}
    columns = {column.name: _column(rows, column) for column in HIT_SCHEMA}
    for start in range(0, len(rows), batch):
        arrays: list[pa.Array] = []
        for name, values in columns.items():
            some = values[start : start + batch]
            if name in words:
                known = words[name]
                codes = pa.array([known.setdefault(value, len(known)) for value in some], pa.int32())
                some = pa.DictionaryArray.from_arrays(codes, pa.array(list(known), pa.string()))
            arrays.append(some)
        stream.append(arrays)
    stream.close()


def _column(rows: list[dict[str, Any]], column: pa.Field) -> Any:
    """Return all of a column at once, which is much faster than by batches; as a list where its dictionary grows."""
    name = column.name
    try:
        values = list(map(itemgetter(name), rows))
    except KeyError:  # a file of an older zdtest, or rows that leave out what is as usual
        values = [row.get(name, LATER.get(name)) for row in rows]
    if name == "outcome":
        codes = pa.array(np.array([OUTCOME_CODE[value] for value in values], dtype=np.uint8))
        return pa.DictionaryArray.from_arrays(codes, OUTCOME_NAMES)
    return values if name in {"peer", "pod"} else pa.array(values, column.type)


def write_answers(
    path: Path, rows: list[dict[str, Any]], identity: tuple[Answer, ...] = ()
) -> list[dict[str, Any]]:
    """Write the answers in these rows, and return the rows with indices in their place."""
    known: dict[Answer, int] = {answer: index for index, answer in enumerate(identity)}
    found = [
        row | {"answer": known.setdefault(answer, len(known))}
        if isinstance(answer := row.get("answer"), Answer)
        else row
        for row in rows
    ]
    if known:
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        lines = JsonLines(path)
        for answer, index in known.items():
            lines.append(answers.line(index, answer))
        lines.close()
    return found


def _word(number: int) -> str:
    letters = "bcdfghjklmnpqrstvwxz2456789"
    mixed = (number + 7) * 7919 * 104729 % len(letters) ** 5
    return "".join(letters[mixed // len(letters) ** place % len(letters)] for place in range(5))
