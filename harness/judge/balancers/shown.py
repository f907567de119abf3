"""What people are shown of balancers and their answers, as lines of text. Pure; whoever prints them escapes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.judge.balancers.known import Chain, Seen

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Sample:
    """One kind of failed answer: what it was, how many failed so, and what that means there."""

    kind: str
    count: int
    text: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Balancers:
    """Who stands between the client and the pods, and what failed answers said, the most frequent first."""

    seen: tuple[Seen, ...] = ()
    samples: tuple[Sample, ...] = ()

    @property
    def chain(self) -> Chain:
        """Return them as what reads a failure."""
        return Chain(self.seen) if self.seen else Chain()


def lines(balancers: Balancers | None, *, meanings: bool = True) -> Sequence[str]:
    """Return a line for each balancer, and one for each kind of failed answer, with what it means or without."""
    if balancers is None or not balancers.seen:
        return ()
    first, *rest = balancers.seen
    found = [_named(first.title, first.evidence)]
    found += [f"then {_named(one.title, one.evidence)}" for one in rest]
    if first.name == "unknown" and balancers.samples:
        found = ["unknown: no failed answer says which it is; --balancer NAME does"]
    elif first.name == "unknown":
        found = []
    for one in balancers.samples:
        found.append(f"{one.count:,} x {one.kind} {one.text}" + (f": {one.meaning}" if meanings else ""))
    return tuple(found)


def _named(title: str, evidence: str) -> str:
    return f"{title} ({evidence})" if evidence else title
