"""A run as one Markdown document: --markdown FILE, and the summary page of a GitHub Actions job. Pure.

The verdict first, then the picture as text, why, what to change, and every finding.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from harness.escaping import everywhere, for_code, for_line, for_markdown
from harness.judge.wording import at, cause_in_words, count, lasting, share
from harness.model import Grade, Phase
from harness.report import patch
from harness.report.ci import strip
from harness.report.summary.remedies import remedy
from harness.report.summary.sentences import fixes_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.judge.numbers.summary import Part
    from harness.judge.verdict.judgement import Judgement

MIB = 1 << 20  # docs.github.com/actions: a step's summary is at most 1 MiB, else the upload of it fails
_CUT = "... cut here: GitHub shows at most 1 MiB of a step's summary."
_SIGNS = {Grade.PASS: "✅", Grade.FAIL: "❌", Grade.INCONCLUSIVE: "❔"}
_CAUSES = 12
_KINDS = 12
_ROLLOUTS = 200


def render(judgements: Sequence[Judgement], link: str = "") -> str:
    """Return the document, with a newline at its end; of several runs, a table of them stands first."""
    blocks: list[list[str]] = []
    if len(judgements) > 1:
        blocks.append(_runs(judgements))
    for judgement in judgements:
        blocks += _run(judgement, link)
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def fitting(text: str, room: int) -> str:
    """Return as many whole lines as fit into `room` bytes, and then a note; all of it if it fits.

    A code block that is cut is closed. It is "" if there is no room for the note either.
    """
    if len(text.encode()) <= room:
        return text
    note = f"\n{_CUT}\n"
    left = room - len(note.encode()) - len("```\n")
    kept: list[str] = []
    for line in text.splitlines(keepends=True):
        left -= len(line.encode())
        if left < 0:
            break
        kept.append(line)
    if not kept:
        return ""
    fenced = sum(line.startswith("```") for line in kept) % 2
    return "".join(kept) + ("```\n" if fenced else "") + note


def _run(judgement: Judgement, link: str) -> list[list[str]]:
    told = everywhere(judgement, for_markdown)
    plain = everywhere(judgement, for_line)
    verdict = told.verdict
    return [
        [f"## {_SIGNS[verdict.grade]} {verdict.grade}: {verdict.headline}"],
        _about(judgement, told, link),
        _block([line.replace("`", "'") for line in strip.render(plain)], "text"),
        _causes(told),
        _doubts(told),
        _advice(plain),
        _rollouts(told),
        _numbers(told),
        _findings(told),
    ]


def _block(lines: Sequence[str], language: str) -> list[str]:
    return [f"```{language}", *lines, "```"] if lines else []


def _table(
    head: Sequence[str], rows: Sequence[Sequence[str]], right: frozenset[str] = frozenset()
) -> list[str]:
    """Return a table. Its cells are Markdown already; only what would end a cell is escaped here."""
    lines = [head, ["--:" if name in right else ":--" for name in head], *rows]
    return [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines]


def _about(judgement: Judgement, told: Judgement, link: str) -> list[str]:
    code, about = everywhere(judgement.about, for_code), told.about
    parts = [about.name, about.began]
    if about.workload:
        parts.append(f"`{code.workload}`: {about.trigger or 'no change'}")
    parts += [f"`{target}`" for target in code.targets[:1]]
    lines = [", ".join(part for part in parts if part)]
    numbers = told.numbers
    sent = count(numbers.requests, "request")
    if numbers.failed:
        sent += f", {numbers.failed:,} failed ({share(numbers.failed, numbers.requests)})"
    if numbers.outage:
        length = lasting(numbers.outage.to_ns - numbers.outage.from_ns)
        sent += f", longest outage {length} at {at(numbers.outage.from_ns, told.timeline.zero_ns)}"
    lines.append(f"<br>{sent}")
    if link:
        lines.append(f"<br>[The job]({_address(link)})")
    return lines


def _address(link: str) -> str:
    """Return an address for a Markdown link, in which nothing ends it."""
    return "".join(c if c not in "()<>\\ \"'`" else f"%{ord(c):02X}" for c in for_line(link))


def _causes(told: Judgement) -> list[str]:
    against = [cause for cause in told.causes if cause.the_rollouts]
    if not against:
        return []
    lines = ["### Why, and what fixes it", ""]
    for cause in against[:_CAUSES]:
        lines.append(f"- **{cause.hits:,}**: {cause_in_words(cause.name, cause.ids)}")
        lines += [f"  - fix: {fix}" for fix in fixes_of(cause)]
        lines += [f"  - seen: {line}" for line in cause.evidence[:4]]
        if cause.spread_by:
            lines.append(f"  - to tell them apart: {cause.spread_by}")
    if len(against) > _CAUSES:
        lines.append(f"- and {count(len(against) - _CAUSES, 'more cause')}")
    return lines


def _doubts(told: Judgement) -> list[str]:
    if told.grade is not Grade.INCONCLUSIVE:
        return []
    lines = ["### Why this is no PASS", ""]
    for finding in told.verdict.findings:
        if finding.grade is Grade.INCONCLUSIVE:
            lines.append(f"- not shown: {finding.objective}: {finding.observed}")
            to_do = for_markdown(remedy(finding, told))
            lines += [f"  - to do: {to_do}"] if to_do else []
    return lines


def _advice(plain: Judgement) -> list[str]:
    if plain.advice is None or not plain.advice.patch:
        return []
    lines = patch.render(plain).splitlines()
    if any("```" in line for line in lines):  # would end the block; a patch must not be altered to fit
        return [f"The fix as a patch: `zdtest advise {for_code(plain.about.folder)}`"]
    return ["<details><summary>The fix as a patch</summary>", "", *_block(lines, "yaml"), "", "</details>"]


def _rollouts(told: Judgement) -> list[str]:
    if not told.rollouts:
        return []
    rows = []
    for number, one in enumerate(told.rollouts[:_ROLLOUTS], 1):
        during = one.timeline.phase(Phase.DURING)
        rows.append(
            [
                str(number),
                f"{_SIGNS[one.grade]} {one.grade}",
                f"{one.numbers.requests:,}",
                f"{one.verdict.lost:,}",
                lasting(during.length_ns) if during else "-",
                ", ".join("/".join(cause.ids) for cause in one.causes if cause.the_rollouts) or "-",
            ]
        )
    table = _table(
        ("Rollout", "Verdict", "Requests", "Lost", "Took", "Causes"),
        rows,
        frozenset({"Rollout", "Requests", "Lost", "Took"}),
    )
    more = len(told.rollouts) - _ROLLOUTS
    return ["### Rollouts", "", *table, *(["", f"and {count(more, 'more rollout')}"] if more > 0 else [])]


def _numbers(told: Judgement) -> list[str]:
    parts = [part for part in told.numbers.parts if part.requests]
    if not parts:
        return []
    right = frozenset({"Requests", "Failed", "p50", "p99", "max"})
    rows = [
        [part.name, f"{part.requests:,}", f"{part.failed:,}", *_latency(part), _kinds(part)] for part in parts
    ]
    head = ("Phase", "Requests", "Failed", "p50", "p99", "max", "Failed, by kind")
    return ["### Numbers", "", *_table(head, rows, right), "", "Latency is of good answers."]


def _latency(part: Part) -> tuple[str, str, str]:
    if part.latency is None:
        return "-", "-", "-"
    percentiles = part.latency.percentiles
    return lasting(percentiles["50"]), lasting(percentiles["99"]), lasting(part.latency.max_ns)


def _kinds(part: Part) -> str:
    shown = list(part.kinds.items())
    more = ", ..." if len(shown) > _KINDS else ""
    return ", ".join(f"{kind}: {n:,}" for kind, n in shown[:_KINDS]) + more or "-"


def _findings(told: Judgement) -> list[str]:
    rows = [[f"{_SIGNS[f.grade]} {f.grade}", f.objective, f.observed] for f in told.verdict.findings]
    return ["### Findings", "", *_table(("", "Objective", "Observed"), rows), *_bound(told)]


def _bound(told: Judgement) -> Iterator[str]:
    if told.verdict.bound:
        yield ""
        yield from textwrap.wrap(told.verdict.bound, 400)


def _runs(judgements: Sequence[Judgement]) -> list[str]:
    rows = []
    for judgement in judgements:
        told = everywhere(judgement, for_markdown)
        causes = ", ".join("/".join(cause.ids) for cause in told.causes if cause.the_rollouts)
        verdict = f"{_SIGNS[told.grade]} {told.grade}"
        rows.append(
            [told.about.name, verdict, f"{told.numbers.requests:,}", f"{told.verdict.lost:,}", causes or "-"]
        )
    return _table(("Run", "Verdict", "Requests", "Lost", "Causes"), rows, frozenset({"Requests", "Lost"}))
