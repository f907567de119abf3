"""Decides what one run does: its scenario, where the target came from, and whether the lab runs."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from harness import typedpaths
from harness.errors import UsageError
from harness.model import LabPlan, Target
from harness.scenario import yamltext
from harness.scenario.catalogue import find, not_found
from harness.scenario.labpart import LabPart
from harness.scenario.reading import expand, read_file, validate
from harness.scenario.targetfile import Listed, aimed, read_targets, whole_url

if TYPE_CHECKING:
    from harness.scenario.schema import Scenario

DEFAULT_FILE = "zdtest.yaml"
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})  # methods that usually have a body
LAB_SCENARIO = "seed/1-no-probe"  # what --lab runs without a scenario file


@dataclass(frozen=True, slots=True)
class Resolved:
    """A scenario, with everything that the command line says about this run."""

    scenario: Scenario
    source: str  # where the target came from, for the first line printed
    base: Path  # what relative paths in the scenario are relative to
    use_lab: bool
    rollout_wanted: bool = True
    dry_run: bool = False
    allow: str | None = None
    output: Path = Path("results")
    keep: int | None = None
    notes: tuple[str, ...] = ()  # one line each, for the summary
    listed: tuple[Listed, ...] = ()  # the targets of load.targets, if given

    @property
    def url(self) -> str:
        """Where the load goes without the lab: the scenario's URL, else the first target's."""
        return self.scenario.target.url or whole_url(self.listed)

    def name(self) -> str:
        """Name the run: the scenario's name, else the workload, else the host."""
        scenario = self.scenario
        if scenario.name:
            return scenario.name
        if scenario.workload:
            return scenario.workload[1]
        host = urlsplit(self.url).hostname or ""
        return re.sub(r"[^a-z0-9.-]+", "-", host.lower()).strip("-.") or "run"

    def targets(self, url: str) -> tuple[Target, ...]:
        """Return the requests to send; `url` is the one for the scenario's own request. Raises UsageError."""
        one = self.target(self._of_streams(url))
        if self.listed:
            return aimed(self.listed, url, one.headers, one.body)
        return tuple(
            replace(one, method=method, weight=share, body=one.body if method in WITH_BODY else b"")
            for method, share in self.scenario.load.mix
        ) or (one,)

    def _of_streams(self, url: str) -> str:
        """Write the URL as that of a WebSocket where one is held: the lab's own, and an http:// one."""
        stream = self.scenario.stream
        websocket = stream is not None and stream.kind == "websocket"
        return re.sub(r"^http", "ws", url) if websocket else url

    def target(self, url: str) -> Target:
        """Return the scenario's own request, secrets included. Raises UsageError."""
        part = self.scenario.target
        headers = tuple((name, expand(value, name)) for name, value in part.headers.items())
        body = (part.body or "").encode()
        if part.body_file is not None:
            path = self.base / part.body_file
            try:
                body = yamltext.read_bytes(path)
            except OSError as error:
                raise UsageError(f"cannot read the body file {path}: {error.strerror}") from None
            except ValueError as error:
                raise UsageError(f"cannot read the body file {path}: {error}") from None
        if body and part.method == "HEAD":
            raise UsageError("a HEAD request has no body; drop --body, or choose another --method")
        return Target(url=url, method=part.method, headers=headers, body=body)

    def lab_plan(self) -> LabPlan:
        """Return what the lab runs. Raises UsageError if the scenario names no manifests."""
        part = self.scenario.lab or LabPart()
        if not self.scenario.manifests:
            raise UsageError(
                "the lab needs manifests: list the files of a Deployment and a "
                f"Service under manifests: in {self.source}"
            )
        paths = [self.base / name for name in self.scenario.manifests]
        for path in paths:
            if not typedpaths.is_file(path):
                raise UsageError(f"no such manifest: {path}; paths are relative to the scenario's folder")
        check = part.health_check

        def scaled(duration_ns: int) -> int:
            return round(duration_ns * part.time_scale)

        return LabPlan(
            manifests=tuple(str(path.resolve()) for path in paths),
            profile=part.profile,
            tls=part.profile != "service" if part.tls is None else part.tls,
            lag_ns=scaled(part.lag),
            connect_timeout_ns=scaled(part.connect_timeout),
            idle_timeout_ns=scaled(part.idle_timeout),
            lag_tail_ns=scaled(part.lag_tail),
            seed=part.seed,
            registration_ns=scaled(part.registration),
            deregistration_ns=scaled(part.deregistration_delay),
            check_every_ns=scaled(check.interval) if check else 0,
            check_timeout_ns=scaled(check.timeout) if check else 0,
            check_path=check.path if check else "/",
            healthy=check.healthy if check else 5,
            unhealthy=check.unhealthy if check else 2,
            tries=part.tries,
            retry_posts=part.retry_posts,
            clock_offset_ns=part.clock_offset,
            drop_watches_ns=part.drop_watches,
            minor=int(part.kubernetes.partition(".")[2]),
        )


@lru_cache(maxsize=1)
def shipped() -> Path:
    """Return the folder of the scenarios that come with zdtest: in the wheel, or in the clone around it."""
    packed = Path(str(resources.files("harness"))) / "_scenarios"
    return packed if packed.is_dir() else packed.parent.parent / "scenarios"


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asked for, before any file is read. `flags` maps dotted scenario fields to values."""

    flags: dict[str, Any] = field(default_factory=dict)
    defaults: dict[str, Any] = field(
        default_factory=dict
    )  # a suite's, nested: of fields that the file leaves out
    file: Path | None = None
    lab: bool = False
    no_rollout: bool = False
    dry_run: bool = False
    allow: str | None = None
    output: Path = Path("results")
    keep: int | None = None
    interactive: bool = True  # somebody can see which cluster it is


def resolve(request: Request, folder: Path) -> Resolved:
    """Find the target: flags, then -f FILE, then zdtest.yaml in `folder`. Raises UsageError.

    A URL on the command line replaces the target of the file given by -f. Without -f, a URL on the command line means
    that no file is read, so a zdtest.yaml in the folder changes nothing. The lab runs with --lab, or if the file has
    a lab: part and no flag names a cluster.
    """
    flags = request.flags
    listed = read_targets(Path(flags["load.targets"])) if flags.get("load.targets") else ()
    url_given = "target.url" in flags or bool(whole_url(listed))
    path, why = _which_file(request, folder, url_given=url_given)
    data, lines = read_file(path) if path else ({}, {})
    data = _filled(data, request.defaults)
    scenario = validate(data, flags, path, lines)
    base = path.parent if path else folder
    if scenario.load.targets and not listed:
        listed = read_targets(base / scenario.load.targets)
    elsewhere = url_given or flags.keys() & {"cluster.context", "cluster.kubeconfig"}
    use_lab = request.lab or (data.get("lab") is not None and not elsewhere)
    if request.lab and elsewhere:
        raise UsageError("--lab cannot be combined with a URL, --context or --kubeconfig; drop one of them")
    _check_lab(scenario, flags, use_lab=use_lab)
    if listed and _both_said(scenario, flags, "load.targets"):
        raise UsageError("each target in the file has a method of its own; drop --method or --targets")
    if scenario.load.mix and _both_said(scenario, flags, "load.mix"):
        raise UsageError("--mix says which methods are sent; drop --method or --mix")
    _check_listed(scenario, listed, use_lab=use_lab)
    if not use_lab:
        _check_target(scenario, why, listed, no_rollout=request.no_rollout)
    elif not scenario.workload and not request.no_rollout:
        raise UsageError(f"{why} names no workload; add workload: deployment/NAME")
    if not use_lab and (scenario.load.pods or not request.no_rollout) and not request.interactive:
        _check_explicit(scenario)
    if request.dry_run and request.no_rollout:
        raise UsageError("--dry-run rehearses a rollout, and --no-rollout makes none; drop one of them")
    return Resolved(
        scenario=scenario,
        source=f"{why}{' (the embedded lab)' if use_lab else ''}",
        base=base,
        use_lab=use_lab,
        rollout_wanted=not request.no_rollout,
        dry_run=request.dry_run,
        allow=request.allow,
        output=request.output,
        keep=request.keep,
        listed=listed,
    )


def _filled(data: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Return a file's fields, and defaults for those that it leaves out, at any depth."""
    found = {**defaults, **data}
    for key, given in defaults.items():
        own = data.get(key)
        if isinstance(given, dict) and isinstance(own, dict):
            found[key] = _filled(own, given)
    return found


def _which_file(request: Request, folder: Path, *, url_given: bool) -> tuple[Path | None, str]:
    if request.file:
        path = request.file / DEFAULT_FILE if typedpaths.is_dir(request.file) else request.file
        if not typedpaths.exists(path) and not path.suffix:
            found = find(request.file.as_posix(), shipped())
            if found is None:
                raise not_found(str(request.file), shipped())
            return found / DEFAULT_FILE, f"the shipped scenario {found.relative_to(shipped()).as_posix()}"
        return path, f"{path}, with the URL of the command line" if url_given else f"-f {path}"
    if url_given:
        return None, "the command line"
    if (folder / DEFAULT_FILE).is_file():
        return folder / DEFAULT_FILE, f"{DEFAULT_FILE} in this folder"
    if request.lab:
        return shipped() / LAB_SCENARIO / DEFAULT_FILE, f"the shipped scenario {LAB_SCENARIO}"
    raise UsageError(
        f"no target: give a URL with --deployment NAME, or -f SCENARIO, or a {DEFAULT_FILE} "
        "in this folder, or --lab for the embedded lab"
    )


def _check_lab(scenario: Scenario, flags: dict[str, Any], *, use_lab: bool) -> None:
    if use_lab and scenario.grpc:
        raise UsageError("the lab's pods speak no gRPC; name a real cluster with a grpc:// URL")
    if use_lab and scenario.load.pods:
        raise UsageError("the lab has no nodes for the load's pods; drop --pods, or name a real cluster")
    if "lab.time_scale" in flags and not use_lab:
        raise UsageError("--time-scale is for the lab's balancer only; add --lab, or drop --time-scale")


def _both_said(scenario: Scenario, flags: dict[str, Any], several: str) -> bool:
    """Whether a method is given in the same place as several requests. A flag alone overrides the scenario's."""
    if flags.get(several):
        return "target.method" in flags
    return "method" in scenario.target.model_fields_set


def _check_listed(scenario: Scenario, listed: tuple[Listed, ...], *, use_lab: bool) -> None:
    """Refuse options that conflict with a file of targets."""
    if not listed:
        return
    if use_lab and (other := next((each for each in listed if not each.is_path), None)):
        raise UsageError(
            f"{other.place}: the lab has its own address; write a path that begins with /, not a URL"
        )
    if use_lab:
        return
    if scenario.target.url and all(not each.is_path for each in listed):
        raise UsageError("the URL is for targets that are paths, and none of them is; drop the URL")
    aimed(listed, scenario.target.url or whole_url(listed), (), b"")


def _check_target(scenario: Scenario, why: str, listed: tuple[Listed, ...], *, no_rollout: bool) -> None:
    if not scenario.target.url and not listed:
        raise UsageError(
            f"{why} has no URL to send to; add a URL, or target.url, or --lab for the embedded lab"
        )
    if not scenario.workload and not no_rollout:
        raise UsageError(
            "there is a URL but no workload to roll out; add --deployment NAME (and -n "
            "NAMESPACE), or --no-rollout for a plain load test"
        )


def _check_explicit(scenario: Scenario) -> None:
    """Require a context without a terminal: nobody would see which one is current."""
    in_cluster = "KUBERNETES_SERVICE_HOST" in os.environ
    if not scenario.namespace:
        raise UsageError(
            "without a terminal the namespace must be given: add -n NAMESPACE, or namespace: in the scenario"
        )
    if not scenario.cluster.context and not in_cluster:
        raise UsageError(
            "without a terminal the context must be given: add --context NAME, or cluster.context in the scenario"
        )
