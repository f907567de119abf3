"""A user who may put and get objects, and not list them: S3 then answers 403 for what is missing, in place of 404."""

from __future__ import annotations

import http.server
from typing import TYPE_CHECKING

import pytest

from harness.storage.address import parse
from harness.storage.door import Store
from tests.webserver import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("obstore", reason="the extra s3 is not installed")


class WithoutListing(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stored: dict[str, bytes]

    def do_HEAD(self) -> None:
        self._answer(200 if self.path in self.stored else 403)

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("If-None-Match") == "*" and self.path in self.stored:
            self._answer(412)
            return
        self.stored[self.path] = body
        self._answer(200)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Mon, 30 Nov 2026 03:00:00 GMT")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    WithoutListing.stored = {}
    with serving(WithoutListing) as url:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "x")
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        yield Store(parse("s3://nights/shop"), patience_s=1)


def test_a_name_is_claimed_without_the_right_to_list(store: Store) -> None:
    assert store.create("a/upload.json", b"first")
    assert not store.create("a/upload.json", b"second")
    assert list(WithoutListing.stored.values()) == [b"first"]


def test_of_two_at_the_same_moment_one_wins(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        WithoutListing, "do_HEAD", lambda self: self._answer(403)
    )  # neither has seen the other
    assert store.create("a/upload.json", b"first")
    assert not store.create("a/upload.json", b"second")
    assert list(WithoutListing.stored.values()) == [b"first"]
