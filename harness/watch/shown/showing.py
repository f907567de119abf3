"""Joins a running watch and its recordings to what is shown of them."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING

from harness import masking
from harness.report.watch.page import render
from harness.report.watch.rows import Board, DeployRow, MissedRow, ServiceRow
from harness.watch.shown import board
from harness.watch.shown.metrics import Metrics
from harness.watch.shown.serving import Server, Shown

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from harness.watch.conduct import Watch
    from harness.watch.lookout import Lookout
    from harness.watch.settings import Settings


class Showing:
    """The scoreboard in memory, and the metrics. Asked by the server's threads, told by the watch's."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._root = settings.where.output
        self._rows = board.rows(self._root)
        self._lock = Lock()
        self._metrics = Metrics(settings.where.namespace)

    def server(self, address: tuple[str, int], watch: Watch, hosts: Collection[str]) -> Server:
        """Return the server of a watch. Raises OSError if the address cannot be listened on."""
        shown = Shown(
            root=self._root,
            page=lambda: render(self._board(watch)),
            board=lambda: json.dumps({"format": 1, **asdict(self._board(watch))}, indent=1),
            metrics=lambda accept: self._exposed(watch, accept),
            healthy=lambda: watch.healthy,
        )
        return Server(address, shown, watch.state.secret, hosts)

    def judged(self, path: Path) -> None:
        """Take in a recording that has its verdict."""
        found = board.row(self._root, path.name)
        if found is None:
            return
        service, row = found
        with self._lock:
            others = [one for one in self._rows.get(service, ()) if one.folder != row.folder]
            self._rows[service] = sorted([row, *others], key=lambda one: one.folder, reverse=True)
        self._metrics.judged(service, row)

    def missed(self, service: str, count: int) -> None:
        """Take in deploys that nobody saw."""
        self._metrics.missed(service, count)

    def _exposed(self, watch: Watch, accept: str) -> tuple[bytes, str]:
        with self._lock:
            for key, lookout in list(watch.lookouts.items()):
                ready = lookout.ready
                hits = watch.sender.of(ready.lane).counts.completed if ready and watch.sender else 0
                self._metrics.standing(
                    key,
                    watched=ready is not None,
                    recording=lookout.deploy is not None,
                    hits=hits,
                    gaps=lookout.gaps,
                )
            return self._metrics.exposed(accept)

    def _board(self, watch: Watch) -> Board:
        with self._lock:
            # What --keep has deleted is on no scoreboard.
            for key, rows in self._rows.items():
                self._rows[key] = [one for one in rows if (self._root / one.folder).is_dir()]
            known = {key: tuple(rows) for key, rows in self._rows.items() if rows}
        lookouts = dict(watch.lookouts)
        services = [_service(key, lookout, known.get(key, ())) for key, lookout in lookouts.items()]
        services += [
            ServiceRow(key, "", "", "not watched any more", watched=False, deploys=rows)
            for key, rows in known.items()
            if key not in lookouts
        ]
        left = [(key, one.why, "") for key, one in lookouts.items() if one.ready is None]
        left += [(one.key, one.why, one.mend) for one in watch.tending.not_watched]
        return Board(
            namespace=self._settings.where.namespace,
            now=f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}",
            since=f"{watch.began:%Y-%m-%d %H:%M}",
            services=tuple(sorted(services, key=lambda one: (-one.lost, one.key))),
            not_watched=tuple(left),
            missed=tuple(
                MissedRow(
                    one.service,
                    one.count,
                    f"{one.count} before {one.until}: {one.why}"
                    + (f" (revision {one.before} to {one.after})" if one.before else ""),
                )
                for one in reversed(watch.state.missed)
            ),
            keep=self._settings.keep,
        )


def _service(key: str, lookout: Lookout, rows: tuple[DeployRow, ...]) -> ServiceRow:
    ready, rates = lookout.ready, lookout.wanted.rates
    rate = f"{rates.usual:g}/s" + (f", {rates.boost:g}/s during a change" if rates.boost else "")
    if ready is None:
        return ServiceRow(key, "", rate, "not watched now", watched=False, deploys=rows)
    doing = "watching"
    if lookout.deploy is not None:
        doing = f"recording: {lookout.deploy.what}"
    elif lookout.under_way:
        doing = "waiting for a rollout that began before the watch"
    return ServiceRow(key, masking.url(ready.resolved.url), rate, doing, deploys=rows, gaps=lookout.gaps)
