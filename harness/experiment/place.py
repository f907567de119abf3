"""The workload of an experiment: as one version wants it, and at the end as it was.

Only the spec is changed, and all of it: a version is what its file says, whoever wrote a field before. What was there
is kept in a file that only its owner can read, since it has the values of variables in it. The file goes when the
workload is proven to be as it was.
"""

from __future__ import annotations

import copy
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from harness.cluster.client.answers import ApiStatusError
from harness.cluster.client.resources import WORKLOADS
from harness.cluster.permission.lock import MANAGER as LOCK_MANAGER, holder, patch as lock_patch
from harness.cluster.rollout.progress import kubectl_status
from harness.cluster.trigger import RESTARTED_AT, replacement
from harness.errors import ClusterError, RecordingError, UsageError
from harness.recording import folder
from harness.recording.jsontext import parse
from harness.recording.series.experiment import ORIGINAL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from harness.cluster.client.api import Api

Object = dict[str, Any]

MANAGER = "zdtest"
_MOST = 4 * folder.MIB
_EVERY_S = 0.5
_SHOWN = 5  # differing fields that are named


class ChangedByOthersError(ClusterError):
    """Somebody else changed the workload: what is there now is theirs, and is left alone."""


@dataclass(frozen=True, slots=True)
class Original:
    """A workload as it was before an experiment."""

    uid: str
    spec: Object
    owners: list[Any]  # metadata.managedFields


class Place:
    """One workload on one cluster. Every method may raise ClusterError."""

    def __init__(self, api: Api, kind: str, namespace: str, name: str) -> None:
        self._api, self._kind, self._namespace, self._name = api, kind, namespace, name

    @property
    def shown(self) -> str:
        """Return the workload as kubectl names it: deployment/web."""
        return f"{self._kind.lower()}/{self._name}"

    def live(self) -> Object:
        """Read the workload."""
        found = self._api.get(WORKLOADS[self._kind], self._namespace, self._name)
        return {"kind": self._kind, **found}

    def original(self) -> Original:
        """Return what is there now, to be kept."""
        return as_original(self.live())

    def rehearsed(self, document: Object, live: Object) -> Object:
        """Return the spec that the server would make of a manifest, with its defaults. Raises UsageError.

        It has a number of replicas only where the manifest names one: else that is an autoscaler's to say.
        """
        spec = replacement(document, live)["spec"]
        try:
            made = self._replace(spec, dry_run=True)
        except ApiStatusError as error:
            raise UsageError(f"the server does not take {self.shown} as it is there: {error}") from None
        if (document.get("spec") or {}).get("replicas") is None:
            made.pop("replicas", None)
        return made

    def is_as(self, spec: Object) -> bool:
        """Tell whether the workload has this spec now, but for a restart, and for replicas that it does not name."""
        return not apart(self.live()["spec"], spec)

    def put(self, spec: Object) -> None:
        """Make this the workload's spec; replicas that it does not name stay."""
        live = self.live()["spec"]
        self._replace({**({"replicas": live["replicas"]} if "replicas" in live else {}), **spec})

    def claimed_by(self) -> str:
        """Return the run that has a claim on the workload; "" for none."""
        return holder(self.live(), "", datetime.now(UTC))

    def unclaim(self) -> None:
        """Take away the claim of a run that is dead."""
        self._api.patch(self._kind, self._namespace, self._name, lock_patch(None), field_manager=LOCK_MANAGER)

    def wait(self, patience_s: float, leave: Callable[[], bool]) -> str:
        """Wait until a change is rolled out, by kubectl's rule. Return "" then, else what it waits for."""
        until = time.monotonic() + patience_s
        while True:
            live = self.live()
            status = kubectl_status(self._kind, live)
            if status.done:
                return ""
            if status.failed or leave() or time.monotonic() > until:
                return status.message or status.failed
            time.sleep(_EVERY_S)

    def restore(self, original: Original, ours: Sequence[Object]) -> str:
        """Put the original spec back, and its owners. Return "" if a server-side diff finds nothing left to change.

        `ours` are the specs that the experiment put there. Raises ChangedByOthersError if something else is there.
        """
        live = self.live()
        if live["metadata"]["uid"] != original.uid:
            raise ChangedByOthersError(f"{self.shown} was deleted and made anew meanwhile")
        wanted = original.spec
        if "replicas" in live["spec"] and live["spec"]["replicas"] not in [
            spec.get("replicas") for spec in ours
        ]:
            wanted = {**wanted, "replicas": live["spec"]["replicas"]}  # whatever an autoscaler made of it
        if differing(live["spec"], wanted):
            left = [apart(live["spec"], {**spec, "replicas": live["spec"].get("replicas")}) for spec in ours]
            if left and all(left):
                raise ChangedByOthersError(f"somebody else has changed {self.shown} meanwhile ({left[0][0]})")
            self._replace(wanted)
        self._give_back(original.owners)
        return self._left_to_change(wanted)

    def _left_to_change(self, wanted: Object) -> str:
        """Ask the server what putting this spec there would still change."""
        would_be, is_now = self._replace(wanted, dry_run=True), self.live()["spec"]
        left = differing(is_now, would_be) or differing(is_now, wanted)
        return ", ".join(left[:_SHOWN])

    def _give_back(self, owners: list[Any]) -> None:
        """Make the fields' owners those of before, so that nobody meets a conflict with zdtest later.

        A patch of managedFields alone moves no field (kubernetes.io/docs/reference/using-api/server-side-apply,
        "Clearing managedFields"). Where a server refuses it, the spec is as it was all the same.
        """
        if owners:
            operations = [{"op": "replace", "path": "/metadata/managedFields", "value": owners}]
            try:
                self._api.json_patch(
                    self._kind, self._namespace, self._name, operations, field_manager=MANAGER
                )
            except ApiStatusError:
                return

    def _replace(self, spec: Object, *, dry_run: bool = False) -> Object:
        answer = self._api.replace_spec(
            self._kind, self._namespace, self._name, spec, field_manager=MANAGER, dry_run=dry_run
        )
        found: Object = answer["spec"]
        return found


def as_original(live: Object) -> Original:
    """Return what of a live workload is to be kept."""
    metadata = live["metadata"]
    return Original(metadata["uid"], live["spec"], metadata.get("managedFields") or [])


def keep(directory: Path, original: Original) -> None:
    """Write down what was there, for a later process to put back. Raises OSError."""
    text = json.dumps({"uid": original.uid, "spec": original.spec, "owners": original.owners})
    folder.write_below(directory, ORIGINAL, text)


def kept(directory: Path) -> Original | None:
    """Return what an experiment still has to put back; None if nothing. Raises RecordingError."""
    try:
        raw = parse(folder.read(directory, ORIGINAL, _MOST))
        return Original(str(raw["uid"]), dict(raw["spec"]), list(raw["owners"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise RecordingError(f"{directory / ORIGINAL} cannot be understood") from None


def forget(directory: Path) -> None:
    """Remove what was kept, once it is put back. Raises OSError."""
    folder.remove_below(directory, ORIGINAL)


def rolls(one: Object, other: Object) -> bool:
    """Tell whether going from one spec to the other replaces pods."""
    return bool(differing(_settled(one).get("template"), _settled(other).get("template")))


def apart(live: Object, spec: Object) -> list[str]:
    """Return where a live spec is not what a version wants, but for what a restart and an autoscaler change."""
    live, wanted = _settled(live), _settled(spec)
    if "replicas" not in wanted:
        live.pop("replicas", None)
    return differing(live, wanted)


def differing(one: Any, other: Any) -> list[str]:
    """Return the paths at which two values differ."""
    return list(_differing(one, other, ""))


def _differing(one: Any, other: Any, path: str) -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            yield from _differing(one.get(key), other.get(key), f"{path}.{key}" if path else str(key))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for at, (mine, theirs) in enumerate(zip(one, other, strict=True)):
            yield from _differing(mine, theirs, f"{path}[{at}]")
    elif one != other:
        yield path or "all of it"


def _settled(spec: Object) -> Object:
    """Return a spec without what a restart changes."""
    spec = copy.deepcopy(spec)
    metadata = (spec.get("template") or {}).get("metadata")
    if isinstance(metadata, dict):
        marks = {k: v for k, v in (metadata.get("annotations") or {}).items() if k != RESTARTED_AT}
        metadata.pop("annotations", None)
        if marks:
            metadata["annotations"] = marks
        if metadata.get("creationTimestamp", 0) is None:
            metadata.pop("creationTimestamp")
    return spec
