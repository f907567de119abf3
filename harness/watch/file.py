"""The watch file: which services, with which requests.

defaults:                 # fields of a scenario, for all services; and rate, boost
  rate: 2
  target: {headers: {Authorization: "${TOKEN}"}}
services:
  - workload: deployment/web
    url: https://web.staging.example.com/healthz
  - workload: statefulset/queue
    url: http://queue.staging.example.com/
    boost: 20
    objectives: ["lost < 5"]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.errors import UsageError
from harness.scenario.reading import read_file
from harness.scenario.values import kind_and_name
from harness.watch.service import LEAST_RATE, Rates, Wanted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_FIELDS = frozenset({"namespace", "defaults", "services"})
_OURS = frozenset({"rate", "boost", "url", "workload"})
# Fields of a scenario that mean nothing here: the watch decides them.
_REFUSED = frozenset({"lab", "manifests", "cluster", "namespace", "needs", "label", "name"})
MOST = 500  # services
_INSTEAD = "give an http:// URL that answers, and hold streams with `zdtest run --trigger observe`"


def read(path: Path, rates: Rates) -> tuple[str | None, list[Wanted]]:
    """Return the namespace that a watch file names, and its services. Raises UsageError with file and line."""
    data, lines = read_file(path)
    try:
        return _namespace(data), _services(data, rates, path)
    except _WrongError as error:
        place = error.place
        line = next((lines[place[:n]] for n in range(len(place), 0, -1) if place[:n] in lines), 1)
        raise UsageError(f"{path}:{line}: {error}") from None


class _WrongError(ValueError):
    """What is wrong, and at which place of the file."""

    def __init__(self, what: str, *place: str) -> None:
        super().__init__(what)
        self.place = place


def _namespace(data: Mapping[str, Any]) -> str | None:
    for name in data.keys() - _FIELDS:
        raise _WrongError(f"{name}: no such field; use one of {', '.join(sorted(_FIELDS))}", str(name))
    namespace = data.get("namespace")
    if namespace is not None and not isinstance(namespace, str):
        raise _WrongError("namespace: must be a name", "namespace")
    return namespace


def _services(data: Mapping[str, Any], rates: Rates, path: Path) -> list[Wanted]:
    defaults, services = data.get("defaults") or {}, data.get("services")
    if not isinstance(defaults, dict):
        raise _WrongError("defaults: must be a mapping of fields such as rate: and target:", "defaults")
    if not isinstance(services, list) or not services or len(services) > MOST:
        raise _WrongError(
            f"services: must be a list of 1 to {MOST} services, each with workload: and url:", "services"
        )
    found: dict[str, Wanted] = {}
    for at, one in enumerate(services):
        wanted = _service(defaults, one, rates, path, ("services", str(at)))
        if wanted.key in found:
            raise _WrongError(f"{wanted.key} is there twice", "services", str(at))
        found[wanted.key] = wanted
    return list(found.values())


def _service(
    defaults: Mapping[str, Any], one: object, rates: Rates, path: Path, place: tuple[str, ...]
) -> Wanted:
    if not isinstance(one, dict) or not isinstance(one.get("workload"), str):
        raise _WrongError("a service needs workload: KIND/NAME, and url:", *place)
    merged = _over(defaults, one)
    for name in sorted(merged.keys() & _REFUSED):
        raise _WrongError(f"{name}: has no meaning in a watch file; leave it out", *place, name)
    target = merged.get("target")
    url = merged.get("url") or (target.get("url") if isinstance(target, dict) else None)
    if "stream" in merged or (isinstance(url, str) and url.startswith(("ws://", "wss://"))):
        what = "stream" if "stream" in merged else "url"
        raise _WrongError(f"{what}: a watch holds no streams; {_INSTEAD}", *place, what)
    try:
        workload, mine = kind_and_name(merged["workload"]), _rates(merged, rates)
    except ValueError as error:
        raise _WrongError(str(error), *place) from None
    fields: dict[str, Any] = {key: value for key, value in merged.items() if key not in _OURS}
    fields["workload"] = workload
    if url := merged.get("url"):
        fields["target"] = {**(fields.get("target") or {}), "url": url}
    return Wanted(fields, mine, f"-f {path}", path.parent)


def _over(defaults: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Lay a service's own fields over the defaults, part by part."""
    merged = dict(defaults)
    for key, value in own.items():
        known = merged.get(key)
        merged[key] = {**known, **value} if isinstance(known, dict) and isinstance(value, dict) else value
    return merged


def _rates(fields: Mapping[str, Any], usual: Rates) -> Rates:
    """Return the rates that these fields ask for. Raises ValueError."""
    rate, boost = fields.get("rate", usual.usual), fields.get("boost", usual.boost)
    for name, value in (("rate", rate), ("boost", boost)):
        if value is None and name == "boost":
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not LEAST_RATE <= value <= 1000:
            raise ValueError(f"{name}: must be a number of requests per second, {LEAST_RATE:g} to 1000")
    return Rates(float(rate), None if boost is None else float(boost))
