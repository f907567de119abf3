"""Does the judge name the true cause? Every labelled scenario, each failed hit's true cause against the named one.

    python -m tests.bench.score_bench [--runs DIR] [--fresh DIR] [--real DIR] [--only-judge] [--write docs/judged.md]
    [SCENARIO ...]

On the lab, whose truth is known for each request (lab/truth.jsonl, which the judge never reads): recordings that are
there already (DIR/<scenario>/...) are judged again, the others are made. --runs are those that rules were written
with, --fresh those made after the last change of a rule: one that is older than that is a fault. --real: the same
scenarios on the Kubernetes of KUBECONFIG and ZDTEST_BED, whose truth is the scenario's label alone. What --write finds
about sets that were not asked for stays. Ends with 1 below the aim: 95 % of failed hits rightly named, or in a set of
at most two that holds the truth; no wrong cause called exact; no cause in a clean scenario; on the real cluster the
label among what is named.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench import real_runs
from tests.bench.scoring import CLEAN, Score, opened, score

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).parents[2]
RULES = tuple(
    f"harness/judge/{room}" for room in ("accesslogs", "balancers", "causes", "numbers", "timeline")
)
_TITLE = "## "
BEGIN, END = "<!-- scores -->", "<!-- end of scores -->"  # what is written over, in the document
AIM = 0.95


@dataclass
class Table:
    """The scores of one set of recordings."""

    title: str
    about: str
    scores: list[Score] = field(default_factory=list)

    @property
    def known(self) -> int:
        """How many failed hits have a known truth."""
        return sum(s.known for s in self.scores)

    @property
    def good(self) -> int:
        """How many of them are named rightly, or in a set of two."""
        return sum(s.right + s.pair for s in self.scores)

    @property
    def accused(self) -> list[Score]:
        """The clean scenarios in which something was found against the rollout."""
        return [s for s in self.scores if s.label == CLEAN and s.accused]


def recorded(folder: Path) -> Path | None:
    """Return the run directory below a scenario's folder of recordings, if there is one."""
    found = sorted(
        path.parent for path in folder.rglob("verdict.json") if (path.parent / "run.json").exists()
    )
    return found[-1] if found else None


def on_the_lab(scenario: Path, out: Path) -> Path | None:
    """Run a scenario on the lab and return the run directory."""
    words = [sys.executable, "-m", "harness", "run", "--lab", "-f", str(scenario), "-o", str(out)]
    subprocess.run(words, capture_output=True, check=False, timeout=600)
    return recorded(out)


def on_the_cluster(scenario: Path, out: Path) -> Path | None:
    """Run a scenario on the real cluster and return the run directory; None for one that does not fit there."""
    return None if scenario.name in real_runs.UNFIT else real_runs.record(scenario, out)


def scored(
    table: Table,
    runs: Path,
    wanted: Sequence[Path],
    make: Callable[[Path, Path], Path | None] | None,
    judge: Callable[[str, str, Path], Score],
) -> Table:
    """Judge the recordings of the wanted scenarios; `make` records what is not there."""
    for folder in wanted:
        text = (folder / "zdtest.yaml").read_text()
        lines = (line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("label:"))
        label = next(lines, CLEAN)
        run = recorded(runs / folder.name) or (make(folder, runs / folder.name) if make else None)
        if run is None:
            continue
        s = judge(folder.name, label, run)
        table.scores.append(s)
        counts = f"{s.hits} failed, {s.right} right, {s.pair} pair, {s.wrong} wrong, {s.unmatched} no truth"
        print(f"{s.name}: {s.grade} {counts} {dict(s.pairs)} {s.accused}", flush=True)  # noqa: T201  a script
    return table


def of_the_lab(table: Table) -> list[str]:
    """Return the scores of lab runs, and their confusion, as Markdown."""
    rows = [
        f"## {table.title}",
        "",
        table.about,
        "",
        "| scenario | label | verdict | failed | right | in a set of two | wrong | no truth | wrongly named |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    total = Counter[tuple[str, str]]()
    for s in table.scores:
        total += s.pairs
        missed = [
            f"{n} {true} as {name}"
            for (true, name), n in s.pairs.most_common()
            if true not in {*name.split(" or "), "?"}
        ]
        named = ", ".join(missed[:3]) if s.wrong else ""
        rows.append(
            f"| {s.name} | {s.label} | {s.grade} | {s.hits:,} | {s.right:,} | {s.pair:,} | {s.wrong} | {s.unmatched}"
            f" | {named or '-'} |"
        )
    rows += ["", "| true cause | named | hits |", "|---|---|---|"]
    rows += [f"| {true} | {named} | {n:,} |" for (true, named), n in sorted(total.items())]
    shares = [(s.right + s.pair) / s.known for s in table.scores if s.known]
    each = f"{100 * sum(shares) / max(1, len(shares)):.1f} %"
    exact = sum(s.wrong_exact for s in table.scores)
    singly = sum(s.right for s in table.scores)
    rows += [
        "",
        (
            f"**{table.good:,} of {table.known:,} failed hits ({100 * table.good / max(1, table.known):.2f} %)"
            f" rightly named, or in a set of two that holds the truth** ({singly:,} by one name); the mean over"
            f" scenarios, each counted once, is {each}; {exact} wrongly called exact; {len(table.accused)} clean"
            " scenarios accused."
        ),
    ]
    return rows


def of_the_cluster(table: Table) -> list[str]:
    """Return the scores by label as Markdown."""
    rows = [
        f"## {table.title}",
        "",
        table.about,
        "",
        "| scenario | label | verdict | named | label named |",
        "|---|---|---|---|---|",
    ]
    for s in table.scores:
        named = ", ".join(s.accused) or "nothing"
        beside = f" (not the rollout: {', '.join(s.diagnosed)})" if s.diagnosed else ""
        verdict = "yes" if s.label_named else "nothing was lost" if s.nothing_to_name else "**no**"
        rows.append(f"| {s.name} | {s.label} | {s.grade} | {named}{beside} | {verdict} |")
    rows += [f"| {name} | - | left out: {why} | | |" for name, why in real_runs.UNFIT.items()]
    right = sum(s.label_named for s in table.scores)
    judged = [s for s in table.scores if not s.nothing_to_name]
    return [
        *rows,
        "",
        (
            f"**{right} of {len(judged)} as they should be**, of those in which there was something to name, or"
            " nothing to be named."
        ),
    ]


def older(runs: Path, wanted: Sequence[Path], changed: datetime) -> list[str]:
    """Return the scenarios whose recording began before the rules were last changed: the rules may know it."""
    found = [(folder.name, recorded(runs / folder.name)) for folder in wanted]
    return [name for name, run in found if run is not None and began(run) < changed]


def began(run: Path) -> datetime:
    """Return when a run began, by the name of its folder (20261130T180304Z-web)."""
    return datetime.strptime(run.name.partition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def rules_changed() -> datetime:
    """Return when a rule was last changed, by the last commit; now where something is not committed."""
    if _git("status", "--porcelain", "--", *RULES):
        return datetime.now(UTC)
    return datetime.fromtimestamp(int(_git("log", "-1", "--format=%ct", "--", *RULES)), UTC)


def _git(*words: str) -> str:
    return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True).stdout


def kept(document: Path, rows: Sequence[str]) -> list[str]:
    """Return these rows, and after them the sections of the document, by title, that they are not about."""
    _, _, rest = document.read_text().partition(BEGIN)
    made = {row for row in rows if row.startswith(_TITLE)}
    found, keep = list(rows), False
    for line in rest.partition(END)[0].splitlines():
        if line.startswith(_TITLE):
            keep = line not in made
        if keep:
            found.append(line)
    while found and not found[-1]:
        found.pop()
    return found


def write(document: Path, rows: Sequence[str], marks: tuple[str, str] = (BEGIN, END)) -> None:
    """Write over what lies between the marks of the document; what people wrote around it stays."""
    begin, end = marks
    head, _, rest = document.read_text().partition(begin)
    _, _, tail = rest.partition(end)
    document.write_text("\n".join([head + begin, "", *rows, "", end]) + tail)


def main() -> int:
    """Score what was asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("scenarios", nargs="*")
    parser.add_argument("--runs", type=Path, default=Path("results/score"))
    parser.add_argument("--fresh", type=Path)
    parser.add_argument("--real", type=Path)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--only-judge", action="store_true", help="skip what has no recording")
    asked = parser.parse_args()
    wanted = [
        p
        for part in ("faults", "clean")
        for p in sorted((ROOT / "scenarios" / part).glob("*"))
        if p.is_dir() and (not asked.scenarios or p.name in asked.scenarios)
    ]
    lab = None if asked.only_judge else on_the_lab
    changed = rules_changed() if asked.fresh else None  # before anything is recorded
    stale: list[str] = []
    tables = [
        scored(
            Table(
                "On the lab: the runs that the rules were written with",
                "In-sample: what was missed here was looked at, and rules were added for it.",
            ),
            asked.runs,
            wanted,
            lab,
            score,
        )
    ]
    if asked.fresh:
        fresh = Table(
            "On the lab: runs made after the last change of a rule",
            "Out of sample: recorded meanwhile, and judged for the first time when no rule changed any more.",
        )
        tables.append(scored(fresh, asked.fresh, wanted, lab, score))
        assert changed is not None
        stale = [
            f"{name}: no fresh recording, the rules changed later"
            for name in older(asked.fresh, wanted, changed)
        ]
    rows = [row for table in tables for row in [*of_the_lab(table), ""]]
    faults = [table.title for table in tables if table.good < AIM * table.known or table.accused]
    faults += [f"{s.name}: wrongly called exact" for table in tables for s in table.scores if s.wrong_exact]
    faults += stale
    if asked.real:
        real = Table(
            "On a real Kubernetes",
            "Kubernetes 1.20 with a real nginx in front; by the scenario's label. Where several ids are named, the"
            " others are what the same fault looks like a moment later (B1, then C6), or what it cannot be told"
            " from.",
        )
        make = None if asked.only_judge else on_the_cluster
        scored(real, asked.real, wanted, make, lambda name, label, run: opened(name, label, run)[0])
        rows += of_the_cluster(real)
        faults += [
            f"{s.name}: {s.accused}" for s in real.scores if not s.label_named and not s.nothing_to_name
        ]
    print("\n".join(rows))  # noqa: T201  a script
    print("\n".join(faults) or "as it should be", file=sys.stderr)  # noqa: T201  a script
    if asked.write:
        write(asked.write, kept(asked.write, rows))
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
