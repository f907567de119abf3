"""The part of zdtest.yaml that is about the embedded lab. docs/lab.md says what each field models."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic

from harness.clock import NS
from harness.scenario.values import DurationNs, SignedNs, Strict


class HealthCheck(Strict):
    """A target group's health check, with an ALB's defaults."""

    path: str = "/"
    """The path that the check asks for."""
    interval: DurationNs = 30 * NS
    """Time between two checks of a target."""
    timeout: DurationNs = 5 * NS
    """How long a check may take."""
    healthy: Annotated[int, pydantic.Field(ge=1, le=10)] = 5
    """Passed checks in a row that put a target in."""
    unhealthy: Annotated[int, pydantic.Field(ge=1, le=10)] = 2
    """Failed checks in a row that take a target out."""


class LabPart(Strict):
    """The embedded lab's balancer, and the faults to inject. docs/lab.md says what each models."""

    profile: Literal["alb", "nginx", "envoy", "haproxy", "caddy", "apache", "service"] = "alb"
    """Which balancer the lab's own behaves like."""
    tls: bool | None = None
    """HTTPS in front; by default yes, and no with the profile `service`."""
    lag: DurationNs = NS
    """How long the balancer keeps using the previous endpoints after a change."""
    lag_tail: DurationNs = 0
    """The mean of a random extra lag for each change."""
    seed: int = 0
    """The seed of the random lags; the same seed gives the same lags."""
    connect_timeout: DurationNs = 10 * NS
    """How long the balancer waits for a connection to a pod."""
    idle_timeout: DurationNs = 60 * NS
    """How long the balancer waits for an answer."""
    registration: DurationNs = 0
    """Time from when a pod becomes an endpoint until it is registered as a target."""
    deregistration_delay: DurationNs = 300 * NS
    """Requests that a removed target has not answered by then get a 502."""
    health_check: HealthCheck | None = None
    """The balancer's own health check, see [lab.health_check](#labhealth_check); by default none."""
    tries: Annotated[int, pydantic.Field(ge=1, le=10)] = 1
    """How many targets a request may go to. Not with `alb` and `service`."""
    retry_posts: bool = False
    """nginx's `non_idempotent`: send POST, LOCK and PATCH again too. Only with `nginx`."""
    time_scale: Annotated[float, pydantic.Field(gt=0, le=10)] = 1.0
    """Multiply all of the balancer's times by this."""
    clock_offset: SignedNs = 0
    """The difference between the API server's clock and the machine's; may be negative."""
    drop_watches: DurationNs = 0
    """Cut each watch after this long. 0: watches end as on a real server."""
    kubernetes: Annotated[
        Literal["1.20", "1.33", "1.36"],
        pydantic.BeforeValidator(
            lambda value: {1.2: "1.20", 1.33: "1.33", 1.36: "1.36"}.get(value, value)
        ),  # YAML reads it as a number
    ] = "1.36"
    """Which version of Kubernetes the lab behaves like."""

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
