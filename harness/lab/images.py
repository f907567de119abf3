"""Pure: what the lab takes from the name of an image that it does not run."""

from __future__ import annotations

_BARE = ("distroless", "chainguard", "scratch")


def has_shell(image: str) -> bool:
    """Tell whether an image has /bin/sh and sleep, as far as its name says. Without them no `exec` hook of that kind runs."""
    return not any(word in image for word in _BARE)
