"""What a failed answer said: its status, the headers that tell who answered, and the beginning of its body."""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_BODY = 256  # characters of a body that are kept
MOST = 256  # distinct answers that one worker keeps
NONE = -1  # in the column `answer`: the hit was not answered, or it succeeded
OTHER = -2  # in the column `answer`: it was answered, but the worker had kept as many as it may


@dataclass(frozen=True, slots=True)
class Answer:
    """One distinct answer. Names of headers are in lower case; `closes`: it announced the end of the connection.

    Texts are cleaned of control characters, and hold nothing that was sent with the request.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""
    closes: bool = False

    def header(self, name: str) -> str:
        """Return the value of a header by its name in lower case, or ""."""
        return next((value for key, value in self.headers if key == name), "")
