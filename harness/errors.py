"""What can go wrong that is not a failed hit. A failed hit is data and never raises."""

import errno

_LONGEST = 200  # of another's words that are shown
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}


class HarnessError(Exception):
    """Base of everything zdtest raises on purpose. Its text is one line for the user."""


class UsageError(HarnessError):
    """Bad input or configuration: says what is wrong and how to fix it. Exit code 2, nothing touched."""


class ClusterError(HarnessError):
    """The Kubernetes API refused or could not be reached, after the run had started."""


class RecordingError(HarnessError):
    """A run directory that cannot be written, or cannot be read back."""


def no_room(error: BaseException) -> OSError | None:
    """Return the one of these errors that says that the disk takes no more; None when there is none."""
    if isinstance(error, BaseExceptionGroup):
        return next((found for inner in error.exceptions if (found := no_room(inner))), None)
    return error if isinstance(error, OSError) and error.errno in _NO_ROOM else None


def unwrap(error: BaseException) -> BaseException:
    """Return the one error inside nested groups (task groups wrap what is raised in them), else the group itself."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def in_one_line(error: BaseException) -> str:
    """Say what an error says, in one line of bounded length."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    words = " ".join(str(error).split())
    if isinstance(error, HarnessError) and words:
        return words
    return f"{type(error).__name__}: {words[:_LONGEST]}" if words else type(error).__name__
