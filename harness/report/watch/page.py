"""The page of a watch: services, what each deploy lost, why, and what would mend it. Pure.

No script: the page is whole without one, and asks for itself again every minute.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from harness import __version__
from harness.escaping import everywhere, for_line
from harness.judge.wording import count, lasting
from harness.report.page.markup import Markup, joined, listed, tag
from harness.report.page.policy import policy

if TYPE_CHECKING:
    from harness.report.watch.rows import Board, DeployRow, ServiceRow

_SHOWN = 10  # deploys of a service that are unfolded
_STRIP = 60
_AGAIN_S = 60
_LETTERS = {"PASS": "P", "FAIL": "F", "INCONCLUSIVE": "?"}


def render(board: Board) -> str:
    """Return the page. Links lead to `runs/FOLDER/report.html`."""
    board = everywhere(board, for_line)
    styles = _styles()
    title = f"zdtest watch: {board.namespace}"
    head = joined(
        [
            tag("meta", charset="utf-8"),
            tag("meta", http_equiv="Content-Security-Policy", content=policy(styles, "")),
            Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
            Markup('<meta name="referrer" content="no-referrer">'),
            tag("meta", http_equiv="refresh", content=_AGAIN_S),
            Markup('<link rel="icon" href="data:,">'),
            tag("title", title),
            tag("style", Markup(styles)),
        ]
    )
    body = joined(
        [
            tag("a", "Skip to the services", class_="skip", href="#services"),
            tag("header", tag("span", "zdtest", class_="brand"), _links(board), class_="bar"),
            tag(
                "main",
                _top(board),
                _scoreboard(board),
                *map(_service, board.services),
                _left(board),
                _missed(board),
            ),
            tag(
                "footer",
                tag(
                    "p",
                    f"Made by zdtest {__version__} at {board.now} UTC, and made again every minute. The latest"
                    f" {board.keep} recordings of each service are kept.",
                ),
            ),
        ]
    )
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>{body}</body></html>\n'


@cache
def _styles() -> str:
    page = files("harness.report.page").joinpath("assets", "page.css").read_text("utf-8")
    return page + "\n" + files("harness.report.watch").joinpath("assets", "watch.css").read_text("utf-8")


def _links(board: Board) -> Markup:
    names = [tag("a", "Services", href="#services")]
    if board.not_watched:
        names.append(tag("a", "Not watched", href="#left"))
    if board.missed:
        names.append(tag("a", "Missed", href="#missed"))
    return tag("nav", *names, aria_label="Sections")


def _top(board: Board) -> Markup:
    watched = [one for one in board.services if one.watched]
    lost = sum(one.lost for one in board.services)
    changes = sum(one.count for one in board.services)
    lossy = sum(one.lossy for one in board.services)
    unseen = sum(one.count for one in board.missed)
    judged = [row for one in board.services for row in one.deploys if row.grade]
    grade = (
        "fail"
        if lost
        else "pass"
        if judged and all(row.grade == "PASS" for row in judged)
        else "inconclusive"
    )
    word = "LOST" if lost else "NO LOSS SEEN" if judged else "NO DEPLOY YET"
    said = (
        f"{count(lost, 'request')} lost in {lossy} of {count(changes, 'deploy')}"
        if lost
        else f"{count(changes, 'deploy')} recorded, none of them lost a request that was seen"
    )
    tiles = [
        _tile("services watched", f"{len(watched)}", f"of {len(watched) + len(board.not_watched)}"),
        _tile("deploys on record", f"{changes:,}", "" if not lossy else f"{lossy:,} with losses"),
        _tile("requests lost", f"{lost:,}", "", bad=lost > 0),
        _tile(
            "deploys nobody saw",
            f"{unseen:,}",
            "see below" if board.missed else "",
            bad=unseen > 0,
        ),
    ]
    return tag(
        "div",
        tag(
            "div",
            tag("span", word, class_="badge"),
            tag("h1", said),
            tag("p", f"Namespace {board.namespace}, watched since {board.since} UTC", class_="facts"),
            class_="verdict",
        ),
        tag("dl", *tiles, class_="tiles"),
        class_=f"top {grade}",
    )


def _tile(name: str, value: str, more: str, *, bad: bool = False) -> Markup:
    return tag(
        "div",
        tag("dt", name),
        tag("dd", tag("b", value, class_="bad" if bad else None), tag("span", more) if more else None),
        class_="tile",
    )


def _scoreboard(board: Board) -> Markup:
    if not board.services:
        return tag("section", tag("h2", "Services"), tag("p", "No service is watched yet."), id="services")
    heads = [tag("th", "service", scope="col"), tag("th", "last deploy", scope="col")]
    heads += [tag("th", name, scope="col", class_="n") for name in ("deploys", "with losses", "lost")]
    heads += [tag("th", "largest cause of the last loss, and the fix", scope="col")]
    rows = [_line(one) for one in board.services]
    table = tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *rows), class_="board cards")
    return tag("section", tag("h2", "Services"), tag("div", table, class_="scroll"), id="services")


def _line(one: ServiceRow) -> Markup:
    last = one.deploys[0] if one.deploys else None
    lossy = next((row for row in one.deploys if row.lost), None)
    why = (
        joined([lossy.cause or "no known cause", tag("small", f"fix: {lossy.fix}") if lossy.fix else None])
        if lossy
        else ""
    )
    return tag(
        "tr",
        tag("th", tag("a", one.key, href=f"#{_anchor(one.key)}"), scope="row"),
        tag("td", *_grade(last)),
        tag("td", f"{one.count:,}", class_="n", data_of="deploys"),
        tag("td", f"{one.lossy:,}", class_="n", data_of="with losses"),
        tag("td", f"{one.lost:,}", class_="n bad" if one.lost else "n", data_of="lost"),
        tag("td", why, class_="long"),
    )


def _grade(row: DeployRow | None) -> list[Markup]:
    if row is None:
        return [tag("span", "none yet", class_="aside")]
    word = row.grade or "not judged"
    return [
        tag("span", word, class_=f"pill {row.grade.lower()}"),
        tag("small", f"{row.when} UTC", class_="when"),
    ]


def _service(one: ServiceRow) -> Markup:
    newest = one.deploys[:_SHOWN]
    older = one.deploys[_SHOWN:]
    facts = [one.url, one.rate, f"{count(one.gaps, 'gap')} in the watch" if one.gaps else ""]
    folded = (
        tag("details", tag("summary", count(len(older), "older deploy")), _table(older)) if older else None
    )
    strip = [_square(row) for row in reversed(one.deploys[:_STRIP])]
    return tag(
        "section",
        tag(
            "div",
            tag("h2", one.key, id=f"{_anchor(one.key)}-title"),
            tag("span", one.doing, class_="pill"),
            tag("span", ", ".join(part for part in facts if part), class_="aside"),
            class_="service",
        ),
        tag("div", *strip, class_="strip", role="list", aria_label="Deploys, oldest first")
        if strip
        else None,
        _table(newest) if newest else tag("p", "No deploy has been seen yet.", class_="aside"),
        folded,
        id=_anchor(one.key),
        aria_labelledby=f"{_anchor(one.key)}-title",
    )


def _square(row: DeployRow) -> Markup:
    letter = f"{row.lost:,}" if row.lost else _LETTERS.get(row.grade, "-")
    named = {"class_": row.grade.lower() or None, "title": f"{row.when}: {row.headline}", "role": "listitem"}
    label = f"{row.when} {row.grade or 'not judged'}" + (f", {row.lost:,} lost" if row.lost else "")
    if row.page:
        return tag("a", letter, href=_page(row), aria_label=label, **named)
    return tag("span", letter, aria_label=label, **named)


def _table(rows: tuple[DeployRow, ...]) -> Markup:
    heads = [tag("th", name, scope="col") for name in ("when (UTC)", "verdict", "what was changed")]
    heads += [tag("th", "lost", scope="col", class_="n"), tag("th", "why, and what is left", scope="col")]
    lines = [
        tag(
            "tr",
            tag(
                "th",
                tag("a", row.when, href=_page(row)) if row.page else row.when,
                scope="row",
                class_="when",
            ),
            tag("td", tag("span", row.grade or "not judged", class_=f"pill {row.grade.lower()}")),
            tag(
                "td", row.what + (f" (and {row.deploys - 1} more)" if row.deploys > 1 else ""), class_="long"
            ),
            tag(
                "td",
                "" if row.lost is None else f"{row.lost:,}",
                class_="n bad" if row.lost else "n",
                data_of="lost",
            ),
            tag("td", *_why(row), class_="long"),
        )
        for row in rows
    ]
    table = tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *lines), class_="board cards")
    return tag("div", table, class_="scroll")


def _why(row: DeployRow) -> list[Markup | str]:
    said: list[Markup | str] = []
    if row.cause:
        said.append(tag("span", row.cause))
    elif row.headline and row.grade != "PASS":
        said.append(tag("span", row.headline))
    if row.fix and row.lost:
        said.append(tag("small", f"fix: {row.fix}"))
    if row.headroom and not row.lost:
        said.append(tag("small", row.headroom))
    if row.grade:
        said.append(tag("small", hidden(row)))
    return said


def hidden(row: DeployRow) -> str:
    """Say how small a loss this recording could have missed."""
    if row.hidden_ns is None:
        return "nothing was sent while it went on: any loss could have gone unseen"
    return (
        f"{count(row.hits, 'request')} while it went on; what could have gone unseen: {lasting(row.hidden_ns)} of full"
        f" outage, or {lasting(5 * row.hidden_ns)} of a fifth of the pods"
    )


def _left(board: Board) -> Markup | None:
    if not board.not_watched:
        return None
    lines = [
        tag("li", tag("b", name), f": {why}", tag("small", f" To do: {mend}") if mend else None)
        for name, why, mend in board.not_watched
    ]
    return tag("section", tag("h2", "Not watched"), tag("ul", *lines), id="left")


def _missed(board: Board) -> Markup | None:
    if not board.missed:
        return None
    lines = [joined([tag("b", one.service), f": {one.text}"]) for one in board.missed]
    return tag("section", tag("h2", "Deploys that nobody saw"), listed(lines), id="missed")


def _page(row: DeployRow) -> str:
    return f"runs/{row.folder}/report.html"


def _anchor(key: str) -> str:
    return "s-" + "".join(character if character.isalnum() else "-" for character in key)
