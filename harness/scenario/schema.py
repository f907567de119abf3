"""The schema of zdtest.yaml: every field, its default, and which values are valid."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

import pydantic

from harness import masking
from harness.clock import NS
from harness.model import BALANCERS
from harness.scenario.objectives import condition
from harness.scenario.trigger import parse

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h))+")
Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
METHODS: tuple[str, ...] = get_args(Method)
KINDS = {
    "deployment": "Deployment", "deployments": "Deployment", "deploy": "Deployment",
    "statefulset": "StatefulSet", "statefulsets": "StatefulSet", "sts": "StatefulSet",
    "daemonset": "DaemonSet", "daemonsets": "DaemonSet", "ds": "DaemonSet",
}  # fmt: skip


def duration_ns(value: object) -> int:
    """Read a duration ("90s", "1m30s", "500ms", or a number of seconds) as nanoseconds.

    Raises ValueError with a message for the user.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        # Not a TypeError: pydantic turns only a ValueError into a message.
        raise ValueError("a duration is a number of seconds, or text such as 90s, 1m30s or 500ms")  # noqa: TRY004
    if isinstance(value, str):
        text = value.strip()
        if _DURATION.fullmatch(text):
            parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)
            value = sum(float(n) * _UNITS[unit] for n, unit in parts)
        else:
            try:
                value = float(text)
            except ValueError:
                raise ValueError(f"{text!r} is not a duration; write 90s, 1m30s or 500ms") from None
    if not 0 <= value < 1e9:
        raise ValueError(f"{value} seconds is not a usable duration")
    return round(value * NS)


def balancer(value: str) -> str:
    """Return the name of a balancer. Raises ValueError."""
    if value not in BALANCERS:
        raise ValueError(f"zdtest does not know the balancer {value!r}; use one of {', '.join(BALANCERS)}")
    return value


def status_ranges(value: object) -> tuple[tuple[int, int], ...]:
    """Read expected statuses ("200-299,304") as inclusive ranges. Raises ValueError."""
    ranges = []
    for part in str(value).split(","):
        match = re.fullmatch(r"\s*(\d{3})(?:\s*-\s*(\d{3}))?\s*", part)
        if not match or not 100 <= int(match[1]) <= int(match[2] or match[1]) <= 599:
            raise ValueError(f"{value!r} is not a list of statuses; write 200-299 or 200-299,304")
        ranges.append((int(match[1]), int(match[2] or match[1])))
    return tuple(ranges)


def resolved_names(value: object) -> tuple[tuple[str, int, str], ...]:
    """Read curl's HOST:PORT:ADDRESS[,ADDRESS] as (host, port, address). Raises ValueError."""
    lines = [value] if isinstance(value, str) else value
    if not isinstance(lines, list | tuple):
        raise ValueError("give a list of HOST:PORT:ADDRESS")  # noqa: TRY004  as above
    addresses: list[tuple[str, int, str]] = []
    for line in lines:
        match = re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[^:\s]+):(\d{1,5}):(\S+)", str(line))
        if not match or not 0 < int(match[2]) < 65536:
            raise ValueError(f"{line!r} is not HOST:PORT:ADDRESS, such as shop.example:443:10.0.0.7")
        for address in match[3].split(","):
            try:
                literal = str(ip_address(address.strip("[]")))
            except ValueError:
                raise ValueError(f"{address!r} in {line!r} is not an IP address") from None
            addresses.append((match[1].strip("[]").lower(), int(match[2]), literal))
    return tuple(addresses)


def proportions(value: object) -> tuple[tuple[str, int], ...]:
    """Read methods and their shares ("GET:9,POST:1") as pairs. Raises ValueError."""
    if isinstance(value, list | tuple):
        value = ",".join(f"{method}:{share}" for method, share in value)
    parts = [part.strip().upper().partition(":") for part in str(value).split(",")] if value else []
    for method, _, share in parts:
        if method not in METHODS or not re.fullmatch(r"[1-9]\d{0,2}", share):
            raise ValueError(
                f"{value!r} is not a list of methods and shares (1 to 999), such as GET:9,POST:1"
            )
    if len({method for method, _, _ in parts}) < len(parts):
        raise ValueError(f"{value!r} names a method twice")
    return tuple((method, int(share)) for method, _, share in parts)


def kind_and_name(value: object) -> tuple[str, str]:
    """Read "web", "deployment/web" or "sts/db" as (Kind, name). Raises ValueError."""
    kind, slash, name = str(value).rpartition("/")
    known = KINDS.get(kind.lower()) if slash else "Deployment"
    if not known or not re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", name):
        raise ValueError(
            f"{value!r} is not a workload; write deployment/NAME, statefulset/NAME or daemonset/NAME"
        )
    return known, name


def signed_ns(value: object) -> int:
    """Read a duration that may have a minus sign. Raises ValueError."""
    text = str(value).strip()
    return -duration_ns(text[1:]) if text.startswith("-") else duration_ns(text)


_LONGEST_NS = 30 * 86400 * NS
DurationNs = Annotated[int, pydantic.BeforeValidator(duration_ns)]
SignedNs = Annotated[int, pydantic.BeforeValidator(signed_ns)]


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class TargetPart(_Strict):
    """The request."""

    url: str | None = None
    path: str = "/"  # used with the lab, whose address is known only once it is up
    method: Method = "GET"
    headers: dict[str, str] = {}
    body: str | None = None
    body_file: str | None = None
    expect: Annotated[tuple[tuple[int, int], ...], pydantic.BeforeValidator(status_ranges)] = ((200, 299),)
    timeout: DurationNs = 65 * NS
    insecure: bool = False
    cacert: str | None = None  # files are relative to the scenario's folder
    cert: str | None = None
    key: str | None = None
    servername: str | None = None
    tls_min: Literal["1.2", "1.3"] | None = None
    resolve: Annotated[tuple[tuple[str, int, str], ...], pydantic.BeforeValidator(resolved_names)] = ()
    http2: bool = False
    pod_header: Annotated[str, pydantic.Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")] | None = None

    @pydantic.model_validator(mode="after")
    def _key_of_a_certificate(self) -> TargetPart:
        if self.key and not self.cert:
            raise ValueError("key is the key of a client certificate; add cert")
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
            parts.scheme not in {"http", "https"}
            or not parts.hostname
            or port == 0
            or re.search(r"\s", value)
        ):
            raise ValueError(f"{masking.broken_url(value)!r} is not an http:// or https:// URL")
        return value


class LoadPart(_Strict):
    """The load."""

    concurrency: Annotated[int, pydantic.Field(ge=1, le=20_000)] = 50
    duration: DurationNs = 60 * NS
    workers: Annotated[int, pydantic.Field(ge=1, le=64)] = 1
    error_backoff: bool = True
    drain: DurationNs = 15 * NS
    rate: Annotated[float, pydantic.Field(gt=0, le=1_000_000)] | None = None  # None: a closed loop
    ramp: DurationNs = 0
    lull: DurationNs = 0  # before the trigger: one request a second
    mix: Annotated[tuple[tuple[Method, int], ...], pydantic.BeforeValidator(proportions)] = ()
    targets: str | None = None  # a file of requests, relative to the scenario's folder
    keepalive: bool = True
    conn_max_hits: Annotated[int, pydantic.Field(ge=0)] = 0  # 0: no limit
    conn_max_age: DurationNs = 0  # 0: no limit
    trace_headers: bool = True

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
        if self.targets and self.mix:
            raise ValueError("the file of targets says each one's method and weight; drop mix, or targets")
        return self


class RolloutPart(_Strict):
    """When to make the change, and when to stop waiting."""

    trigger: Annotated[str, pydantic.AfterValidator(lambda text: str(parse(text)))] = "restart"
    field_manager: str | None = None
    trigger_after: DurationNs | None = None
    settle: DurationNs = 30 * NS
    max_time: DurationNs = 45 * 60 * NS
    rollouts: Annotated[int, pydantic.Field(ge=1, le=1000)] = 1  # one after the other, each settled first

    @pydantic.model_validator(mode="after")
    def _repeatable(self) -> RolloutPart:
        trigger = parse(self.trigger)
        if self.rollouts > 1 and not trigger.repeatable:
            raise ValueError(
                f"{self.trigger!r} changes nothing the second time; for several rollouts use restart, "
                "delete-pod, evict-pod, command or observe"
            )
        return self


class HealthCheck(_Strict):
    """A target group's health check, with an ALB's defaults."""

    path: str = "/"
    interval: DurationNs = 30 * NS
    timeout: DurationNs = 5 * NS
    healthy: Annotated[int, pydantic.Field(ge=1, le=10)] = 5
    unhealthy: Annotated[int, pydantic.Field(ge=1, le=10)] = 2


class LabPart(_Strict):
    """The embedded lab's balancer, and the faults to inject. docs/lab.md says what each models."""

    profile: Literal["alb", "nginx", "envoy", "haproxy", "caddy", "apache", "service"] = "alb"
    tls: bool | None = None  # default: HTTPS, but plain HTTP with the profile `service`
    lag: DurationNs = NS
    lag_tail: DurationNs = 0
    seed: int = 0
    connect_timeout: DurationNs = 10 * NS
    idle_timeout: DurationNs = 60 * NS
    registration: DurationNs = 0
    deregistration_delay: DurationNs = 300 * NS
    health_check: HealthCheck | None = None
    tries: Annotated[int, pydantic.Field(ge=1, le=10)] = 1
    retry_posts: bool = False
    time_scale: Annotated[float, pydantic.Field(gt=0, le=10)] = 1.0
    clock_offset: SignedNs = 0
    drop_watches: DurationNs = 0
    kubernetes: Annotated[
        Literal["1.20", "1.33"],
        pydantic.BeforeValidator(
            lambda value: {1.2: "1.20", 1.33: "1.33"}.get(value, value)
        ),  # YAML reads a number
    ] = "1.33"

    @pydantic.model_validator(mode="after")
    def _fits(self) -> LabPart:
        if self.profile == "service" and self.tls:
            raise ValueError("the profile service passes bytes on and has no TLS; drop tls: true")
        if self.profile in {"alb", "service"} and (self.tries > 1 or self.retry_posts):
            raise ValueError(
                f"the profile {self.profile} sends no request twice; tries goes with profile: nginx"
            )
        if self.profile != "nginx" and self.retry_posts:
            raise ValueError(f"retry_posts goes with profile: nginx, not with {self.profile}")
        return self


class ClusterPart(_Strict):
    """Which cluster, if not the kubeconfig's current one."""

    context: str | None = None
    kubeconfig: str | None = None


class Scenario(_Strict):
    """A whole zdtest.yaml: one run."""

    name: (
        Annotated[str, pydantic.Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=80)] | None
    ) = None
    label: Annotated[str, pydantic.Field(max_length=40)] | None = (
        None  # the one fault that it has, or "clean"
    )
    needs: str = ""  # what it needs of a real cluster; for `zdtest scenarios`
    target: TargetPart = TargetPart()
    load: LoadPart = LoadPart()
    workload: Annotated[tuple[str, str], pydantic.BeforeValidator(kind_and_name)] | None = None
    namespace: str | None = None
    manifests: tuple[str, ...] = ()
    cluster: ClusterPart = ClusterPart()
    rollout: RolloutPart = RolloutPart()
    lab: LabPart | None = None
    max_baseline_failures: Annotated[float, pydantic.Field(ge=0, le=1)] = 0.001
    objectives: tuple[Annotated[str, pydantic.AfterValidator(condition)], ...] = ()  # must hold
    fail_on: tuple[Annotated[str, pydantic.AfterValidator(condition)], ...] = ()  # must not
    path_proven: bool = False
    balancer: Annotated[str, pydantic.AfterValidator(balancer)] | None = (
        None  # the balancer in front of the pods, if answers do not show it
    )

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

    @property
    def trigger_after_ns(self) -> int:
        """By default a third of the duration, at most 60 s. Counted from the end of the warm-up."""
        if self.rollout.trigger_after is not None:
            return self.rollout.trigger_after
        return min(self.load.duration // 3, 60 * NS)
