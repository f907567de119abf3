"""When a fact of the lab and one of a real cluster are the same, and why they may differ. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fidelity.cases import Case

SLACK_S = 1.6  # of a duration: a kubelet looks at its containers once a second, and so does the lab's
TURN_S = 6.0  # a kubelet looks at a back-off every 10 to 15 s
STATUS_LOOP_S = 10.0  # a 1.20 kubelet lets an ended pod go when its status loop comes by
UNEXPLAINED = "**unexplained**"


def same(case: Case, key: str, lab_says: str, real_says: str) -> bool:
    """Times may differ by the slack (a rollout's by the slack times its pods), counts of probe and back-off
    events by any amount."""
    replicas = case.spec.get("replicas", 2)
    if key.startswith("restart") and "s" in lab_says and "s" in real_says:
        return abs(float(lab_says[:-2]) - float(real_says[:-2])) <= TURN_S * int(key.split()[1])
    if key == "changes of Ready":
        return abs(int(lab_says) - int(real_says)) <= 1
    if lab_says.endswith(" s") and real_says.endswith(" s"):
        ours, theirs = float(lab_says[:-2]), float(real_says[:-2])
        slack = SLACK_S * (replicas if key == "rollout" else 1)
        if key == "deleted -> gone" or (key == "rollout" and case.name == "recreate"):
            slack = STATUS_LOOP_S
        return abs(ours - theirs) <= max(slack, 0.2 * theirs)
    if key.startswith("order"):
        return not crossed(lab_says, real_says)
    if (
        key == "exit codes"
    ):  # a 1.20 removes some pods before their code is reported: their number is not compared
        ours_seen, theirs_seen = _codes(lab_says), _codes(real_says)
        return theirs_seen <= ours_seen if case.steps else theirs_seen == ours_seen
    return _counted(lab_says) == _counted(real_says)


@dataclass(frozen=True)
class Difference:
    """One fact that is not the same."""

    case: Case
    key: str
    lab: str
    real: str

    def slower(self) -> bool:
        both = self.lab.endswith(" s") and self.real.endswith(" s")
        return (
            "->" in self.key + "->" * (self.key == "rollout")
            and both
            and float(self.real[:-2]) > float(self.lab[:-2])
        )

    def changed(self) -> set[str]:
        """Which Events came more or less often, or which words only one side has."""
        if self.key != "Events":
            return set(self.lab.split(", ")) ^ set(self.real.split(", "))
        ours, theirs = _numbers(self.lab), _numbers(self.real)
        return {k for k in ours.keys() | theirs.keys() if ours.get(k) != theirs.get(k)}


_RESTARTS = {"Created", "Pulled", "Started", "Killing", "BackOff", "Unhealthy"}
_FIRST = {"Progressing=NewReplicaSetCreated", "Progressing=ReplicaSetUpdated"}
# In order: the first that holds of a difference says why it is one.
REASONS: tuple[tuple[str, Callable[[Difference], bool]], ...] = (
    (
        "a 1.20 acts on a failed startupProbe at the pod's next sync, up to 90 s later; from 1.22 on at once",
        lambda d: d.case.name == "startup-fails",
    ),
    (
        "a condition that was over before its watch began",
        lambda d: d.key == "Deployment" and d.changed() <= _FIRST,
    ),
    (
        "the real node's pace: it starts and ends containers one after the other, on two busy cores",
        Difference.slower,
    ),
    (
        "a probe that just missed, or just met, the start of its container",
        lambda d: d.key == "Events" and d.changed() <= {"Unhealthy", "BackOff", "ScalingReplicaSet"},
    ),
    (
        "a restart more or less: a back-off is looked at every 10 to 15 s, drawn anew each time",
        lambda d: (
            d.case.name in {"liveness-fails", "crash"} and d.key == "Events" and d.changed() <= _RESTARTS
        ),
    ),
    (
        "how far the rollout was when the second change came",
        lambda d: len(d.case.steps) > 1 and (d.key == "Events" or d.key.startswith("most pods")),
    ),
)


def because(difference: Difference) -> str:
    """Return why a fact differs: Kubernetes 1.20, the test cluster, or chance. UNEXPLAINED needs a person."""
    return next((why for why, holds in REASONS if holds(difference)), UNEXPLAINED)


def _numbers(events: str) -> dict[str, str]:
    return dict(part.split(" ") for part in events.split(", ") if " " in part)


def crossed(one: str, other: str) -> set[tuple[str, str]]:
    """Return the pairs of moments whose order differs between the two; close moments have no order."""
    return _before(one) & {(b, a) for a, b in _before(other)}


def _before(text: str) -> set[tuple[str, str]]:
    groups = [group.split("+") for group in text.split(" < ")]
    return {
        (first, later)
        for n, group in enumerate(groups)
        for first in group
        for after in groups[n + 1 :]
        for later in after
    }


def _codes(text: str) -> set[str]:
    return {part.partition(" x")[0] for part in text.split(", ")} - {"-"}


def _counted(text: str) -> str:
    return re.sub(r"(Unhealthy|BackOff|ScalingReplicaSet) \d+", r"\1", text)
