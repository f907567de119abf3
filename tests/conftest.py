"""The order of the tests: files that take minutes begin first, so that none is left running alone at the end."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

# Where this is set, each of the thousand processes that the tests start would compile all of harness/ again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

SLOWEST_FIRST = ("test_observe.py", "test_main_job.py", "test_interrupts.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by file; within a file the order stays."""
    ranks = {name: rank for rank, name in enumerate(SLOWEST_FIRST)}
    items.sort(key=lambda item: ranks.get(item.path.name, len(ranks)))
