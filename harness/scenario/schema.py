"""The schema of zdtest.yaml: every field, its default, and which values are valid.

The text under a field is its description: docs/scenarios.md is made from it (`nox -s pages`).
"""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

import pydantic

from harness import masking
from harness.clock import NS
from harness.model import MOST_STREAMS
from harness.scenario.labpart import LabPart
from harness.scenario.objectives import check_metrics, condition
from harness.scenario.parts.grpcpart import GrpcPart, check_grpc, grpc_by_its_url
from harness.scenario.parts.streampart import StreamPart, check_stream, websocket_by_its_url
from harness.scenario.trigger import parse
from harness.scenario.values import (
    DurationNs,
    Method,
    Strict,
    kind_and_name,
    known_balancer,
    proportions,
    resolved_names,
    status_ranges,
    target_group,
)

_LONGEST_NS = 30 * 86400 * NS


class TargetPart(Strict):
    """The request."""

    url: str | None = None
    """Where to send: an http:// or https:// URL, a WebSocket's ws:// or wss://, a gRPC method's grpc:// or grpcs://.
    Not with the lab, which has its own.
    """
    path: str = "/"
    """With the lab: the path of the requests."""
    method: Method = "GET"
    """The HTTP method."""
    headers: dict[str, str] = pydantic.Field(default_factory=dict)
    """Request headers. `${NAME}` in a value is taken from the environment. Values never reach a recording."""
    body: str | None = None
    """The request's body."""
    body_file: str | None = None
    """A file with the body, relative to the scenario's folder."""
    expect: Annotated[tuple[tuple[int, int], ...], pydantic.BeforeValidator(status_ranges)] = ((200, 299),)
    """Statuses that count as good; with any other the request has failed."""
    timeout: DurationNs = 65 * NS
    """The longest time from sending a request to its last byte. The default outlasts the 60 s after which most
    balancers answer 504.
    """
    insecure: bool = False
    """Do not verify the server's certificate."""
    cacert: str | None = None
    """A CA file (PEM) that verifies the server, relative to the scenario's folder."""
    cert: str | None = None
    """A client certificate (PEM), relative to the scenario's folder."""
    key: str | None = None
    """The key of the client certificate (PEM); by default it is in the certificate's file."""
    servername: str | None = None
    """The name for SNI and for checking the certificate; by default the URL's host."""
    tls_min: Literal["1.2", "1.3"] | None = None
    """The lowest TLS version; by default 1.2."""
    resolve: Annotated[tuple[tuple[str, int, str], ...], pydantic.BeforeValidator(resolved_names)] = ()
    """Connect to these addresses instead of resolving a host, as in curl."""
    http2: bool = False
    """Speak HTTP/2."""
    streams: Annotated[int, pydantic.Field(ge=1, le=MOST_STREAMS)] = 1
    """Requests in flight on each connection, over HTTP/2."""
    pod_header: Annotated[str, pydantic.Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")] | None = None
    """The response header that names the pod; by default X-Pod, X-Pod-Name or X-Served-By."""

    @pydantic.model_validator(mode="after")
    def _only_together(self) -> TargetPart:
        if self.key and not self.cert:
            raise ValueError("key is the key of a client certificate; add cert")
        if self.streams > 1 and not self.http2:
            raise ValueError("streams are requests on one connection over HTTP/2; add http2, or drop streams")
        return self

    @pydantic.field_validator("method", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @pydantic.field_validator("timeout")
    @classmethod
    def _some_time(cls, value: int) -> int:
        if value <= 0:
            raise ValueError("a timeout of 0 lets no request answer")
        return value

    @pydantic.field_validator("path")
    @classmethod
    def _absolute(cls, value: str) -> str:
        if not value.startswith("/") or re.search(r"\s", value):
            raise ValueError("a path begins with / and holds no space")
        return value

    @pydantic.field_validator("url")
    @classmethod
    def _http(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            parts = urlsplit(value)
            port = parts.port
        except ValueError:  # its text may contain part of a password
            raise ValueError(
                f"{masking.broken_url(value)!r} is not a URL: its host or port cannot be read"
            ) from None
        if (
            parts.scheme not in {"http", "https", "ws", "wss", "grpc", "grpcs"}
            or not parts.hostname
            or port == 0
            or re.search(r"\s", value)
        ):
            raise ValueError(
                f"{masking.broken_url(value)!r} is not an http://, https://, ws://, wss://, grpc:// or grpcs:// URL"
            )
        return value


class LoadPart(Strict):
    """The load."""

    concurrency: Annotated[int, pydantic.Field(ge=1, le=20_000)] = 50
    """Connections, each with one request in flight (over HTTP/2 with `target.streams`)."""
    duration: DurationNs = 60 * NS
    """The least length of the load. It goes on until the rollout is over and settled."""
    workers: Annotated[int, pydantic.Field(ge=1, le=64)] = 1
    """Processes that send the load."""
    error_backoff: bool = True
    """Pause a connection after a failed request for the rest of a usual cycle, so that fast failures do not raise the
    rate.
    """
    drain: DurationNs = 15 * NS
    """How long requests in flight may take to finish at the end."""
    rate: Annotated[float, pydantic.Field(gt=0, le=1_000_000)] | None = None
    """Requests per second, sent by the clock (open loop). Without it each connection sends its next request when the
    last one is answered (closed loop).
    """
    ramp: DurationNs = 0
    """Raise the rate from 0 over this time. Only with `rate`."""
    lull: DurationNs = 0
    """Send only one request a second for this long before the trigger, so that connections lie idle. Not with `rate`.
    """
    mix: Annotated[tuple[tuple[Method, int], ...], pydantic.BeforeValidator(proportions)] = ()
    """Send these methods in this proportion. The body goes with POST, PUT and PATCH."""
    targets: str | None = None
    """A file of requests to send in turn (vegeta's formats), relative to the scenario's folder. Not with `mix`.
    """
    keepalive: bool = True
    """Use connections again. `false` opens a new one for each request."""
    conn_max_hits: Annotated[int, pydantic.Field(ge=0)] = 0
    """Close each connection after a random number of requests between half of this and all of it. 0: no limit.
    """
    conn_max_age: DurationNs = 0
    """Close each connection at a random age between half of this and all of it. 0: no limit."""
    trace_headers: bool = True
    """Send X-Request-ID and X-Amzn-Trace-Id, which identify each request in a balancer's log."""
    pods: Annotated[int, pydantic.Field(ge=1, le=1000)] | None = None
    """Send from this many pods of one Job in the workload's namespace, see [Load from many pods](fleet.md).
    `concurrency` and `rate` are for all of them together, `workers` for each.
    """
    worker_image: Annotated[str, pydantic.Field(min_length=1)] | None = None
    """The image of these pods; by default zdtest's own, of the same version."""
    pod_template: str | None = None
    """A file with parts of a pod template that are laid over these pods' own, relative to the scenario's folder."""
    pods_reach: Literal["auto", "direct", "port-forward"] = "auto"
    """How these pods are reached: at their addresses, or through the API server; `auto` tries the addresses first.
    """

    @pydantic.field_validator("duration")
    @classmethod
    def _long_enough(cls, value: int) -> int:
        if value < NS:
            raise ValueError("a run lasts at least 1s")
        return value

    @pydantic.model_validator(mode="after")
    def _ramp_of_a_rate(self) -> LoadPart:
        if self.ramp and self.rate is None:
            raise ValueError("ramp raises a rate, and there is none; add rate")
        if self.lull and self.rate is not None:
            raise ValueError("a lull changes the rate, which rate fixes; drop one of them")
        if self.pods is None and (self.worker_image or self.pod_template):
            raise ValueError("worker_image and pod_template are about the pods of a load; add pods")
        if self.targets and self.mix:
            raise ValueError("the file of targets says each one's method and weight; drop mix, or targets")
        return self


class RolloutPart(Strict):
    """When to make the change, and when to stop waiting."""

    trigger: Annotated[str, pydantic.AfterValidator(lambda text: str(parse(text)))] = "restart"
    """What starts the rollout: `restart`, `apply FILE`, `replace FILE`, `set-image CONTAINER=IMAGE`, `scale N`,
    `delete-pod [NAME]`, `evict-pod [NAME]`, `command COMMAND…`, or `observe` (wait for a change that someone else
    makes).
    """
    field_manager: str | None = None
    """The field manager of the change; by default kubectl-rollout, and zdtest for `apply`."""
    trigger_after: DurationNs | None = None
    """The length of the baseline, from the end of the warm-up to the trigger; by default a third of the duration, at
    most 60 s.
    """
    settle: DurationNs = 30 * NS
    """How long the load goes on after the rollout is over."""
    max_time: DurationNs = 45 * 60 * NS
    """End the run after this, whatever its state."""
    rollouts: Annotated[int, pydantic.Field(ge=1, le=1000)] = 1
    """Make this many rollouts, each after the one before has settled. Only with a trigger that changes something each
    time.
    """

    @pydantic.model_validator(mode="after")
    def _repeatable(self) -> RolloutPart:
        trigger = parse(self.trigger)
        if self.rollouts > 1 and not trigger.repeatable:
            raise ValueError(
                f"{self.trigger!r} changes nothing the second time; for several rollouts use restart, "
                "delete-pod, evict-pod, command or observe"
            )
        return self


class ClusterPart(Strict):
    """Which cluster, if not the kubeconfig's current one."""

    context: str | None = None
    """The kubeconfig's context; by default its current one."""
    kubeconfig: str | None = None
    """The kubeconfig file; by default `KUBECONFIG`, `~/.kube/config`, or the pod's own credentials."""


class Scenario(Strict):
    """A whole zdtest.yaml: one run."""

    name: (
        Annotated[str, pydantic.Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=80)] | None
    ) = None
    """The run's name, used for its folder; by default the workload's, else the host's."""
    label: Annotated[str, pydantic.Field(max_length=40)] | None = None
    """For labelled scenarios: the one fault that it has, or `clean`."""
    needs: str = ""
    """What it needs of a real cluster; `zdtest scenarios` prints it."""
    target: TargetPart = TargetPart()
    """The request, see [target](#target)."""
    load: LoadPart = LoadPart()
    """How hard, see [load](#load)."""
    stream: StreamPart | None = None
    """Hold streams instead of sending requests, see [stream](#stream). A ws:// URL does so by itself."""
    grpc: GrpcPart | None = None
    """Call a method of gRPC, see [grpc](#grpc). A grpc:// URL does so by itself."""
    workload: Annotated[tuple[str, str], pydantic.BeforeValidator(kind_and_name)] | None = None
    """What is rolled out: `KIND/NAME`; `NAME` alone is a Deployment. `rollout/NAME` is one of Argo Rollouts."""
    namespace: str | None = None
    """The workload's namespace; by default the context's."""
    manifests: tuple[str, ...] = ()
    """Kubernetes manifests for the lab, relative to the scenario's folder."""
    cluster: ClusterPart = ClusterPart()
    """Which cluster, see [cluster](#cluster)."""
    rollout: RolloutPart = RolloutPart()
    """When to make the change, see [rollout](#rollout)."""
    lab: LabPart | None = None
    """Run on the embedded lab, see [lab](#lab). Without it: on a real cluster."""
    max_baseline_failures: Annotated[float, pydantic.Field(ge=0, le=1)] = 0.001
    """Do not roll out if a larger share than this fails before the trigger."""
    objectives: tuple[Annotated[str, pydantic.AfterValidator(condition)], ...] = ()
    """Conditions that must hold, see [objectives](#objectives)."""
    fail_on: tuple[Annotated[str, pydantic.AfterValidator(condition)], ...] = ()
    """Conditions that must not hold."""
    path_proven: bool = False
    """Take your word that the URL reaches the workload, if zdtest cannot prove it."""
    balancer: Annotated[str, pydantic.AfterValidator(known_balancer)] | None = None
    """The balancer in front of the pods, if its answers do not show it."""

    aws_target_groups: tuple[Annotated[str, pydantic.AfterValidator(target_group)], ...] = ()
    """AWS target groups whose targets are recorded: ARNs, or `auto` for those that TargetGroupBindings name."""

    @pydantic.model_validator(mode="after")
    def _time_for_all_rollouts(self) -> Scenario:
        rollout = self.rollout
        if max(self.load.duration, rollout.max_time) > _LONGEST_NS:  # readers of recordings refuse it
            raise ValueError("a run lasts 30 days at most: lower --duration, or --max-time")
        least_ns = rollout.rollouts * (self.trigger_after_ns + rollout.settle)
        if rollout.rollouts > 1 and least_ns >= rollout.max_time:
            raise ValueError(
                f"{rollout.rollouts} rollouts take over {least_ns // NS} s with what lies before and after "
                f"each, and max_time is {rollout.max_time // NS} s: "
                f"raise --max-time, or lower --trigger-after and --settle"
            )
        return self

    _websocket = pydantic.model_validator(mode="before")(websocket_by_its_url)
    _grpc = pydantic.model_validator(mode="before")(grpc_by_its_url)

    @pydantic.model_validator(mode="after")
    def _streams(self) -> Scenario:
        check_stream(self.stream, self.load, self.target)
        check_grpc(self.grpc, self.target, self.load, self.stream)
        answered = self.stream is not None and self.stream.message is not None
        check_metrics((*self.objectives, *self.fail_on), streams=self.stream is not None, answered=answered)
        return self

    @property
    def good_statuses(self) -> tuple[tuple[int, int], ...]:
        """The statuses that count as good: of a WebSocket's handshake 101, unless others were asked for."""
        websocket = self.stream is not None and self.stream.kind == "websocket"
        return (
            ((101, 101),)
            if websocket and "expect" not in self.target.model_fields_set
            else self.target.expect
        )

    @property
    def trigger_after_ns(self) -> int:
        """By default a third of the duration, at most 60 s. Counted from the end of the warm-up."""
        if self.rollout.trigger_after is not None:
            return self.rollout.trigger_after
        return min(self.load.duration // 3, 60 * NS)
