"""`zdtest lab try`."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.lab.sampleapp import app_options, environment
from harness.cli.lab.up import lab
from harness.cli.options import output_option
from harness.cli.reports import exit_code, report_on
from harness.cli.root import EPILOG, guarded
from harness.cli.run import carry_out
from harness.errors import UsageError
from harness.interrupts import PROGRAM
from harness.model import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.scenario.resolve import Resolved


@lab.command("try", epilog=EPILOG)
@click.argument("files", nargs=-1, required=True, metavar="MANIFEST...")
@click.option("--deployment", metavar="[KIND/]NAME", help="The workload to roll out, if there are several.")
@app_options
@click.option(
    "--replicas", type=click.IntRange(min=1, max=50), default=6, help="Largest number of pods.  [6]"
)
@click.option("-c", "--concurrency", type=int, default=20, help="Connections.  [20]")
@click.option("-d", "--duration", default="30s", help="Minimum length of the load.  [30s]")
@output_option
@click.option("--exit-zero", is_flag=True, help="Exit with 0 whatever the verdict.")
def try_(files: tuple[str, ...], **options: Any) -> int:
    """Roll your own manifest out on the embedded lab, and say what it would lose.

    MANIFEST is a file, or - for standard input (kubectl get deploy web -o yaml | zdtest lab try -). Its probes,
    hooks, grace period, strategy and replicas are used as they are. Its containers run the sample app instead of
    theirs; options say how the app starts, answers and stops. What the lab does not model is listed.
    """
    import tempfile  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="zdtest-try-") as home:
        resolved = _prepare(files, options, Path(home))
        with PROGRAM.heard() as asked:
            path = guarded(lambda: carry_out(resolved, asked), options["output"])
        if isinstance(path, int):
            return path
    judgement = report_on(path, latencies=False)
    return ExitCode.INTERRUPTED if asked.count else exit_code(judgement, exit_zero=options["exit_zero"])


def _prepare(files: Sequence[str], options: dict[str, Any], home: Path) -> Resolved:
    import yaml  # noqa: PLC0415

    from harness.lab import manifests  # noqa: PLC0415
    from harness.lab.whatif import what_if  # noqa: PLC0415
    from harness.scenario.reading import validate  # noqa: PLC0415
    from harness.scenario.resolve import Resolved  # noqa: PLC0415

    found = what_if(
        [item for file in files for item in _objects(file)],
        environment(options),
        wanted=options["deployment"],
        most=options["replicas"],
    )
    manifest = home / "manifest.yaml"
    manifest.write_text(yaml.safe_dump_all(found.items, sort_keys=False), encoding="utf-8")
    shown = ", ".join("standard input" if file == "-" else file for file in files)
    try:
        manifests.load((str(manifest),))  # refuse bad manifests before anything is started
    except UsageError as error:  # about a file that we wrote, with its lines
        raise UsageError(re.sub(re.escape(str(manifest)) + r"(:\d+)?", shown, str(error))) from error
    scenario = validate(
        {
            "name": f"try-{found.name}",
            "workload": f"{found.kind.lower()}/{found.name}",
            "namespace": found.namespace,
            "manifests": [manifest.name],
            "rollout": {"settle": "5s"},
            "lab": {"profile": options["profile"]},
        },
        {
            "load.concurrency": options["concurrency"],
            "load.duration": options["duration"],
            "lab.lag": options["lag"],
        },
    )
    return Resolved(
        scenario,
        f"{shown} (the embedded lab)",
        home,
        use_lab=True,
        output=options["output"],
        notes=found.notes,
    )


def _objects(file: str) -> list[Any]:
    from harness.cli.manifests.manifestfiles import from_files, from_text  # noqa: PLC0415  keeps `--help` light
    from harness.scenario.yamltext import decoded, read_stream  # noqa: PLC0415  the same

    if file != "-":
        return from_files(Path(file))
    try:
        return from_text(decoded(read_stream(sys.stdin.buffer)), "standard input")
    except ValueError as error:
        raise UsageError(f"standard input cannot be read: {error}") from None
