"""Files, flags and the environment -> a checked Scenario, or a one-line error."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import pydantic
import yaml

from harness import masking
from harness.errors import UsageError
from harness.scenario import yamltext
from harness.scenario.labpart import LabPart
from harness.scenario.parts.grpcpart import GrpcPart
from harness.scenario.parts.streampart import StreamPart
from harness.scenario.schema import (
    ClusterPart,
    LoadPart,
    RolloutPart,
    Scenario,
    TargetPart,
)
from harness.scenario.trigger import parse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


_PARTS: dict[str, type[pydantic.BaseModel]] = {
    "target": TargetPart,
    "load": LoadPart,
    "rollout": RolloutPart,
    "lab": LabPart,
    "cluster": ClusterPart,
    "stream": StreamPart,
    "grpc": GrpcPart,
}


def expand(value: str, header: str, environ: Mapping[str, str] = os.environ) -> str:
    """Replace `${NAME}` in a header's value by the environment variable. Raises UsageError if it is not set."""

    def replace(match: re.Match[str]) -> str:
        name = match[1]
        if name not in environ:
            raise UsageError(f"the header {header} needs the environment variable {name}, which is not set")
        return environ[name]

    expanded = re.sub(r"\$\{(\w+)\}", replace, value)
    if "\r" in expanded or "\n" in expanded:
        raise UsageError(f"the header {header} contains a line break")
    return expanded


def parse_headers(lines: Sequence[str]) -> dict[str, str]:
    """Read curl-like `Name: value` lines. Raises UsageError."""
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name.strip()):
            # Without a colon, all of it may be a secret value whose name is missing.
            shown = repr(name) if colon else "without a colon"
            raise UsageError(f"-H {shown} is not a header; write -H 'Name: value'")
        headers[name.strip()] = value.strip()
    return headers


def redacted(scenario: Scenario) -> dict[str, Any]:
    """Return the scenario to write to disk: without header values, body, credentials and query values."""
    whole = scenario.model_dump(mode="json")
    whole["target"]["headers"] = dict.fromkeys(whole["target"]["headers"], "***")
    if whole["target"]["body"] is not None:
        whole["target"]["body"] = "***"
    if (whole["stream"] or {}).get("message") is not None:
        whole["stream"]["message"] = "***"
    if whole["grpc"]:
        whole["grpc"]["data"] = "***"
    whole["rollout"]["trigger"] = parse(scenario.rollout.trigger).shown
    if whole["target"]["url"]:
        whole["target"]["url"] = masking.url(whole["target"]["url"])
    whole["target"]["path"] = masking.url(whole["target"]["path"])
    check = (whole["lab"] or {}).get("health_check")
    if check:
        check["path"] = masking.url(check["path"])
    return whole


def read_file(path: Path) -> tuple[dict[str, Any], dict[tuple[str, ...], int]]:
    """Read a YAML mapping and the line of each of its fields. Raises UsageError with file and line."""
    try:
        loader = yamltext.Loader(yamltext.read_text(path))
        try:
            node = loader.get_single_node()
            data = None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    except yaml.YAMLError as error:
        line, problem = yamltext.problem(error)
        raise UsageError(f"{path}:{line or 1}: malformed YAML: {problem}") from None
    if data is None:
        return {}, {}
    if not isinstance(data, dict):
        raise UsageError(f"{path}:1: a scenario must be a mapping of fields such as target: and load:")
    lines: dict[tuple[str, ...], int] = {}
    _lines_of(node, (), lines)
    return data, lines


def _lines_of(node: yaml.Node | None, where: tuple[str, ...], lines: dict[tuple[str, ...], int]) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*where, str(key.value))
            lines[here] = key.start_mark.line + 1
            _lines_of(value, here, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            here = (*where, str(index))
            lines[here] = value.start_mark.line + 1
            _lines_of(value, here, lines)


def validate(
    data: dict[str, Any],
    flags: Mapping[str, Any],
    path: Path | None = None,
    lines: Mapping[tuple[str, ...], int] | None = None,
    *,
    in_part: bool = False,
) -> Scenario:
    """Override a file's mapping by flags (dotted field -> value), and check the result.

    `in_part`: the mapping is only a part of a scenario, so whether its fields go together is not looked at.
    Raises UsageError that names the first wrong field by its flag, or by file and line.
    """
    merged = _copy(data)
    for field, value in flags.items():
        part = merged
        *folders, last = field.split(".")
        for folder in folders:
            inner = part.get(folder)
            part[folder] = inner if isinstance(inner, dict) else {}
            part = part[folder]
        part[last] = (
            {**part.get(last, {}), **value}
            if isinstance(value, dict) and isinstance(part.get(last), dict)
            else value
        )
    try:
        return Scenario.model_validate(merged)
    except pydantic.ValidationError as error:
        faults = [fault for fault in error.errors() if not (in_part and _of_several_fields(fault))]
        if not faults:
            return Scenario()
        first = faults[0]
        where = tuple(str(x) for x in first["loc"])
        text = said(first)
        if first["type"] == "extra_forbidden":
            text = "no such field; " + _neighbours(where)
        field = ".".join(where)
        if any(field == flag or field.startswith(flag + ".") for flag in flags):
            raise UsageError(f"{_flag(field)}: {text}") from None
        if path is None:  # fields that do not go together, all of them from the command line
            raise UsageError(text) from None
        if path is None:  # all of it comes from flags, two of which conflict
            raise UsageError(text) from None
        line = (
            next((lines[where[:n]] for n in range(len(where), 0, -1) if where[:n] in lines), 1)
            if lines
            else 1
        )
        raise UsageError(": ".join(part for part in (f"{path}:{line}", field, text) if part)) from None


def _of_several_fields(fault: Mapping[str, Any]) -> bool:
    """Whether a fault lies in how fields go together, not in one of them."""
    return fault["type"] == "value_error" and all(str(step) in _PARTS for step in fault["loc"])


def said(fault: Mapping[str, Any]) -> str:
    """Say what is wrong, and how to fix it."""
    limits = fault.get("ctx") or {}
    bounds = {
        "greater_than_equal": "must be at least {ge:g}",
        "greater_than": "must be more than {gt:g}",
        "less_than_equal": "must be at most {le:g}",
        "less_than": "must be less than {lt:g}",
        "int_parsing": "must be a whole number",
        "int_from_float": "must be a whole number",
        "float_parsing": "must be a number",
        "bool_parsing": "must be true or false",
        "literal_error": "must be {expected}",
    }
    if fault["type"] in bounds:
        return bounds[fault["type"]].format(**limits) + f", not {str(fault['input'])[:40]}"
    return str(fault["msg"]).removeprefix("Value error, ")


def _copy(value: Any) -> Any:
    return {key: _copy(inner) for key, inner in value.items()} if isinstance(value, dict) else value


def _neighbours(where: tuple[str, ...]) -> str:
    model = _PARTS.get(where[0], Scenario) if len(where) > 1 else Scenario
    return "use one of " + ", ".join(sorted(model.model_fields))


_FLAGS = {
    "target.url": "URL", "target.method": "--method", "target.body": "--body", "target.body_file": "--body-file",
    "target.expect": "--expect", "target.timeout": "--timeout", "target.insecure": "--insecure",
    "target.headers": "--header",
    "load.concurrency": "--concurrency", "load.duration": "--duration", "load.workers": "--workers",
    "load.drain": "--drain",
    "target.resolve": "--resolve", "target.cacert": "--cacert", "target.cert": "--cert", "target.key": "--key",
    "target.servername": "--servername", "target.tls_min": "--tls-min",
    "load.mix": "--mix", "load.targets": "--targets", "load.lull": "--lull", "load.rate": "--rate",
    "load.ramp": "--ramp", "load.conn_max_hits": "--conn-max-hits", "load.conn_max_age": "--conn-max-age",
    "target.pod_header": "--pod-header", "target.http2": "--http2", "target.streams": "--streams",
    "stream.kind": "--stream", "stream.message": "--message", "stream.every": "--every", "stream.ping": "--ping",
    "stream.expect_every": "--expect-every", "stream.back_within": "--back-within",
    "grpc.proto": "--proto", "grpc.proto_path": "--proto-path", "grpc.data": "--data", "grpc.health": "--no-health",
    "rollout.trigger_after": "--trigger-after",
    "rollout.trigger": "--trigger", "rollout.rollouts": "--rollouts",
    "rollout.field_manager": "--field-manager", "rollout.settle": "--settle", "rollout.max_time": "--max-time",
    "workload": "--deployment", "namespace": "--namespace", "cluster.context": "--context",
    "cluster.kubeconfig": "--kubeconfig",
    "aws_target_groups": "--aws-target-groups",
    "max_baseline_failures": "--max-baseline-failures", "lab.time_scale": "--time-scale", "fail_on": "--fail-on",
}  # fmt: skip


def _flag(field: str) -> str:
    return _FLAGS.get(field) or _FLAGS.get(field.rpartition(".")[0], field)  # or of the list that it is in
