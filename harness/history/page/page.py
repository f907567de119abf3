"""The page of the history: for each group what it tells, its verdicts, its numbers, its changes and its runs. Pure."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from harness.escaping import for_line
from harness.history import trend
from harness.history.metrics import metrics_of
from harness.history.page.charts import chart, grade_class
from harness.history.page.style import STYLE, policy
from harness.judge.wording import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness.history.groups import Change, Group, Night
    from harness.history.listing import Skipped
    from harness.history.metrics import Metric
    from harness.history.runs import Run

CHARTED = 120  # of the latest runs
_OPEN = 30  # rows of the table that are unfolded
_LONGEST = 160  # characters of a changed value
_MOST_CHANGES = 40  # of one night
_LETTERS = {"PASS": "P", "FAIL": "F", "INCONCLUSIVE": "?"}


def render(groups: Sequence[Group], skipped: Sequence[Skipped], links: Mapping[str, str]) -> str:
    """Return the page. `links` leads from each run's folder to its own page, relative to this one."""
    runs = sum(len(group.nights) for group in groups)
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy())}">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        '<meta name="referrer" content="no-referrer"><title>zdtest: history of runs</title>',
        f"<style>{STYLE}</style></head><body>",
        "<header><h1>History of rollouts</h1>",
        f"<p>{count(runs, 'run')} in {count(len(groups), 'group')}. Times are UTC.</p></header><main>",
        *(_group(group, links) for group in groups),
        *(["<section><p>There is no run to show.</p></section>"] if not groups else []),
        *_left_out(skipped),
        "</main></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _text(text: str) -> str:
    return escape(for_line(text))


def _group(group: Group, links: Mapping[str, str]) -> str:
    charted = group.nights[-CHARTED:]
    changed = [night for night in group.nights if night.changes]
    marks = {night.run.folder: number for number, night in enumerate(changed, 1)}
    runs = group.runs
    latest = runs[-1]
    span = f"{runs[0].when[:10]} to {runs[-1].when[:10]}" if len(runs) > 1 else runs[0].when[:10]
    only = f", the latest {CHARTED} in the charts" if len(charted) < len(runs) else ""
    figures = "".join(chart(metric, charted, marks, links) for metric in metrics_of(runs))
    return "\n".join(
        (
            f'<section><div class="head"><div><h2>{_text(group.title)}</h2>',
            f'<p class="soft">{count(len(runs), "run")}, {span}{only}</p></div>',
            f'<span class="badge {grade_class(latest)}">last: {_text(latest.verdict)}</span></div>',
            f'<ul class="said">{"".join(f"<li>{_text(sentence)}</li>" for sentence in trend.said(group))}</ul>',
            f'<div class="strip">{"".join(_cell(night, links) for night in charted)}</div>',
            _legend(charted) if figures else "",
            f'<div class="charts">{figures}</div>',
            _changes(changed, marks),
            _table(group.nights, links),
            "</section>",
        )
    )


def _cell(night: Night, links: Mapping[str, str]) -> str:
    """Return a run as a small square with the first letter of its verdict, and a link to its page."""
    run = night.run
    title = f"{run.when}: {run.headline or run.unjudged()}"
    new = " new" if night.changes else ""
    named = f'class="{grade_class(run)}{new}" title="{_text(title)}"'
    letter = _LETTERS.get(run.grade, "-")
    link = links.get(run.folder, "")
    label = f' aria-label="{_text(f"{run.when} {run.verdict}")}"'
    return (
        f'<a {named}{label} href="{escape(link)}">{letter}</a>' if link else f"<span {named}>{letter}</span>"
    )


def _legend(nights: Sequence[Night]) -> str:
    shapes = {
        "pass": ('<circle cx="6" cy="6" r="4"/>', "PASS"),
        "fail": ('<path d="M6 1l5 5l-5 5l-5 -5z"/>', "FAIL"),
        "open": ('<rect x="2" y="2" width="8" height="8"/>', "INCONCLUSIVE"),
    }
    there = {grade_class(night.run) for night in nights}
    shown = [
        f'<svg viewBox="0 0 12 12" aria-hidden="true"><g class="{name}">{shape}</g></svg>{words}'
        for name, (shape, words) in shapes.items()
        if name in there
    ]
    if any(metric.least(night.run) for night in nights for metric in metrics_of([night.run])):
        mark = '<g class="pass least"><circle cx="6" cy="6" r="4"/></g>'
        shown.append(f'<svg viewBox="0 0 12 12" aria-hidden="true">{mark}</svg>a lower bound')
    lines = '<svg viewBox="0 0 12 12" aria-hidden="true"><path class="change" d="M6 0V12"/></svg>something was changed'
    return (
        f'<p class="legend">{"".join((*shown, lines if any(night.changes for night in nights) else ""))}</p>'
    )


def _changes(changed: Sequence[Night], marks: Mapping[str, int]) -> str:
    if not changed:
        return ""
    items = []
    for night in reversed(changed):
        lines = "".join(_change(change) for change in night.changes[:_MOST_CHANGES])
        more = len(night.changes) - _MOST_CHANGES
        lines += f"<code>and {count(more, 'more field')}</code>" if more > 0 else ""
        number = marks[night.run.folder]
        items.append(f'<li><b class="n">{number}</b>before the run of {_text(night.run.when)}{lines}</li>')
    return f'<h3>What was changed</h3><ol class="changes">{"".join(items)}</ol>'


def _change(change: Change) -> str:
    before, after = (_text(text[:_LONGEST] or "(none)") for text in (change.before, change.after))
    return f"<code>{_text(change.what[:_LONGEST])}: <del>{before}</del> &rarr; <ins>{after}</ins></code>"


def _table(nights: Sequence[Night], links: Mapping[str, str]) -> str:
    newest = list(reversed(nights))
    metrics = metrics_of(night.run for night in nights)
    heads = "".join(f'<th title="{_text(metric.about)}">{metric.short}</th>' for metric in metrics)
    head = f'<thead><tr><th>run</th><th class="l">verdict</th>{heads}<th class="l">causes</th></tr></thead>'

    def table(rows: Sequence[Night]) -> str:
        body = "".join(line for night in rows for line in _row(night.run, links, metrics))
        inner = f"<table>{head}<tbody>{body}</tbody></table>"
        return f'<div class="scroll" tabindex="0" role="group" aria-label="Runs">{inner}</div>'

    older = newest[_OPEN:]
    folded = (
        f"<details><summary>{count(len(older), 'older run')}</summary>{table(older)}</details>"
        if older
        else ""
    )
    return f"<h3>Runs</h3>{table(newest[:_OPEN])}{folded}"


def _row(run: Run, links: Mapping[str, str], metrics: Sequence[Metric]) -> Iterator[str]:
    link = links.get(run.folder, "")
    name = (
        f'<a href="{escape(link)}" title="{_text(run.folder)}">{_text(run.when)}</a>'
        if link
        else _text(run.when)
    )
    numbers = "".join(f"<td>{_text(metric.cell(run))}</td>" for metric in metrics)
    causes = _text(" ".join(cause.text for cause in run.causes)) or "-"
    verdict = f'<td class="l {grade_class(run)}">{_text(run.verdict)}</td>'
    yield f'<tr><td>{name}</td>{verdict}{numbers}<td class="l">{causes}</td></tr>'
    if run.missing:
        yield f'<tr class="why"><td class="l" colspan="{len(metrics) + 3}">{_text(run.unjudged())}</td></tr>'


def _left_out(skipped: Sequence[Skipped]) -> Iterator[str]:
    if skipped:
        items = "".join(f"<li>{_text(one.folder)}: {_text(one.why)}</li>" for one in skipped[:100])
        more = f"<li>and {len(skipped) - 100:,} more</li>" if len(skipped) > 100 else ""
        summary = f"<summary>{count(len(skipped), 'folder')} skipped</summary>"
        yield f"<section><details>{summary}<ul>{items}{more}</ul></details></section>"
