"""`zdtest lint`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness import typedpaths
from harness.cli.ci.outputs import annotations_option, outputs_of
from harness.cli.root import root, show
from harness.errors import ClusterError, UsageError
from harness.model import ExitCode

if TYPE_CHECKING:
    from harness.scenario.places import Written

_AROUND = (
    ("networking.k8s.io", "v1", "Ingress", "ingresses"),
    ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    ("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    ("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes"),
    ("gateway.networking.k8s.io", "v1", "GRPCRoute", "grpcroutes"),
)


@root.command()
@click.argument("what", nargs=-1, required=True, metavar="FILE|KIND/NAME…")
@click.option("-n", "--namespace", help="Namespace of live objects.  [the context's]")
@click.option("--context", help="Kubeconfig context, for live objects.  [the current one]")
@click.option("--kubeconfig", help="Kubeconfig file, for live objects.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "sarif", "github"]), default="text",
    help="What to print: text by rule, JSON, SARIF 2.1.0, or GitHub's annotations.  [text]",
)  # fmt: skip
@click.option(
    "--sarif", type=click.Path(path_type=Path), metavar="FILE", help="Write SARIF 2.1.0 to FILE as well."
)
@annotations_option
def lint(
    what: tuple[str, ...],
    namespace: str | None,
    context: str | None,
    kubeconfig: str | None,
    form: str,
    **options: Any,
) -> int:
    """Find what would lose requests in a rollout, in files, folders, or live objects such as deployment/web.

    A workload is checked together with its Services, Ingresses, PodDisruptionBudgets, HorizontalPodAutoscalers and
    live pods. If there is no Service at all, a workload that declares a port is assumed to serve requests, and a note
    says so. Exit codes: 1 if a finding is an error, 2 if a manifest is malformed. A run's summary says which findings
    it confirmed, refuted, or did not test.
    """
    from harness.cli.ci.lintoutputs import leave, printed  # noqa: PLC0415  keeps `--help` light
    from harness.cli.manifests.manifestfiles import strange_fields, with_places  # noqa: PLC0415
    from harness.judge.lint.lint import KINDS, assumptions, with_workload  # noqa: PLC0415
    from harness.report.lint import placed  # noqa: PLC0415

    outputs = outputs_of(options)
    objects: list[tuple[dict[str, Any], Written | None]] = []
    notes: list[str] = []
    for name in what:
        if typedpaths.exists(Path(name)) or not re.fullmatch(
            r"[A-Za-z]+/[a-z0-9]([-a-z0-9.]*[a-z0-9])?", name
        ):
            read = with_places(Path(name))
            objects += read
            notes += strange_fields(item for item, _ in read)
        else:
            objects += [(item, None) for item in _from_cluster(name, namespace, context, kubeconfig)]
    items = [item for item, _ in objects]
    if not any(item.get("kind") in KINDS for item in items):
        raise UsageError(f"{' '.join(what)}: no {', '.join(KINDS[:-1])} or {KINDS[-1]} was found")
    findings = placed(with_workload(items), [place for _, place in objects])
    notes += assumptions(items)
    show(printed(form, findings, notes), orders=form == "github")
    leave(outputs, form, findings)
    severities = [one.found.severity for one in findings]
    return ExitCode.FAIL if "error" in severities else ExitCode.PASS


def _from_cluster(
    name: str, namespace: str | None, context: str | None, kubeconfig: str | None
) -> list[dict[str, Any]]:
    """Read a live workload, and the objects in its namespace that lint checks with it."""
    from harness.cluster.client import resources  # noqa: PLC0415
    from harness.cluster.client.api import Api  # noqa: PLC0415  brings the kubernetes package
    from harness.cluster.watching.reduce import manifest  # noqa: PLC0415
    from harness.scenario.values import kind_and_name  # noqa: PLC0415

    try:
        kind, plain = kind_and_name(name)
    except ValueError as error:
        raise UsageError(str(error)) from None
    api = Api.connect(kubeconfig, context)
    where = namespace or api.namespace
    try:
        workload = api.get(resources.WORKLOADS[kind], where, plain)
        found = [manifest({**workload, "kind": kind})]
        found += [
            manifest({**item, "kind": "Service"})
            for item in api.list_all(resources.SERVICES, where).get("items", [])
        ]
        found += [item for row in _AROUND for item in _listed(api, row, where)]
        found += _live_pods(api, workload, where)
    except ClusterError as error:
        raise UsageError(str(error)) from None
    return found


def _live_pods(api: Any, workload: dict[str, Any], namespace: str) -> list[dict[str, Any]]:
    """List the workload's pods, which a webhook may have changed; none where we may not read them."""
    from harness.cluster.client import resources  # noqa: PLC0415
    from harness.cluster.client.answers import ApiStatusError  # noqa: PLC0415
    from harness.cluster.watching.reduce import reduced  # noqa: PLC0415
    from harness.k8s.selectors import as_text  # noqa: PLC0415

    chosen = as_text((workload.get("spec") or {}).get("selector") or {})
    try:
        items = api.list_all(resources.PODS, namespace, label_selector=chosen).get("items", [])
    except ApiStatusError:
        return []
    return [{**reduced("Pod", item), "kind": "Pod"} for item in items]


def _listed(api: Any, row: tuple[str, str, str, str], namespace: str) -> list[dict[str, Any]]:
    """List objects of one kind; none if the server lacks the API, or we may not read it."""
    from harness.cluster.client.answers import ApiStatusError  # noqa: PLC0415
    from harness.cluster.client.resources import Resource  # noqa: PLC0415
    from harness.cluster.watching.reduce import manifest  # noqa: PLC0415

    group, version, kind, plural = row
    try:
        items = api.list_all(Resource(kind, group, version, plural), namespace).get("items", [])
    except ApiStatusError:
        return []
    return [manifest({**item, "kind": kind}) for item in items]
