"""A plan in words: how many rollouts, how long, and from what that is computed."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from harness.escaping import for_line
from harness.judge.comparison.conclusion import length_said
from harness.judge.comparison.significance.power import MOST
from harness.judge.wording import count, lasting
from harness.report.summary.layout import wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.judge.comparison.plan import Plan

FORMAT = 1


def render(plan: Plan, service: str) -> str:
    """Return the text of `zdtest plan`; `service` says whose history it is, "" where there is none."""
    return "\n".join(line for text in _texts(plan, for_line(service)) for line in wrapped(text, "", "  "))


def document(plan: Plan, service: str) -> str:
    """Return it as JSON."""
    found = {"format": FORMAT, "service": service, **asdict(plan), "total_ns": plan.total_ns}
    return json.dumps(found, indent=1)


def _texts(plan: Plan, service: str) -> Iterator[str]:
    if plan.rollouts is None:
        yield f"Not even {MOST} rollouts per side would show it with a power of {plan.power:.0%}."
    else:
        yield (
            f"{count(plan.rollouts, 'rollout')} per side, {2 * plan.rollouts} in all: {length_said(plan.total_ns)}. "
            f"zdtest ab BEFORE.yaml AFTER.yaml --rollouts {plan.rollouts}"
        )
    share = f"{100 * plan.loss_rate:.4g} %"
    against = (
        f"{plan.base:,.1f} that are lost anyway, as with the latest manifest"
        if plan.base
        else "none on the other side"
    )
    yield (
        f"What is to be seen: one side loses {share} more of the requests sent while a rollout goes on, "
        f"{plan.more:,.1f} of {plan.requests:,} in each rollout on average, against {against}."
    )
    yield (
        f"Power {plan.power:.0%}: how often a difference of this size is seen. Level {plan.level:.0%}: how often "
        "equals are called different. Exact permutation test on lost requests a rollout, two-sided, by simulation."
    )
    yield (
        f"Bursts: k = {plan.k:.2g} (the smaller, the more the losses of one rollout come all at once or not at all); "
        f"{lasting(plan.length_ns)} a rollout."
    )
    others = ", ".join(f"{n}: {100 * share_:.0f} %" for n, share_ in plan.others if share_)
    if others:
        yield f"Power of other numbers per side: {others}."
    yield _basis(plan, service)


def _basis(plan: Plan, service: str) -> str:
    words = {
        "requests": f"{plan.requests:,} requests during a rollout (--requests says otherwise)",
        "length": f"{lasting(plan.length_ns)} a rollout",
        "bursts": f"bursts of k = {plan.k:.2g}, for want of enough rollouts that lost something",
    }
    from_ = (
        f"From {count(plan.known, 'rollout')} of {service}, {plan.known_lossy} of which lost requests."
        if plan.known
        else "No run of this service is known."
    )
    assumed = f" Assumed: {'; '.join(words[name] for name in plan.assumed)}." if plan.assumed else ""
    return from_ + assumed
