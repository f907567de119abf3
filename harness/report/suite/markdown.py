"""A suite as Markdown, for --markdown and the summary of a GitHub job, and as annotations of that job. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.escaping import everywhere, for_code, for_markdown
from harness.recording.series.suite import VERDICTS, Result
from harness.report.ci.workflow import Annotation, render as commands
from harness.report.suite.words import how_it_ran, length, name_of, news, told, urgent_first

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.recording.series.suite import Entry, Suite

_SIGNS = {
    Result.PASS: "✅",
    Result.FAIL: "❌",
    Result.INCONCLUSIVE: "❔",
    Result.LEFT_OUT: "\N{WHITE CIRCLE}",
    Result.NOT_RUN: "\N{WHITE CIRCLE}",
}
_FIXES = 10


def render(suite: Suite, headline: str, link: str = "") -> str:
    """Return the document: the headline, a row for each scenario, then why and what to change for each that failed."""
    shown = everywhere(suite, for_markdown)
    rows = [
        "| scenario | workload | verdict | lost | requests | causes | took |",
        "| --- | --- | --- | ---: | ---: | --- | ---: |",
        *(_row(entry) for entry in urgent_first(shown.entries)),
    ]
    facts = f"{', '.join(how_it_ran(suite))}."
    if link:
        facts += (
            f" [The job]({for_markdown(link)})" if not link.startswith("http") else f" [The job](<{link}>)"
        )
    blocks = [
        "\n".join([f"## {for_markdown(suite.name)}: {for_markdown(headline)}", "", facts]),
        "\n".join(rows),
    ]
    plain = {entry.name: entry for entry in suite.entries}
    blocks += [
        "\n".join(_details(entry, plain[raw.name]))
        for raw, entry in zip(suite.entries, shown.entries, strict=True)
        if entry.result is not Result.PASS
    ]
    return "\n\n".join(blocks) + "\n"


def _row(entry: Entry) -> str:
    judged = entry.result in VERDICTS
    sign = _SIGNS.get(entry.result, "💥")
    new = news(entry)
    causes = " ".join("/".join(one for one in cause.ids if one[:1].isupper()) for cause in entry.causes)
    cells = (
        entry.name,
        entry.workload or "-",
        f"{sign} {name_of(entry.result)}" + (f" ({new})" if new else ""),
        f"{entry.lost:,}" if judged and entry.lost is not None else "-",
        f"{entry.requests:,}" if judged and entry.requests is not None else "-",
        causes.strip() or "-",
        length(entry.took_s),
    )
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _details(entry: Entry, plain: Entry) -> Iterator[str]:
    yield f"**{entry.name}**: {name_of(entry.result)}: {told(entry)}"
    if entry.causes or entry.run:
        yield ""
    for cause in entry.causes:
        yield f"- {cause.requests:,}: {cause.name}"
    fixes = dict.fromkeys(fix for cause in plain.causes for fix in cause.fix)
    yield from (f"- fix: `{for_code(fix)}`" for fix in list(fixes)[:_FIXES])
    if entry.run:
        yield f"- report: `{for_code(plain.run)}/report.html`"


def of_github(suite: Suite) -> list[str]:
    """Return a workflow command for each scenario that did not pass, those that lost requests as errors."""
    return commands(
        Annotation(
            "error" if entry.result is Result.FAIL else "warning",
            f"zdtest: {entry.name}: {name_of(entry.result)}",
            "\n".join([told(entry), *(f"fix: {fix}" for cause in entry.causes for fix in cause.fix)]),
        )
        for entry in urgent_first(suite.entries)
        if entry.result not in {Result.PASS, Result.LEFT_OUT, Result.NOT_RUN}
    )
