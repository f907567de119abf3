"""The only door to `obstore`, the object storage's client: S3 and what speaks it, Google's and Azure's.

It is an optional extra. Credentials come from where its users expect them, and never through zdtest: the variables of
each provider (AWS_ACCESS_KEY_ID …), a pod's web identity, or the machine's own role.
"""

from __future__ import annotations

import importlib
import os
import re
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from harness import masking
from harness.errors import RecordingError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.storage.address import Address

PATIENCE_S = 30.0  # for which a request is tried again, at growing intervals; a Ctrl-C waits for that
_CHUNK = 1 << 20
_LONGEST = 300  # characters of a foreign message that are shown
_MISSING = "{address}: object storage needs the package obstore: pip install 'zdtest[s3]'"
_STATUS = re.compile(r"status code: (\d{3}[A-Za-z ]*)")
_UNREACHED = re.compile(r"HTTP error: (.*)")
_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_REFUSED = {"PermissionDeniedError", "UnauthenticatedError"}


class StorageError(RecordingError):
    """The object storage refused, or could not be reached for as long as it was tried."""


class Store:
    """What lies below one address. Names are relative to it: "20261130T030000Z-web/run.json".

    The library's blocking calls alone: after an asynchronous one, its threads may still hold Python's objects when the
    program ends, and then end it by SIGABRT, whatever the exit code was to be (one time in ten, obstore 0.12).
    """

    def __init__(self, address: Address, patience_s: float | None = None) -> None:
        """Open it, which asks nobody yet. Raises UsageError: obstore is missing, or cannot use the environment."""
        self.address = address
        try:
            self._library: Any = importlib.import_module("obstore")
            made: Any = importlib.import_module("obstore.store")
        except ImportError:
            raise UsageError(_MISSING.format(address=address)) from None
        try:
            self._store = made.from_url(
                str(address),
                client_options=_client(os.environ),
                # A server that is away for a moment must not cost a recording.
                retry_config={
                    "max_retries": 100,
                    "retry_timeout": timedelta(seconds=PATIENCE_S if patience_s is None else patience_s),
                    "backoff": {
                        "init_backoff": timedelta(milliseconds=200),
                        "max_backoff": timedelta(seconds=10),
                        "base": 2,
                    },
                },
            )
        except (ValueError, self._library.exceptions.BaseError) as error:
            raise UsageError(f"{address}: {_said(error)}") from None

    def read(self, name: str, most: int) -> bytes | None:
        """Return an object's bytes; None if there is none. Raises StorageError, also if it has more than `most`."""
        with self._ours(name):
            try:
                found = self._library.get(self._store, name)
            except FileNotFoundError:
                return None
            if found.meta["size"] > most:
                raise StorageError(
                    f"{self.address}/{name} is too large to be read: {found.meta['size']:,} bytes"
                )
            return bytes(found.bytes())

    def write(self, name: str, content: bytes) -> None:
        """Put an object there, or another one in its place."""
        with self._ours(name):
            self._library.put(self._store, name, content)

    def create(self, name: str, content: bytes) -> bool:
        """Put an object there unless there is one; tell whether it was put.

        Of two at the same moment one wins, where the server knows If-None-Match (S3 itself does). Without the right to
        list, S3 does not say that an object is missing but refuses the question; then that condition alone decides.
        """
        errors = self._library.exceptions
        with self._ours(name):
            try:
                self._library.head(self._store, name)
            except (FileNotFoundError, errors.PermissionDeniedError, errors.UnauthenticatedError):
                pass
            else:
                return False
            try:
                self._library.put(self._store, name, content, mode="create")
            except (errors.AlreadyExistsError, errors.PreconditionError):
                return False
        return True

    def send(self, name: str, file: BinaryIO) -> None:
        """Put an open file there, in parts if it is large."""
        # By the path of its descriptor: the library then reads without Python, and what it reads is what was opened.
        with self._ours(name):
            self._library.put(self._store, name, Path(f"/dev/fd/{file.fileno()}"))

    def receive(self, name: str, into: BinaryIO, most: int) -> None:
        """Write an object into a file. Raises StorageError if it is missing, or has more than `most` bytes."""
        left = most
        with self._ours(name):
            for chunk in self._library.get(self._store, name).stream(min_chunk_size=_CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise StorageError(f"{self.address}/{name} is larger than its index says")
                into.write(chunk)

    def folders(self) -> list[str]:
        """Return the names one step below the address that have something below them, sorted."""
        with self._ours(""):
            prefixes = self._library.list_with_delimiter(self._store)["common_prefixes"]
        return sorted(str(prefix).rstrip("/").rpartition("/")[2] for prefix in prefixes)

    @contextmanager
    def _ours(self, name: str) -> Iterator[None]:
        at = f"{self.address}/{name}" if name else str(self.address)
        try:
            yield
        except FileNotFoundError:
            raise StorageError(f"{at}: there is no such object, or no such bucket") from None
        except (self._library.exceptions.BaseError, ValueError) as error:
            why = "access is refused" if type(error).__name__ in _REFUSED else _said(error)
            raise StorageError(f"{at}: {why}") from None


def _client(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the options of its HTTP client. Without TLS only to a server that the user named so."""
    named = (environ.get("AWS_ENDPOINT_URL_S3"), environ.get("AWS_ENDPOINT_URL"), environ.get("AWS_ENDPOINT"))
    plain = any((url or "").startswith("http://") for url in named)
    return {
        "connect_timeout": timedelta(seconds=10),
        "timeout": timedelta(seconds=120),
        **({"allow_http": True} if plain else {}),
    }


def _said(error: BaseException) -> str:
    """Return the library's message as one line. Of a refusal the status and the server's code of it are kept: what else
    it says may hold the name of a key.
    """
    text = str(error)
    status, code = _STATUS.search(text), _CODE.search(text)
    if status:
        return status[1].strip() + (f" ({code[1]})" if code else "")
    if unreached := _UNREACHED.search(text):
        return f"the server cannot be reached: {masking.prose(unreached[1].strip())[:_LONGEST]}"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = lines[0] if lines else type(error).__name__
    return masking.prose(line)[:_LONGEST]
