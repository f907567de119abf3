"""`zdtest ab`."""

from __future__ import annotations

import json
import secrets
import tempfile
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import click

from harness.cli.experiments import conducting
from harness.cli.experiments.conducting import Version
from harness.cli.options import flags_of, options_of_a_load, output_option
from harness.cli.root import root, warn
from harness.errors import UsageError
from harness.model import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.cli.experiments.conducting import Done
    from harness.recording.series.experiment import Experiment, Look
    from harness.scenario.resolve import Request

Object = dict[str, Any]

BEFORE, AFTER = "before", "after"
_EPILOG = """Exit codes: 0 AFTER is not worse, as far as these rollouts can tell; 1 AFTER is worse beyond chance, or the
workload could not be put back; 2 wrong usage or configuration (nothing was touched); 3 the experiment could not be
completed; 4 zdtest itself crashed; 130 interrupted."""


@root.command(epilog=_EPILOG)
@click.argument("words", nargs=-1, metavar="[BEFORE] [AFTER] [URL]")
@options_of_a_load
@click.option(
    "--rollouts", type=click.IntRange(min=2), default=6, metavar="N", help="Rollouts of each version.  [6]"
)
@click.option("-f", "--file", type=click.Path(path_type=Path), metavar="SCENARIO",
              help="Scenario: a file, a folder with a zdtest.yaml, or a name of `zdtest scenarios`.")  # fmt: skip
@click.option("--lab", is_flag=True, help="Run on the embedded lab, a small cluster in plain processes.")
@click.option("--live", is_flag=True, help="Compare AFTER with what runs now; there is no file BEFORE.")
@click.option("--level", type=click.FloatRange(0.001, 0.5), default=0.05,
              help="How often a difference may be found where there is none.  [0.05]")  # fmt: skip
@click.option(
    "--seed", type=click.IntRange(0), help="Draw this order of the rollouts again.  [another each time]"
)
@click.option(
    "--resume", type=click.Path(path_type=Path), metavar="DIR", help="Go on with the experiment in DIR."
)
@click.option("--restore", type=click.Path(path_type=Path), metavar="DIR",
              help="Only put back what was there before the experiment in DIR.")  # fmt: skip
@click.option("--allow", metavar="CONTEXT/NAMESPACE/NAME",
              help="Allow rollouts of this workload although a name looks like production.")  # fmt: skip
@output_option
def ab(words: tuple[str, ...], *, rollouts: int, **options: Any) -> int:
    """Compare two manifests: roll each out several times under the same load, in random order.

    BEFORE and AFTER are YAML files that hold the workload. The workload's spec is switched between them, each is
    restarted --rollouts N times [6], and what was there is put back at the end. The target comes from URL, else
    from -f SCENARIO, else from zdtest.yaml in this folder.
    """
    if options["resume"] or options["restore"]:
        files, url = _files(words, least=0)
        if files or url:
            raise UsageError(
                "--resume and --restore take everything from the experiment; drop the files and the URL"
            )
        given = flags_of(None, options)
        if options["restore"]:
            return conducting.restore(options["restore"], given)
        with tempfile.TemporaryDirectory(prefix="zdtest-ab-") as home:
            return _end(conducting.resume(options["resume"], given, _planned(Path(home)), _differ))
    files, url = _files(words, least=1 if options["live"] else 2)
    request = _request(files, url, options)
    seed = options["seed"] if options["seed"] is not None else secrets.randbelow(1 << 32)
    with tempfile.TemporaryDirectory(prefix="zdtest-ab-") as home:
        done = conducting.begin(
            request,
            lambda live: _versions(files, live, Path(home)),
            lambda versions: _design(versions, rollouts, options["level"], seed),
            _differ,
        )
        return _end(done)


def _files(words: Sequence[str], *, least: int) -> tuple[list[Path], str | None]:
    urls = [word for word in words if "://" in word]
    files = [Path(word) for word in words if "://" not in word]
    if len(urls) > 1 or len(files) > 2 or len(files) < least or (least == 1 and len(files) > 1):
        wanted = {0: "no files", 1: "one file with --live: AFTER", 2: "two files: BEFORE and AFTER"}[least]
        raise UsageError(
            f"{len(files)} file{'s' * (len(files) != 1)} and {len(urls)} URLs were given; ab takes {wanted}, and at"
            " most one URL with its http:// or https://"
        )
    return files, urls[0] if urls else None


def _request(files: Sequence[Path], url: str | None, options: dict[str, Any]) -> Request:
    from harness.experiment.arms import only_workload  # noqa: PLC0415
    from harness.scenario.resolve import Request, resolve  # noqa: PLC0415

    flags = flags_of(url, options)
    if "workload" not in flags and url is not None and not options["file"]:
        flags["workload"] = "/".join(only_workload(files[-1]))
    request = Request(
        flags=flags,
        file=options["file"],
        lab=options["lab"],
        allow=options["allow"],
        output=options["output"],
    )
    if resolve(request, Path.cwd()).scenario.workload is None:
        flags["workload"] = "/".join(only_workload(files[-1]))
    return request


def _versions(files: Sequence[Path], live: Object, home: Path) -> list[Version]:
    """Return BEFORE and AFTER. Raises UsageError if a file does not hold the workload."""
    from harness.experiment.arms import arm, check_the_rest, document  # noqa: PLC0415
    from harness.recording.series.experiment import Arm  # noqa: PLC0415

    if len(files) == 1:
        return [
            _live(live, home, Arm(BEFORE, "", "", "what was running")),
            Version(arm(AFTER, files[0]), files[0].absolute(), document(files[0], live)),
        ]
    check_the_rest(files[0], files[1], live)
    return [
        Version(arm(name, path), path.absolute(), document(path, live))
        for name, path in zip((BEFORE, AFTER), files, strict=True)
    ]


def _live(live: Object, home: Path, arm: Any) -> Version:
    """Make what runs now a file, for the trigger; it goes with `home` at the end, with the values in it."""
    found = {
        "apiVersion": live.get("apiVersion", "apps/v1"),
        "kind": live["kind"],
        "metadata": {"name": live["metadata"]["name"]},
        "spec": {key: value for key, value in live["spec"].items() if key != "replicas"},
    }
    path = home / "live.json"
    path.touch(0o600)
    path.write_text(json.dumps(found), encoding="utf-8")
    return Version(arm, path, found)


def _planned(home: Path) -> Any:
    def versions(experiment: Experiment, live: Object) -> list[Version]:
        from harness.experiment.arms import document  # noqa: PLC0415

        return [
            Version(arm, Path(arm.source), document(Path(arm.source), live))
            if arm.source
            else _live(live, home, arm)
            for arm in experiment.arms
        ]

    return versions


def _design(versions: Sequence[Version], rollouts: int, level: float, seed: int) -> Experiment:
    from harness.experiment.schedule import in_blocks, looks  # noqa: PLC0415
    from harness.recording.series.experiment import Experiment  # noqa: PLC0415

    names = [version.arm.name for version in versions]
    order = in_blocks(names, rollouts, Random(seed))  # noqa: S311  a design, no secret
    stated = looks(order, level)
    early = stated[:-1]
    warn(
        f"{rollouts} rollouts of each, in random order within blocks (seed {seed}); compared"
        + "".join(f" after block {look.after_blocks} at p < {look.level:.4f}," for look in early)
        + f" at the end at p < {stated[-1].level:.4f}: wrong at most {100 * level:g} % of the time in all"
        + ("" if early else "; it does not end early, for fewer rollouts could not tell")
    )
    return Experiment(
        kind="ab",
        arms=tuple(version.arm for version in versions),
        order=order,
        level=level,
        looks=stated,
        seed=seed,
    )


def _differ(directory: Path, look: Look) -> str:
    """Compare what there is at this look's level; return what ends the experiment, or ""."""
    from harness.cli.comparing.compare import compared  # noqa: PLC0415

    found = compared((str(directory),), (), (), look.level, None)
    primary = found.differences[0]
    p = "?" if primary.p is None else f"{primary.p:.2g}"
    if not primary.direction:
        warn(
            f"--- after block {look.after_blocks}: p = {p}, not below the {look.level:.4f} stated for this look"
        )
        return ""
    return f"stopped early, after block {look.after_blocks}: p = {p}, below the {look.level:.4f} stated for this look"


def _end(done: Done) -> int:
    from harness.cli.comparing.compare import compared, report  # noqa: PLC0415
    from harness.cli.comparing.comparepage import with_page  # noqa: PLC0415

    made = {step.arm for step in done.experiment.order if step.run}
    if len(made) < len(done.experiment.arms):
        warn(f"zdtest: {done.directory}: too few rollouts were made to compare anything")
        return done.code or ExitCode.INCONCLUSIVE
    page = done.directory / "compare.html"
    code = report(with_page(page, partial(compared, (str(done.directory),), (), (), None, None)), "text")
    warn(f"zdtest: wrote {page}")
    return done.code or code
