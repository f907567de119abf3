"""A server that speaks S3 and checks signatures, as a process of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.storage.bucket import Bucket, serving

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    with serving(tmp_path_factory.mktemp("s3")) as bucket:
        yield bucket


@pytest.fixture
def bucket(server: Bucket, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """An empty bucket, to which this process may write."""
    server.empty()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return server
