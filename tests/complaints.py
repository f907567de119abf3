"""What a user reads about bad input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable


def complaint(ask: Callable[[], object]) -> str:
    """Return the complaint about bad input, which must be one line."""
    with pytest.raises(UsageError) as caught:
        ask()
    text = str(caught.value)
    assert "\n" not in text
    return text
