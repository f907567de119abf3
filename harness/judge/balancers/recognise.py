"""Who stands between the client and the pods: what somebody said, what the run knows, what answers show. Pure.

In this order: `--balancer`; the lab's own profile; headers and words of answers, and the format of an access log; a
target that is a pod or a Service; the class of the Ingress, or the controller that has accepted a Gateway API route.
What answers show on failed ones counts more than what good ones do: a pod has a Server header of its own.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.judge.balancers.envoy import ENVOY, ISTIO
from harness.judge.balancers.family import GATEWAY, Family
from harness.judge.balancers.gotransport import TRAEFIK
from harness.judge.balancers.known import BY_NAME, FAMILIES, Chain, Seen
from harness.judge.balancers.nginx import INGRESS_NGINX, NGINX
from harness.judge.balancers.unnamed import DIRECT
from harness.k8s.gateway import ROUTES, accepted_by

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.judge.balancers.family import Says
    from harness.model import RunRecord
    from harness.recording.answers import Answer

_LAB = {"service": "none"}  # the lab's profiles have the names of the families but for this one
_CLASSES = {
    "nginx": "ingress-nginx", "alb": "alb", "haproxy": "haproxy", "traefik": "traefik", "istio": "istio-envoy",
    "contour": "envoy", "caddy": "caddy", "gce": "google", "gce-internal": "google",
}  # fmt: skip
# What writes itself as controllerName into a route's status -> the family whose proxy it runs. Of Kong's and VPC
# Lattice's there is no table.
_CONTROLLERS = {
    "gateway.envoyproxy.io/gatewayclass-controller": "envoy", "projectcontour.io/gateway-controller": "envoy",
    "io.cilium/gateway-controller": "envoy", "kgateway.dev/kgateway": "envoy", "solo.io/gloo-gateway": "envoy",
    "istio.io/gateway-controller": "istio-envoy", "gateway.nginx.org/nginx-gateway-controller": "nginx",
    "traefik.io/gateway-controller": "traefik", "haproxy-ingress.github.io/controller": "haproxy",
    "networking.gke.io/gateway": "google", "gateway.k8s.aws/alb": "alb",
}  # fmt: skip
_BY_SERVICE = "the URL's host is Service "  # how run/path.py begins such a proof
_LONGEST = 60  # characters of an answer's words that evidence cites


@dataclass(frozen=True, slots=True)
class Met:
    """What the run met: each distinct answer with the number of failed hits that had it, and where its connections
    led.
    """

    failed: Sequence[tuple[Answer, int]] = ()  # named their pod: left out
    good: Sequence[Answer] = ()
    to_pods: bool = False  # the addresses connected to are pods'
    logs: tuple[str, ...] = ()  # the families that wrote the access logs
    unworded: int = 0  # failed with 502, 503 or 504, naming no pod, and what they said was not kept


def recognise(run: RunRecord, met: Met, objects: Iterable[Mapping[str, Any]] = ()) -> Chain:
    """Return the balancers of a run, with the evidence for each."""
    said = str(run.scenario.get("balancer") or "")
    if said in BY_NAME:
        return _one(said, "--balancer")
    if run.cluster is not None and run.cluster.lab:
        profile = str((run.scenario.get("lab") or {}).get("profile") or "alb")
        return _one(_LAB.get(profile, profile), "the lab's profile")
    known = list(objects)
    service = run.path is not None and run.path.how.startswith(_BY_SERVICE)
    # A log brought for a path that leads to pods is of something else: nobody stands there whom it could be of.
    shown = _logged(() if met.to_pods or service else met.logs, by_answers(met))
    if shown:
        return Chain(tuple(_as_ingress(one, known) for one in shown))
    gateways = met.unworded + sum(count for answer, count in met.failed if answer.status in GATEWAY)
    if not gateways and (met.to_pods or service):
        how = "connections go to the pods' own addresses" if met.to_pods else "the URL's host is a Service"
        return _one(DIRECT.name, how)
    if not met.to_pods and not service:
        # Where both lead to the pods, as while one is moved to the other, the proof of the path says which is used.
        how = run.path.how if run.path is not None else ""
        ways = {} if how.startswith(ROUTES) else _by_classes(known)
        ways |= {} if how.startswith("Ingress ") else _by_controllers(known)
        if len(set(ways.values())) == 1:
            evidence, name = next(iter(ways.items()))
            return _one(name, evidence) if name else Chain()
    return Chain()


def _by_classes(objects: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    ingress = _by_ingress(objects)
    if ingress:
        return {f"an Ingress of class {ingress[1]}": ingress[0]}
    return {"an Ingress": ""} if any(item.get("kind") == "Ingress" for item in objects) else {}


def _by_controllers(objects: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the families that the Gateway API's controllers stand for, by the evidence; "" where one has none."""
    return {
        f"{item['kind']} accepted by {controller}": _CONTROLLERS.get(controller, "")
        for item in objects
        if item.get("kind") in ROUTES
        for controller in accepted_by(item)
    }


def by_answers(met: Met) -> tuple[Seen, ...]:
    """Return whom the answers show, the client's side first."""
    evidence: dict[str, Counter[str]] = {}
    for answer, count in met.failed:
        for family, how in shown_by(answer):
            evidence.setdefault(family.name, Counter())[how] += count
    total = sum(count for _, count in met.failed)
    found = {
        name: f"{how} on {n:,} of {total:,} failed answers"
        for name, ways in evidence.items()
        for how, n in ways.most_common(1)
    }
    gateways = any(answer.status in GATEWAY for answer, _ in met.failed)
    if (
        not gateways
    ):  # else whoever stands there would have shown in what failed: the name on good answers is a pod's
        for answer in met.good:
            for family, how in shown_by(answer):
                found.setdefault(family.name, f"{how} on good answers")
    if ISTIO.name in found:
        found.pop(ENVOY.name, None)
    return tuple(
        Seen(family.name, family.title, found[family.name]) for family in FAMILIES if family.name in found
    )


def _logged(logs: Iterable[str], shown: tuple[Seen, ...]) -> tuple[Seen, ...]:
    """Add those that wrote an access log to those that answers show, the client's side first."""
    there = Chain(shown) if shown else None
    new = {name for name in logs if name in BY_NAME and not (there and there.wrote(name))}
    found = {one.name: one for one in shown}
    found |= {name: Seen(name, BY_NAME[name].title, "the format of its access log") for name in new}
    return tuple(found[family.name] for family in FAMILIES if family.name in found)


def shown_by(answer: Answer) -> list[tuple[Family, str]]:
    """Return which families one answer shows, and by what: a header, or words that only one of them says."""
    signed = [(family, f"`{sign}`") for family in FAMILIES if (sign := family.sign(answer))]
    names = {family.name for family, _ in signed}
    if ISTIO.name in names:
        signed = [(family, how) for family, how in signed if family is not ENVOY]
    if NGINX.name in names:  # the two look the same: whether it is an ingress-nginx, an Ingress tells
        signed = [(family, how) for family, how in signed if family is not INGRESS_NGINX]
    if signed:
        return signed
    for family in FAMILIES:
        said = family.bears(answer)
        if (
            said is not None
            and family is not INGRESS_NGINX
            and family is not ISTIO
            and _tells(said, answer, family)
        ):
            return [(family, f'"{said.words[:_LONGEST]}"')]
    return []  # fmt: skip


def _tells(said: Says, answer: Answer, family: Family) -> bool:
    """Say whether words give a family away: those that others say too do so only where they are all of the body."""
    return not said.retold or (family is TRAEFIK and answer.body.strip().lower() == said.words)


def _one(name: str, how: str) -> Chain:
    family = BY_NAME.get(name)
    return Chain() if family is None else Chain((Seen(family.name, family.title, how),))


def _as_ingress(seen: Seen, objects: Sequence[Mapping[str, Any]]) -> Seen:
    ingress = _by_ingress(objects)
    if seen.name != NGINX.name or not ingress or ingress[0] != INGRESS_NGINX.name:
        return seen
    return Seen(
        INGRESS_NGINX.name, INGRESS_NGINX.title, f"{seen.evidence}, and an Ingress of class {ingress[1]}"
    )


def _by_ingress(objects: Iterable[Mapping[str, Any]]) -> tuple[str, str] | None:
    """Return the family that the Ingresses' class stands for, and the class, where all of them have the same."""
    classes = set()
    for item in objects:
        if item.get("kind") == "Ingress":
            notes = (item.get("metadata") or {}).get("annotations") or {}
            classes.add(
                str(
                    (item.get("spec") or {}).get("ingressClassName")
                    or notes.get("kubernetes.io/ingress.class")
                    or ""
                )
            )
    if len(classes) != 1:
        return None
    (kind,) = classes
    return (_CLASSES[kind], kind) if kind in _CLASSES else None
