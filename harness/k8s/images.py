"""What an image's name says of its contents: only a guess."""

from __future__ import annotations

import re

# Google's distroless, Chainguard's images, `FROM scratch`, and the usual name of an image with one static binary.
_NO_SHELL = re.compile(r"distroless|(^|/)scratch|chainguard|cgr\.dev|/static[:@-]", re.IGNORECASE)


def has_shell(image: str) -> bool:
    """Guess whether an image has /bin/sh and sleep, without which a hook that runs them fails."""
    return not _NO_SHELL.search(image)
