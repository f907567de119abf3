"""The vocabulary: frozen records and closed lists. Standard library only, so that every process may import it.

Times are integer nanoseconds on the run's clock (`clock.Clock`) and are named `_ns`. NEVER is the time of a moment
that did not come.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

NEVER = -1
FORMAT = 1  # of a run directory; a reader refuses what is newer


class ExitCode(IntEnum):
    """What the process ends with. API: printed by --help, relied on by nightly jobs."""

    PASS = 0
    FAIL = 1
    USAGE = 2
    INCONCLUSIVE = 3
    CRASH = 4
    INTERRUPTED = 130


class Grade(StrEnum):
    """The three verdicts. FAIL beats INCONCLUSIVE beats PASS."""

    PASS = "PASS"  # noqa: S105  no password
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"


class Phase(StrEnum):
    """The phase of the run that a hit or an event is in.

    DURING begins at the trigger and ends when the last old pod is gone and the endpoints are settled, not
    when `kubectl rollout status` is done.
    """

    WARMUP = "warmup"
    BEFORE = "before"
    DURING = "during"
    AFTER = "after"


class Mark(StrEnum):
    """The moments that `run` marks. A list has each at most once, in time order.

    The first rollout's *before* begins with WARMUP_END, a later one's with SETTLED of the one before it.
    """

    LOAD_START = "load_start"
    WARMUP_END = "warmup_end"
    TRIGGER = "trigger"  # just before the patch was sent
    ROLLOUT_DONE = "rollout_done"  # what `kubectl rollout status` calls success
    OLD_PODS_GONE = "old_pods_gone"
    ENDPOINTS_SETTLED = "endpoints_settled"
    SETTLED = "settled"
    LOAD_END = "load_end"  # no new hit becomes due from here on
    DRAIN_END = "drain_end"
    LULL = "lull"  # from here to the trigger (without a rollout: to the warm-up's end) one request a second is sent


# The marks that each rollout of a run has of its own.
OF_A_ROLLOUT = frozenset(
    {
        Mark.TRIGGER,
        Mark.ROLLOUT_DONE,
        Mark.OLD_PODS_GONE,
        Mark.ENDPOINTS_SETTLED,
        Mark.SETTLED,
        Mark.LULL,
    }
)


class Outcome(StrEnum):
    """Every way a hit can end: the stage, then the kind. No port, no address, no message text.

    RESPONSE is a whole response whatever its HTTP status; `is_failed` says which hits are failed. The position in
    this list is the code a worker stores, so new members go to the end.
    """

    RESPONSE = "response"
    DNS_NXDOMAIN = "dns_nxdomain"
    DNS_FAIL = "dns_fail"
    CONNECT_REFUSED = "connect_refused"
    CONNECT_TIMEOUT = "connect_timeout"
    CONNECT_RESET = "connect_reset"
    CONNECT_UNREACHABLE = "connect_unreachable"
    CONNECT_FAIL = "connect_fail"  # any other errno
    TLS_HANDSHAKE = "tls_handshake"
    TLS_VERIFY = "tls_verify"
    TLS_TIMEOUT = "tls_timeout"
    WRITE_RESET = "write_reset"
    WRITE_BROKEN_PIPE = "write_broken_pipe"
    WRITE_TIMEOUT = "write_timeout"
    IDLE_CLOSE_RACE = "idle_close_race"
    RESET_BEFORE_RESPONSE = "reset_before_response"
    EOF_BEFORE_RESPONSE = "eof_before_response"
    READ_TIMEOUT_HEADERS = "read_timeout_headers"
    RESET_MID_RESPONSE = "reset_mid_response"
    EOF_MID_RESPONSE = "eof_mid_response"  # truncated, even where the status was 200
    READ_TIMEOUT_BODY = "read_timeout_body"
    PROTOCOL_ERROR = "protocol_error"
    CUT_AT_DEADLINE = "cut_at_deadline"  # ours: in flight when the drain was over
    NO_LOCAL_PORT = "no_local_port"  # ours: this host ran out of ports
    NO_DESCRIPTOR = "no_descriptor"  # ours: this process ran out of descriptors
    DROPPED = "dropped"  # ours: due by the rate that was asked for, and no slot was free for it in time
    H2_GOAWAY = "h2_goaway"  # the server ended the connection, and said that it had not touched this stream
    H2_REFUSED_STREAM = "h2_refused_stream"
    H2_RESET_BEFORE_RESPONSE = "h2_reset_before_response"  # RST_STREAM, the connection lives on
    H2_RESET_MID_RESPONSE = "h2_reset_mid_response"
    # A whole response of an expected HTTP status, which gRPC calls failed: without a grpc-status that can be read, ...
    GRPC_ERROR = "grpc_error"
    # ... or with one of these (the status codes 1 to 16, in their order), under gRPC's own name.
    GRPC_CANCELLED = "CANCELLED"
    GRPC_UNKNOWN = "UNKNOWN"
    GRPC_INVALID_ARGUMENT = "INVALID_ARGUMENT"
    GRPC_DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    GRPC_NOT_FOUND = "NOT_FOUND"
    GRPC_ALREADY_EXISTS = "ALREADY_EXISTS"
    GRPC_PERMISSION_DENIED = "PERMISSION_DENIED"
    GRPC_RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    GRPC_FAILED_PRECONDITION = "FAILED_PRECONDITION"
    GRPC_ABORTED = "ABORTED"
    GRPC_OUT_OF_RANGE = "OUT_OF_RANGE"
    GRPC_UNIMPLEMENTED = "UNIMPLEMENTED"
    GRPC_INTERNAL = "INTERNAL"
    GRPC_UNAVAILABLE = "UNAVAILABLE"
    GRPC_DATA_LOSS = "DATA_LOSS"
    GRPC_UNAUTHENTICATED = "UNAUTHENTICATED"


NEITHER = frozenset({Outcome.CUT_AT_DEADLINE, Outcome.DROPPED})  # good nor failed


def is_failed(outcome: Outcome, *, expected: bool) -> bool:
    """Tell whether a hit failed. `expected`: its status is one of those that the run calls good."""
    return not expected if outcome is Outcome.RESPONSE else outcome not in NEITHER


OUTCOMES: tuple[Outcome, ...] = tuple(Outcome)
GRPC_OK = "OK"  # what reports say of a good call, where they say 200 of a request
# Those that a whole answer of gRPC has by its grpc-status: the one with code N is at place N - 1.
GRPC_CODES: tuple[Outcome, ...] = OUTCOMES[OUTCOMES.index(Outcome.GRPC_CANCELLED) :][:16]
OUTCOME_CODE: dict[Outcome, int] = {outcome: code for code, outcome in enumerate(OUTCOMES)}


POD_HEADERS = ("X-Pod", "X-Pod-Name", "X-Served-By")  # of a response: the first of these names the pod


@dataclass(frozen=True, slots=True)
class Target:
    """The request to send. Header values and the body are secrets: they never reach a recording."""

    url: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    weight: int = 1  # its share among the targets of a plan


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What the load generator is asked to do.

    Closed loop: `concurrency` connections with `streams` slots each, and one request in flight per slot.
    """

    targets: tuple[Target, ...]
    concurrency: int
    workers: int = 1
    timeout_ns: int = 65_000_000_000
    expect: tuple[tuple[int, int], ...] = ((200, 299),)  # inclusive ranges of status codes
    insecure: bool = False
    ca_file: str | None = None
    error_backoff: bool = True
    stalled_ns: int = 5_000_000_000
    keepalive: bool = True  # False: each hit on a connection of its own
    conn_max_hits: int = (
        0  # a connection is closed after so many hits at most, half as many at least; 0: never
    )
    conn_max_age_ns: int = 0  # the same by its age, looked at after each hit
    pod_headers: tuple[str, ...] = POD_HEADERS
    rate: float | None = None  # hits a second over all workers: an open loop of at most `slots` at a time
    ramp_ns: int = 0  # the time in which the rate rises to there
    resolve: tuple[tuple[str, int, str], ...] = ()  # host ("*": any), port, address: instead of the resolver
    cert_file: str | None = None  # the client's, PEM
    key_file: str | None = None
    servername: str | None = None  # for SNI and the certificate's name, instead of the URL's host
    tls_min: str | None = None  # "1.2" | "1.3"
    trace_headers: bool = False  # recording.trace says which, and what is in them
    http2: bool = False
    streams: int = 1  # over HTTP/2: requests in flight on each connection

    grpc: str = ""  # unary | streaming: the requests are gRPC calls, and only gRPC's own answers can be good

    @property
    def slots(self) -> int:
        """How many requests are in flight at most."""
        return self.concurrency * self.streams

    stream: bool = False  # hold a stream in each slot instead of sending requests
    websocket: bool = False  # of the WebSocket protocol; else server-sent events, or a response held open
    message: str = ""  # to send on a WebSocket, a secret as a body is
    every_ns: int = 1_000_000_000  # from one to the next
    expect_every_ns: int = 0  # a stream without a message for longer has stalled; 0: no limit
    ping_ns: int = 20_000_000_000  # between two pings of ours on a WebSocket; 0: none

    def expected(self, status: int) -> bool:
        """Tell whether a whole response with this status counts as good."""
        return any(low <= status <= high for low, high in self.expect)


MOST_STREAMS = 256  # on one connection; most servers allow 100 or 128
LATENCY_STEPS = 16  # per octave: live latencies are known to within 4 %


@dataclass(frozen=True, slots=True)
class LiveCounts:
    """Running totals of one worker, or of all of them, for progress and for decisions during a run."""

    t_ns: int = 0
    started: int = 0
    completed: int = 0  # hits that ended in any way, failed ones included
    failed: int = 0
    in_flight: int = 0
    last_failed_ns: int = NEVER
    statuses: dict[int, int] = field(default_factory=dict)  # whole responses by status
    outcomes: dict[str, int] = field(default_factory=dict)  # all but RESPONSE, by name
    # Good hits (at very high rates, some of them) by step: from when they were due, in LATENCY_STEPS * log2(ns).
    latencies: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FirstFailure:
    """The first failed hit of a kind (a status, or an outcome) that one worker, or all of them, have seen.

    `words`: who answered and what, or the error's text; without secrets. `pod`: as the answer names it.
    """

    kind: str
    t_ns: int  # when it ended
    words: str = ""
    pod: str = ""


# Told apart by a worker: a header with more values than these names something else than pods.
POD_NAMES = 4096
STALL_NS = 50_000_000  # a worker that serves what is ready so late has stalled


@dataclass(frozen=True, slots=True)
class HealthSample:
    """One second of one worker's own health: a line of generator.jsonl."""

    t_ns: int  # end of the second
    worker: int
    started: int  # in this second
    completed: int
    failed: int
    in_flight: int  # at its end
    oldest_in_flight_ns: int
    lag_p99_ns: int  # how late the event loop ran its own timers
    lag_max_ns: int
    cpu_ns: int  # processor time used in this second
    open_files: int
    stalled: bool = False  # lag_max_ns was over STALL_NS: what was measured in this second is partly ours


@dataclass(frozen=True, slots=True)
class WorkerClock:
    """A worker on another machine: how its clock stood to the run's, and where it was. Its rows are on the run's clock.

    `offset_ns`: its wall clock minus the run's, at the last reading. `uncertainty_ns`: what its moments are true to,
    at worst. `late_ns`: how late it began, by its own clock.
    """

    worker: int
    offset_ns: int
    uncertainty_ns: int
    pod: str
    node: str
    late_ns: int = 0


@dataclass(frozen=True, slots=True)
class ClusterEvent:
    """One observed change of one Kubernetes object: a line of events.jsonl.

    `t_ns` is our receipt time. `object` holds the fields that the judge reads, in Kubernetes' own shape
    (EndpointSlices as discovery.k8s.io/v1 whatever the server has; `kind` is then "EndpointSlice").
    `missed` marks what only a new list told us: it happened some time before `t_ns`.
    """

    t_ns: int
    change: str  # LISTED (the first list) | ADDED | MODIFIED | DELETED
    kind: str  # Pod | ReplicaSet | Deployment | EndpointSlice | Event | ...
    namespace: str
    name: str
    uid: str
    object: dict[str, Any]
    missed: bool = False


@dataclass(frozen=True, slots=True)
class WatchGap:
    """A stretch of time in which one kind was not watched: a line of events.jsonl with "gap": true.

    `relisted` tells whether the watch could not resume, so that what happened in between is known only from
    a list. A gap is *blind* when it was relisted or lasted over 2 s.
    """

    kind: str
    from_ns: int
    to_ns: int
    reason: str
    relisted: bool

    @property
    def blind(self) -> bool:
        """Whether the timeline cannot be trusted across this gap."""
        return self.relisted or self.to_ns - self.from_ns > 2_000_000_000


@dataclass(frozen=True, slots=True)
class MarkAt:
    """A marked moment of a run."""

    mark: Mark
    t_ns: int


@dataclass(frozen=True, slots=True)
class PodRef:
    """A pod by name and uid; the uid is its identity."""

    name: str
    uid: str


# The balancers in front of pods that --balancer accepts; the judge has a table for each.
BALANCERS = (
    "nginx",
    "ingress-nginx",
    "haproxy",
    "envoy",
    "istio-envoy",
    "caddy",
    "traefik",
    "apache",
    "alb",
    "google",
    "cloudfront",
    "none",
)
_LABS_ADDRESS = re.compile(r"(?<=://)127\.0\.0\.1:\d+")


def without_labs_address(url: str) -> str:
    """Return the URL of a lab's balancer without its address: each lab has another one, for the same target."""
    return _LABS_ADDRESS.sub("the-lab", url, count=1)


# Where a load is sent from: a machine outside of the workload's cluster, pods in it, or half from each.
ORIGINS = ("local", "cluster", "both")

IN_CLUSTER = "in-cluster"  # said in place of a context: the credentials of the pod that we run in


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """Which cluster and which workload a run was about."""

    server: str
    context: str
    namespace: str
    kind: str  # Deployment | StatefulSet | DaemonSet
    name: str
    uid: str
    version: str  # the server's gitVersion
    identity: str  # who we were to the API server, as far as it tells
    apis: dict[str, str] = field(default_factory=dict)  # kind -> group/version chosen
    services: tuple[str, ...] = ()  # Services whose selector takes in the workload's pods
    lab: bool = False
    kubeconfig: str = ""  # the file that was named, "" for the one that kubectl finds as well

    @property
    def kubectl(self) -> str:
        """The beginning of a kubectl command that goes where this run went, whatever the current context is."""
        words = ["kubectl"]
        if self.kubeconfig:
            words += ["--kubeconfig", self.kubeconfig]
        if self.context and self.context != IN_CLUSTER:
            words += ["--context", self.context]
        return shlex.join([*words, "-n", self.namespace])


BY_ANSWERS = "answers name the workload's pods in a header"  # how such a proof begins


@dataclass(frozen=True, slots=True)
class PathProof:
    """Whether the URL is known to reach the workload, and how that is known."""

    proven: bool
    how: str

    @property
    def by_answers(self) -> bool:
        """Whether it rests on names in a few answers before the load; those of the load must then confirm it."""
        return self.how.startswith(BY_ANSWERS)


@dataclass(frozen=True, slots=True)
class RolloutFacts:
    """The change that was made, and how the rollout went.

    state: not_started | progressing | complete | stalled | changed | deleted. `reason` is Kubernetes' own word where it
    gives one. `old_pods` existed at the trigger; at the end it has only those that went.
    """

    trigger: str
    patch: dict[str, Any]
    state: str = "not_started"
    reason: str = ""
    old_revision: str = ""  # pod-template-hash or controller-revision-hash
    new_revision: str = ""
    old_pods: tuple[PodRef, ...] = ()
    replicas: int = 0
    new_template: bool = (
        False  # the change gave the pods another template, so that old ones are to be replaced
    )


@dataclass(frozen=True, slots=True)
class OtherChange:
    """What somebody else changed during a rollout, as the watch saw it at `at_ns`.

    kind: template | undone | scaled | autoscaled | paused | resumed | deleted | service_deleted | pod_deleted |
    pod_evicted. `what` reads on from the one who did it ("changed the image of web to web:3"). `who` is the field
    manager that wrote it (metadata.managedFields), "" where nothing tells: a deletion leaves no such entry.
    """

    at_ns: int
    kind: str
    what: str
    who: str = ""

    @property
    def disturbs(self) -> bool:
        """Whether the rollout is no longer the one that was to be tested. An autoscaler at work is part of the
        service.
        """
        return self.kind != "autoscaled"

    @property
    def told(self) -> str:
        """The change in words, without its time: "kubectl-set changed the image of web to web:3"."""
        return f"{self.who or 'somebody'} {self.what}"


@dataclass(frozen=True, slots=True)
class Round:
    """One rollout of several in one run: its own marks, TRIGGER to SETTLED, and how it went."""

    marks: tuple[MarkAt, ...]
    rollout: RolloutFacts


@dataclass(frozen=True, slots=True)
class RunRecord:
    """run.json: everything about a run but its hits and events.

    state: running | complete | interrupted. `ended_by` is one short id: settled, duration, max_time,
    interrupted, crash, baseline_unsound, patch_refused, changed, deleted, nothing_changed, command_failed,
    service_down, rollout_stalled, worker_lost, dry_run.
    """

    format: int
    state: str
    ended_by: str
    name: str
    source: str  # where the target came from, as printed on the first line
    command: tuple[str, ...]
    versions: dict[str, str]
    host: dict[str, str]
    wall_ns: int
    monotonic_ns: int
    scenario: dict[str, Any]  # redacted: no header value, body or credential
    targets: tuple[dict[str, Any], ...]  # {"method", "url"} by index, as the hit rows number them
    concurrency: int
    workers: int
    expect: tuple[tuple[int, int], ...]
    timeout_ns: int
    stalled_ns: int
    settle_ns: int
    max_baseline_failures: float  # share, 0.001 = 0.1 %
    rollout_wanted: bool  # False with --no-rollout: judged whole
    marks: tuple[MarkAt, ...] = ()
    workers_lost: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()  # one line each, for the summary
    cluster: ClusterFacts | None = None
    path: PathProof | None = None
    rollout: RolloutFacts | None = None
    rate: float | None = None  # hits a second, due by the clock (an open loop); None: a closed loop
    ramp_ns: int = 0
    backed_off: int = 0  # how often a slot waited after a failed hit
    error_samples: dict[str, str] = field(default_factory=dict)  # one raw text for each outcome
    server_clock_ns: tuple[int, int] | None = None  # bounds of the API server's wall clock minus ours
    http2: bool = False
    streams: int = 1  # requests in flight on each of `concurrency` connections
    grpc: str = ""  # unary | streaming: the requests were gRPC calls
    rollouts: int = 1  # how many were asked for
    earlier: tuple[Round, ...] = ()  # those before the one that `marks` and `rollout` are about, oldest first
    changes: tuple[OtherChange, ...] = ()  # of somebody else, during any of its rollouts; oldest first
    load_from: str = ""  # one of ORIGINS: where the load was sent from; "": unknown, as in old recordings
    worker_clocks: tuple[
        WorkerClock, ...
    ] = ()  # of workers in pods, by number; () if all were on one machine
    stream: str = ""  # websocket | http: each slot held a stream; "": it sent requests
    back_within_ns: int = 0  # in which a stream that was lost has to be back

    def mark(self, mark: Mark) -> int:
        """Return when a moment was marked, or NEVER."""
        return next((m.t_ns for m in self.marks if m.mark is mark), NEVER)


@dataclass(frozen=True, slots=True)
class LabPlan:
    """What the embedded lab is to run: plain manifests, and the balancer in front of their one Service.

    `lag_ns` is how long the balancer keeps using old endpoints after a change (propagation lag, for added and removed
    ones). `connect_timeout_ns` and `idle_timeout_ns` are the timeouts behind its 504s.
    """

    manifests: tuple[str, ...]  # files, absolute
    profile: str = "alb"  # alb | nginx | envoy | haproxy | caddy | apache | service
    tls: bool = True
    lag_ns: int = 1_000_000_000
    connect_timeout_ns: int = 10_000_000_000
    idle_timeout_ns: int = 60_000_000_000
    lag_tail_ns: int = 0  # mean of what is drawn on top of each change's lag
    seed: int = 0
    registration_ns: int = 0
    deregistration_ns: int = 300_000_000_000
    check_every_ns: int = 0  # 0: no health checks
    check_timeout_ns: int = 5_000_000_000
    check_path: str = "/"
    healthy: int = 5
    unhealthy: int = 2
    tries: int = 1  # targets that a request may go to, with a profile that asks another
    retry_posts: bool = False
    clock_offset_ns: int = 0  # of the API server's clock
    drop_watches_ns: int = 0  # each watch is cut off in mid-stream after so long; 0: as real servers do
    minor: int = 36  # the Kubernetes that the API server is: 1.20 (v1beta1 slices), 1.33 or 1.36


@dataclass(frozen=True, slots=True)
class LabEndpoint:
    """A lab that is up: where to send requests, and how to reach its API server."""

    url: str
    ca_file: str | None
    kubeconfig: str
    context: str
    namespace: str
    pid: int
    notes: tuple[str, ...] = ()  # what of the manifests it does not model, a line each
