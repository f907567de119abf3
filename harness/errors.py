"""The errors that zdtest raises. A failed hit is not one: it is data, and never raises."""

import errno

_LONGEST = 200  # characters of a foreign message that are shown
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
    """Return the one of these errors that says that the disk is full, if there is one."""
    if isinstance(error, BaseExceptionGroup):
        return next((found for inner in error.exceptions if (found := no_room(inner))), None)
    return error if isinstance(error, OSError) and error.errno in _NO_ROOM else None


def unwrap(error: BaseException) -> BaseException:
    """Unwrap a single exception from the groups that task groups put around it; else return the group."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def in_one_line(error: BaseException) -> str:
    """Return an error's text, as one line of bounded length."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    words = " ".join(str(error).split())
    if isinstance(error, HarnessError) and words:
        return words
    return f"{type(error).__name__}: {words[:_LONGEST]}" if words else type(error).__name__
