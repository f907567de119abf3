"""The live view: a snapshot and what came before it, as lines of styled text that fit the terminal. Pure.

Every difference in colour is one in words or characters, too: for terminals without colours, and for eyes without.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text

from harness.clock import NS
from harness.escaping import for_line
from harness.model import NEVER
from harness.progress import words
from harness.progress.history import LAST_NS, cells
from harness.run import steps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.progress.history import History
    from harness.run.observing import Snapshot
    from harness.run.steps import Leg, Step

WIDEST = 100  # columns: on a wider screen the eye would lose the line
_LABEL = 10  # columns of a row's name
_LABELLED = 64  # columns from which on the bar names its steps
_UNKNOWN_NS = 20 * NS  # what the bar gives a rollout for which there is no estimate
_SCALE = 28  # columns beside the strip of failures that say what a cell is
_SHORTEST = 3  # columns of a step in the bar


@dataclass(frozen=True, slots=True)
class Characters:
    """What a terminal can draw with. `levels`: from some failures to most of them."""

    full: str
    empty: str
    nothing: str
    levels: str


BLOCKS = Characters("━", "─", "·", "▁▂▃▄▅▆▇█")
ASCII = Characters("#", "-", ".", "-+=*%#")


def characters(encoding: str) -> Characters:
    """Return what a terminal of this encoding can draw with."""
    try:
        f"{BLOCKS.full}{BLOCKS.empty}{BLOCKS.nothing}{BLOCKS.levels}".encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return BLOCKS


def lines(
    now: Snapshot, history: History, latest: str, width: int, height: int, drawn: Characters = BLOCKS
) -> list[Text]:
    """Return the live view: at most `height` lines, each at most `width` columns. What matters most stays longest.

    `latest`: the last thing that happened to a pod.
    """
    width = min(width, WIDEST)
    rows: list[tuple[int, Text]] = [  # how soon it is given up, and the row
        (0, Text.assemble((words.clock(now.elapsed_ns), "bold"), "  ", words.time_left(now))),
        (3, bar(now, width, drawn)),
        (2, _row("messages" if now.held else "requests", _requests(now, history))),
        (1, _row("failed", _failed(now))),
    ]
    if there := words.pods(now):
        rows.append((4, _row("pods", Text(there))))
    rows.append((5, _strip(history, width, drawn)))
    if latest:
        rows.append((6, _row("latest", Text(for_line(latest), "dim"))))
    kept = sorted(rank for rank, _ in rows)[: max(1, height)]
    found = [row for rank, row in rows if rank in kept]
    for row in found:
        row.no_wrap = True
        row.truncate(width, overflow="ellipsis" if drawn is BLOCKS else "crop")
    return found


def bar(now: Snapshot, width: int, drawn: Characters) -> Text:
    """Return the steps of the run in a row, each as long as it should take, as far as they are done."""
    legs, step = now.course, now.step
    if not legs or step is None:
        return Text("")
    at = _place(legs, step)
    spent = sum(len(leg.name) + 2 for leg in legs) - 1 if width >= _LABELLED else len(legs) - 1
    found = Text()
    for n, (leg, columns) in enumerate(zip(legs, _columns(legs, width - spent), strict=True)):
        style = "green" if n < at else "bold cyan" if n == at else "dim"
        if width >= _LABELLED:
            found.append(f"{leg.name} ", style)
        done = columns if n < at else _done(leg, step, now.elapsed_ns, columns) if n == at else 0
        found.append(drawn.full * done, style)
        found.append(drawn.empty * (columns - done), "dim")
        if n < len(legs) - 1:
            found.append(" ")
    return found


def _place(legs: Sequence[Leg], step: Step) -> int:
    """Return which of the legs a step is in; their number once all are over."""
    name = steps.ROLLOUT if step.name == steps.WAITING else step.name
    return next((n for n, leg in enumerate(legs) if leg.name == name), len(legs))


def _columns(legs: Sequence[Leg], width: int) -> list[int]:
    """Share columns out among the legs by how long they last."""
    lasts = [leg.lasts_ns if leg.lasts_ns != NEVER else _UNKNOWN_NS for leg in legs]
    free = max(0, width - _SHORTEST * len(legs))
    found = [_SHORTEST + free * ns // max(1, sum(lasts)) for ns in lasts]
    found[-1] += max(0, width - sum(found))
    return found


def _done(leg: Leg, step: Step, now_ns: int, columns: int) -> int:
    """Return how many columns of the leg under way are done. One of unknown length never looks done."""
    if step.name == steps.WAITING:
        return 0
    lasts_ns = step.until_ns - step.from_ns if step.until_ns != NEVER else leg.lasts_ns
    lasts_ns = lasts_ns if lasts_ns > 0 else _UNKNOWN_NS
    return max(0, min(columns * (now_ns - step.from_ns) // lasts_ns, columns - 1))


def _row(name: str, rest: Text) -> Text:
    return Text.assemble((f"{name:<{_LABEL}}", "dim"), rest)


def _requests(now: Snapshot, history: History) -> Text:
    latency = words.latencies(history.percentiles(0.5, 0.99))
    return Text.assemble(
        f"{history.rate():,.0f}/s".ljust(11),
        f"{latency} ",
        (f"(last {LAST_NS // NS} s)", "dim"),
        f"  {now.counts.completed:,} in all",
    )


def _failed(now: Snapshot) -> Text:
    if not now.counts.failed:
        return Text("0", "green")
    found = Text(f"{now.counts.failed:,}".ljust(11), "bold red")
    return found.append("  ".join(f"{name}: {n:,}" for name, n in words.kinds(now)), "red")


def _strip(history: History, width: int, drawn: Characters) -> Text:
    """Return the failures over time, a cell for some seconds each, with the newest on the right."""
    counts, seconds = cells(history.failed, max(1, width - _LABEL - _SCALE))
    highest = max(counts, default=0)
    scale = f"  {seconds} s a cell" + (f", at most {highest:,}" if highest else "")
    found = Text()
    for count in counts:
        if count:
            found.append(drawn.levels[(count * len(drawn.levels) - 1) // highest], "red")
        else:
            found.append(drawn.nothing, "dim")
    return _row("failures", found.append(scale, "dim"))
