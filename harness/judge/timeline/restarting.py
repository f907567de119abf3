"""When the containers of a living pod ended: each end once, however often the pod's status tells of it.

A status tells of an end twice: as the container's state, and as its last state once the next one runs. A watch that is
busy may see only the second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


class Endings:
    """The ends of one pod's containers, as its events go by."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], int] = {}  # (container, how it ended) -> ns on the run's clock

    def see(
        self,
        containers: Iterable[Mapping[str, Any]],
        t_ns: int,
        mapped: Callable[[object], int | None],
    ) -> None:
        """Take in the status of the pod's containers. `mapped` gives the run's time of a stamp, up to 1 s too early."""
        for container in containers:
            for field in ("state", "lastState"):
                end = (container.get(field) or {}).get("terminated")
                if end is None:
                    continue
                stamp = end.get("finishedAt")
                key = (str(container.get("name") or ""), str(stamp or end.get("containerID") or ""))
                moment = mapped(stamp)
                self._found.setdefault(key, t_ns if moment is None else moment)

    @property
    def moments_ns(self) -> tuple[int, ...]:
        """Return when they ended, in order."""
        return tuple(sorted(self._found.values()))
