"""Options of gRPC calls, which override the scenario's part of that name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harness.errors import UsageError


def grpc_options() -> list[Any]:
    """Return them, in the order in which they are shown."""
    return [
        click.option(
            "--proto",
            type=click.Path(dir_okay=False),
            metavar="FILE",
            help="For a grpc:// URL: the .proto file that defines its method.  [the server's reflection]",
        ),
        click.option(
            "--proto-path",
            type=click.Path(file_okay=False),
            metavar="DIR",
            multiple=True,
            help="Folder of files that --proto imports.  [its own]",
        ),
        click.option(
            "--reflection", is_flag=True, help="Ask the server what its methods are, whatever the file says."
        ),
        click.option(
            "--data",
            metavar="JSON",
            help="The message to send to a grpc:// URL; {seq} and {uuid} differ in each call.  [{}]",
        ),
        click.option(
            "--no-health", is_flag=True, help="Do not ask the server's gRPC health service before the load."
        ),
    ]


def grpc_flags(options: dict[str, Any]) -> dict[str, Any]:
    """Turn those that were given into scenario fields."""
    flags: dict[str, Any] = {}
    if options["reflection"]:
        if options["proto"] is not None:
            raise UsageError("--proto and --reflection cannot be combined; drop one of them")
        flags["grpc.proto"] = None
    if options["proto"] is not None:  # relative to here, not to the scenario's folder
        flags["grpc.proto"] = str(Path(options["proto"]).absolute())
    if options["proto_path"]:
        flags["grpc.proto_path"] = [str(Path(each).absolute()) for each in options["proto_path"]]
    if options["data"] is not None:
        flags["grpc.data"] = options["data"]
    if options["no_health"]:
        flags["grpc.health"] = False
    return flags
