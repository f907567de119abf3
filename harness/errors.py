"""What can go wrong that is not a failed hit. A failed hit is data and never raises."""


class HarnessError(Exception):
    """Base of everything zdtest raises on purpose. Its text is one line for the user."""


class UsageError(HarnessError):
    """Bad input or configuration: says what is wrong and how to mend it. Exit code 2, nothing touched."""


class ClusterError(HarnessError):
    """The Kubernetes API refused or could not be reached, after the run had started."""


class RecordingError(HarnessError):
    """A run directory that cannot be written, or cannot be read back."""


def unwrap(error: BaseException) -> BaseException:
    """Return the one error inside nested groups (task groups wrap what is raised in them), else the group itself."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
