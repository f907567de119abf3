"""The list+watch loop of one kind: stamps changes on receipt, and reports the gaps in its own watch."""

from __future__ import annotations

import json
import random
import threading
from typing import TYPE_CHECKING, Any

from harness import masking
from harness.clock import NS
from harness.cluster.client.answers import ApiStatusError, ApiUnreachableError, Stream
from harness.cluster.watching.reduce import reduced
from harness.model import ClusterEvent, WatchGap

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.clock import Clock
    from harness.cluster.client.api import Api
    from harness.cluster.watching.watches import Watched
    from harness.errors import ClusterError

WINDOW_S = 10  # of one watch call: bounds how long a half-open connection can go unnoticed
BACKOFF_S = (0.05, 5.0)
# Longer without a watch is recorded as a gap, whatever the reason: what is seen right after it may be that much older.
# It counts as blind from 2 s on (WatchGap.blind).
UNWATCHED_NS = 500_000_000

Item = ClusterEvent | WatchGap


class Watcher:
    """The loop of one kind. `run` is for a thread of its own; everything else may be called from any thread."""

    def __init__(
        self, api: Api, watched: Watched, clock: Clock, emit: Callable[[Item], None], window_s: int = WINDOW_S
    ) -> None:
        self._window_s = window_s
        self._api = api
        self._watched = watched
        self._clock = clock
        self._emit = emit
        self._known: dict[str, tuple[str, dict[str, Any]]] = {}  # uid -> (resourceVersion, reduced object)
        self._version: str | None = None
        self._listed_before = False
        self._alive_ns = 0  # when the server was last known to speak to us
        self._down_why = ""  # why the watch is down, "" while it is up, or ended as agreed
        self._open = False  # a watch is open
        self._stream: Stream | None = None
        self._stopping = threading.Event()
        self.listed = threading.Event()
        self.error: ClusterError | None = None  # of the first list: the run cannot begin

    def run(self) -> None:
        """List and watch until stopped. Failures are gaps on the record; only the first list's failure ends it."""
        failures, asked_to_wait_s = 0, 0.0
        while not self._stopping.is_set():
            try:
                if self._version is None:
                    self._list()
                # A server that ends every watch at once must not be asked in a tight loop.
                failures = 0 if self._watch() else failures + 1
            except ApiStatusError as error:
                if not self._listed_before:
                    self.error = error
                    self.listed.set()
                    return
                asked_to_wait_s = error.retry_after_s
                self._down(f"{error.code} {error.reason}: {error}".strip()[:200])
                if error.code == 410:
                    self._version = None
                    continue
                failures += 1
            except ApiUnreachableError as error:
                if not self._listed_before:
                    self.error = error
                    self.listed.set()
                    return
                self._down(str(error))
                failures += 1
            if failures:
                low, high = BACKOFF_S
                wait = max(
                    asked_to_wait_s,
                    min(high, low * 2**failures) * random.uniform(0.5, 1.0),  # noqa: S311  jitter
                )
                self._stopping.wait(wait)
                asked_to_wait_s = 0.0

    def stop(self) -> None:
        """End the loop soon: wakes a thread that waits for a line."""
        missing = self._missing()  # before the stream is closed: until now somebody watched
        self._stopping.set()
        self.listed.set()
        if self._stream is not None:
            self._stream.close()
        if missing:
            self._emit(self._gap(relisted=False))

    def _list(self) -> None:
        watched = self._watched
        whole = self._api.list_all(watched.resource, watched.namespace, **watched.selectors)
        now = self._clock.now_ns()
        first, seen = not self._listed_before, set()
        for obj in whole.get("items") or []:
            if not watched.keep(obj):
                continue
            metadata = obj["metadata"]
            uid, version = metadata["uid"], metadata.get("resourceVersion", "")
            seen.add(uid)
            known = self._known.get(uid)
            if known is None or known[0] != version:
                change = "LISTED" if first else "ADDED" if known is None else "MODIFIED"
                self._record(now, change, obj, missed=not first, silent=first and watched.skip_first_list)
        for uid in self._known.keys() - seen:
            self._gone(now, uid)
        self._version = str((whole.get("metadata") or {}).get("resourceVersion") or "0")
        self._alive_ns = now
        if not first:
            self._emit(self._gap(relisted=True))
            self._down_why = ""
        self._listed_before = True
        self.listed.set()

    def _watch(self) -> bool:
        """Watch for one window; tell whether it was useful: it sent something, or it lasted."""
        watched = self._watched
        opened, spoke = self._clock.now_ns(), False
        stream = self._api.watch(
            watched.resource, watched.namespace, self._version or "0", self._window_s, **watched.selectors
        )
        self._stream = stream
        if self._stopping.is_set():
            stream.close()
        self._up()
        try:
            for line in stream.lines():
                now = self._clock.now_ns()
                self._alive_ns = now
                if line.strip():
                    spoke = True
                    self._line(now, line)
        finally:
            self._open = False
        # The window ended as agreed: resuming from the version we hold is no gap.
        self._alive_ns = self._clock.now_ns()
        return spoke or self._alive_ns - opened > NS

    def _line(self, now: int, line: bytes) -> None:
        try:
            change = json.loads(line)
            kind, obj = change["type"], change["object"]
        except (ValueError, KeyError, TypeError):
            raise ApiUnreachableError("the watch sent a line that is no event") from None
        if kind == "ERROR":
            raise ApiStatusError(
                int(obj.get("code") or 500),
                str(obj.get("reason") or ""),
                masking.prose(str(obj.get("message") or "")),
            )
        self._version = obj["metadata"]["resourceVersion"]
        if kind == "BOOKMARK":
            return
        if kind == "DELETED" and self._watched.keep(obj):
            self._record(now, kind, obj, missed=False)
            self._known.pop(obj["metadata"]["uid"], None)
        elif self._watched.keep(obj):
            self._record(now, kind, obj, missed=False)

    def _record(
        self, now: int, change: str, obj: dict[str, Any], *, missed: bool, silent: bool = False
    ) -> None:
        metadata = obj["metadata"]
        # A v1 slice and an Endpoints object are both recorded as EndpointSlice: `reduced` needs the real kind.
        small = reduced(self._watched.resource.kind, obj)
        self._known[metadata["uid"]] = (metadata.get("resourceVersion", ""), small)
        if not silent:
            self._emit(
                ClusterEvent(
                    t_ns=now,
                    change=change,
                    kind=self._watched.kind,
                    namespace=metadata.get("namespace", ""),
                    name=metadata["name"],
                    uid=metadata["uid"],
                    object=small,
                    missed=missed,
                )
            )

    def _gone(self, now: int, uid: str) -> None:
        _, small = self._known.pop(uid)
        metadata = small.get("metadata", {})
        event = ClusterEvent(
            t_ns=now,
            change="DELETED",
            kind=self._watched.kind,
            namespace=metadata.get("namespace", ""),
            name=metadata.get("name", ""),
            uid=uid,
            object=small,
            missed=True,
        )
        self._emit(event)

    def _down(self, why: str) -> None:
        if not self._stopping.is_set() and not self._down_why:
            self._down_why = why or "the watch broke"

    def _up(self) -> None:
        if self._missing() and not self._stopping.is_set():
            self._emit(self._gap(relisted=False))
            self._down_why = ""
        self._open, self._alive_ns = True, self._clock.now_ns()

    def _missing(self) -> bool:
        """Tell whether there is a stretch until now in which nobody watched that is worth a record."""
        if self._down_why:
            return True
        return self._listed_before and not self._open and self._clock.now_ns() - self._alive_ns > UNWATCHED_NS

    def _gap(self, *, relisted: bool) -> WatchGap:
        return WatchGap(
            kind=self._watched.kind,
            from_ns=self._alive_ns,
            to_ns=self._clock.now_ns(),
            reason=self._down_why
            or (
                "a new list was needed"
                if relisted
                else "the server ended the watch at once, or was slow to open one"
            ),
            relisted=relisted,
        )
