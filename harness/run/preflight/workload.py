"""Preflight of the workload: everything that must hold before anything is changed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from harness.cluster.client import resources
from harness.cluster.client.answers import ApiStatusError
from harness.cluster.client.credentials import in_cluster, own_namespace
from harness.cluster.client.resources import Resource
from harness.cluster.permission.gitops import objection, tracked_by
from harness.cluster.permission.guard import refusal
from harness.cluster.permission.lock import HELD, holder
from harness.cluster.permission.rbac import needs
from harness.cluster.rollout.history import revisions_left
from harness.cluster.trigger import patch_for
from harness.cluster.watching.watches import watches
from harness.errors import ClusterError, UsageError
from harness.k8s import argo as argo_facts, selectors
from harness.model import ClusterFacts, PathProof
from harness.run.preflight import argo
from harness.run.preflight.around import around, listed, mine, newest, routes
from harness.run.preflight.path import prove_all, services_of
from harness.scenario.trigger import FOREIGN, Trigger, parse

if TYPE_CHECKING:
    from harness.cluster.client.api import Api
    from harness.cluster.watching.watches import Watched
    from harness.scenario.resolve import Resolved

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Subject:
    """The workload of a run, and how to watch it."""

    facts: ClusterFacts
    workload: Object
    trigger: Trigger
    services: tuple[Object, ...]
    around: tuple[Object, ...]  # Ingresses, budgets, autoscalers and target groups that concern it
    watches: tuple[Watched, ...]
    path: PathProof
    notes: tuple[str, ...]


def inspect(
    api: Api, resolved: Resolved, named: tuple[tuple[str, tuple[str, ...]], ...], *, lab: bool
) -> Subject:
    """Look at everything a rollout of the scenario's workload needs. `named`: pods that each host's answers named.

    Raises UsageError with one line: missing namespace or workload, paused, protected, no permission, …
    """
    scenario = resolved.scenario
    if scenario.workload is None:
        raise UsageError("no workload to roll out; add --deployment NAME")
    kind, name = scenario.workload
    trigger = parse(scenario.rollout.trigger)
    namespace = scenario.namespace or api.namespace
    denied = None if lab else refusal(api.context, namespace, name, resolved.allow)
    if denied:
        raise UsageError(denied)
    try:
        version, groups = api.version(), api.groups()
        if kind == argo_facts.KIND and argo_facts.VERSION not in groups.get(argo_facts.GROUP, []):
            raise UsageError(argo.MISSING)
        workload = _workload(api, kind, namespace, name)
        notes = argo.check(workload, trigger) if kind == argo_facts.KIND else ()
        notes += _check_strategy(kind, name, workload)
        patch_for(
            trigger, workload, datetime.now().astimezone(), resolved.base
        )  # it must fit; made anew when it is sent
        slices = slices_of(groups)
        missing, optional = _permissions(
            api, (kind, namespace, name), trigger, slices, pods=bool(scenario.load.pods)
        )
        if missing:
            raise UsageError(
                f"{api.user or 'this user'} may not {missing} in namespace {namespace}; ask for that permission"
            )
        labels = workload["spec"]["template"]["metadata"].get("labels") or {}
        services = tuple(
            argo.reached(services_of(listed(api, resources.SERVICES, namespace), labels), workload)
        )
        near = around(api, groups, namespace)
        selector = selectors.as_text(workload["spec"]["selector"])
        sets = (
            api.list_all(resources.REPLICASETS, namespace, label_selector=selector).get("items", [])
            if kind in {"Deployment", argo_facts.KIND}
            else []
        )
        notes += revisions_left(workload, sets, trigger, scenario.rollout.rollouts)
        pods = [
            p["metadata"]["name"]
            for p in api.list_all(resources.PODS, namespace, label_selector=selector).get("items", [])
        ]
    except ApiStatusError as error:
        who = f"the user {api.user!r}" if api.user else "this user"
        if error.code == 401:
            raise UsageError(
                f"the API server {api.server} does not accept the credentials of {who} (context {api.context}):"
                f" {error}"
            ) from None
        raise UsageError(f"the API server {api.server} refuses {who}: {error}") from None
    except ClusterError as error:
        raise UsageError(f"the cluster at {api.server} cannot be used: {error}") from None
    _check_others(workload, trigger)
    facts = ClusterFacts(
        server=api.server,
        context=api.context,
        namespace=namespace,
        kind=kind,
        name=name,
        uid=workload["metadata"]["uid"],
        version=version,
        identity=api.user,
        apis={
            slices.kind: slices.api,
            "Eviction": f"policy/{newest(groups, 'policy', ('v1', 'v1beta1')) or 'v1'}",
        },
        services=tuple(s["metadata"]["name"] for s in services),
        lab=lab,
        kubeconfig=scenario.cluster.kubeconfig or "",
    )
    if not services:
        notes += (f"no Service in {namespace} selects the pods of {name}: endpoints are not watched",)
    ours = mine(near, kind, name, labels, namespace, facts.services)
    scalers = [o["metadata"]["name"] for o in ours if o["kind"] == "HorizontalPodAutoscaler"]
    return Subject(
        facts=facts,
        workload=workload,
        trigger=trigger,
        services=services,
        around=ours,
        watches=watches(facts, slices, selector, scalers, events="events" not in optional),
        path=_path(
            resolved,
            lab,
            prove_all(
                named,
                services,
                [o for o in near if o["kind"] == "Ingress"],
                pods,
                own_namespace() if in_cluster() else "",
                routes(near, scenario.target.method, scenario.target.headers),
            ),
            facts,
        ),
        notes=notes
        + (("no permission to watch events: the timeline has none",) if "events" in optional else ()),
    )


def _workload(api: Api, kind: str, namespace: str, name: str) -> Object:
    resource = resources.WORKLOADS[kind]
    try:
        return api.get(resource, namespace, name)
    except ApiStatusError as error:
        if error.code == 403:
            raise UsageError(
                f"{api.user or 'this user'} may not get {resource.plural}/{name} in namespace {namespace}; ask for"
                " that permission"
            ) from None
        if error.code != 404:
            raise
    names = sorted(item["metadata"]["name"] for item in listed(api, resource, namespace))
    if names:
        raise UsageError(f"no {kind} {name!r} in namespace {namespace}; there are: {', '.join(names[:12])}")
    raise UsageError(
        f"no {kind} {name!r} in namespace {namespace}, and no other {kind} either; is the namespace right (-n), and"
        f" the context ({api.context})?"
    )


def _check_strategy(kind: str, name: str, workload: Object) -> tuple[str, ...]:
    spec = workload.get("spec") or {}
    if spec.get("paused"):
        raise UsageError(
            f"{kind} {name} is paused, so a restart would do nothing; resume it first: kubectl rollout resume"
            f" {kind.lower()}/{name}"
        )
    strategy = (spec.get("strategy") or spec.get("updateStrategy") or {}).get("type", "RollingUpdate")
    if strategy == "OnDelete":
        raise UsageError(
            f"{kind} {name} has updateStrategy OnDelete, so a restart replaces no pod; set RollingUpdate"
        )
    notes = []
    if strategy == "Recreate":
        notes.append(
            f"{name} has strategy Recreate: all old pods stop before a new one starts, an outage by design"
        )
    if kind != "DaemonSet" and int(spec.get("replicas", 1)) == 0:
        raise UsageError(f"{kind} {name} has 0 replicas: there is nothing to roll out")
    if kind != "DaemonSet" and int(spec.get("replicas", 1)) == 1:
        notes.append(f"{name} has one replica: nothing else serves while it is replaced")
    return tuple(notes)


def _check_others(workload: Object, trigger: Trigger) -> None:
    """Refuse what another run, or a GitOps tool, holds."""
    other = holder(workload, "", datetime.now(UTC))
    if other and trigger.kind not in FOREIGN:
        raise UsageError(f"{HELD}{workload['metadata']['name']}: {other}; wait for its end")
    denied = objection(tracked_by(workload), trigger.kind)
    if denied:
        raise UsageError(denied)


def slices_of(groups: dict[str, list[str]]) -> Resource:
    """Return what tells which pods are endpoints: EndpointSlices, or Endpoints on old servers."""
    version = newest(groups, "discovery.k8s.io", ("v1", "v1beta1"))
    return (
        Resource("EndpointSlice", "discovery.k8s.io", version, "endpointslices")
        if version
        else resources.ENDPOINTS
    )


def _permissions(
    api: Api, facts: tuple[str, str, str], trigger: Trigger, slices: Resource, *, pods: bool
) -> tuple[str, tuple[str, ...]]:
    """Return the first needed permission that is missing ("patch deployments.apps/web"), and optional ones that are."""
    kind, namespace, name = facts
    lacking = []
    for need in needs(kind, name, trigger, slices.plural, pods=pods):
        resource, _, sub = need.resource.partition("/")
        if not api.allowed(need.verb, Resource("", need.group, "", resource), namespace, need.name, sub):
            if not need.optional:
                return str(need), ()
            lacking.append(need.resource)
    return "", tuple(dict.fromkeys(lacking))


def _path(resolved: Resolved, lab: bool, proof: PathProof, facts: ClusterFacts) -> PathProof:  # noqa: FBT001
    if lab and (proof.by_answers or not proof.proven) and facts.services:
        return PathProof(
            proven=True,
            how=f"the lab's balancer sends to Service {facts.services[0]}, which selects the workload's pods",
        )
    if resolved.scenario.path_proven and (proof.by_answers or not proof.proven):
        return replace(proof, proven=True, how="asserted by --path-proven")
    return proof
