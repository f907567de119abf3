"""What stands below the picture: causes with evidence, the patch, lint, rollouts, findings, environment, summary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.judge.balancers import shown as balancers
from harness.judge.calls import words as of_calls
from harness.judge.streams import words
from harness.judge.wording import at, lasting
from harness.model import Grade
from harness.report import patch, text
from harness.report.page import earlier
from harness.report.page.headline import cause_button, fix_line, pod_buttons, quoted
from harness.report.page.markup import Markup, joined, listed, tag
from harness.report.summary import sentences
from harness.report.summary.details import CONFIDENCE

if TYPE_CHECKING:
    from harness.judge.causes.causes import Cause
    from harness.judge.lint.lint import LintFinding
    from harness.judge.picture.picture import Picture
    from harness.judge.verdict.judgement import Judgement

_SIGNS = {Grade.PASS: "ok", Grade.FAIL: "FAIL", Grade.INCONCLUSIVE: "?"}
_STATUS_ORDER = ("confirmed", "untested", "", "refuted")


def render(judgement: Judgement, picture: Picture) -> Markup:
    """Return all sections that have something to say."""
    shown = [
        _rollouts(judgement),
        earlier.render(picture.beside),
        _streams(judgement),
        _calls(judgement),
        _causes(judgement, picture),
        _fix(judgement),
        _lint(judgement),
        _findings(judgement),
        _environment(judgement),
        _summary(judgement),
    ]
    return joined(shown)


def _section(title: str, name: str, *inside: Markup | None) -> Markup:
    """Return a section; its name, with a capital, is its link at the top of the page."""
    head = tag("h2", title, id=f"{name}-title", data_short=name.capitalize())
    return tag("section", head, *inside, id=name, aria_labelledby=f"{name}-title")


def _table(head: list[str], rows: list[list[Markup | str]]) -> Markup:
    return tag(
        "div",
        tag(
            "table",
            tag("thead", tag("tr", *(tag("th", word, scope="col") for word in head))),
            tag("tbody", *(tag("tr", *(tag("td", cell) for cell in row)) for row in rows)),
        ),
        class_="scroll",
    )


def _rollouts(judgement: Judgement) -> Markup | None:
    if not judgement.rollouts:
        return None
    zero = judgement.timeline.zero_ns
    rows: list[list[Markup | str]] = []
    for number, one in enumerate(judgement.rollouts, 1):
        numbers = one.numbers
        latency = numbers.latency
        outage = numbers.outage
        rows.append(
            [
                tag("button", f"{number}", type="button", class_="rollout", data_rollout=number - 1,
                    title="Show this rollout in the picture"),
                tag("span", f"{one.grade}", class_=f"pill {one.grade.lower()}"),
                at(one.timeline.zero_ns, zero) if one.timeline.triggered else "-",
                "-" if one.about.settled_ns is None else lasting(one.about.settled_ns),
                f"{numbers.requests:,}",
                f"{one.verdict.lost:,}",
                f"{numbers.bad_seconds:,}",
                lasting(outage.to_ns - outage.from_ns) if outage else "-",
                lasting(latency.percentiles["99"]) if latency else "-",
                ", ".join(dict.fromkeys(" or ".join(cause.ids) for cause in one.causes if cause.the_rollouts)) or "-",
            ]
        )  # fmt: skip
    head = [
        "Rollout",
        "Verdict",
        "Trigger",
        "Took",
        "Requests",
        "Lost",
        "Bad seconds",
        "Longest outage",
        "p99",
        "Causes",
    ]
    return _section("Rollouts side by side", "rollouts", _table(head, rows))


def _streams(judgement: Judgement) -> Markup | None:
    """Say what became of the streams, if the run held any."""
    if judgement.streams is None:
        return None
    said = words.sentences(judgement.streams, judgement.timeline.zero_ns)
    return _section("Streams", "streams", listed(said))


def _calls(judgement: Judgement) -> Markup | None:
    """Say where gRPC calls went, if the run made any."""
    if judgement.calls is None:
        return None
    said = of_calls.sentences(judgement.calls, judgement.timeline.zero_ns)
    return _section("gRPC calls", "calls", listed(said))


def _causes(judgement: Judgement, picture: Picture) -> Markup | None:
    if not judgement.causes:
        return None
    return _section(
        "Causes, with their evidence",
        "causes",
        *(_cause(cause, judgement, picture) for cause in judgement.causes),
    )


def _cause(cause: Cause, judgement: Judgement, picture: Picture) -> Markup:
    zero = judgement.timeline.zero_ns
    kinds = ", ".join(f"{kind}: {n:,}" for kind, n in list(cause.kinds.items())[:6])
    known = (
        f"; {CONFIDENCE[cause.confidence]}" if cause.the_rollouts and cause.confidence in CONFIDENCE else ""
    )
    pods = pod_buttons(cause, picture)
    return tag(
        "article",
        tag("h3", cause_button(cause, picture)),
        tag("p", f"{kinds}; {at(cause.first_ns, zero)} to {at(cause.last_ns, zero)}{known}"),
        listed(cause.evidence, class_="evidence"),
        tag("p", "Pods: ", *pods, class_="pods") if pods else None,
        tag("p", tag("b", "to fix it")) if cause.mend else None,
        listed([fix_line(line) for line in sentences.fixes_of(cause)], class_="mend"),
        tag("p", f"to tell them apart: {cause.spread_by}") if cause.spread_by else None,
        class_="cause",
    )


def _fix(judgement: Judgement) -> Markup | None:
    if judgement.advice is None or not (judgement.advice.patch or judgement.advice.warnings):
        return None
    copy = tag("button", "Copy", type="button", class_="copy", data_copies="patch")
    note = tag(
        "p",
        "Made from what this run measured; ",
        tag("code", f"zdtest advise {judgement.about.folder}"),
        " prints the same.",
    )
    code = tag("pre", patch.render(judgement), id="patch", tabindex=0, aria_label="The patch")
    return _section("The fix, as a patch", "fix", note, tag("div", copy, code, class_="code"))


def _lint(judgement: Judgement) -> Markup | None:
    shown = [f for f in judgement.lint if f.severity != "info" or f.status == "confirmed"]
    if not shown:
        return None

    def order(found: LintFinding) -> int:
        return _STATUS_ORDER.index(found.status) if found.status in _STATUS_ORDER else 1

    rows: list[list[Markup | str]] = [
        [
            tag("span", found.status or found.severity, class_=f"pill {found.status}"),
            joined([tag("code", found.path), " of ", found.object]),
            joined([found.message, tag("div", f"{found.reason} ({found.source})", class_="aside")]),
            found.rule,
        ]
        for found in sorted(shown, key=order)
    ]
    return _section(
        "Lint findings, checked by this run",
        "lint",
        _table(["This run", "Where", "What and why", "Rule"], rows),
    )


def _findings(judgement: Judgement) -> Markup:
    rows: list[list[Markup | str]] = [
        [
            tag("span", _SIGNS[finding.grade], class_=f"pill {finding.grade.lower()}"),
            finding.objective,
            finding.observed,
        ]
        for finding in judgement.verdict.findings
    ]
    bound = tag("p", judgement.verdict.bound) if judgement.verdict.bound else None
    return _section("Objectives and findings", "findings", _table(["", "Objective", "Observed"], rows), bound)


def _environment(judgement: Judgement) -> Markup:
    about = judgement.about
    facts: list[tuple[str, str]] = [
        ("Run", f"{about.name}, {about.began}"),
        ("Folder", about.folder),
        ("zdtest", about.version),
        ("Command", " ".join(about.command)),
        ("Target", ", ".join(about.targets[:10]) + (", ..." if len(about.targets) > 10 else "")),
        ("Load", ", ".join(filter(None, (about.model, about.load_from)))),
        ("Workload", about.workload),
        ("Cluster", about.cluster),
        ("Change", about.trigger),
        ("Rollout", " ".join(part for part in (about.rollout_state.replace("_", " "), about.rollout_reason) if part)),
        ("Ended by", about.ended_by.replace("_", " ")),
    ]  # fmt: skip
    lines = balancers.lines(judgement.balancers)
    entries = [part for name, value in facts if value for part in (tag("dt", name), tag("dd", value))]
    if lines:
        entries += [tag("dt", "Balancer"), tag("dd", listed(quoted(line) for line in lines))]
    notes = listed(judgement.notes)
    if notes:
        entries += [tag("dt", "Notes"), tag("dd", notes)]
    return _section("Environment", "environment", tag("dl", *entries, class_="facts-list"))


def _summary(judgement: Judgement) -> Markup:
    return _section(
        "Everything else",
        "summary",
        tag(
            "details",
            tag("summary", "The summary as text: latencies, phases, connections, measured times, headroom"),
            tag("pre", text.render(judgement, latencies=True), tabindex=0, aria_label="The summary as text"),
        ),
    )
