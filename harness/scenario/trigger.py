"""Reads the change that starts a rollout.

restart                   the patch of `kubectl rollout restart`
apply FILE                server-side apply of the workload's new manifest
replace FILE              its whole spec becomes the manifest's, whoever wrote a field before
set-image CONTAINER=IMAGE
scale N
delete-pod [NAME]         one pod, by default the first by name
evict-pod [NAME]          the same through the eviction API, which honours PodDisruptionBudgets
command COMMAND…          another tool: helm upgrade, argocd app sync
observe                   none: zdtest waits for a change that something else makes
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from harness import masking

KINDS = ("restart", "apply", "replace", "set-image", "scale", "delete-pod", "evict-pod", "command", "observe")
# Changes that zdtest does not make itself, or that are not one patch of the workload.
FOREIGN = ("command", "observe")


@dataclass(frozen=True, slots=True)
class Trigger:
    """One kind of change and its argument; "" if it takes none."""

    kind: str
    argument: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.argument}".strip()

    @property
    def repeatable(self) -> bool:
        """Whether it changes something each time it is made."""
        return self.kind in {"restart", "command", "observe"} or (
            self.kind in {"delete-pod", "evict-pod"} and not self.argument
        )

    @property
    def shown(self) -> str:
        """Return it for recordings and reports: of a command only the program, since other words may be secret."""
        return f"command {masking.program(self.words)}" if self.kind == "command" else str(self)

    @property
    def words(self) -> list[str]:
        """A command's words. No shell is involved."""
        return shlex.split(self.argument)


def parse(text: str) -> Trigger:
    """Read a trigger. Raises ValueError with a message for the user."""
    kind, _, argument = text.strip().partition(" ")
    argument = argument.strip()
    if kind not in KINDS:
        shown = repr(kind) if re.fullmatch(r"[A-Za-z-]{0,30}", kind) else "this"
        raise ValueError(f"{shown} is not a trigger; use one of: {', '.join(KINDS)}")
    if kind in {"restart", "observe"} and argument:
        raise ValueError(f"{kind} takes no argument")
    wanted = {
        "apply": "FILE",
        "replace": "FILE",
        "set-image": "CONTAINER=IMAGE",
        "scale": "N",
        "command": "COMMAND",
    }
    if kind in wanted and not argument:
        raise ValueError(f"{kind} needs an argument: {kind} {wanted[kind]}")
    if kind == "set-image" and not re.fullmatch(r"[^=\s]+=\S+", argument):
        raise ValueError(f"{argument!r} is not CONTAINER=IMAGE; write set-image CONTAINER=IMAGE")
    if kind == "scale" and not re.fullmatch(r"[0-9]{1,6}", argument):
        raise ValueError(f"{argument!r} is not a number of replicas; write scale 5")
    if kind == "command":
        try:
            shlex.split(argument)
        except ValueError as error:
            raise ValueError(f"the command cannot be split into words: {error}") from None
    return Trigger(kind, argument)
