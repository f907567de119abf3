"""Does the advice fix it behind each balancer? A cell that failed is patched as `zdtest advise` says, and run again."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from harness.judge.verdict.judgement import judge
from harness.model import Grade
from harness.recording.read import Recording
from tests.bench.cells import CLEAN, RELOADING
from tests.bench.mend_bench import advised, patched
from tests.bench.real.making import record
from tests.bench.score_bench import recorded

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from contextlib import AbstractContextManager

    from tests.bench.cells import Row
    from tests.bench.real.making import Job

PATCH = "patch.yaml"  # what the second run was made with, beside it


def fixed_folder(runs: Path, proxy: str, row: Row) -> Path:
    """Where the run after the fix is kept: beside the cell's own."""
    return runs / proxy / f"{row.name}-fixed"


@dataclass(frozen=True)
class Fix:
    """What became of a cell that failed, when it was patched. `after` is None where there was no advice."""

    proxy: str
    row: str
    lost: int
    patch: str
    after: Grade | None
    lost_after: int = 0
    named_after: tuple[str, ...] = ()

    @property
    def by_the_balancer(self) -> bool:
        """Whether all that was still lost went with the balancer's own reload, which no pod's manifest mends."""
        return bool(self.named_after) and set(self.named_after) == {"C8"}


def make_fixed(row: Row, proxy: str, runs: Path) -> Job:
    """Return what advises on a cell's recording, patches its manifest and records it again."""

    def job(port: int, turn: AbstractContextManager[object]) -> Path | None:
        before, out = recorded(runs / proxy / row.name), fixed_folder(runs, proxy, row)
        patch = advised(before) if before else {}
        if not patch:
            return None
        with row.opened() as folder, tempfile.TemporaryDirectory(prefix="zdtest-fixed-") as scratch:
            # The scenarios hold a Deployment, also for the cell in which its pods are a StatefulSet's.
            mended = patched(folder, patch, "Deployment", "web", Path(scratch) / folder.name)
            if row.label == "B6":
                with_shell(mended)
            out.mkdir(parents=True, exist_ok=True)
            (out / PATCH).write_text(yaml.safe_dump(patch))
            return record(row, proxy, mended, out, port, turn)

    return job


def with_shell(scenario: Path) -> None:
    """Exchange the image that has no shell: before 1.30 no hook runs without one, as the patch's own note says."""
    app = scenario / "app.yaml"
    app.write_text(re.sub(r"image: .*distroless.*", "image: python:3.12-slim", app.read_text()))


def to_fix(runs: Path, cells: Iterable[tuple[Row, str]]) -> list[tuple[Path, Job]]:
    """Return what there is to make: the cells that failed, and were not fixed yet."""
    return [
        (fixed_folder(runs, proxy, row), make_fixed(row, proxy, runs))
        for row, proxy in cells
        if row.label != CLEAN
        and (before := recorded(runs / proxy / row.name))
        and (before / "summary.txt").read_text().startswith(str(Grade.FAIL))
        and recorded(fixed_folder(runs, proxy, row)) is None
    ]


def fixes(runs: Path, cells: Iterable[tuple[Row, str]]) -> list[Fix]:
    """Return what became of the cells that were run again."""
    found = []
    for row, proxy in cells:
        before, after = recorded(runs / proxy / row.name), recorded(fixed_folder(runs, proxy, row))
        if before is None or after is None:
            continue
        judgement, again = judge(Recording.open(before)), judge(Recording.open(after))
        patch = yaml.safe_load((fixed_folder(runs, proxy, row) / PATCH).read_text())
        named = {name for cause in again.causes if cause.the_rollouts for name in cause.ids}
        found.append(
            Fix(
                proxy,
                row.name,
                judgement.verdict.lost,
                in_words(patch),
                again.grade,
                again.verdict.lost,
                tuple(sorted(named)),
            )
        )
    return found


def in_words(patch: dict[str, Any]) -> str:
    """Return a patch of a workload in a few words, for a table."""
    spec = patch["spec"]
    pod = (spec.get("template") or {}).get("spec") or {}
    said = []
    for container in pod.get("containers") or []:
        probes = ("readinessProbe", "startupProbe", "livenessProbe")
        said += [probe for probe in probes if container.get(probe)]
        hook = (container.get("lifecycle") or {}).get("preStop") or {}
        if "sleep" in hook:
            said.append(f"preStop {hook['sleep']['seconds']} s")
        elif "exec" in hook:
            said.append(f"preStop {hook['exec']['command'][-1].rpartition(' ')[2]} s")
        elif hook:
            said.append("preStop")
    if "terminationGracePeriodSeconds" in pod:
        said.append(f"grace {pod['terminationGracePeriodSeconds']} s")
    said += [name for name in ("minReadySeconds", "replicas") if name in spec]
    if spec.get("strategy"):
        said.append("RollingUpdate, maxUnavailable 0")
    return ", ".join(said) or "-"


def table(found: Sequence[Fix]) -> list[str]:
    """Return the runs after the fix as Markdown."""
    lines = [
        "## After the advised fix",
        "",
        "| balancer | fault | lost | advised | run again |",
        "|---|---|---|---|---|",
    ]
    for fix in found:
        again = str(fix.after)
        if fix.lost_after:
            again += f", {fix.lost_after:,} lost ({', '.join(fix.named_after) or 'no cause named'})"
        lines.append(f"| {fix.proxy} | {fix.row} | {fix.lost:,} | {fix.patch} | {again} |")
    steady = [fix for fix in found if fix.proxy not in RELOADING]
    passed, steadily = (sum(fix.after is Grade.PASS for fix in some) for some in (found, steady))
    reloads = sum(fix.by_the_balancer for fix in found)
    said = (
        f"**{passed} of {len(found)} PASS; {steadily} of {len(steady)} behind the balancers that take a change of"
        " endpoints without a reload.**"
    )
    if reloads:
        said += (
            f" In {reloads} more nothing was lost but by the balancer's own reload (C8), which no pod's manifest"
            " mends."
        )
    return [*lines, "", said]
