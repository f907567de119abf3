"""Does the judge name the true cause? Every labelled scenario of the lab, each failed hit's true cause against the named one.

    python tests/bench/score_bench.py [--write docs/judged.md] [--runs DIR] [SCENARIO ...]

With --runs, recordings that are there already (DIR/<scenario>/<run>) are judged again instead of run again. The truth is the
lab's own (lab/truth.jsonl), which the judge never reads. Ends with 1 below the aim: 95 % of failed hits rightly named, or in a
set of at most two that holds the truth; no wrong cause called exact; no cause in a clean scenario.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from harness.judge.causes import EXACT, explain
from harness.judge.hits import COLUMNS, classify
from harness.judge.matching import NOT_THE_ROLLOUT
from harness.judge.verdict import judge
from harness.recording.read import Recording

ROOT = Path(__file__).parents[2]
AIM = 0.95
NEAR_NS = 250_000_000  # between the balancer's noticing a loss and the client's hearing of it


@dataclass
class Score:
    """What became of one scenario's failed hits."""

    name: str
    label: str
    grade: str
    hits: int = 0
    right: int = 0
    pair: int = 0
    wrong: int = 0
    unmatched: int = 0  # no line of the truth fits: not the lab's loss, or not known to it
    wrong_exact: int = 0
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def good(self) -> float:
        """The share that is named rightly, or in a set of two."""
        return (self.right + self.pair) / max(1, self.hits - self.unmatched)


def truth_of(path: Path) -> list[dict[str, Any]]:
    """Read the lab's truth, wherever below the run it lies."""
    files = sorted(path.rglob("truth.jsonl"))
    lines = files[0].read_text().splitlines() if files else []
    told = [json.loads(text) for text in lines]
    # "other" is the lab's word for what is none of its faults.
    return [line for line in told if not line.get("saved") and line["cause"] != "other"]


def score(name: str, label: str, path: Path) -> Score:
    """Compare each failed hit's label with the truth that is nearest in time and has the same status."""
    recording = Recording.open(path)
    judgement = judge(recording)
    found = Score(name, label, str(judgement.grade))
    hits = classify(recording.hits(COLUMNS), recording.run)
    objects = recording.manifests("before")
    published = any((o.get("spec") or {}).get("publishNotReadyAddresses") for o in objects)
    strategy = next(
        (
            str((o.get("spec") or {}).get("strategy", {}).get("type", ""))
            for o in objects
            if o.get("kind") == "Deployment"
        ),
        "",
    )
    explained = explain(hits, judgement.timeline, judgement.numbers, strategy, published=published)
    exact = {cause.ids for cause in explained.causes if cause.confidence == EXACT}
    diagnosis = {cause.ids: cause.diagnosis for cause in explained.causes}
    truth = truth_of(path)
    for line in truth:
        line["status"] = (
            0 if line["status"] in {460, 499} else line["status"]
        )  # what a balancer logs when the client left
    times = np.array([line["t_ns"] - recording.run.monotonic_ns for line in truth], dtype=np.int64)
    open_ = np.ones(len(truth), dtype=bool)
    for done_ns, kind, ids in zip(
        explained.done_ns.tolist(), explained.kind.tolist(), explained.labels, strict=True
    ):
        found.hits += 1
        status = kind if kind < 1000 else 0
        near = [
            int(i)
            for i in np.argsort(np.abs(times - done_ns))[:60]
            if open_[i] and truth[i]["status"] == status and abs(int(times[i]) - done_ns) < NEAR_NS
        ]
        if not near:
            found.unmatched += 1
            found.pairs["?", " or ".join(ids)] += 1
            continue
        open_[near[0]] = False
        true = {truth[near[0]]["cause"], truth[near[0]]["root"]}
        named = set(ids) if ids != (NOT_THE_ROLLOUT,) else {diagnosis[ids] or NOT_THE_ROLLOUT}
        found.pairs[truth[near[0]]["cause"], " or ".join(sorted(named))] += 1
        if named & true and len(named) <= 2:
            found.right += len(named) == 1
            found.pair += len(named) == 2
        else:
            found.wrong += 1
            found.wrong_exact += ids in exact
    return found


def run(scenario: Path, out: Path) -> Path:
    """Run a scenario, unless its recording is there already; return the run directory."""
    if not list(out.glob("*/verdict.json")):
        words = [sys.executable, "-m", "harness", "run", "--lab", "-f", str(scenario), "-o", str(out)]
        subprocess.run(words, capture_output=True, check=False, timeout=600)
    return max(out.glob("*"))


def report(scores: list[Score]) -> str:
    """Return scores and confusion as Markdown."""
    rows = [
        "| scenario | label | verdict | failed | right | in a set of two | wrong | no truth | named |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for s in scores:
        named = ", ".join(f"{n} {name}" for (_, name), n in s.pairs.most_common(3)) or "-"
        rows.append(
            f"| {s.name} | {s.label} | {s.grade} | {s.hits} | {s.right} | {s.pair} | {s.wrong} | {s.unmatched} | {named} |"
        )
    total = Counter[tuple[str, str]]()
    for s in scores:
        total += s.pairs
    rows += ["", "| true cause | named | hits |", "|---|---|---|"]
    rows += [f"| {true} | {named} | {n} |" for (true, named), n in sorted(total.items())]
    known = sum(s.hits - s.unmatched for s in scores)
    good = sum(s.right + s.pair for s in scores)
    share = f"{good:,} of {known:,} failed hits ({100 * good / max(1, known):.1f} %)"
    exact = f"{sum(s.wrong_exact for s in scores)} wrongly called exact."
    rows += ["", f"{share} rightly named, or in a set of two that holds the truth; {exact}"]
    return "\n".join(rows)


def main() -> int:
    """Score what was asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("scenarios", nargs="*")
    parser.add_argument("--runs", type=Path, default=Path("results/score"))
    parser.add_argument("--write", type=Path)
    parser.add_argument("--only-judge", action="store_true", help="skip scenarios without a recording")
    asked = parser.parse_args()
    folders = [
        p for part in ("faults", "clean") for p in sorted((ROOT / "scenarios" / part).glob("*")) if p.is_dir()
    ]
    scores = []
    for folder in folders:
        if asked.scenarios and folder.name not in asked.scenarios:
            continue
        out = asked.runs / folder.name
        if asked.only_judge and not list(out.glob("*/verdict.json")):
            continue
        text = (folder / "zdtest.yaml").read_text()
        label = next(
            (line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("label:")),
            "clean",
        )
        scores.append(score(folder.name, label, run(folder, out)))
        s = scores[-1]
        told = f"{s.hits} failed, {s.right} right, {s.pair} pair, {s.wrong} wrong, {s.unmatched} no truth"
        print(f"{s.name}: {s.grade} {told} {dict(s.pairs)}", flush=True)  # noqa: T201
    print(report(scores))  # noqa: T201
    if asked.write:
        asked.write.write_text("# What the judge names, against what is true\n\n" + report(scores) + "\n")
    known = sum(s.hits - s.unmatched for s in scores)
    good = sum(s.right + s.pair for s in scores)
    accused = [s for s in scores if s.label == "clean" and s.grade == "FAIL"]
    return int(good < AIM * known or any(s.wrong_exact for s in scores) or bool(accused))


if __name__ == "__main__":
    sys.exit(main())
