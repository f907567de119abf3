"""Does the advice fix it? Each scenario that fails is run, advised on, patched, and run again: it must PASS.

    python -m tests.bench.mend_bench [--runs DIR] [--mended DIR] [--real DIR] [--only-read] [--write docs/mended.md]
    [SCENARIO ...]

On the lab every fault that the workload's manifest can fix, and the ladder of scenarios/seed; with --real the
ladder's steps 1, 2 and 3 on the Kubernetes of KUBECONFIG and ZDTEST_BED. Recordings are kept: --runs holds the first
runs (those of score_bench serve), --mended the second ones; what is there is not run again. Ends with 1 when a
patched scenario does not PASS.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from harness.judge.verdict.judgement import judge
from harness.lab.apiserver.patch import strategic
from harness.model import Grade
from harness.recording.read import Recording
from tests.bench import real_runs
from tests.bench.score_bench import recorded, write

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
LADDER = ("1-no-probe", "2-readiness", "3-prestop")
LADDER_FLAGS = ("-c", "20", "-d", "20s", "--trigger-after", "5s")
FLAGS = {"A4-liveness-kills": ("--max-time", "8m")}  # a start that is waited for takes a minute for each pod
# What no line of the workload's manifest fixes, and what does.
NOT_THE_MANIFEST = {
    "A8-bad-release": "the new version itself",
    "B3-sigterm-ignored": "the app, or how it is started",
    "B5-prestop-stuck": "the hook: what is no plain sleep is not written over",
    "B7-hook-returns-early": "the hook: what is no plain sleep is not written over",
    "C19-publish-not-ready": "the Service",
    "C2-keep-alive-race": "the app's keep-alive; not the rollout's fault",
    "C3-pinned-connections": "the app: Connection: close on SIGTERM",
    "C4-deregistration-delay": "the target group",
    "C7-idle-timeout": "the balancer's timeout; not the rollout's fault",
    "D7-readiness-flaps": "the probe's own dependency",
    "E1-client-gives-up": "the client",
}


@dataclass(frozen=True)
class Outcome:
    """What became of one scenario. `after` is None when there was nothing to patch, or no second run."""

    name: str
    before: Grade
    lost: int
    causes: str
    advised: str
    after: Grade | None
    line: str

    @property
    def mended(self) -> bool:
        """Whether it passes now."""
        return self.after is Grade.PASS


def on_the_lab(scenario: Path, out: Path, flags: tuple[str, ...] = ()) -> Path | None:
    """Run a scenario on the lab by the command line itself; return its run directory."""
    words = [sys.executable, "-m", "harness", "run", "--lab", "-f", str(scenario), "-o", str(out), *flags]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=900)
    if done.returncode not in {0, 1, 3}:
        raise SystemExit(f"{scenario}: exit {done.returncode}\n{done.stderr}")
    return recorded(out)


def on_the_cluster(scenario: Path, out: Path, flags: tuple[str, ...] = ()) -> Path | None:
    """Run a scenario on the real cluster, behind its nginx; return its run directory."""
    return real_runs.record(scenario, out, *flags)


def advised(directory: Path) -> dict[str, Any]:
    """Return the patch that `zdtest advise` prints."""
    words = [sys.executable, "-m", "harness", "advise", str(directory)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise SystemExit(done.stderr)
    patch: dict[str, Any] = yaml.safe_load(done.stdout)
    return patch


def patched(scenario: Path, patch: dict[str, Any], kind: str, name: str, to: Path) -> Path:
    """Copy a scenario with the patch applied to its workload, also where its trigger applies a new one."""
    wanted = yaml.safe_load((scenario / "zdtest.yaml").read_text())
    to.mkdir(parents=True)
    trigger = str(wanted["rollout"].get("trigger", ""))
    applied = [trigger.removeprefix("apply ")] if trigger.startswith("apply ") else []
    for path in [*wanted["manifests"], *applied]:
        documents = [d for d in yaml.safe_load_all((scenario / path).read_text()) if d]
        mended = [
            strategic(d, patch) if (d["kind"], d["metadata"]["name"]) == (kind, name) else d
            for d in documents
        ]
        (to / Path(path).name).write_text(yaml.safe_dump_all(mended, sort_keys=False))
    wanted["manifests"] = [Path(path).name for path in wanted["manifests"]]
    (to / "zdtest.yaml").write_text(yaml.safe_dump(wanted, sort_keys=False))
    return to


def mend(
    scenario: Path,
    first: Path,
    second: Path,
    run: Callable[[Path, Path, tuple[str, ...]], Path | None] | None,
    flags: tuple[str, ...],
) -> Outcome | None:
    """Run, advise, patch, run again; None where there is no recording and none is to be made."""
    before = recorded(first) or (run(scenario, first, flags) if run else None)
    if before is None:
        return None
    judgement = judge(Recording.open(before))
    patch = advised(before)
    kept = second / "patch.yaml"  # what the second run was made with
    after = recorded(second)
    if after and (not kept.exists() or yaml.safe_load(kept.read_text()) != patch):
        after = None  # of other advice
    if after is None and patch and run and judgement.about.workload:
        kind, _, path = judgement.about.workload.partition(" ")
        with tempfile.TemporaryDirectory(prefix="zdtest-mend-") as scratch:
            folder = patched(scenario, patch, kind, path.rpartition("/")[2], Path(scratch) / scenario.name)
            after = run(folder, second, (*flags, *FLAGS.get(scenario.name, ())))
        kept.write_text(yaml.safe_dump(patch))
    again = judge(Recording.open(after)) if after else None
    lines = judgement.advice.lines if judgement.advice else ()
    return Outcome(
        name=scenario.name,
        before=judgement.grade,
        lost=judgement.verdict.lost,
        causes=", ".join(f"{c.hits:,} {' or '.join(c.ids)}" for c in judgement.causes[:3]) or "-",
        advised="; ".join(f"{line.path.rpartition('.')[2]}: {line.value}" for line in lines) or "-",
        after=again.grade if again else None,
        line=again.verdict.headline if again else judgement.verdict.headline,
    )


def table(title: str, outcomes: list[Outcome]) -> list[str]:
    """Return the outcomes as Markdown."""
    rows = [
        f"## {title}",
        "",
        "| scenario | verdict | lost | named | advised | patched and run again |",
        "|---|---|---|---|---|---|",
    ]
    for o in outcomes:
        after = f"{o.after}: {o.line}" if o.after else "-"
        rows.append(f"| {o.name} | {o.before} | {o.lost:,} | {o.causes} | {o.advised} | {after} |")
    return [*rows, "", f"**{sum(o.mended for o in outcomes)} of {len(outcomes)} PASS.**", ""]


def main() -> int:
    """Mend all scenarios that were asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("scenarios", nargs="*")
    parser.add_argument("--runs", type=Path, default=Path("results/score"))
    parser.add_argument("--mended", type=Path, default=Path("results/mended"))
    parser.add_argument("--real", type=Path)
    parser.add_argument("--only-read", action="store_true", help="skip what has no recording")
    parser.add_argument("--write", type=Path)
    asked = parser.parse_args()
    shipped = ROOT / "scenarios"
    faults = [p for p in sorted((shipped / "faults").glob("*")) if p.name not in NOT_THE_MANIFEST]
    seeds = [shipped / "seed" / name for name in LADDER]
    sets = [("On the lab", [*faults, *seeds], asked.runs, asked.mended, on_the_lab)]
    if asked.real:
        sets.append(
            ("On a real Kubernetes", seeds, asked.real / "before", asked.real / "after", on_the_cluster)
        )
    rows: list[str] = []
    outcomes: list[Outcome] = []
    for title, scenarios, runs, mended, run in sets:
        here = []
        for scenario in scenarios:
            if asked.scenarios and scenario.name not in asked.scenarios:
                continue
            flags = LADDER_FLAGS if scenario in seeds else ()
            found = mend(
                scenario,
                runs / scenario.name,
                mended / scenario.name,
                None if asked.only_read else run,
                flags,
            )
            if found:
                here.append(found)
                print(found, flush=True)  # noqa: T201  a script
        rows += table(title, here)
        outcomes += here
    rows += ["Not fixed by any line of the workload's manifest, and so not tried:", ""]
    rows += [f"- {name}: {why}" for name, why in NOT_THE_MANIFEST.items()]
    print("\n".join(rows))  # noqa: T201  a script
    if asked.write:
        write(asked.write, rows)
    return int(not all(o.mended for o in outcomes))


if __name__ == "__main__":
    sys.exit(main())
