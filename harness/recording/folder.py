"""The only place that opens files of a recording, in such a way that nothing in it leads outside of its folder.

A recording may come from a stranger. No link in it is followed, for reading or for writing. A new file is made under
a name that nobody can guess, is readable by its owner only, and replaces the old one in one step.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

from harness.errors import RecordingError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# Not blocking: opening a pipe that nobody writes to would hang.
_OLD = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
FILE_MODE, FOLDER_MODE = 0o600, 0o700
MIB = 1 << 20


def create(path: Path) -> BinaryIO:
    """Create a file for writing. Raises FileExistsError if anything has this name, a link included."""
    return os.fdopen(os.open(path, _NEW, FILE_MODE), "wb")


def new_folder(root: Path, name: str, when: datetime) -> Path:
    """Make `<root>/<20261125T140211Z>-<name>`, with `-2`, `-3` … on collision, for its owner only.

    Raises RecordingError when it cannot be made.
    """
    base = f"{when:%Y%m%dT%H%M%SZ}-{name}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        for n in range(1, 1000):
            path = root / (base if n == 1 else f"{base}-{n}")
            with suppress(FileExistsError):
                path.mkdir(mode=FOLDER_MODE)
                return path
    except OSError as error:
        raise unwritable(root, error) from error
    raise RecordingError(
        f"{root} holds a thousand runs of this name and second; clear it, or choose another with -o"
    )


def unwritable(root: Path, error: OSError) -> RecordingError:
    """Return the one line for an output folder that nothing can be written to."""
    return RecordingError(
        f"cannot write to the output folder {root}: {error.strerror}; choose another with -o"
    )


def append(path: Path) -> BinaryIO:
    """Open a file for appending; create it if it is missing. Raises OSError, also if it is a link."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, FILE_MODE), "ab")


@contextmanager
def replacing(root: Path, name: str) -> Iterator[BinaryIO]:
    """Write a file that replaces `name` ("rollouts/1/summary.txt") in `root` once it is complete.

    Missing folders are created. If anything goes wrong inside, the old file stays and no other is left.
    Raises OSError.
    """
    *folders, last = _parts(name)
    with _folder(root, folders, make=True) as at:
        scratch = f".{secrets.token_hex(16)}"
        handle = os.open(scratch, _NEW, FILE_MODE, dir_fd=at)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
            os.rename(scratch, last, src_dir_fd=at, dst_dir_fd=at)
        except BaseException:
            with suppress(OSError):
                os.unlink(scratch, dir_fd=at)
            raise


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Keep every other process out of a block about this folder. Raises BlockingIOError if one is in it."""
    at = os.open(root, _FOLDER)
    try:
        fcntl.flock(at, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(at)


def write_text(path: Path, text: str) -> None:
    """Replace a file by this text in one step. Raises OSError."""
    write_below(path.parent, path.name, text)


def write_below(root: Path, name: str, text: str) -> None:
    """Replace the file `name` of a folder by this text in one step. What UTF-8 cannot encode is written escaped."""
    with replacing(root, name) as file:
        file.write(text.encode(errors="backslashreplace"))


def remove_below(root: Path, name: str) -> None:
    """Remove the file `name` of a folder, if it is there. Raises OSError."""
    *folders, last = _parts(name)
    with suppress(FileNotFoundError), _folder(root, folders, make=False) as at:
        os.unlink(last, dir_fd=at)


def publish(path: Path, text: str) -> None:
    """Write a file that the user named, for other programs to read: in one step, with the umask's permissions.

    A link is followed, for it is the user's own. What is no regular file (/dev/stdout, a pipe) is written to, never
    replaced. Raises OSError.
    """
    content = text.encode(errors="backslashreplace")
    if path.exists() and (not path.is_file() or path.is_relative_to("/dev")):
        # Appending: standard output may be a file that already holds something.
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC), "wb") as file:
            file.write(content)
        return
    at = Path(os.path.realpath(path))
    scratch = at.with_name(f".{secrets.token_hex(16)}")
    try:
        with os.fdopen(os.open(scratch, _NEW, 0o666), "wb") as file:
            file.write(content)
        scratch.replace(at)
    except BaseException:
        with suppress(OSError):
            scratch.unlink()
        raise


def opened(root: Path, name: str, most: int) -> BinaryIO:
    """Open the file `name` of a recording for reading.

    Raises FileNotFoundError if it is missing, and RecordingError, one line, if it is not a regular file, is reached
    through a link, is larger than `most` bytes, or may not be read.
    """
    path = root / name
    *folders, last = _parts(name)
    try:
        with _folder(root, folders, make=False) as at:
            handle = os.open(last, _OLD, dir_fd=at)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {_why(error)}") from None
    found = os.fstat(handle)
    wrong = ""
    if not stat.S_ISREG(found.st_mode):
        wrong = "it is not a regular file"
    elif found.st_size > most:
        wrong = f"it has {_size(found.st_size)}, but at most {_size(most)} are read"
    if wrong:
        os.close(handle)
        raise RecordingError(f"{path} cannot be read: {wrong}")
    return os.fdopen(handle, "rb")


def read(root: Path, name: str, most: int) -> bytes:
    """Return the file `name` of a recording. Raises as `opened` does."""
    with opened(root, name, most) as file:
        try:
            # Room for all that is asked for is made at once: no more than the file may have.
            return file.read(min(most, os.fstat(file.fileno()).st_size + MIB))
        except OSError as error:
            raise RecordingError(f"{root / name} cannot be read: {error.strerror}") from None


def names(root: Path, folder: str) -> list[str]:
    """Return the names in a folder of a recording, sorted; none if it is missing. Raises RecordingError."""
    try:
        with _folder(root, _parts(folder), make=False) as at:
            return sorted(os.listdir(at))  # noqa: PTH208  an open folder, which no link can replace
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RecordingError(f"{root / folder} cannot be read: {_why(error)}") from None


def stamp(root: Path, name: str) -> tuple[int, int] | None:
    """Return when a file of a recording last changed (in ns) and its size; None if no regular file has this name."""
    *folders, last = _parts(name)
    try:
        with _folder(root, folders, make=False) as at:
            found = os.stat(last, dir_fd=at, follow_symlinks=False)
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size) if stat.S_ISREG(found.st_mode) else None


def below(root: Path) -> tuple[list[str], list[str]]:
    """Return the names of the folders in `root`, and those of links in it, each sorted; files are left out.

    Raises OSError if `root` cannot be read.
    """
    folders, links = [], []
    with os.scandir(root) as found:
        for entry in found:
            if entry.is_symlink():
                links.append(entry.name)
            elif entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
    return sorted(folders), sorted(links)


def files_below(root: Path) -> list[str]:
    """Return the names of all regular files in `root` and below it, sorted: "hits/0.arrow".

    Left out is what is reached through a link, and what has a name that begins with a dot. Raises OSError.
    """

    def refuse(error: OSError) -> None:
        raise error

    found = []
    for at, folders, files in os.walk(root, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        inner = Path(at).relative_to(root)
        found += [(inner / name).as_posix() for name in files if not name.startswith(".")]
    return sorted(name for name in found if stamp(root, name))


def make_private(path: Path) -> None:
    """Make every file that others wrote into a folder accessible to its owner only. Raises OSError."""
    path.chmod(FOLDER_MODE)
    for inner in path.rglob("*"):
        if not inner.is_symlink():
            inner.chmod(FOLDER_MODE if inner.is_dir() else FILE_MODE)


@contextmanager
def _folder(root: Path, folders: list[str], *, make: bool) -> Iterator[int]:
    """Open a folder below `root`, one level at a time, so that none can be a link. `root` itself may be one."""
    at = os.open(root, _FOLDER)
    try:
        for step in folders:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(step, FOLDER_MODE, dir_fd=at)
            inner = _step(step, at)
            os.close(at)
            at = inner
        yield at
    finally:
        os.close(at)


def _step(name: str, at: int) -> int:
    try:
        return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=at)
    except NotADirectoryError:
        if stat.S_ISLNK(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode):
            raise OSError(errno.ELOOP, f"{name} is a link, and links are not followed", name) from None
        raise


def _parts(name: str) -> list[str]:
    parts = list(PurePosixPath(name).parts)
    if not parts or ".." in parts or parts[0] == "/":
        raise ValueError(f"{name!r} cannot be the name of a file in a recording")
    return parts


def _why(error: OSError) -> str:
    if error.errno == errno.ELOOP and error.strerror == os.strerror(errno.ELOOP):
        return "it is a link, and links are not followed"
    return error.strerror or str(error)


def _size(count: int) -> str:
    return f"{count / MIB:,.0f} MiB" if count >= 10 * MIB else f"{count:,} bytes"
