"""Brings runs from a folder of a running pod, through `kubectl exec` and the pod's own `tar`. Checked as strangers'."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness import masking
from harness.errors import RecordingError, UsageError
from harness.recording import folder, jsontext
from harness.recording.folder import FOLDER_MODE, MIB
from harness.storage.contents import MOST_BYTES, MOST_FILES, identity, is_file_name
from harness.storage.door import StorageError
from harness.storage.fetch import Fetched, is_a_page, is_run, place, settle

if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO

    from harness.storage.address import InPod

_ASKED_S = 60  # for which a short answer is waited for
_MOST_RUN = 64 * MIB


@dataclass(frozen=True, slots=True)
class Pod:
    """A folder in a pod, and how kubectl gets there."""

    at: InPod
    namespace: str | None = None
    context: str | None = None

    def kubectl(self, *words: str) -> list[str]:
        """Return a command that runs words in the pod. No shell takes part here."""
        flags = [
            *(("--context", self.context) if self.context else ()),
            *(("--namespace", self.namespace) if self.namespace else ()),
        ]
        return ["kubectl", *flags, "exec", self.at.pod, "--", *words]


def runs_in(pod: Pod) -> list[str]:
    """Return the names of the runs in a pod's folder, oldest first; of one run's own folder that run alone.

    Raises UsageError if there are none, and StorageError.
    """
    head, _, last = pod.at.folder.rstrip("/").rpartition("/")
    if is_run(last) and head:
        return [last]
    names = _asked(pod, "ls", "-1", pod.at.folder).decode(errors="replace").splitlines()
    found = sorted(name for name in names if is_run(name))
    if not found:
        raise UsageError(f"{pod.at}: there is no run; give the folder that `zdtest run -o` was given")
    return found


def fetch(pod: Pod, name: str, root: Path) -> Fetched:
    """Bring one run into `root`. Raises StorageError and RecordingError, one line each; then nothing of it stays."""
    parent = pod.at.folder.rstrip("/").removesuffix(f"/{name}") or "/"
    where = f"pod/{pod.at.pod}:{parent.rstrip('/')}/{name}"
    record = _asked(pod, "cat", f"{parent.rstrip('/')}/{name}/run.json")
    run = identity(record)
    if _state(record) == "running":
        raise StorageError(f"{where}: it has not ended, or was killed; kubectl cp brings it as it is")
    path = place(root, name, run)
    if path.is_dir():
        return Fetched(name, path)
    part = path.with_name(f".fetch-{path.name}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=FOLDER_MODE, parents=True)
    try:
        files, size = _unpacked(pod.kubectl("tar", "-C", parent, "-cf", "-", name), part, name, where)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    settle(part, path, run, where)
    return Fetched(name, path, new=True, files=files, bytes=size)


def _state(record: bytes) -> str:
    try:
        return str(jsontext.parse(record)["state"])
    except (ValueError, KeyError, TypeError):
        return ""


def _asked(pod: Pod, *words: str) -> bytes:
    try:
        done = subprocess.run(pod.kubectl(*words), capture_output=True, timeout=_ASKED_S, check=False)
    except FileNotFoundError:
        raise UsageError(f"{pod.at}: runs come from pods by kubectl, which is not installed") from None
    except subprocess.TimeoutExpired:
        raise StorageError(f"{pod.at}: no answer within {_ASKED_S} s") from None
    if done.returncode:
        raise StorageError(f"{pod.at}: {_line(done.stderr)}")
    if len(done.stdout) > _MOST_RUN:
        raise StorageError(f"{pod.at}: {words[0]} answers with more than any run has")
    return done.stdout


def _line(said: bytes) -> str:
    lines = said.decode(errors="replace").strip().splitlines()
    return masking.prose(lines[-1])[:300] if lines else "kubectl failed, and does not say why"


def _unpacked(command: list[str], part: Path, name: str, where: str) -> tuple[int, int]:
    """Unpack the pod's archive as it comes; return how many files and bytes came."""
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said) as process,
    ):
        try:
            counts = _each(process.stdout, part, name, where)
            while process.stdout and process.stdout.read(MIB):
                pass  # what pads an archive: without a reader, tar would fail
        except (tarfile.TarError, EOFError):
            process.kill()
            counts = None
        except BaseException:
            process.kill()
            raise
        process.wait()
        said.seek(0)
        why = _line(said.read(_MOST_RUN))
    if counts is None or process.returncode:
        raise StorageError(f"{where}: the way from the pod was cut off: {why}")
    return counts


def _each(stream: IO[bytes] | None, part: Path, name: str, where: str) -> tuple[int, int]:
    files, size, room = 0, 0, shutil.disk_usage(part).free
    with tarfile.open(fileobj=stream, mode="r|", bufsize=MIB) as archive:
        for member in archive:
            inner = member.name.removeprefix(f"{name}/")
            if member.isdir() or (
                inner != member.name and (is_a_page(inner) or inner.rpartition("/")[2][:1] == ".")
            ):
                continue
            if not member.isreg() or inner == member.name or not is_file_name(inner):
                raise RecordingError(f"{where}: {masking.prose(member.name)!r} cannot be a file of a run")
            files, size = files + 1, size + member.size
            if files > MOST_FILES or member.size > MOST_BYTES or size > room:
                raise RecordingError(
                    f"{where}: it is larger than any run, or than the room that is left here"
                )
            source = archive.extractfile(member)
            if source is None:
                raise RecordingError(f"{where}: {inner} cannot be read")
            with folder.replacing(part, inner) as into:
                shutil.copyfileobj(source, into, MIB)
    return files, size
