"""A place for runs that is no folder, as users write it: s3://bucket/prefix, or pod/NAME:/folder. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness import masking
from harness.errors import UsageError

SCHEMES = ("s3", "gs", "az")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_STEP = re.compile(r"[\w.=+@,~-]{1,255}", re.ASCII)
_POD = re.compile(r"pod/([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?):(/[^\0]*)")


@dataclass(frozen=True, slots=True)
class Address:
    """A prefix in a bucket. Runs lie below it, each in a folder of its own."""

    scheme: str  # one of SCHEMES
    bucket: str
    steps: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.scheme}://{'/'.join((self.bucket, *self.steps))}"

    def below(self, name: str) -> Address:
        """Return the place one step further down."""
        return Address(self.scheme, self.bucket, (*self.steps, name))

    @property
    def parent(self) -> Address:
        """The place one step up; the bucket itself is its own."""
        return Address(self.scheme, self.bucket, self.steps[:-1])


@dataclass(frozen=True, slots=True)
class InPod:
    """A folder in a running pod."""

    pod: str
    folder: str  # absolute

    def __str__(self) -> str:
        return f"pod/{self.pod}:{self.folder}"


def is_address(text: str) -> bool:
    """Whether an output is meant for object storage, well written or not."""
    return "://" in text


def parse(text: str) -> Address:
    """Read an address. Raises UsageError, one line, that shows no secret."""
    scheme, _, rest = text.partition("://")
    shown = masking.broken_url(text)
    if scheme not in SCHEMES:
        raise UsageError(
            f"{shown}: runs can be kept in a folder, or in object storage at s3://, gs:// or az://BUCKET/PREFIX"
        )
    bucket, *steps = rest.rstrip("/").split("/")
    if "@" in bucket or ":" in bucket:
        raise UsageError(
            f"{shown}: no user, password or port belongs there; credentials come from the environment, such as "
            "AWS_ACCESS_KEY_ID, and another server from AWS_ENDPOINT_URL"
        )
    if not _BUCKET.fullmatch(bucket):
        raise UsageError(f"{shown}: there is no bucket's name after {scheme}://")
    wrong = [step for step in steps if not _STEP.fullmatch(step) or set(step) == {"."}]
    if wrong:
        raise UsageError(
            f"{shown}: {masking.prose(wrong[0])!r} cannot be part of a prefix; use letters, digits, - _ . and ="
        )
    return Address(scheme, bucket, tuple(steps))


def parse_source(text: str) -> Address | InPod:
    """Read what `fetch` takes. Raises UsageError."""
    if is_address(text):
        return parse(text)
    found = _POD.fullmatch(text)
    if found is None:
        raise UsageError(
            f"{text}: not a place to fetch runs from; give s3://BUCKET/PREFIX, one run below it, or pod/NAME:/results"
        )
    return InPod(found[1], found[3])
