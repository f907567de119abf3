"""Which manifest files a run was about, from what its recording says of its scenario."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.scenario.resolve import shipped

if TYPE_CHECKING:
    from pathlib import Path

    from harness.model import RunRecord

# As resolve writes them.
_LAB = re.compile(r" \(the embedded lab\)$")
_GIVEN = re.compile(r"-f (.+)|(.+), with the URL of the command line", re.DOTALL)
_SHIPPED = re.compile(r"the shipped scenario (.+)", re.DOTALL)


def manifests_of(run: RunRecord, folder: Path) -> list[Path]:
    """Return the scenario's manifests, and the file of an `apply`. `folder` is the one that the run was started in.

    They need not be there, and may lie anywhere: the recording may be a stranger's.
    """
    base = _base(_LAB.sub("", run.source), folder)
    listed = run.scenario.get("manifests") or ()
    files = (
        [base / name for name in listed if isinstance(name, str)] if isinstance(listed, (list, tuple)) else []
    )
    trigger = run.rollout.trigger if run.rollout else ""
    if trigger.startswith("apply "):
        files.append(base / trigger.removeprefix("apply ").strip())
    return list(dict.fromkeys(file for file in files if "\0" not in str(file)))


def _base(source: str, folder: Path) -> Path:
    """Return the folder of the scenario's file."""
    given = _GIVEN.fullmatch(source)
    if given:
        return (folder / (given[1] or given[2])).parent
    packed = _SHIPPED.fullmatch(source)
    if packed:
        return shipped() / packed[1]
    return folder
