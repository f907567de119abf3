"""Writes docs/scenarios.md from the schema of scenario files: `python -m tests.docs.scenario_page`.

tests/docs/test_scenario_page.py says when it is stale.
"""

from __future__ import annotations

import re
import typing
from typing import TYPE_CHECKING, Any

import annotated_types
import click
import pydantic

from harness.cli.options import flags_of
from harness.cli.root import root
from harness.clock import NS
from harness.model import BALANCERS
from harness.scenario import values
from harness.scenario.labpart import HealthCheck, LabPart
from harness.scenario.objectives import BY_PHASE, METRICS, condition
from harness.scenario.parts.grpcpart import GrpcPart
from harness.scenario.parts.streampart import StreamPart
from harness.scenario.schema import ClusterPart, LoadPart, RolloutPart, Scenario, TargetPart
from tests.docs.pages import DOCS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

PAGE = DOCS / "scenarios.md"
EXAMPLE = DOCS / "examples/zdtest.yaml"
PARTS: dict[str, type[pydantic.BaseModel]] = {
    "": Scenario, "target": TargetPart, "load": LoadPart, "rollout": RolloutPart, "cluster": ClusterPart,
    "lab": LabPart, "lab.health_check": HealthCheck, "stream": StreamPart, "grpc": GrpcPart,
}  # fmt: skip
_READ_BY = {
    values.duration_ns: "duration",
    values.signed_ns: "duration, may be negative",
    values.status_ranges: "statuses: `200-299,304`",
    values.resolved_names: "list of `HOST:PORT:ADDRESS`",
    values.proportions: "`METHOD:N,…`",
    values.kind_and_name: "`KIND/NAME`: deployment, statefulset or daemonset",
    condition: "condition",
}
# A value for each of a command line's options, where the option's own kind does not tell one.
_SAMPLES: dict[str, Any] = {"headers": ("A: b",), "error_backoff": "0", "trigger": "restart"}


def flags() -> dict[str, list[str]]:
    """Return for each field the options of `zdtest run` that set it, found by giving each of them."""
    options = [param for param in root.commands["run"].params if isinstance(param, click.Option)]
    nothing = {
        option.name: () if option.multiple else False if option.is_flag else None for option in options
    }
    found: dict[str, list[str]] = {"target.url": ["URL"]}
    for option in options:
        sample = _SAMPLES.get(
            option.name or "", ("x",) if option.multiple else True if option.is_flag else "x"
        )
        for field in flags_of(None, {**nothing, option.name: sample}):
            if (option.name, field) not in {("mix", "load.targets"), ("targets", "load.mix")}:
                found.setdefault(field, []).append(", ".join(option.opts))
    return found


def kind(field: FieldInfo) -> str:
    """Say what a field takes, in words."""
    metadata = [*field.metadata, *_within(field.annotation)]
    for item in metadata:
        reader = getattr(item, "func", None)
        if reader in _READ_BY:
            listed = typing.get_origin(field.annotation) is tuple and reader is condition
            return f"list of conditions: `{condition('p99<250ms')}`" if listed else _READ_BY[reader]
        if reader is values.target_group:
            return "list of ARNs, or `auto`"
        if reader is values.known_balancer:
            return "one of " + ", ".join(f"`{name}`" for name in BALANCERS)
    choices = _choices(field.annotation)
    if choices:
        return "one of " + ", ".join(f"`{choice}`" for choice in choices)
    return _plain(field.annotation) + _bounds(metadata)


def _within(annotation: Any) -> Iterator[Any]:
    """Yield what stands beside the types inside a type."""
    if typing.get_origin(annotation) is typing.Annotated:
        yield from annotation.__metadata__
    for inner in typing.get_args(annotation):
        yield from _within(inner)


def _choices(annotation: Any) -> tuple[str, ...]:
    if typing.get_origin(annotation) is typing.Literal:
        return typing.get_args(annotation)
    inner = [_choices(one) for one in typing.get_args(annotation) if one is not type(None)]
    return inner[0] if len(inner) >= 1 else ()


def _plain(annotation: Any) -> str:
    text = str(annotation)
    for word, said in (
        ("Part", "a part of its own"), ("HealthCheck", "a part of its own"), ("dict[", "names and values"),
        ("tuple[str, ...]", "list of files"), ("bool", "`true` or `false`"), ("float", "number"),
        ("int", "whole number"),
    ):  # fmt: skip
        if word in text:
            return said
    return "text"


def _bounds(metadata: list[Any]) -> str:
    low = high = ""
    flat = [inner for item in metadata for inner in (getattr(item, "metadata", None) or [item])]
    for item in flat:
        if isinstance(item, annotated_types.Ge):
            low = f"from {item.ge:,}"
        elif isinstance(item, annotated_types.Gt):
            low = f"over {item.gt:,}"
        elif isinstance(item, annotated_types.Le):
            high = f"to {item.le:,}"
        elif isinstance(item, annotated_types.MaxLen):
            high = f"at most {item.max_length} characters"
    said = " ".join(part for part in (low, high) if part)
    return f", {said}" if said else ""


def default(field: FieldInfo) -> str:
    """Say what a field is where nobody sets it, as it would be written."""
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value in ((), {}, "") or isinstance(value, pydantic.BaseModel):
        return "-"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if kind(field).startswith("duration"):
        seconds = value / NS
        return f"`{seconds / 60:g}m`" if seconds >= 120 and not seconds % 60 else f"`{seconds:g}s`"
    if isinstance(value, tuple):
        return "`" + ",".join(f"{low}-{high}" for low, high in value) + "`"
    return f"`{value}`"


def table(prefix: str, model: type[pydantic.BaseModel]) -> str:
    """Return the table of one part's fields."""
    known = flags()
    lines = ["| field | takes | default | meaning | flag |", "|---|---|---|---|---|"]
    for name, field in model.model_fields.items():
        path = f"{prefix}.{name}" if prefix else name
        flag = ", ".join(f"`{text}`" for option in known.get(path, []) for text in option.split(", "))
        meaning = re.sub(r"\s+", " ", field.description or "").strip()
        lines.append(f"| `{name}` | {kind(field)} | {default(field)} | {meaning} | {flag} |")
    return "\n".join(lines)


def page() -> str:
    """Return the whole page."""
    parts = []
    for prefix, model in PARTS.items():
        said = re.sub(r"\s+", " ", model.__doc__ or "").replace("docs/lab.md", "[lab.md](lab.md)").strip()
        parts.append(f"## {prefix or 'The whole file'}\n\n{said}\n\n{table(prefix, model)}\n")
    metrics = ", ".join(f"`{metric}`" for metric in METRICS)
    by_phase = ", ".join(f"`{metric}`" for metric in METRICS if metric in BY_PHASE)
    return f"""# Scenario reference

<!-- Made from harness/scenario/schema.py by `nox -s pages`; a test says when it is stale. -->

A scenario is one YAML file that says what to send, how hard, what to roll out, and what must hold. `zdtest run -f FILE`
reads it; without `-f` and without a URL, `zdtest run` reads `zdtest.yaml` in the current folder. A flag on the command
line beats the file. A field that zdtest does not know is an error, in one line.

Durations are written `90s`, `1m30s`, `500ms`, `2h`, or as a number of seconds. Files are relative to the scenario's
folder. "-" means: not set.
`zdtest scenarios` lists the scenarios that come with zdtest.

## An example

[examples/zdtest.yaml](examples/zdtest.yaml), to run as it is once it names your URL and workload:

```yaml
{EXAMPLE.read_text(encoding="utf-8").rstrip()}
```

{chr(10).join(parts)}
## objectives

`objectives` must hold, `fail_on` must not: `METRIC[{{PHASE}}] OPERATOR VALUE`, such as `p99{{during}} <= 250ms`,
`failed_share < 0.1%`, `502 == 0`, `outage > 100ms`.

- Metrics: {metrics}, or a status such as `502`.
- Phases: `before`, `during`, `after`, for {by_phase}. Without one: the whole run after its warm-up.
- Of [streams](streams.md#conditions-of-your-own), `cut`, `away`, `missed`, `reconnect` and `gap` are measured, and not
  `requests`, `failed_share`, `rate`, `masked`, `stalled`, `lag` or latencies (these are, where messages are answered:
  `stream.message`).
- Operators: `<`, `<=`, `==`, `!=`, `>=`, `>`.

The default ("no request fails because of the rollout") stays in force beside them, unless one of them bounds the
failed requests of all kinds: see [when PASS is said](verdict.md) and [how a run is judged](judge.md#objectives).
"""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
