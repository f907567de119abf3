"""`zdtest watch`."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.root import root, show, warn
from harness.errors import UsageError
from harness.interrupts import PROGRAM
from harness.model import ExitCode

if TYPE_CHECKING:
    from harness.cluster.client.api import Api
    from harness.interrupts import Asked
    from harness.watch.settings import Settings

_RATE = re.compile(r"(\d+(?:\.\d+)?)(?:/s)?")
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.IGNORECASE)


class _Rate(click.ParamType[float]):
    """Requests per second: 2/s, or 2."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it. Below 1/s the judge would take a pause for the end of the load."""
        found = _RATE.fullmatch(str(value))
        if not found or not 1 <= float(found[1]) <= 1000:
            self.fail("must be a number of requests per second, 1/s to 1000/s", param, ctx)
        return float(found[1])


class _Length(click.ParamType[int]):
    """A length of time in ns: 10m."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read it."""
        from harness.scenario.values import duration_ns  # noqa: PLC0415  keeps `--help` light

        try:
            found = duration_ns(value)
        except (ValueError, TypeError) as error:
            self.fail(str(error), param, ctx)
        if not 10_000_000_000 <= found <= 3_600_000_000_000:
            self.fail("must be from 10s to 1h", param, ctx)
        return found


@root.command()
@click.option("-f", "--file", type=click.Path(path_type=Path), metavar="FILE",
              help="A watch file: the services, their URLs and requests.  [found in the namespace]")  # fmt: skip
@click.option("-n", "--namespace", metavar="NS", help="The namespace.  [the file's, else the context's]")
@click.option("--context", metavar="NAME", help="The kubeconfig's context.  [its current one]")
@click.option("--kubeconfig", metavar="FILE", help="The kubeconfig.  [as kubectl finds it]")
@click.option("--allow", metavar="CONTEXT/NAMESPACE",
              help="Watch this namespace although a name looks like production.")  # fmt: skip
@click.option("--url-template", metavar="URL",
              help="The URL of services that have no Ingress with a host, such as "
                   "http://{service}.{namespace}:{port}/ from within the cluster.")  # fmt: skip
@click.option("--rate", type=_Rate(), default="2/s", help="Requests per second on each service.  [2/s]")
@click.option("--boost", type=_Rate(), help="The same while a change lasts.  [as --rate]")
@click.option("--before", type=_Length(), default="10m",
              help="The most of the time before a change that its recording begins with.  [10m]")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), default="watch", metavar="DIR",
              help="Where recordings and the watch's state go.  [watch/]")  # fmt: skip
@click.option("--keep", type=click.IntRange(min=2), default=50, metavar="N",
              help="Keep the latest N recordings of each service, and delete older ones.  [50]")  # fmt: skip
@click.option("--listen", default="127.0.0.1:9190", metavar="ADDRESS:PORT",
              help="Where the page, /metrics and /healthz are served.  [127.0.0.1:9190]")  # fmt: skip
@click.option("--host", "hosts", multiple=True, metavar="NAME",
              help="A name by which browsers may ask for the page, besides addresses and localhost. "
                   "May be given several times.")  # fmt: skip
@click.option("--webhook", metavar="URL", envvar="ZDTEST_WEBHOOK",
              help="Post each change that lost requests to URL. A secret: better in the environment as "
                   "ZDTEST_WEBHOOK.")  # fmt: skip
def watch(**options: Any) -> int:
    """Watch a namespace for deploys, whoever makes them, and record what each loses.

    A few requests per second go to each service, always. Nothing is ever changed. Each change becomes a run's folder
    with a report, as if `zdtest run --trigger observe` had been started ten minutes before it.
    """
    settings, api = _settings(options)
    address = _address(options["listen"])
    for name in options["hosts"]:
        if not _HOST.fullmatch(name):
            raise UsageError(f"--host {name}: must be a name such as watch.example.com, without a port")
    from harness.recording import folder  # noqa: PLC0415  keeps `--help` light

    output = options["output"]
    try:
        output.mkdir(parents=True, exist_ok=True)
        with folder.locked(output), PROGRAM.heard() as asked:
            return _carry_out(settings, api, address, options["hosts"], asked)
    except BlockingIOError:
        raise UsageError(
            f"another watch writes to {output}; end it, or choose another folder with -o"
        ) from None
    except OSError as error:
        raise UsageError(
            f"cannot write to {error.filename or output}: {error.strerror}; choose another with -o"
        ) from None


def _settings(options: dict[str, Any]) -> tuple[Settings, Api]:
    from harness.cluster.client.api import Api  # noqa: PLC0415
    from harness.report.ci.link import host_of  # noqa: PLC0415
    from harness.watch.file import read  # noqa: PLC0415
    from harness.watch.service import Rates, Where  # noqa: PLC0415
    from harness.watch.settings import Settings  # noqa: PLC0415

    rates = Rates(options["rate"], options["boost"])
    if rates.boost is not None and rates.boost < rates.usual:
        raise UsageError(
            f"--boost {rates.boost:g} is less than --rate {rates.usual:g}; raise it, or leave it out"
        )
    if options["webhook"] and not host_of(options["webhook"]):
        raise UsageError("--webhook: its address must begin with http:// or https://, and have a host")
    template = options["url_template"]
    if template and options["file"]:
        raise UsageError("--url-template is for services that are found, and -f names them; drop one of them")
    if template and not re.match(r"https?://", template):
        raise UsageError("--url-template: must begin with http:// or https://")
    named, wanted = read(options["file"], rates) if options["file"] else (None, None)
    api = Api.connect(options["kubeconfig"], options["context"])
    namespace = options["namespace"] or named or api.namespace
    _check_allowed(api.context, namespace, options["allow"])
    where = Where(namespace, options["output"], options["kubeconfig"], options["context"], options["allow"])
    return (
        Settings(
            where,
            rates,
            tuple(wanted) if wanted is not None else None,
            template,
            options["before"],
            options["keep"],
            options["webhook"] or "",
        ),
        api,
    )


def _check_allowed(context: str, namespace: str, allow: str | None) -> None:
    from harness.cluster.permission.guard import protected_word  # noqa: PLC0415

    spelled = f"{context}/{namespace}"
    if allow is not None and allow != spelled:
        raise UsageError(f"--allow {allow} is not what would be watched; that is {spelled}")
    word = protected_word(context, namespace, "")
    if word and allow is None:
        raise UsageError(
            f"{word!r} looks like production and is protected; if you mean it, add --allow {spelled}"
        )


def _address(text: str) -> tuple[str, int]:
    from ipaddress import ip_address  # noqa: PLC0415

    host, _, port = text.rpartition(":")
    try:
        return str(ip_address(host.strip("[]"))), int(port) if 0 <= int(port) < 65536 else int("x")
    except ValueError:
        raise UsageError(
            f"--listen {text}: must be an IP address and a port, such as 127.0.0.1:9190 or 0.0.0.0:9190"
        ) from None


def _carry_out(
    settings: Settings, api: Api, address: tuple[str, int], hosts: tuple[str, ...], asked: Asked
) -> int:
    import time  # noqa: PLC0415
    from threading import Thread  # noqa: PLC0415

    import anyio  # noqa: PLC0415

    from harness.watch.conduct import Watch  # noqa: PLC0415
    from harness.watch.settings import Observer  # noqa: PLC0415
    from harness.watch.shown.showing import Showing  # noqa: PLC0415

    def say(line: str) -> None:
        warn(f"{time.strftime('%H:%M:%S', time.gmtime())} {line}")

    showing = Showing(settings)
    watching = Watch(settings, api, Observer(say, sys.argv, showing.judged, showing.missed))
    try:
        server = showing.server(address, watching, hosts)
    except OSError as error:
        raise UsageError(
            f"--listen {address[0]}:{address[1]}: cannot listen there: {error.strerror}; choose another"
        ) from None
    with server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True)
        thread.start()
        show(server.url)
        say(f"watching namespace {settings.where.namespace}; nothing is changed; Ctrl-C ends it")
        try:
            anyio.run(watching.run, asked)
        finally:
            server.shutdown()
            thread.join()
    return ExitCode.PASS
