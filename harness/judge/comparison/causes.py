"""Causes from side to side: which appeared, vanished or changed their share, and what in the manifest explains it.

A field explains a cause only where it moved in the way that brings the cause or takes it away: a preStop that appeared
explains that B1 (no preStop) vanished, never that it came.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.judge import odds
from harness.judge.comparison.record import CauseChange, ManifestChange
from harness.judge.verdict.bookkeeping import ABSENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.judge.comparison.sides import Side
    from harness.judge.verdict.fieldchanges import FieldChange

APPEARED, VANISHED, MORE, LESS, SAME = "appeared", "vanished", "more", "less", "same"
_SHIFT = 0.2  # of what was lost: a cause's share moved if it did so by this much

# How a cause comes: its field is gone, its field is there, its number is less, its number is more, or in any way.
_GONE, _THERE, _FEWER, _GREATER, _ANY = "gone", "there", "fewer", "greater", "any"
_PRE_STOP, _GRACE = r"\.lifecycle\.preStop\b", r"\.terminationGracePeriodSeconds$"
_READINESS, _REPLICAS = r"\.readinessProbe\b", r" spec\.replicas$"
_STRATEGY, _MIN_READY = r" spec\.(strategy|updateStrategy)\b", r" spec\.minReadySeconds$"
_LEFT_OUT = {
    "terminationGracePeriodSeconds": "30",
    "replicas": "1",
    "minReadySeconds": "0",
}  # what Kubernetes takes
_APP = r"\]\.(image|command|args|env)\b"
_RESOURCES = r"\.resources\b"
_BALANCER = r"^(Ingress|Service|HTTPRoute|BackendConfig|TargetGroupBinding|IngressClass)\b.*\.annotations\b"
_PUBLISHES = r"^Service.* spec\.publishNotReadyAddresses$"

_FIELDS: dict[str, tuple[tuple[str, str], ...]] = {
    "A1": ((_READINESS, _GONE),),
    "A2": ((_READINESS, _ANY), (_APP, _ANY), (_MIN_READY, _FEWER)),
    "A4": ((r"\.livenessProbe\b", _ANY), (r"\.startupProbe\b", _ANY), (_APP, _ANY)),
    "A5": ((_RESOURCES, _ANY), (_STRATEGY, _ANY)),
    "A7": ((r"\.readinessGates\b", _ANY), (_MIN_READY, _FEWER)),
    "A8": ((_APP, _ANY),),
    "B1": ((_PRE_STOP, _GONE), (_APP, _ANY)),
    "B2": ((_APP, _ANY), (_PRE_STOP, _ANY)),
    "B3": ((_APP, _ANY), (_GRACE, _FEWER)),
    "B4": ((_GRACE, _FEWER), (_APP, _ANY)),
    "B5": ((_PRE_STOP, _ANY), (_GRACE, _FEWER)),
    "B6": ((_PRE_STOP, _ANY), (r"\]\.image$", _ANY)),
    "B7": ((_PRE_STOP, _ANY),),
    "B9": ((_GRACE, _FEWER), (_RESOURCES, _ANY)),
    "C1": ((_PRE_STOP, _ANY), (_GRACE, _ANY)),
    "C2": ((_APP, _ANY), (_BALANCER, _ANY)),
    "C3": ((_PRE_STOP, _ANY), (_APP, _ANY)),
    "C4": ((_BALANCER, _ANY),),
    "C6": ((_PRE_STOP, _ANY),),
    "C7": ((_APP, _ANY), (_BALANCER, _ANY)),
    "C8": ((_BALANCER, _ANY),),
    "C9": ((_PRE_STOP, _ANY), (_APP, _ANY), (_BALANCER, _ANY)),
    "C19": ((_PUBLISHES, _ANY),),
    "C20": ((_BALANCER, _ANY), (_APP, _ANY)),
    "D1": ((_REPLICAS, _FEWER), (_STRATEGY, _ANY), (_PRE_STOP, _GONE)),
    "D2": ((_REPLICAS, _FEWER), (_STRATEGY, _ANY), (_RESOURCES, _ANY)),
    "D3": ((_STRATEGY, _ANY),),
    "D5": ((_STRATEGY, _ANY), (_RESOURCES, _ANY), (_REPLICAS, _GREATER)),
    "D6": ((r"\.hostPort$", _THERE), (r"\.affinity\b", _ANY), (r"\.volumes\b", _ANY), (_STRATEGY, _ANY)),
    "D7": ((_READINESS, _ANY), (_RESOURCES, _ANY), (_APP, _ANY)),
    "D8": ((r"^HorizontalPodAutoscaler\b", _ANY),),
    "D9": ((_REPLICAS, _FEWER), (_STRATEGY, _ANY)),
}  # fmt: skip


def cause_changes(before: Side, after: Side) -> tuple[CauseChange, ...]:
    """Say of each cause that counts against a rollout what became of it: the most hits first."""
    names = {
        key: name
        for side in (before, after)
        for one in side.rollouts
        for key, name in one.cause_names.items()
    }
    found = [_change(key, names[key], before, after) for key in names]
    return tuple(sorted(found, key=lambda one: (-(one.hits_before + one.hits_after), one.ids)))


def _change(key: str, name: str, before: Side, after: Side) -> CauseChange:
    hits = [sum(one.causes.get(key, 0) for one in side.rollouts) for side in (before, after)]
    lost = [sum(sum(one.causes.values()) for one in side.rollouts) for side in (before, after)]
    having = [sum(one.causes.get(key, 0) > 0 for one in side.rollouts) for side in (before, after)]
    share = [part / whole if whole else 0.0 for part, whole in zip(hits, lost, strict=True)]
    if not hits[0] or not hits[1]:
        what = APPEARED if hits[1] else VANISHED
    else:
        moved = share[1] - share[0]
        what = MORE if moved > _SHIFT else LESS if moved < -_SHIFT else SAME
    p = odds.shares_p(having[0], len(before.rollouts), having[1], len(after.rollouts))
    return CauseChange(tuple(key.split("|")), name, what, hits[0], hits[1], having[0], having[1], p)


def explained(changes: Sequence[FieldChange], causes: Sequence[CauseChange]) -> tuple[ManifestChange, ...]:
    """Mark the changes of a manifest that explain a change of causes; those come first."""
    by_cause = [(f"{'|'.join(cause.ids)} {cause.what}", _explaining(cause, changes)) for cause in causes]
    found = [
        ManifestChange(one, tuple(what for what, paths in by_cause if one.path in paths)) for one in changes
    ]
    return tuple(sorted(found, key=lambda one: not one.explains))


def _explaining(cause: CauseChange, changes: Sequence[FieldChange]) -> set[str]:
    """Return the paths of the changes that explain one cause: of each of its ids, by its first field that has any.

    An app's variable may have to do with everything; beside a preStop that appeared it explains nothing.
    """
    if cause.what == SAME:
        return set()
    came = cause.what in {APPEARED, MORE}
    found: set[str] = set()
    for one in cause.ids:
        for pattern, how in _FIELDS.get(one, ()):
            fits = {c.path for c in changes if re.search(pattern, c.path) and _moved(c, how, came=came)}
            if fits:
                found |= fits
                break
    return found


def _moved(change: FieldChange, how: str, *, came: bool) -> bool:
    """Whether a field moved so that it brings a cause (`came`), or takes it away."""
    old, new = (change.before, change.after) if came else (change.after, change.before)
    if how == _GONE:
        return new == ABSENT
    if how == _THERE:
        return new != ABSENT
    if how in {_FEWER, _GREATER}:
        taken = _LEFT_OUT.get(change.path.rpartition(".")[2], "")
        old, new = (taken if value == ABSENT else value for value in (old, new))
        if old.isdigit() and new.isdigit():
            return int(new) < int(old) if how == _FEWER else int(new) > int(old)
    return True
