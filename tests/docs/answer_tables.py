"""Writes what of docs/causes is made from the code: the tables of answers, and the table of all causes.

`python -m tests.docs.answer_tables` writes it; tests/docs/test_causes_pages.py says when it is stale, and holds the
statuses below to what the judge reads from them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.judge.balancers.meaning import BROKEN, Meaning
from harness.judge.causes.rules import RULES
from tests.docs.pages import DOCS, slug

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = DOCS / "causes"
SIDES = {
    "own": "the load host", "beside": "no pod", "whole": "the whole rollout", "start": "a new pod starts",
    "stop": "an old pod ends", "capacity": "the whole rollout",
}  # fmt: skip
# The columns: what the page says, and the names of the families in the judge's table.
BALANCERS = {
    "nginx, ingress-nginx": ("nginx", "ingress-nginx"),
    "ALB": ("alb",),
    "HAProxy": ("haproxy",),
    "Envoy, Istio": ("envoy", "istio-envoy"),
    "Google": ("google",),
    "Caddy": ("caddy",),
    "Traefik": ("traefik",),
    "Apache": ("apache",),
}
# The rows: what became of a request, its meaning, and what is answered behind each balancer; the last: no balancer.
HAPPENINGS: dict[str, tuple[str, Meaning, tuple[str, ...]]] = {
    "nobody": ("no endpoint", Meaning.NOBODY,
               ("503", "503", "503", "503", "503", "503", "503", "503", "`connect_refused`")),
    "refused": ("connection refused", Meaning.REFUSED,
                ("502", "502", "503", "503", "502", "502", "502", "503", "`connect_refused`")),
    "silent": ("nobody answers the connect", Meaning.CONNECT_TIMEOUT,
               ("504", "504", "503", "503", "502", "502", "504", "503", "`connect_timeout`")),
    "broken": ("broken before the answer", BROKEN,
               ("502", "502", "502, or closed", "503", "502", "502", "502", "502, or closed",
                "`reset_before_response`, `eof_before_response`")),
    "cut": ("cut within the answer", Meaning.CUT, ("cut",) * 8 + ("`reset_mid_response`, `eof_mid_response`",)),
    "unanswered": ("no answer in time", Meaning.NO_ANSWER,
                   ("504", "504", "504", "504", "504", "504", "504", "502", "`read_timeout_headers`")),
    "app": ("the app's own error", Meaning.APP, ("passed on",) * 8 + ("its status",)),
}  # fmt: skip
_BLOCK = re.compile(r"(<!-- answers: ([a-z ]+) -->\n).*?(<!-- end of answers -->)", re.DOTALL)
_ALL = re.compile(r"(<!-- all causes -->\n).*?(<!-- end of all causes -->)", re.DOTALL)
_SECTION = re.compile(r"^## (([A-E]\d+): .+)$", re.MULTILINE)


def answers(names: list[str]) -> str:
    """Return the table of what is answered when these things happen; balancers that answer alike share a column."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for number, balancer in enumerate(BALANCERS):
        alike.setdefault(tuple(HAPPENINGS[name][2][number] for name in names), []).append(balancer)
    head = ["behind", *(", ".join(balancers) for balancers in alike.values()), "nobody: straight to the pod"]
    rows = [
        [HAPPENINGS[name][0], *(cells[number] for cells in alike), HAPPENINGS[name][2][-1]]
        for number, name in enumerate(names)
    ]
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, ["---"] * len(head), *rows))


def sections() -> dict[str, tuple[str, str]]:
    """Return for each id with a section its page's name and its heading."""
    found = {}
    for page in sorted(FOLDER.glob("*.md")):
        for heading, cause in _SECTION.findall(page.read_text(encoding="utf-8")):
            found[cause] = (page.name, heading)
    return found


def all_causes() -> str:
    """Return the table of all causes that a rule names, in the order of their ids."""
    there = sections()
    rows = ["| id | the report says | when |\n", "|---|---|---|\n"]
    for cause in sorted({rule.id for rule in RULES}, key=lambda one: (one[0], int(one[1:]))):
        rules = [rule for rule in RULES if rule.id == cause]
        page, heading = there[cause]
        names = "; ".join(dict.fromkeys(rule.name for rule in rules))
        when = ", ".join(dict.fromkeys(SIDES[rule.side] for rule in rules))
        rows.append(f"| [{cause}]({page}#{slug(heading)}) | {names} | {when} |\n")
    return "".join(rows)


def written(text: str) -> str:
    """Return a page's text with its tables as they are to be."""
    text = _BLOCK.sub(lambda m: f"{m[1]}{answers(m[2].split())}{m[3]}", text)
    return _ALL.sub(lambda m: f"{m[1]}{all_causes()}{m[2]}", text)


def pages() -> list[Path]:
    """Return the pages on causes."""
    return sorted(FOLDER.glob("*.md"))


if __name__ == "__main__":
    for path in pages():
        path.write_text(written(path.read_text(encoding="utf-8")), encoding="utf-8")
