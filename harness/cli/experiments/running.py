"""What experiments share: the cluster or one lab for all runs, and each run as `zdtest run` would make it."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import masking
from harness.cli.reports import judged, leave_reports
from harness.cli.root import guarded, warn
from harness.cli.run import carry_out
from harness.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.cluster.client.api import Api
    from harness.experiment.conduct import Made
    from harness.interrupts import Asked
    from harness.judge.verdict.judgement import Judgement
    from harness.recording.series.experiment import Experiment
    from harness.run.execute import RunningLab
    from harness.scenario.resolve import Request, Resolved

# While the workload goes from one version to the next: the load's least time, and the time before the change.
SWITCH_S, SWITCH_BASELINE_S = "15s", "5s"
_NOWHERE = "http://not-kept.invalid/"  # in place of a URL that may be secret, where nothing is sent to it
_SECRET = ("target.headers", "target.body", "target.url")
# What each of them is on the command line.
_OPTIONS = {"target.headers": "-H", "target.body": "--body", "target.url": "URL"}


@dataclass(slots=True)
class Runs:
    """Makes the runs of one experiment, and keeps what was judged."""

    request: Request
    asked: Asked
    lab: RunningLab | None
    folder: Path  # where the experiment began; a scenario may lie there
    judgements: dict[Path, Judgement] = field(default_factory=dict)

    def make(self, trigger: str, rollouts: int, output: Path) -> Made:
        """Carry out one run, judge it, and leave its reports beside it."""
        from harness.experiment.conduct import Made  # noqa: PLC0415
        from harness.judge.comparison.rollouts import rollouts_of  # noqa: PLC0415
        from harness.recording.read import Recording  # noqa: PLC0415
        from harness.scenario.resolve import resolve  # noqa: PLC0415

        flags = {**self.request.flags, "rollout.trigger": trigger, "rollout.rollouts": rollouts}
        if trigger != "restart":
            flags |= {"load.duration": SWITCH_S, "rollout.trigger_after": SWITCH_BASELINE_S}
        resolved = resolve(replace(self.request, flags=flags, output=output), self.folder)
        path = guarded(lambda: carry_out(resolved, self.asked, self.lab), output.parent)
        if isinstance(path, int):
            return Made(None, seen=False, said="the run could not be made", code=path)
        judgement, picture = judged(Recording.open(path))
        missing = leave_reports(judgement, path, picture)
        if missing:
            warn(f"zdtest: {missing}")
        self.judgements[path] = judgement
        each = rollouts_of(judgement, 0)
        seen = len(each) == rollouts and all(one.counts for one in each)
        said = f"{judgement.grade.value}, {judgement.verdict.lost:,} lost"
        if not seen:
            why = next((one.why_not for one in each if not one.counts), judgement.about.ended_by)
            said += f", does not count: {why}"
        warn(f"    {said}: {path}")
        return Made(path, seen, said)


@contextmanager
def connected(resolved: Resolved) -> Iterator[tuple[Api, RunningLab | None]]:
    """Connect to the scenario's cluster, or start one lab for all runs of an experiment. Raises UsageError."""
    from harness.cluster.client.api import Api  # noqa: PLC0415

    if not resolved.use_lab:
        cluster = resolved.scenario.cluster
        yield Api.connect(cluster.kubeconfig, cluster.context), None
        return
    with _lab(resolved) as lab:
        yield Api.connect(lab.endpoint.kubeconfig, lab.endpoint.context), lab


@contextmanager
def _lab(resolved: Resolved) -> Iterator[RunningLab]:
    """Run a lab beside the runs, each of which has an event loop of its own."""
    import tempfile  # noqa: PLC0415

    from anyio.from_thread import start_blocking_portal  # noqa: PLC0415

    from harness.lab import lab  # noqa: PLC0415
    from harness.run.execute import RunningLab  # noqa: PLC0415

    warn(
        "starting the lab, for all runs: an API server, a balancer and the pods, as processes on this machine"
    )
    with tempfile.TemporaryDirectory(prefix="zdtest-lab-") as home, start_blocking_portal() as portal:
        running = portal.wrap_async_context_manager(lab.running(resolved.lab_plan(), Path(home)))
        with running as endpoint:
            yield RunningLab(endpoint, Path(home))


def kept_request(request: Request, folder: Path) -> dict[str, Any]:
    """Return what of the command line is written down, for a later --resume: all but what may be secret."""
    flags = dict(request.flags)
    withheld = [name for name in _SECRET if name in flags and _may_be_secret(name, flags[name])]
    for name in withheld:
        del flags[name]
    if kubeconfig := flags.get("cluster.kubeconfig"):
        flags["cluster.kubeconfig"] = str(Path(kubeconfig).absolute())
    return {
        "flags": json.loads(json.dumps(flags)),
        "withheld": withheld,
        "file": str(request.file.absolute())
        if request.file and request.file.exists()
        else str(request.file or ""),
        "lab": request.lab,
        "allow": request.allow or "",
        "folder": str(folder.absolute()),
    }


def _may_be_secret(name: str, value: Any) -> bool:
    if name == "target.headers":  # ${TOKEN} names a secret, and is none
        return any("${" not in text for text in value.values())
    return name == "target.body" or masking.url(str(value)) != value


def request_again(experiment: Experiment, given: Mapping[str, Any], *, for_runs: bool = True) -> Request:
    """Return the request that an experiment began with; `given` are flags of today's command line.

    Raises UsageError if it needs a secret that was not kept. Only runs do: to put a workload back takes none.
    """
    from harness.scenario.resolve import Request  # noqa: PLC0415

    kept = experiment.request
    missing = [name for name in kept.get("withheld", ()) if name not in given]
    if missing and for_runs:
        options = " and ".join(str(_OPTIONS.get(name, name)) for name in missing)
        raise UsageError(f"give {options} again: what it said may be secret and was not kept")
    placeholder = {"target.url": _NOWHERE} if "target.url" in missing else {}
    return Request(
        flags={**kept.get("flags", {}), **placeholder, **given},
        file=Path(kept["file"]) if kept.get("file") else None,
        lab=bool(kept.get("lab")),
        allow=kept.get("allow") or None,
    )


def folder_again(experiment: Experiment) -> Path:
    """Return the folder in which an experiment began: what is relative on its command line is relative to that."""
    return Path(experiment.request.get("folder") or Path.cwd())
