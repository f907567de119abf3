"""The attempts of one request at one target after another, and what is logged about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from harness.lab.balancer.families.family import Meaning
from harness.lab.balancer.profiles import (
    CLIENT_LEFT,
    CUT,
    ERROR_STATUS,
    NO_TARGET,
    Loss,
    Stage,
    asks_again,
    may_retry,
    meaning,
)

if TYPE_CHECKING:
    from harness.lab.balancer.context import Context
    from harness.lab.balancer.families.family import Reply
    from harness.lab.balancer.logs.lines import Try
    from harness.lab.balancer.upstream import Upstream, UpstreamTarget


class Next(NamedTuple):
    """What to do after a target has failed: ask `target`, else send `reply`, else cut off the answer that had begun."""

    target: UpstreamTarget | None
    reply: Reply | None
    silent: bool  # close the client's connection in place of the reply


class Attempts:
    """The requests of one client connection, one after the other."""

    __slots__ = ("_again", "_began", "_context", "_count", "_peer", "_tried", "_tries", "_turns", "head")

    def __init__(self, context: Context, peer: tuple[str, int]) -> None:
        self._context = context
        self._peer = peer
        self._count = 0  # requests so far
        self._began = 0.0  # when this one arrived, on the loop's clock
        self._again = False  # it has no body, so that it can be sent again as it is
        self._tries = 0  # how many targets it may still go to
        self._tried: tuple[UpstreamTarget, ...] = ()  # targets that failed it
        self._turns: tuple[Try, ...] = ()  # the same, for the access log
        self.head = b""  # as sent to the target, with the part of the body that arrived with it

    def begin(self, head: bytes, *, whole: bool, bodiless: bool) -> None:
        """Take the next request. `whole`: all of it has arrived (nginx would buffer the rest, and could resend it)."""
        self.head = head
        self._count += 1
        self._began = self._context.loop.time()
        self._again = bodiless
        self._tries = self._context.tries if whole else 1
        self._tried = self._turns = ()

    def nobody(self) -> Reply:
        """Return the answer when there is no target."""
        reply = self._context.profile.replies[Meaning.NOBODY]
        self._context.losses.lost(self.head, reply.status, NO_TARGET)
        self._log(reply.status, Meaning.NOBODY, sent=len(reply.body))
        return reply

    def failed(self, stage: Stage, loss: Loss, upstream: Upstream, status: int, passed: int) -> Next:
        """Decide what follows the failure of a target.

        `status` and `passed` describe the answer that had begun: its status, and the bytes of its body so far.
        """
        context = self._context
        means = meaning(stage, loss)
        reply = context.profile.replies[means] if means else None
        silent = reply is not None and reply.first_only and self._count > 1
        target = self._next_target(stage, loss, upstream)
        status_sent = CUT if reply is None or silent else reply.status
        context.losses.lost(self.head, status_sent, loss, stage, upstream, saved=target is not None)
        self._turns = (*self._turns, context.log.tried(upstream, reply.status if reply else status))
        if target is None and reply is None:
            self._log(status, sent=passed, cut=True)
        elif target is None and reply is not None:
            self._log(reply.status, means, sent=0 if silent else len(reply.body), silent=silent)
        return Next(target, reply, silent)

    def _next_target(self, stage: Stage, loss: Loss, upstream: Upstream) -> UpstreamTarget | None:
        """Return the target to send the request to again, if any."""
        context, profile = self._context, self._context.profile
        reused = upstream.uses > 1
        if self._again and not upstream.heard and asks_again(profile, self.head, stage, loss, reused=reused):
            return upstream.target
        self._tries -= 1
        self._tried = (*self._tried, upstream.target)
        posts = context.retry_posts
        if self._tries > 0 and may_retry(profile.retries, self.head, stage, loss, posts=posts):
            return context.group.another(self._tried)
        return None

    def answered(self, status: int, sent: int, upstream: Upstream | None) -> None:
        """Log an answer of a target that is an error, or that came at a second try only."""
        if status >= 500:
            self._context.losses.lost(self.head, status, ERROR_STATUS, Stage.WAITING, upstream)
        if status >= 400 or self._turns:
            self._log(status, upstream=upstream, sent=sent)

    def left(self, upstream: Upstream) -> None:
        """Log that the client left before its answer (nginx logs 499, an ALB 460)."""
        status = self._context.profile.client_left
        self._context.losses.lost(self.head, status, CLIENT_LEFT, None, upstream)
        self._log(status, upstream=upstream, left=True)

    def _log(
        self,
        status: int,
        means: Meaning | None = None,
        *,
        upstream: Upstream | None = None,
        sent: int = 0,
        cut: bool = False,
        silent: bool = False,
        left: bool = False,
    ) -> None:
        """Write this request into the access log. `upstream`: a target that was asked last, and has not failed."""
        log = self._context.log
        tries = (*self._turns, log.tried(upstream, status)) if upstream else self._turns
        log.ended(
            self.head, self._peer, self._began, status, sent, tries, means, cut=cut, silent=silent, left=left
        )
