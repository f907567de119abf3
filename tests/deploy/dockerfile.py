"""Reads a Dockerfile, as far as ours goes: what it does not know, it refuses. Pure."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field

WORDS = ("FROM", "COPY", "RUN", "USER", "WORKDIR", "ENV", "ENTRYPOINT", "CMD")


@dataclass(frozen=True)
class Instruction:
    word: str
    rest: str

    @property
    def listed(self) -> list[str]:
        """The words of the exec form: ["zdtest"]."""
        found: list[str] = json.loads(self.rest)
        return found

    @property
    def variables(self) -> dict[str, str]:
        return dict(word.split("=", 1) for word in shlex.split(self.rest))

    @property
    def flags(self) -> dict[str, str]:
        return dict(re.findall(r"--(\w+)=(\S+)", self.rest))

    @property
    def operands(self) -> list[str]:
        return [word for word in self.rest.split() if not word.startswith("--")]


@dataclass
class Stage:
    base: str
    name: str
    steps: list[Instruction] = field(default_factory=list)


def stages(text: str) -> list[Stage]:
    """Return the stages in order. Raises ValueError for an instruction that is not carried out here."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    found: list[Stage] = []
    for line in filter(None, map(str.strip, joined.splitlines())):
        word, _, rest = line.partition(" ")
        if word not in WORDS:
            raise ValueError(f"{word}: no instruction that is carried out here")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            found.append(Stage(base, name))
        else:
            found[-1].steps.append(Instruction(word, rest.strip()))
    return found
