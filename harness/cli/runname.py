"""The argument RUN: a path to a run, or its name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from collections.abc import Callable


if TYPE_CHECKING:
    _PathType = click.ParamType[Path]
else:  # not generic in an older click
    _PathType = click.ParamType


class RunType(_PathType):
    """A run by its path or its name, as the path of its folder. Raises UsageError if there is no such run."""

    name = "run"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,  # noqa: ARG002
        ctx: click.Context | None,  # noqa: ARG002
    ) -> Path:
        """Find the run."""
        from harness.history.names import find  # noqa: PLC0415  keeps `--help` light

        return value if isinstance(value, Path) else find(value)

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Offer the names of runs, then files, as a shell does."""
        from harness.history.names import completions  # noqa: PLC0415

        found = [CompletionItem(word) for word in completions(incomplete)]
        return found or [CompletionItem(incomplete, type="dir")]


def run_argument(name: str = "directory", metavar: str = "RUN") -> Callable[[Any], Any]:
    """Add an argument that takes a run."""
    return click.argument(name, type=RunType(), metavar=metavar)
