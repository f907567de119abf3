"""What else to look at, whatever the verdict: doubts beside a FAIL, failures not due to the rollout, risks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.judge.calls.words import pinned
from harness.judge.wording import cause_in_words, count
from harness.model import Grade
from harness.report.summary.layout import LABEL, WIDTH, clipped, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.judge.verdict.judgement import Judgement

NOTHING = "nothing"


def attention(judgement: Judgement) -> list[str]:
    """Return at most two lines for each; "nothing" if there is none."""
    found = [
        line
        for text in _texts(judgement)
        for line in clipped(wrapped(text, "", "  ", WIDTH - LABEL), 2, "  ...")
    ]
    return found or [NOTHING]


def _texts(judgement: Judgement) -> Iterator[str]:
    if judgement.grade is Grade.FAIL:
        for finding in judgement.verdict.findings:
            if finding.grade is Grade.INCONCLUSIVE:
                yield f"also in doubt: {finding.objective}: {finding.observed}"
    for cause in judgement.causes:
        if not cause.the_rollouts or judgement.grade is not Grade.FAIL:
            also = f" (looks like {cause.diagnosis})" if cause.diagnosis else ""
            lost = "failed request" if judgement.streams is None else "lost stream"
            yield f"{count(cause.hits, lost)}: {cause_in_words(cause.name, cause.ids)}{also}"
    yield from pinned(judgement.calls) if judgement.calls else ()
    warned = {"error", "warning"}
    open_ = [f for f in judgement.lint if f.severity in warned and f.status != "refuted"]
    if judgement.grade is not Grade.FAIL and open_:
        rules = ", ".join(dict.fromkeys(finding.rule for finding in open_))
        yield f"{count(len(open_), 'lint finding')} that this run did not refute: {rules}"
    advice = judgement.advice
    if judgement.grade is not Grade.FAIL and advice and advice.lines:
        yield f"{count(len(advice.lines), 'field')} could be set better: zdtest advise {judgement.about.folder}"
    stalled = judgement.sending.stalled_seconds if judgement.sending else {}
    if stalled:
        yield f"the load generator itself was late in {count(len(stalled), 'second')}"
    if judgement.notes:
        yield f"{count(len(judgement.notes), 'note')}, below"
