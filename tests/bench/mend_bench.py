"""Does the advice mend? Each scenario that fails on the lab is run, advised on, patched, and run again: it must PASS.

    python tests/bench/mend_bench.py [--write docs/mended.md] [SCENARIO_FOLDER ...]

Ends with 1 when a patched scenario does not PASS. The default is the ladder scenarios/seed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness.lab.patch import strategic

ROOT = Path(__file__).parents[2]
FAST = ["-c", "20", "-d", "20s", "--trigger-after", "5s"]


@dataclass(frozen=True)
class Outcome:
    """What became of one scenario. `after` is "" when there was nothing to patch."""

    name: str
    before: str
    lost: int
    causes: str
    advised: str
    after: str
    line: str


def zdtest(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the command line itself, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "harness", *words], capture_output=True, text=True, check=False, timeout=900
    )


def run(scenario: Path, out: Path, flags: list[str]) -> Path:
    """Run a scenario and return its run directory."""
    done = zdtest("run", "--lab", "-f", str(scenario), "-o", str(out), *flags)
    found = sorted(out.glob("*"))
    if done.returncode not in {0, 1, 3} or not found:
        raise SystemExit(f"{scenario}: exit {done.returncode}\n{done.stderr}")
    return found[-1]


def advised(directory: Path) -> dict[str, Any]:
    """Return the patch that `zdtest advise` prints."""
    done = zdtest("advise", str(directory))
    if done.returncode:
        raise SystemExit(done.stderr)
    patch: dict[str, Any] = yaml.safe_load(done.stdout)
    return patch


def patched(scenario: Path, patch: dict[str, Any], kind: str, name: str, to: Path) -> Path:
    """Copy a scenario with the patch applied to its workload; return the new folder."""
    file = scenario if scenario.is_file() else scenario / "zdtest.yaml"
    wanted = yaml.safe_load(file.read_text())
    to.mkdir(parents=True)
    manifests = []
    for number, path in enumerate(wanted["manifests"]):
        documents = [d for d in yaml.safe_load_all((file.parent / path).read_text()) if d]
        mended = [
            strategic(d, patch) if (d["kind"], d["metadata"]["name"]) == (kind, name) else d
            for d in documents
        ]
        (to / f"{number}.yaml").write_text(yaml.safe_dump_all(mended, sort_keys=False))
        manifests.append(f"{number}.yaml")
    (to / "zdtest.yaml").write_text(yaml.safe_dump({**wanted, "manifests": manifests}, sort_keys=False))
    return to


def mend(scenario: Path, scratch: Path, flags: list[str]) -> Outcome:
    """Run, advise, patch, run again."""
    first = run(scenario, scratch / "before", flags)
    before = json.loads((first / "verdict.json").read_text())
    patch = advised(first)
    named = json.loads((first / "run.json").read_text())["cluster"]
    causes = ", ".join(f"{c['hits']} {' or '.join(c['ids'])}" for c in before["causes"]) or "-"
    lines = (before["advice"] or {}).get("lines", [])
    told = "; ".join(f"{line['path'].rpartition('.')[2]}: {line['value']}" for line in lines) or "-"
    after, line = "", before["verdict"]["headline"]
    if patch:
        second = run(
            patched(scenario, patch, named["kind"], named["name"], scratch / "mended"),
            scratch / "after",
            flags,
        )
        verdict = json.loads((second / "verdict.json").read_text())["verdict"]
        after, line = verdict["grade"], verdict["headline"]
    return Outcome(
        scenario.name, before["verdict"]["grade"], before["verdict"]["lost"], causes, told, after, line
    )


def table(outcomes: list[Outcome]) -> str:
    """Return the outcomes as a Markdown table."""
    rows = [
        "| scenario | verdict | lost | named | advised | patched and run again |",
        "|---|---|---|---|---|---|",
    ]
    rows += [
        f"| {o.name} | {o.before} | {o.lost} | {o.causes} | {o.advised} | {o.after or '-'} |"
        for o in outcomes
    ]
    return "\n".join(rows)


def main() -> int:
    """Mend all scenarios that were asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("scenarios", nargs="*", type=Path)
    parser.add_argument("--write", type=Path)
    asked = parser.parse_args()
    scenarios = asked.scenarios or sorted(p for p in (ROOT / "scenarios/seed").glob("[0-9]*"))
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="zdtest-mend-") as scratch:
        for number, scenario in enumerate(scenarios):
            outcomes.append(mend(scenario, Path(scratch) / str(number), FAST))
            print(outcomes[-1], flush=True)  # noqa: T201  a script
    print(table(outcomes))  # noqa: T201
    if asked.write:
        asked.write.write_text(
            "# Advice that mends\n\nEach scenario was run on the embedded lab, `zdtest advise` was asked for a patch, the patch was applied "
            "to the manifest, and the\nrun was repeated. Made by `nox -s mend`; counts differ from run to run, the last column must not.\n\n"
            + table(outcomes)
            + "\n"
        )
    return int(any(o.after not in {"", "PASS"} or (o.before == "FAIL" and not o.after) for o in outcomes))


if __name__ == "__main__":
    sys.exit(main())
