"""`zdtest ablate`."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness import typedpaths
from harness.cli.experiments import conducting
from harness.cli.experiments.conducting import Version
from harness.cli.lab.sampleapp import app_options, environment
from harness.cli.options import flags_of, options_of_a_load, output_option
from harness.cli.root import root, warn
from harness.errors import UsageError
from harness.model import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.cli.experiments.conducting import Done
    from harness.recording.series.experiment import Arm, Experiment
    from harness.scenario.resolve import Request, Resolved

Object = dict[str, Any]

GOOD = "clean/all-protections"  # what is taken apart without SCENARIO or MANIFEST
_EPILOG = """Exit codes: 0 the table is complete; 1 the workload could not be put back; 2 wrong usage or configuration
(nothing was touched); 3 the experiment could not be completed; 4 zdtest itself crashed; 130 interrupted."""


@root.command(epilog=_EPILOG)
@click.argument("words", nargs=-1, metavar="[SCENARIO|MANIFEST] [URL]")
@options_of_a_load
@click.option(
    "--rollouts", type=click.IntRange(min=1), default=3, metavar="N", help="Rollouts of each version.  [3]"
)
@app_options
@click.option(
    "--lab", is_flag=True, help="Run MANIFEST on the embedded lab, with the sample app in its containers."
)
@click.option(
    "--resume", type=click.Path(path_type=Path), metavar="DIR", help="Go on with the experiment in DIR."
)
@click.option("--restore", type=click.Path(path_type=Path), metavar="DIR",
              help="Only put back what was there before the experiment in DIR.")  # fmt: skip
@click.option("--allow", metavar="CONTEXT/NAMESPACE/NAME",
              help="Allow rollouts of this workload although a name looks like production.")  # fmt: skip
@click.option("--format", "form", type=click.Choice(("text", "markdown", "json")), default="text",
              help="What to print.  [text]")  # fmt: skip
@output_option
def ablate(words: tuple[str, ...], *, rollouts: int, **options: Any) -> int:
    """Switch off one protection of a good manifest at a time, and say what each one buys.

    The protections are the readiness probe, preStop, the grace period, draining (where the app is known),
    maxUnavailable, keep-alive that outlasts the balancer's, and minReadySeconds. With each switched off, and with
    none, the workload is rolled out --rollouts N times [3] under the same load; at the end, what was there is put
    back. Without an argument, it runs a shipped scenario that has all of them on the embedded lab.

    On a cluster, give the URL: MANIFEST is what to take apart, or else what is running now.
    """
    what, url = _words(words)
    with tempfile.TemporaryDirectory(prefix="zdtest-ablate-") as home:
        if options["resume"] or options["restore"]:
            if what or url:
                raise UsageError(
                    "--resume and --restore take everything from the experiment; drop the other arguments"
                )
            given = flags_of(None, options)
            if options["restore"]:
                return conducting.restore(options["restore"], given)
            return _end(
                conducting.resume(options["resume"], given, _again(Path(home)), _no_look), options["form"]
            )
        request, manifest = _request(what, url, options, Path(home))
        source = _source(request, manifest)
        done = conducting.begin(
            request,
            lambda live: _versions(source, live, Path(home)),
            lambda versions: _design(versions, rollouts),
            _no_look,
        )
        return _end(done, options["form"])


def _words(words: Sequence[str]) -> tuple[str | None, str | None]:
    urls = [word for word in words if "://" in word]
    rest = [word for word in words if "://" not in word]
    if len(urls) > 1 or len(rest) > 1:
        raise UsageError(
            "ablate takes one scenario or manifest, and at most one URL with its http:// or https://"
        )
    return next(iter(rest), None), next(iter(urls), None)


def _request(
    what: str | None, url: str | None, options: dict[str, Any], home: Path
) -> tuple[Request, Path | None]:
    """Return what to run, and the manifest to take apart if it is a file of its own."""
    from harness.experiment.arms import only_workload  # noqa: PLC0415
    from harness.scenario.resolve import Request  # noqa: PLC0415

    def request(file: Path | None, **flags: str) -> Request:
        return Request(
            flags=flags_of(url, options) | flags,
            file=file,
            allow=options["allow"],
            output=options["output"],
        )

    if what is None:
        if options["lab"] or not (url or options["workload"]):
            return request(Path(GOOD)), None
        return request(None), None
    if not _is_manifest(Path(what)):
        return request(Path(what)), None
    if url:
        named = {} if options["workload"] else {"workload": "/".join(only_workload(Path(what)))}
        return request(None, **named), Path(what)
    if not options["lab"]:
        raise UsageError(f"{what} is a manifest: add the URL of the service on a cluster, or --lab")
    return request(_for_the_lab(Path(what), options, home)), None


def _is_manifest(path: Path) -> bool:
    """Tell whether a file holds a workload; a scenario does not."""
    from harness.experiment.arms import workloads_of  # noqa: PLC0415

    return typedpaths.is_file(path) and bool(workloads_of(path))


def _for_the_lab(manifest: Path, options: dict[str, Any], home: Path) -> Path:
    """Make a scenario of the lab from a manifest, as `zdtest lab try` does."""
    import yaml  # noqa: PLC0415

    from harness.cli.manifests.manifestfiles import from_files  # noqa: PLC0415
    from harness.lab.whatif import what_if  # noqa: PLC0415

    found = what_if(from_files(manifest), environment(options), wanted=options["workload"])
    for note in found.notes:
        warn(f"note: {note}")
    scenario = {
        "name": found.name,
        "workload": f"{found.kind.lower()}/{found.name}",
        "namespace": found.namespace,
        "manifests": ["manifest.yaml"],
        "load": {"concurrency": 20, "duration": "9s"},
        "rollout": {"settle": "3s"},
        "lab": {"profile": options["profile"], "lag": options["lag"]},
    }
    options["workload"] = None
    (home / "manifest.yaml").write_text(yaml.safe_dump_all(found.items, sort_keys=False), encoding="utf-8")
    (home / "zdtest.yaml").write_text(yaml.safe_dump(scenario, sort_keys=False), encoding="utf-8")
    return home / "zdtest.yaml"


def _source(request: Request, manifest: Path | None) -> Path | None:
    """Return the file with the good manifest; None: what is running now."""
    from harness.scenario.resolve import resolve  # noqa: PLC0415

    if manifest:
        return manifest.absolute()
    resolved: Resolved = resolve(request, Path.cwd())
    if not resolved.use_lab or not resolved.scenario.workload:
        return None
    kind, name = resolved.scenario.workload
    return next((path for path in _manifests(resolved) if _holds(path, kind, name)), None)


def _manifests(resolved: Resolved) -> list[Path]:
    return [resolved.base / name for name in resolved.scenario.manifests]


def _holds(path: Path, kind: str, name: str) -> bool:
    from harness.cluster.trigger import documents_of, name_of  # noqa: PLC0415

    return any(doc.get("kind") == kind and name_of(doc) == name for doc in documents_of(path))


def _versions(source: Path | None, live: Object, home: Path) -> list[Version]:
    from harness.experiment.arms import arm as arm_of, document  # noqa: PLC0415
    from harness.experiment.protections import ALL, without_each  # noqa: PLC0415
    from harness.recording.series.experiment import Arm  # noqa: PLC0415

    good = document(source, live) if source else _as_manifest(live)
    try:
        found, lacking = without_each(good)
    except (AttributeError, KeyError, TypeError):  # a list where an object belongs, and the like
        what = f"{source}: the manifest" if source else "the manifest"
        raise UsageError(
            f"{what} is none that Kubernetes takes; `kubectl apply --dry-run=server` says why"
        ) from None
    for line in lacking:
        warn(f"note: {line}")
    if not found:
        raise UsageError("the manifest has no protection to switch off; `zdtest advise` says what it needs")
    whole = arm_of(ALL, source) if source else Arm(ALL)
    arms = [(whole, good), *((Arm(f"no {one.name}", about=one.about), one.document) for one in found)]
    return [_version(arm, doc, home) for arm, doc in arms]


def _version(arm: Arm, doc: Object, home: Path) -> Version:
    path = home / f"{arm.name.replace(' ', '-')}.json"
    path.touch(0o600)
    path.write_text(json.dumps(doc), encoding="utf-8")
    return Version(arm, path, doc)


def _as_manifest(live: Object) -> Object:
    return {
        "apiVersion": live.get("apiVersion", "apps/v1"),
        "kind": live["kind"],
        "metadata": {"name": live["metadata"]["name"]},
        "spec": {key: value for key, value in live["spec"].items() if key != "replicas"},
    }


def _again(home: Path) -> Any:
    def versions(experiment: Experiment, live: Object) -> list[Version]:
        kept = experiment.arms[0].source if experiment.arms else ""
        found = _versions(Path(kept) if kept else None, live, home)
        if [version.arm.name for version in found] != [arm.name for arm in experiment.arms]:
            raise UsageError(
                "the manifest has other protections than when the experiment began; begin a new one"
            )
        return found

    return versions


def _design(versions: Sequence[Version], rollouts: int) -> Experiment:
    from harness.experiment.schedule import one_after_another  # noqa: PLC0415
    from harness.recording.series.experiment import Experiment  # noqa: PLC0415

    arms = tuple(version.arm for version in versions)
    return Experiment(
        kind="ablate",
        arms=arms,
        order=one_after_another([a.name for a in arms]),
        level=0.05,
        rollouts=rollouts,
    )


def _no_look(_directory: Path, _look: object) -> str:
    return ""


def _end(done: Done, form: str) -> int:
    from harness.cli.comparing.ablation import show_table  # noqa: PLC0415

    show_table(done.directory, form, done.judgements)
    return done.code or ExitCode.PASS
