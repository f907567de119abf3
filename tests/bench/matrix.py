"""Does the judge name the true cause behind each balancer? The matrix of cells.py on a real Kubernetes, scored by hits.

    python -m tests.bench.matrix [--runs DIR] [--only-judge] [--with-log] [--fix] [--write docs/judged.md]
    [--proxy NAME ...] [ROW ...]

The rows are the labelled faults, real servers, and published cases (cells.py). --fix runs each cell that failed once
more, with the fix that was advised. Wants KUBECONFIG and ZDTEST_BED to make recordings; a recording that is there is
not made again, so it can be stopped and started at any time. What a lost request truly met is known from three
witnesses that the judge is not shown: the fault that the cell was given, the proxy's own access log (which pod, and
how it failed), and which pods the rollout ended or began. With --with-log the judge is shown the log as well, which
must make nothing worse. Ends with 1 where a balancer's share of right names is
below the aim, a clean cell is accused, or a wrong cause is called exact.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from harness.judge.balancers.family import QUICK_NS
from harness.judge.causes.causes import EXACT
from harness.judge.causes.matching import NOT_THE_ROLLOUT
from harness.judge.numbers.accesslog import told_by
from harness.judge.numbers.hits import FIRST_OUTCOME
from tests.bench.cells import CASE_ROWS, CLEAN, PROXIES, ROWS, SERVER_ROWS, THREE, Lost, Row, truth
from tests.bench.real import fixed
from tests.bench.real.making import make, make_all
from tests.bench.score_bench import AIM, recorded, write
from tests.bench.scoring import Score, explained_with, opened

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Found = dict[tuple[str, str], Score]  # by balancer and row

# When the rules had last been changed with recordings of the matrix in sight.
UNSEEN_SINCE = "20261130T150000Z"
MARKS = ("<!-- matrix -->", "<!-- end of matrix -->")


def score(row: Row, proxy: str, path: Path, *, with_log: bool = False) -> Score:
    """Hold each failed hit's label against what the witnesses say. `path` is the cell's folder. `with_log`: the label
    is given with the access log, too.
    """
    run = recorded(path)
    assert run is not None
    found, recording, judgement = opened(f"{proxy}/{row.name}", row.label, run)
    log = path / "access.log"
    told = told_by(recording, [log], strict=False).entries if log.exists() else {}
    explained, lost = explained_with(recording, judgement, told if with_log else {})
    if not explained.labels:
        return found
    old = {pod.address: pod.old for pod in judgement.timeline.pods if pod.address}
    exact = {cause.ids for cause in explained.causes if cause.confidence == EXACT}
    diagnosis = {cause.ids: cause.diagnosis for cause in explained.causes}
    frame = lost.frame
    for worker, seq, took_ns, kind, ids in zip(
        frame["worker"].tolist(),
        frame["seq"].tolist(),
        (lost.done_ns - lost.begun_ns).tolist(),
        lost.kind.tolist(),
        explained.labels,
        strict=True,
    ):
        entry = told.get((worker, seq))
        seen = Lost(
            answered=kind < FIRST_OUTCOME,
            quick=took_ns < QUICK_NS,
            said=entry.said if entry else "",
            old=old.get(entry.address) if entry else None,
            logged=entry is not None,
        )
        true = truth(row, proxy, seen)
        named = set(ids) if ids != (NOT_THE_ROLLOUT,) else {diagnosis[ids] or NOT_THE_ROLLOUT}
        found.hits += 1
        found.pairs[" or ".join(sorted(true)) or "?", " or ".join(sorted(named))] += 1
        if not true:
            found.unmatched += 1
        elif named & true and len(named) <= 2:
            found.right += len(named) == 1
            found.pair += len(named) == 2
        else:
            found.wrong += 1
            found.wrong_exact += ids in exact
    return found


def cells(rows: Sequence[Row], proxies: Sequence[str]) -> list[tuple[Row, str]]:
    """Return the wanted cells, row by row since the first rows are worth most."""
    return [(row, proxy) for row in rows for proxy in proxies if proxy in row.proxies]


def scored(runs: Path, wanted: Sequence[tuple[Row, str]], *, with_log: bool = False) -> Found:
    """Score every wanted cell that has a recording."""
    found: Found = {}
    for row, proxy in wanted:
        out = runs / proxy / row.name
        if recorded(out) is None:
            continue
        s = found[proxy, row.name] = score(row, proxy, out, with_log=with_log)
        print(  # noqa: T201  a script
            f"{s.name}: {s.grade} {s.hits} failed, {s.right} right, {s.pair} pair, {s.wrong} wrong"
            f" {dict(s.pairs)}",
            flush=True,
        )
    return found


def unseen(runs: Path, found: Found) -> Found:
    """Return those of the cells that were recorded when the rules stood: out of sample."""
    return {
        (proxy, name): s
        for (proxy, name), s in found.items()
        if (run := recorded(runs / proxy / name)) and run.name >= UNSEEN_SINCE
    }


def accused(scores: Iterable[Score]) -> list[Score]:
    """Return the clean cells in which something of the pods' is named: a balancer's own reload is no pod's."""
    return [s for s in scores if s.label == CLEAN and set(s.accused) - {"C8"}]


def by_balancer(found: Found, proxies: Sequence[str]) -> list[str]:
    """Return the shares behind each balancer as Markdown."""
    lines = [
        "| balancer | cells | failed | right | in a set of two | wrong | no truth | share | mean over cells |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for proxy in proxies:
        mine = [s for (of, _), s in found.items() if of == proxy]
        if not mine:
            continue
        hits, right, pair, wrong, unknown = (
            sum(getattr(s, name) for s in mine) for name in ("hits", "right", "pair", "wrong", "unmatched")
        )
        each = [(s.right + s.pair) / s.known for s in mine if s.known]
        lines.append(
            f"| {proxy} | {len(mine)} | {hits:,} | {right:,} | {pair:,} | {wrong:,} | {unknown:,} | "
            f"{100 * share(mine):.1f} % | {100 * sum(each) / max(1, len(each)):.1f} % |"
        )
    return lines


def by_cell(found: Found, rows: Sequence[Row], proxies: Sequence[str], heading: str = "fault") -> list[str]:
    """Return each cell's verdict and hits as Markdown."""
    lines = [f"| {heading} | {' | '.join(proxies)} |", "|---" * (len(proxies) + 1) + "|"]
    for row in rows:
        each = [_cell(found.get((proxy, row.name))) for proxy in proxies]
        lines.append(f"| {row.name} | {' | '.join(each)} |")
    return lines


def misses(found: Found) -> list[str]:
    """Return what was named wrongly as Markdown, the most first."""
    missed = Counter[tuple[str, str, str]]()
    for (proxy, name), s in found.items():
        for (true, named), n in s.pairs.items():
            if true != "?" and not (
                set(true.split(" or ")) & set(named.split(" or ")) and named.count(" or ") < 2
            ):
                missed[f"{proxy}/{name}", true, named] += n
    lines = ["| missed in | true | named | hits |", "|---|---|---|---|"]
    return lines + [
        f"| {cell} | {true} | {named} | {n:,} |" for (cell, true, named), n in missed.most_common()
    ]


def rows_of(found: Found, rows: Sequence[Row], proxies: Sequence[str]) -> list[str]:
    """Return the tables of one set of rows as Markdown: by balancer, by cell, and what was missed."""
    return [
        "## On a real Kubernetes, behind each balancer",
        "",
        *by_balancer(found, proxies),
        "",
        *by_cell(found, rows, proxies),
        "",
        *misses(found),
    ]


def written(runs: Path) -> list[str]:
    """Return all that the recordings say, as Markdown."""
    faults, real = scored(runs, cells(ROWS, PROXIES)), scored(runs, cells(SERVER_ROWS, PROXIES))
    fresh = unseen(runs, faults)
    servers = [s for s in real.values() if s.known]
    return [
        *rows_of(faults, ROWS, PROXIES),
        "",
        f"### Of these, {len(fresh)} cells that were made last",
        "",
        ", ".join(f"{proxy}/{name}" for proxy, name in fresh) + ".",
        "",
        *by_balancer(fresh, PROXIES),
        "",
        "## Real servers as pods",
        "",
        *by_cell(real, SERVER_ROWS, THREE, "server"),
        "",
        f"**{100 * share(servers):.1f} %** of {sum(s.known for s in servers):,} failed hits named rightly.",
        "",
        *misses(real),
        "",
        *fixed.table(fixed.fixes(runs, cells((*ROWS, *SERVER_ROWS), PROXIES))),
    ]


def share(scores: Sequence[Score]) -> float:
    """Return the share of hits of known truth that are named rightly, or in a set of two."""
    return sum(s.right + s.pair for s in scores) / max(1, sum(s.known for s in scores))


def _cell(s: Score | None) -> str:
    if s is None:
        return "not run"
    if not s.hits:
        return f"{s.grade}, nothing lost"
    return f"{s.grade}, {s.right + s.pair:,} of {s.known:,}"


def main() -> int:
    """Score what was asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("rows", nargs="*")
    parser.add_argument("--runs", type=Path, default=Path("results/matrix"))
    parser.add_argument("--proxy", action="append", choices=PROXIES)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--only-judge", action="store_true", help="skip what has no recording")
    parser.add_argument("--fix", action="store_true", help="run what failed again, with the advised fix")
    parser.add_argument("--with-log", action="store_true", help="show the judge the access log")
    asked = parser.parse_args()
    rows = [row for row in (*ROWS, *SERVER_ROWS, *CASE_ROWS) if not asked.rows or row.name in asked.rows]
    proxies = asked.proxy or list(PROXIES)
    wanted = cells(rows, proxies)
    if not asked.only_judge:
        outs = [(row, proxy, asked.runs / proxy / row.name) for row, proxy in wanted]
        make_all((out, make(row, proxy, out)) for row, proxy, out in outs if recorded(out) is None)
        if asked.fix:
            # Long waits for a preStop, and little load: two are measured at once.
            make_all(fixed.to_fix(asked.runs, wanted), at_once=2)
    found = scored(asked.runs, wanted, with_log=asked.with_log)
    if asked.write:
        # The whole table, also where only a piece of the matrix was asked for.
        write(asked.write, written(asked.runs), MARKS)
    faults = [f"{s.name}: accused of {', '.join(s.accused)}" for s in accused(found.values())]
    faults += [f"{s.name}: wrongly called exact" for s in found.values() if s.wrong_exact]
    for proxy in proxies:
        mine = [s for (of, _), s in found.items() if of == proxy]
        if mine and any(s.known for s in mine) and share(mine) < AIM:
            faults.append(f"{proxy}: {100 * share(mine):.1f} % named rightly")
    for fault in faults:
        print(fault, file=sys.stderr)  # noqa: T201  a script
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
