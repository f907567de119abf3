"""Does the judge name the true cause behind each balancer? The matrix of cells.py on a real Kubernetes, scored by hits.

    python -m tests.bench.matrix [--runs DIR] [--only-judge] [--with-log] [--write docs/judged.md] [--proxy NAME ...]
                                [ROW ...]

Wants KUBECONFIG and ZDTEST_BED to make recordings; a recording that is there is not made again, so it can be stopped
and started at any time. What a lost request truly met is known from three witnesses that the judge is not shown: the
fault that the cell was given, the proxy's own access log (which pod, and how it failed), and which pods the rollout
ended or began. With --with-log the judge is shown the log as well, which must make nothing worse. Ends with 1 where a
balancer's share of right names is below the aim, a clean cell is accused, or a wrong cause is called exact.
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
from tests.bench import real_runs
from tests.bench.cells import CLEAN, PROXIES, ROWS, SMALL, Lost, Row, truth
from tests.bench.score_bench import AIM, recorded, write
from tests.bench.scoring import Score, explained_with, opened

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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


def scored(
    runs: Path, rows: Sequence[Row], proxies: Sequence[str], *, make: bool, with_log: bool = False
) -> dict[tuple[str, str], Score]:
    """Score every wanted cell, row by row since the first rows are worth most; `make` records what is not there."""
    found: dict[tuple[str, str], Score] = {}
    for row in rows:
        for proxy in proxies:
            out = runs / proxy / row.name
            if recorded(out) is None:
                if not make:
                    continue
                real_runs.record(
                    row.folder, out, *SMALL, *row.options, kind=row.kind, proxy=proxy, lag_s=row.lag_s
                )
            s = found[proxy, row.name] = score(row, proxy, out, with_log=with_log)
            print(  # noqa: T201  a script
                f"{s.name}: {s.grade} {s.hits} failed, {s.right} right, {s.pair} pair, {s.wrong} wrong"
                f" {dict(s.pairs)}",
                flush=True,
            )
    return found


def accused(scores: Iterable[Score]) -> list[Score]:
    """Return the clean cells in which something of the pods' is named: a balancer's own reload is no pod's."""
    return [s for s in scores if s.label == CLEAN and set(s.accused) - {"C8"}]


def rows_of(found: dict[tuple[str, str], Score], rows: Sequence[Row], proxies: Sequence[str]) -> list[str]:
    """Return the tables as Markdown: by balancer, by cell, and what was missed."""
    lines = [
        "## On a real Kubernetes, behind each balancer",
        "",
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
    lines += ["", f"| fault | {' | '.join(proxies)} |", "|---" * (len(proxies) + 1) + "|"]
    for row in rows:
        cells = [_cell(found.get((proxy, row.name))) for proxy in proxies]
        lines.append(f"| {row.name} | {' | '.join(cells)} |")
    missed = Counter[tuple[str, str, str]]()
    for (proxy, name), s in found.items():
        for (true, named), n in s.pairs.items():
            if true != "?" and not (
                set(true.split(" or ")) & set(named.split(" or ")) and named.count(" or ") < 2
            ):
                missed[f"{proxy}/{name}", true, named] += n
    lines += ["", "| missed in | true | named | hits |", "|---|---|---|---|"]
    lines += [f"| {cell} | {true} | {named} | {n:,} |" for (cell, true, named), n in missed.most_common()]
    return lines


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
    parser.add_argument("--with-log", action="store_true", help="show the judge the access log")
    asked = parser.parse_args()
    rows = [row for row in ROWS if not asked.rows or row.name in asked.rows]
    proxies = asked.proxy or list(PROXIES)
    found = scored(asked.runs, rows, proxies, make=not asked.only_judge, with_log=asked.with_log)
    if asked.write:
        # The whole table, also where only a piece of the matrix was asked for.
        every = scored(asked.runs, ROWS, PROXIES, make=False)
        write(asked.write, rows_of(every, ROWS, PROXIES), MARKS)
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
