"""summary.md: at most 15 lines that fit a chat message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.escaping import everywhere, for_code, for_markdown
from harness.judge.findings.finding import NO_WORSE, REPLACED
from harness.judge.wording import at, cause_in_words, count, lasting
from harness.model import Grade
from harness.report.measured import short
from harness.report.summary.remedies import remedy

if TYPE_CHECKING:
    from harness.judge.findings.finding import Finding
    from harness.judge.verdict.judgement import Judgement

LINES = 15
_CAUSES = 3


def render(judgement: Judgement) -> str:
    """Return the message: the verdict first, then what was lost, why, and what fixes it."""
    code = everywhere(judgement.about, for_code)
    judgement = everywhere(judgement, for_markdown)  # except for text between backticks
    about, numbers, verdict = judgement.about, judgement.numbers, judgement.verdict
    zero = judgement.timeline.zero_ns
    what = (
        f"`{code.workload}`, {about.trigger}"
        if about.workload
        else ", ".join(f"`{t}`" for t in code.targets[:1])
    )
    lines = [f"**{verdict.grade}: {verdict.headline}**", "", f"- {about.name}, {about.began}: {what}"]
    lines += [f"- objectives: {f.observed}" for f in verdict.findings if f.objective == REPLACED]
    sent = f"- {count(numbers.requests, 'request')}"
    if numbers.latency is not None:
        p50, p99 = (lasting(numbers.latency.percentiles[p]) for p in ("50", "99"))
        sent += f" ({numbers.rates.mean:,.0f}/s), good ones: p50 {p50}, p99 {p99}"
    lines.append(sent)
    if numbers.failed:
        kinds = ", ".join(f"{kind.kind}: {kind.count:,}" for kind in numbers.kinds[:4])
        lines.append(f"- {numbers.failed:,} failed ({kinds}) in {count(numbers.bad_seconds, 'second')}")
    if numbers.outage:
        lines.append(
            f"- longest outage {lasting(numbers.outage.to_ns - numbers.outage.from_ns)} "
            f"at {at(numbers.outage.from_ns, zero)}"
        )
    if judgement.rollouts:
        bad = [str(n) for n, one in enumerate(judgement.rollouts, 1) if one.verdict.lost]
        lost = (
            f"lost requests in {', '.join(bad[:8])}{', ...' if len(bad) > 8 else ''}"
            if bad
            else "none lost a request"
        )
        lines.append(f"- {count(len(judgement.rollouts), 'rollout')}: {lost}")
    for cause in judgement.causes[:_CAUSES]:
        fix = f"; fix: {'; '.join(cause.mend)}" if cause.mend else ""
        lines.append(f"- {cause.hits:,} failed: {cause_in_words(cause.name, cause.ids)}{fix}")
    if len(judgement.causes) > _CAUSES:
        lines.append(f"- ... and {count(len(judgement.causes) - _CAUSES, 'more cause')}")
    advised = short(judgement.advice)
    if advised:
        lines.append(f"- advice (`zdtest advise {code.folder}`): {advised}")
    closest = (
        [line for line in judgement.headroom if line.what == "preStop"] if verdict.grade is Grade.PASS else []
    )
    lines += [f"- {line.what}: {line.sentence}" for line in closest]
    if verdict.grade is Grade.INCONCLUSIVE:
        open_ = [finding for finding in verdict.findings if finding.grade is Grade.INCONCLUSIVE]
        lines += [f"- no PASS: {_doubt(finding, judgement)}" for finding in open_[: LINES - len(lines) - 1]]
    lines += [
        f"- baseline: {f.observed}"
        for f in verdict.findings
        if f.objective == NO_WORSE and f.observed not in verdict.headline
    ]
    if verdict.bound:
        lines.append(f"- {verdict.bound}")
    return "\n".join(lines[:LINES]) + "\n"


def _doubt(finding: Finding, judgement: Judgement) -> str:
    """Say why there is no PASS, and what to do about it."""
    to_do = for_markdown(remedy(finding, judgement))
    return f"{finding.observed}; to do: {to_do}" if to_do else finding.observed
