"""What a watch was asked for, and who observes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.clock import NS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from harness.watch.service import Rates, Wanted, Where


@dataclass(frozen=True, slots=True)
class Settings:
    """What a watch was asked for. Without `wanted`, services are found in the namespace."""

    where: Where
    rates: Rates
    wanted: tuple[Wanted, ...] | None = None
    template: str | None = None
    before_ns: int = 600 * NS
    keep: int = 50
    webhook: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Observer:
    """Who observes a watch: takes its lines, its command, and is told of each judged recording."""

    say: Callable[[str], None]
    command: Sequence[str]
    judged: Callable[[Path], None] = lambda _: None
    missed: Callable[[str, int], None] = lambda _service, _count: None
