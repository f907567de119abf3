"""What a run was, each cause with its evidence, and every finding: the summary's details in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.judge.calls import words as of_calls
from harness.judge.streams import words
from harness.judge.wording import at, cause_in_words
from harness.model import Grade
from harness.report.summary.layout import wrapped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.judge.causes.causes import Cause
    from harness.judge.timeline.timeline import Timeline
    from harness.judge.verdict.about import About
    from harness.judge.verdict.judgement import Judgement

# How sure a cause is, in words. A set of causes shows it itself: "(A1 or B1)".
CONFIDENCE = {"exact": "matched by pod", "by time": "matched by time only"}


def head(about: About) -> list[str]:
    """Return what the run was: name, targets, load, workload, and how the rollout went."""
    lines = [f"{about.name}, {about.began}" + (f", zdtest {about.version}" if about.version else "")]
    shown = about.targets[:3]
    lines += [f"  {target}" for target in shown]
    if len(about.targets) > len(shown):
        lines.append(f"  ... and {len(about.targets) - len(shown)} more targets")
    lines.append(f"  {about.model}")
    if about.load_from:
        lines.append(f"  {about.load_from}")
    if about.workload:
        lines += wrapped(f"{about.workload}, {about.cluster}", "  ", "    ")
    if about.trigger:
        reason = (
            f" ({about.rollout_reason})" if about.rollout_reason and about.rollout_state != "complete" else ""
        )
        story = f"{about.trigger}: {about.rollout_state.replace('_', ' ')}{reason}"
        if about.status_done_ns is not None:
            story += f"; `rollout status` done {at(about.status_done_ns, 0)}"
        if about.old_gone_ns is not None:
            story += f", last old pod gone {at(about.old_gone_ns, 0)}"
        if about.settled_ns is not None:
            story += f", settled {at(about.settled_ns, 0)}"
        lines += wrapped(story, "  ", "    ")
    return lines


def causes(found: Sequence[Cause], timeline: Timeline) -> list[str]:
    """Return each cause, the largest first, with its evidence and its fix."""
    lines: list[str] = []
    for number, cause in enumerate(found, 1):
        lines += wrapped(
            f"{cause.hits:,} failed: {cause_in_words(cause.name, cause.ids)}", f"{number:>2}. ", "    "
        )
        span = f"{at(cause.first_ns, timeline.zero_ns)} to {at(cause.last_ns, timeline.zero_ns)}"
        kinds = ", ".join(f"{kind}: {n:,}" for kind, n in list(cause.kinds.items())[:3])
        known = (
            f"; {CONFIDENCE[cause.confidence]}"
            if cause.the_rollouts and cause.confidence in CONFIDENCE
            else ""
        )
        lines += wrapped(f"{kinds}; {span}{known}", "    ", "      ")
        for text in cause.evidence:
            lines += wrapped(text, "    - ", "      ")
        for text in cause.mend:
            lines += wrapped(text, "    fix: ", "         ")
        if cause.spread_by:
            lines += wrapped(cause.spread_by, "    to tell them apart: ", "      ")
    return lines


def streams(judgement: Judgement) -> list[str]:
    """Return what became of the streams; nothing where requests were sent."""
    if judgement.streams is None:
        return []
    said = words.sentences(judgement.streams, judgement.timeline.zero_ns)
    return [line for text in said for line in wrapped(text, "  - ", "    ")]


def calls(judgement: Judgement) -> list[str]:
    """Return where gRPC calls went, and how connections ended; nothing where HTTP requests were sent."""
    if judgement.calls is None:
        return []
    said = of_calls.sentences(judgement.calls, judgement.timeline.zero_ns)
    return [line for text in said for line in wrapped(text, "  - ", "    ")]


def findings(judgement: Judgement) -> list[str]:
    """Return every finding, and what a clean run does not prove."""
    lines: list[str] = []
    for finding in judgement.verdict.findings:
        lead = {Grade.PASS: "  ok    ", Grade.FAIL: "  FAIL  ", Grade.INCONCLUSIVE: "  ?     "}[finding.grade]
        lines += wrapped(f"{finding.objective}: {finding.observed}", lead, "        ")
    if judgement.verdict.bound:
        lines += wrapped(judgement.verdict.bound, "  ", "  ")
    return lines
