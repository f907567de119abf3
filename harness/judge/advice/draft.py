"""A patch in the making, and all that it is computed from."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.clock import NS
from harness.judge.timeline.surroundings import services
from harness.k8s.hooks import grace_s
from harness.k8s.serving import serving, serving_port

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.judge.balancers.known import Seen
    from harness.judge.numbers.measured import Measured
    from harness.judge.numbers.summary import Numbers
    from harness.judge.timeline.timeline import Timeline
    from harness.model import RunRecord


AS_IT_IS = "as it is"  # ends a decided value that changes nothing


@dataclass(frozen=True, slots=True)
class Line:
    """One setting that the patch changes, why, and what of the run says so."""

    path: str
    value: str
    reason: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Advice:
    """What to change. `patch` is empty when there is nothing to; `warnings` are what it cannot fix, or what to
    check.
    """

    kind: str
    namespace: str
    name: str
    patch: dict[str, Any] = field(default_factory=dict)
    lines: tuple[Line, ...] = ()
    warnings: tuple[str, ...] = ()
    kubectl: str = ""  # how such a command begins; "" on the lab, which is gone


@dataclass(frozen=True, slots=True)
class Basis:
    """All that the advice is computed from."""

    run: RunRecord
    timeline: Timeline
    numbers: Numbers
    measured: Measured
    ids: frozenset[str]  # of the causes that count against the rollout
    beside: frozenset[str]  # what the failures that do not look like, by id
    workload: Mapping[str, Any]  # its manifest, as it is now: after the trigger; {} where there is none
    objects: Sequence[Mapping[str, Any]]
    failed: bool
    balancers: Sequence[Seen] = ()  # that were recognised, the client's side first

    @property
    def pod(self) -> Mapping[str, Any]:
        """The pod's spec in the workload's template."""
        spec: Mapping[str, Any] = ((self.workload.get("spec") or {}).get("template") or {}).get("spec") or {}
        return spec

    @property
    def container(self) -> Mapping[str, Any]:
        """The container that takes the Services' requests."""
        return serving(self.pod, services(self.objects))

    @property
    def port(self) -> int | None:
        """The port on which it takes them, where that is known."""
        return serving_port(self.container, services(self.objects))

    @property
    def grace_s(self) -> int:
        """The grace period, in seconds."""
        if not self.workload:
            return max((pod.spec.grace_ns // NS for pod in self.timeline.pods if pod.old), default=30)
        return grace_s(self.pod)

    @property
    def tail_s(self) -> int:
        """The longest request, in whole seconds; at least that when some were cut."""
        tail = self.measured.tail
        return math.ceil(max(tail.max_ns, tail.cut_ns) / NS) if tail else 0

    @property
    def drains(self) -> bool:
        """Whether the app was seen to answer after SIGTERM what it had before it."""
        return any(pod.drains for pod in self.measured.pods) and "B2" not in self.ids


class Draft:
    """A patch in the making."""

    def __init__(self, basis: Basis) -> None:
        self._container = str(basis.container.get("name") or "")
        self._of_container: dict[str, Any] = {}
        self._of_pod: dict[str, Any] = {}
        self._of_workload: dict[str, Any] = {}
        self.lines: list[Line] = []
        self.warnings: list[str] = []
        self.values: dict[str, str] = {}  # what causes and headroom cite, by the names of rules.VALUES

    def container(
        self, field_: str, value: dict[str, Any], value_in_words: str, reason: str, evidence: str
    ) -> None:
        """Set a field of the container that serves."""
        self._of_container[field_] = value
        path = f"spec.template.spec.containers[{self._container}].{field_}"
        self.lines.append(Line(path, value_in_words, reason, evidence))

    def pod(self, field_: str, value: Any, reason: str, evidence: str) -> None:
        """Set a field of the pod's spec."""
        self._of_pod[field_] = value
        self.lines.append(Line(f"spec.template.spec.{field_}", str(value), reason, evidence))

    def workload(self, field_: str, value: Any, value_in_words: str, reason: str, evidence: str) -> None:
        """Set a field of the workload's spec."""
        self._of_workload[field_] = value
        self.lines.append(Line(f"spec.{field_}", value_in_words, reason, evidence))

    def whole(self) -> dict[str, Any]:
        """Return the patch; {} when nothing is to be changed."""
        pod = dict(self._of_pod)
        if self._of_container:
            pod["containers"] = [{"name": self._container, **self._of_container}]
        spec = dict(self._of_workload)
        if pod:
            spec["template"] = {"spec": pod}
        return {"spec": spec} if spec else {}
