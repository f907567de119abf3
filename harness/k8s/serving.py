"""Which container of a pod serves requests: the one that is judged, patched, linted, and replaced in the lab. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Object = dict[str, Any]

# Names of the containers that meshes and platforms add to an application's pod.
SIDECARS = frozenset(
    {
        "aws-otel-collector",
        "cloud-sql-proxy",
        "cloudsql-proxy",
        "consul-connect-envoy-sidecar",
        "consul-dataplane",
        "daprd",
        "datadog-agent",
        "envoy",
        "envoy-sidecar",
        "filebeat",
        "fluent-bit",
        "fluentd",
        "istio-proxy",
        "jaeger-agent",
        "kuma-sidecar",
        "linkerd-proxy",
        "otc-container",
        "vault-agent",
        "xray-daemon",
    }
)


def serving(pod: Mapping[str, Any], services: Iterable[Mapping[str, Any]] = ()) -> Object:
    """Return the container of a pod's spec that takes the Services' requests; {} of a pod without any.

    It is the one that declares a port to which a Service leads, by name or number. Where none does (declaring ports is
    voluntary): the first with a port, else the first. Of several that fit, an application comes before a sidecar. A
    sidecar among the init containers (restartPolicy Always) ends after all the others, and is never the one.
    """
    containers: list[Object] = list(pod.get("containers") or ())
    led = [c for target in targets(services) for c in containers if _leads(target, c) is not None]
    with_port = [c for c in containers if c.get("ports")]
    ranked = (*_applications(led), *led, *_applications(with_port), *_applications(containers), *with_port)
    return next(iter((*ranked, *containers)), {})


def native_sidecars(pod: Mapping[str, Any]) -> list[Object]:
    """Return a pod's native sidecars (KEP-753): init containers that are always restarted, so that they run beside
    the others.
    """
    return [c for c in pod.get("initContainers") or () if c.get("restartPolicy") == "Always"]


def serving_port(container: Mapping[str, Any], services: Iterable[Mapping[str, Any]] = ()) -> int | None:
    """Return the port on which the serving container takes requests; None where neither it nor a Service says which."""
    wanted = list(targets(services))
    led = [port for target in wanted if (port := _leads(target, container)) is not None]
    # Requests go to a numbered port even where no container declares it.
    bare = [target for target in wanted if isinstance(target, int)]
    declared = [number for _, number in _ports(container) if number is not None]
    return next(iter((*led, *bare, *declared)), None)


def targets(services: Iterable[Mapping[str, Any]]) -> Iterator[int | str]:
    """Yield where Services lead to, port by port: a number, or a port's name."""
    for service in services:
        for port in (service.get("spec") or {}).get("ports") or ():
            target = port.get("targetPort", port.get("port"))
            if target is not None:
                yield int(target) if str(target).isdigit() else str(target)


def leads(service: Mapping[str, Any], container: Mapping[str, Any]) -> bool:
    """Tell whether a Service leads to a port that the container declares."""
    return any(_leads(target, container) is not None for target in targets((service,)))


def _applications(containers: Iterable[Object]) -> list[Object]:
    return [container for container in containers if container.get("name") not in SIDECARS]


def _leads(target: int | str, container: Mapping[str, Any]) -> int | None:
    """Return the number of the container's port that a target stands for."""
    return next((number for name, number in _ports(container) if target in {name, number}), None)


def _ports(container: Mapping[str, Any]) -> Iterator[tuple[str | None, int | None]]:
    for port in container.get("ports") or ():
        number = port.get("containerPort")
        yield port.get("name"), None if number is None else int(number)
