"""The values of zdtest.yaml that are text: durations, statuses, addresses, proportions, workloads. And what each of
its parts is made of.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Annotated, Literal, get_args

import pydantic

from harness.clock import NS
from harness.model import BALANCERS

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h))+")
Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
METHODS: tuple[str, ...] = get_args(Method)
KINDS = {
    "deployment": "Deployment", "deployments": "Deployment", "deploy": "Deployment",
    "statefulset": "StatefulSet", "statefulsets": "StatefulSet", "sts": "StatefulSet",
    "daemonset": "DaemonSet", "daemonsets": "DaemonSet", "ds": "DaemonSet",
    "rollout": "Rollout", "rollouts": "Rollout", "ro": "Rollout",
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


def known_balancer(value: str) -> str:
    """Return the name of a balancer. Raises ValueError."""
    if value not in BALANCERS:
        raise ValueError(f"zdtest does not know the balancer {value!r}; use one of {', '.join(BALANCERS)}")
    return value


_TARGET_GROUP = re.compile(r"arn:aws[\w-]*:elasticloadbalancing:[\w-]+:\d{12}:targetgroup/[\w-]+/[0-9a-f]+")


def target_group(value: str) -> str:
    """Return the ARN of a target group, or "auto". Raises ValueError."""
    if value != "auto" and not _TARGET_GROUP.fullmatch(value):
        raise ValueError(
            f"{value!r} is neither auto nor the ARN of a target group (arn:aws:elasticloadbalancing:REGION:ACCOUNT:"
            "targetgroup/NAME/ID)"
        )
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
            f"{value!r} is not a workload; write deployment/NAME, statefulset/NAME, daemonset/NAME or rollout/NAME"
        )
    return known, name


def signed_ns(value: object) -> int:
    """Read a duration that may have a minus sign. Raises ValueError."""
    text = str(value).strip()
    return -duration_ns(text[1:]) if text.startswith("-") else duration_ns(text)


DurationNs = Annotated[int, pydantic.BeforeValidator(duration_ns)]
SignedNs = Annotated[int, pydantic.BeforeValidator(signed_ns)]


class Strict(pydantic.BaseModel):
    """A part of a scenario: unknown fields are refused, and values are never shown in errors."""

    model_config = pydantic.ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )
