"""The balancers of one run: which families stand in a row, how that is known, and what a failure means behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.judge.balancers.clouds import ALB, CLOUDFRONT, GOOGLE
from harness.judge.balancers.envoy import ENVOY, ISTIO
from harness.judge.balancers.family import narrowed
from harness.judge.balancers.gotransport import CADDY, TRAEFIK
from harness.judge.balancers.meaning import NONE, Meaning
from harness.judge.balancers.nginx import INGRESS_NGINX, NGINX
from harness.judge.balancers.silent import APACHE, HAPROXY
from harness.judge.balancers.unnamed import DIRECT, UNKNOWN
from harness.model import Outcome

if TYPE_CHECKING:
    from harness.judge.balancers.family import Failure, Family

# Those that stand nearer to the client first: where several are met, this is the order in which a request passes them.
FAMILIES: tuple[Family, ...] = (
    CLOUDFRONT, GOOGLE, ALB, ISTIO, ENVOY, CADDY, TRAEFIK, HAPROXY, INGRESS_NGINX, NGINX, APACHE,
)  # fmt: skip
# The log formats of these are those of the family that they are built on.
_LOGS_AS = {INGRESS_NGINX.name: NGINX.name, ISTIO.name: ENVOY.name}
BY_NAME = {family.name: family for family in (*FAMILIES, DIRECT, UNKNOWN)}


@dataclass(frozen=True, slots=True)
class Seen:
    """One balancer on the way, and by what it is known."""

    name: str
    title: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Chain:
    """The balancers between the client and the pods, the client's first. Never empty: there is `none`, and there is
    `unknown`.
    """

    seen: tuple[Seen, ...] = (Seen(UNKNOWN.name, UNKNOWN.title, ""),)

    @property
    def families(self) -> tuple[Family, ...]:
        """Return their tables."""
        return tuple(BY_NAME[one.name] for one in self.seen)

    @property
    def names(self) -> frozenset[str]:
        """Return their names."""
        return frozenset(one.name for one in self.seen)

    @property
    def unknown(self) -> bool:
        """Whether nothing tells who stands there."""
        return UNKNOWN.name in self.names

    @property
    def direct(self) -> bool:
        """Whether connections lead to pods."""
        return DIRECT.name in self.names

    def meaning(self, failure: Failure) -> Meaning:
        """Return what a failure means: by the table of the one whose words it bears, else by those of all of them; and
        by the access log, where it gives a reason.
        """
        found = self._by_answer(failure)
        if not failure.logged:
            return found
        return narrowed(found, failure, own=self.wrote(failure.log), worded=self._worded(failure))

    def wrote(self, log: str) -> bool:
        """Whether an access log of this family is that of a balancer on the way."""
        return any(_LOGS_AS.get(name, name) == log for name in self.names)

    def _worded(self, failure: Failure) -> bool:
        """Whether the answer itself says who gave it, and why."""
        answer = failure.answer
        if failure.outcome is not Outcome.RESPONSE:
            return False
        return failure.named or (
            answer is not None and any(one.bears(answer) or one.passed_on(answer) for one in self.families)
        )

    def _by_answer(self, failure: Failure) -> Meaning:
        families = self.families
        if failure.outcome is not Outcome.RESPONSE:  # the connection that broke was to the first of them
            return families[0].meaning(failure)
        if failure.answer is not None:
            answer = failure.answer
            own = [family for family in families if family.own(answer) or family.bears(answer)]
            if own:
                return own[0].meaning(failure)
        found = NONE
        for family in families:
            found |= family.meaning(failure)
        return found
