"""`zdtest upload` and `zdtest fetch`: runs in object storage and in pods."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from harness.cli.options import output_option
from harness.cli.root import root, show, warn
from harness.cli.runname import run_argument
from harness.errors import RecordingError, UsageError
from harness.model import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.storage.address import Address, InPod
    from harness.storage.fetch import Fetched


@root.command()
@run_argument()
@click.argument("url", metavar="URL")
def upload(directory: Path, url: str) -> int:
    """Store RUN in object storage, below URL: s3://, gs:// or az://BUCKET/PREFIX.

    Credentials come from the environment, such as AWS_ACCESS_KEY_ID. What is stored already is not sent again.
    """
    from harness.storage.address import parse  # noqa: PLC0415  keeps `--help` light
    from harness.storage.door import Store  # noqa: PLC0415
    from harness.storage.upload import upload as send  # noqa: PLC0415

    store = Store(parse(url))
    done = send(directory, store)
    show(f"stored {done.where}: {done.sent} of {done.files} files sent")
    return ExitCode.PASS


@root.command()
@click.argument("source", metavar="SOURCE")
@output_option
@click.option("--last", type=click.IntRange(min=1), metavar="N", help="Only the latest N runs.  [all]")
@click.option("-n", "--namespace", help="Namespace of the pod.  [the context's]")
@click.option("--context", help="Kubeconfig context, for a pod.  [the current one]")
def fetch(source: str, *, output: Path, last: int | None, namespace: str | None, context: str | None) -> int:
    """Bring runs here from SOURCE: s3://BUCKET/PREFIX, one run below it, or a running pod's folder, pod/NAME:/results.

    Runs that are here already are left alone, and what was cut off goes on where it ended. The pages come without
    their HTML: `zdtest report` makes it of the recording.
    """
    from harness.storage.address import InPod, parse_source  # noqa: PLC0415  keeps `--help` light

    place = parse_source(source)
    if isinstance(place, InPod):
        return _said(_from_pod(place, output, last, namespace, context), output)
    if namespace or context:
        raise UsageError("-n and --context go with pod/NAME:/results; a bucket is in no namespace")
    return _said(_from_storage(place, output, last), output)


def _from_storage(address: Address, folder: Path, last: int | None) -> list[Fetched]:
    from harness.storage.door import Store  # noqa: PLC0415
    from harness.storage.fetch import fetch as bring, runs_at  # noqa: PLC0415

    prefix, names = runs_at(address)
    store = Store(prefix)
    return _each(names, last, lambda name: bring(store, name, folder))


def _from_pod(
    at: InPod, folder: Path, last: int | None, namespace: str | None, context: str | None
) -> list[Fetched]:
    from harness.storage.pods import Pod, fetch as bring, runs_in  # noqa: PLC0415

    pod = Pod(at, namespace, context)
    return _each(runs_in(pod), last, lambda name: bring(pod, name, folder))


def _each(names: list[str], last: int | None, bring: Callable[[str], Fetched]) -> list[Fetched]:
    from harness.storage.fetch import Fetched  # noqa: PLC0415

    found = []
    for name in names[-last:] if last else names:
        try:
            found.append(bring(name))
        except RecordingError as error:  # the others are worth having
            found.append(Fetched(name, None, why=str(error)))
        _say(found[-1])
    return found


def _say(one: Fetched) -> None:
    if one.path is None:
        warn(f"zdtest: {one.why}")
    elif one.new:
        show(f"fetched {one.path}: {one.files} files, {one.bytes / 1e6:.1f} MB")


def _said(found: list[Fetched], folder: Path) -> int:
    new, failed = sum(one.new for one in found), sum(one.path is None for one in found)
    here = len(found) - new - failed
    show(
        f"{new} new, {here} here already"
        + (f", {failed} could not be fetched" if failed else "")
        + (f"; see zdtest list {folder}" if new else "")
    )
    return ExitCode.USAGE if failed else ExitCode.PASS
