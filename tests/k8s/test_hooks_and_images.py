"""What a preStop and an image's name are taken to mean, for all who ask."""

from __future__ import annotations

from typing import Any

import pytest

from harness.k8s.hooks import first_sleep_s, grace_s, last_sleep_ns, only_sleeps
from harness.k8s.images import has_shell

S = 1_000_000_000


def run(*words: str) -> dict[str, Any]:
    return {"exec": {"command": list(words)}}


@pytest.mark.parametrize(
    ("hook", "first_s", "last_ns", "alone"),
    [
        (run("sleep", "8"), 8, 8 * S, True),
        (run("bash", "-c", "exec sleep 2m;"), 120, 120 * S, True),
        ({"sleep": {"seconds": 5}}, 5, 5 * S, True),
        (run("sh", "-c", "sleep 5 && nginx -s quit"), 5, None, False),
        (run("sh", "-c", "nginx -s quit; /bin/sleep 2.5"), None, 2_500_000_000, False),
        (run("sh", "-lc", "sleep 3"), None, 3 * S, False),
        (run("/drain"), None, None, False),
        ({"httpGet": {"path": "/quit", "port": 80}}, None, None, False),
        ({}, None, None, False),
        ({"sleep": None}, 0, 0, True),
    ],
)
def test_a_hook_is_known_by_the_sleep_it_begins_and_the_sleep_it_ends_with(
    hook: dict[str, Any], first_s: float | None, last_ns: int | None, *, alone: bool
) -> None:
    assert (first_sleep_s(hook), last_sleep_ns(hook), only_sleeps(hook)) == (first_s, last_ns, alone)


def test_a_grace_period_of_zero_is_zero_and_none_is_30_seconds() -> None:
    assert grace_s({"terminationGracePeriodSeconds": 0}) == 0
    assert grace_s({"terminationGracePeriodSeconds": 45}) == 45
    assert grace_s({"terminationGracePeriodSeconds": None}) == grace_s({}) == 30


@pytest.mark.parametrize(
    "image",
    [
        "gcr.io/distroless/static:nonroot",
        "cgr.dev/chainguard/nginx:latest",
        "registry.example/scratch-web:1",
        "quay.io/acme/static@sha256:0123",
        "GCR.IO/Distroless/base",
    ],
)
def test_an_image_without_a_shell_is_known_by_its_name(image: str) -> None:
    assert not has_shell(image)


@pytest.mark.parametrize(
    "image", ["python:3.13-slim", "nginx", "acme/from-scratch-bakery:2", "acme/statics:1", ""]
)
def test_any_other_image_is_taken_to_have_a_shell(image: str) -> None:
    assert has_shell(image)
