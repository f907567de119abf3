"""summary.txt, which a run also prints: plain ASCII, 100 columns, for a narrow terminal at 3 am or a CI log.

The first screen is the short version (summary/screen.py). The details follow below a rule, the most wanted ones last:
a log that shows only the last 50 lines shows causes, fixes, findings and the verdict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.escaping import everywhere, for_line
from harness.judge.balancers import shown as balancers
from harness.report import bombardier, lint, measured, sending
from harness.report.summary import details, pods, screen, tables
from harness.report.summary.details import calls, streams
from harness.report.summary.layout import LABEL, WIDTH, labelled, wrapped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.judge.verdict.judgement import Judgement

RULE = "=" * WIDTH
FOOTNOTE = (
    "Latency: good responses only. Reqs/sec: completed / time; Stdev and Max of whole seconds. bombardier itself "
    "mixes all outcomes into Latency, takes 20 ms samples, and its Stdev shrinks as the run grows."
)


def render(judgement: Judgement, *, latencies: bool) -> str:
    """Return the whole summary, without a newline at its end.

    Its first and its last line are the verdict; `latencies` adds the distribution to bombardier's block.
    """
    judgement = everywhere(judgement, for_line)
    blocks = [
        screen.render(judgement),
        [RULE],
        *_sections(judgement, latencies=latencies),
        [headline(judgement)],
    ]
    return "\n\n".join("\n".join(block) for block in blocks)


def _sections(judgement: Judgement, *, latencies: bool) -> list[list[str]]:
    """Return the blocks of each section, its heading first; empty sections are left out."""
    numbers, timeline, sent = judgement.numbers, judgement.timeline, judgement.sending
    times = f"times from the {'first ' if judgement.rollouts else ''}trigger"
    kinds = {kind.kind: kind.count for kind in numbers.kinds}
    held = judgement.streams is not None
    block = bombardier.render(bombardier.of(numbers, latencies=latencies)).splitlines()
    sections: dict[str, list[list[str]]] = {
        "The run": [details.head(judgement.about)],
        "The load, in bombardier's format": [[] if held else [*block, *wrapped(FOOTNOTE, "  * ", "    ")]],
        "Streams": [streams(judgement)],
        "What clients waited for: handshakes, then messages (one a second for each stream)"
        if held
        else "Requests": [
            tables.requests(judgement),
            sending.latencies(sent),
            sending.targets(sent),
            tables.failures(numbers, timeline) + sending.samples(sent, kinds),
            labelled("Balancer", _hanging(balancers.lines(judgement.balancers))),
            tables.rollouts(judgement) or tables.phases(numbers, timeline, held=held),
            tables.bad_time(numbers, timeline, held=held),
        ],
        "gRPC calls": [calls(judgement)],
        "Connections and the load generator": [
            sending.pods(sent) + sending.connections(sent) + sending.cost(sent) + sending.stalls(sent)
        ],
        f"What the cluster did ({times})": [
            [] if judgement.rollouts else pods.pods(timeline),
            pods.targets(timeline),
            pods.steps(timeline),
            pods.others(timeline),
            pods.scalings(timeline),
            pods.gaps(timeline),
        ],
        "Measured": [measured.numbers(judgement.measured)],
        "Headroom: how close it was": [measured.headroom(judgement.headroom, judgement.curve)],
        "Lint findings, checked by this run": [lint.marked(judgement.lint)],
        "Advice (zdtest advise RUN prints it as a patch)": [measured.advice(judgement.advice)],
        f"Causes ({times})": [details.causes(judgement.causes, timeline)],
        "Notes": [[line for note in judgement.notes for line in wrapped(note, "Note: ", "      ")]],
        "Findings": [details.findings(judgement)],
    }
    found = []
    for title, blocks in sections.items():
        said = [block for block in blocks if block]
        if said:
            found += [[f"-- {title} --", *said[0]], *said[1:]]
    return found


def _hanging(lines: Sequence[str]) -> list[str]:
    return [part for line in lines for part in wrapped(line, "", "  ", WIDTH - LABEL)]


def headline(judgement: Judgement) -> str:
    """Return the verdict in one line."""
    return f"{judgement.verdict.grade}: {judgement.verdict.headline}"
