"""The judgement that a run has, for commands that need not judge it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.cli.root import warn
from harness.errors import RecordingError
from harness.recording import folder

if TYPE_CHECKING:
    from pathlib import Path

    from harness.judge.verdict.judgement import Judgement

MOST = 64 * folder.MIB  # bytes of a report that is read back


def standing(path: Path) -> Judgement:
    """Return what verdict.json says of the run in this folder; judge the run if it has none, or none that can be read.

    Writes nothing. Raises RecordingError, one line, if the recording cannot be read either.
    """
    from harness.judge.verdict.judgement import from_json, judge  # noqa: PLC0415  brings pandas
    from harness.recording.read import Recording  # noqa: PLC0415

    try:
        return from_json(folder.read(path, "verdict.json", MOST))
    except FileNotFoundError:
        pass
    except RecordingError as error:
        warn(f"zdtest: {error}; judged again")
    return judge(Recording.open(path))
