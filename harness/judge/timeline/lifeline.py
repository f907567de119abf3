"""The lifeline of a pod: every moment of its life on the run's clock, and what its manifest promised.

Traps in reading one, and what is done about each:
- `deletionTimestamp` is the time of the request PLUS the grace period: the moment of deletion is our receipt of
  the first event that carries one.
- Kubernetes' own times are whole seconds of another clock. They are used only for what happened before we
  watched, and for containers (whose status is reported late); they are mapped with an offset measured on this
  very recording, so a server whose clock is off does no harm. A mapped moment lies at most 1 s before the truth.
- The exit code shows only in the last events before DELETED.
- `Killing` is written before preStop runs: it is not SIGTERM.
- On servers without `serving` and `terminating`, leaving the slice is what ends an address.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.clock import NS
from harness.judge.timeline.targets import TargetState  # noqa: TC001  pydantic reads verdict.json by it
from harness.k8s.hooks import grace_s, last_sleep_ns, pre_stop
from harness.k8s.serving import serving, serving_port

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class PodSpec:
    """What the manifest promised for a pod, as far as rollouts are concerned.

    `pre_stop` is "" without a hook; `pre_stop_ns` is its length where it can be read (`sleep N`), else None.
    """

    container: str = ""  # the one that serves, of which all the rest speaks
    readiness_probe: bool = False
    pre_stop: str = ""
    pre_stop_ns: int | None = None
    grace_ns: int = 30 * NS
    ports: tuple[int, ...] = ()
    cpu_limited: bool = False


@dataclass(frozen=True, slots=True)
class PodNote:
    """A Kubernetes Event about a pod."""

    t_ns: int
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a pod's bar. state: starting | ready | in_endpoints | terminating."""

    state: str
    from_ns: int
    to_ns: int


class Served(NamedTuple):
    """A stretch in which a pod was a ready endpoint; `to_ns` is None while it lasts."""

    from_ns: int
    to_ns: int | None


@dataclass(frozen=True, slots=True)
class Lifeline:
    """One pod's moments. None: it did not happen, or nobody saw it. Negative: before the run began.

    `old` pods existed at the trigger. Only the last of `endpoints` may still last. `missed`: some of this is known
    only from a list taken after a gap.
    """

    name: str
    uid: str
    old: bool
    address: str = ""
    node: str = ""
    spec: PodSpec = field(default_factory=PodSpec)
    created_ns: int | None = None
    started_ns: int | None = None
    ready_ns: int | None = None
    in_endpoints_ns: int | None = None
    deleted_ns: int | None = None
    killing_ns: int | None = None
    out_of_endpoints_ns: int | None = None
    exited_ns: int | None = None
    gone_ns: int | None = None
    exit_code: int | None = None
    exit_reason: str = ""
    restarts: int = 0
    missed: bool = False
    endpoints: tuple[Served, ...] = ()
    notes: tuple[PodNote, ...] = ()
    # When the last container had exited, a sidecar for one; `exited_ns` is of the one that serves.
    ended_ns: int | None = None
    # The first time that its containers were given other resources while it lived on: a resize in place.
    resized_ns: int | None = None
    resized: str = ""  # "web cpu 250m -> 500m"
    unready_ns: int | None = None  # when it was first seen not to be ready after its deletion
    endings_ns: tuple[int, ...] = ()  # when a container ended, each time, before or after the deletion
    exit_assumed: bool = False  # nobody saw it; it is taken to be as that of its like
    targets: tuple[TargetState, ...] = ()  # of its address in AWS target groups, in time order

    def noted(self, reason: str) -> PodNote | None:
        """Return the first Event with this reason, if there was one."""
        return next((note for note in self.notes if note.reason == reason), None)

    def segments(self, end_ns: int) -> tuple[Segment, ...]:
        """Cut the life into the stretches that the timeline draws; `end_ns` closes what is still open.

        A pod that was deleted is terminating even while an address of it lingers in a slice.
        """
        last = min(self.gone_ns if self.gone_ns is not None else end_ns, end_ns)
        calm = min(self.deleted_ns if self.deleted_ns is not None else last, last)
        begin = self.created_ns if self.created_ns is not None else self.started_ns
        cuts: list[tuple[int, str]] = [(begin, "starting")] if begin is not None else []
        if self.ready_ns is not None:
            cuts.append((self.ready_ns, "ready"))
        for start, stop in self.endpoints:
            cuts.append((start, "in_endpoints"))
            if stop is not None:
                cuts.append((stop, "ready"))
        cuts = [cut for cut in sorted(cuts, key=lambda cut: cut[0]) if cut[0] < calm]
        found = [
            Segment(state, start, min(following[0], calm))
            for (start, state), following in zip(cuts, [*cuts[1:], (calm, "")], strict=True)
        ]
        if self.deleted_ns is not None and self.deleted_ns < last:
            found.append(Segment("terminating", self.deleted_ns, last))
        return tuple(segment for segment in found if segment.to_ns > segment.from_ns)


def pod_spec(spec: dict[str, Any], services: Iterable[dict[str, Any]] = ()) -> PodSpec:
    """Read from a pod's spec what bears on rollouts, of the container that takes the Services' requests.

    Another container's probe delays the pod's readiness, and its hook the pod's end; neither says that this one
    listens.
    """
    served = serving(spec, services)
    hook = pre_stop(served)
    length = last_sleep_ns(hook)
    kind = next(iter(hook), "hook") if hook else ""
    port = serving_port(served, services)
    return PodSpec(
        container=str(served.get("name") or ""),
        readiness_probe=bool(served.get("readinessProbe")),
        pre_stop=f"sleep {length / NS:g} s" if length is not None else kind,
        pre_stop_ns=length,
        grace_ns=grace_s(spec) * NS,
        ports=() if port is None else (port,),
        cpu_limited="cpu" in ((served.get("resources") or {}).get("limits") or {}),
    )
