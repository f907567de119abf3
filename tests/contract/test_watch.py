"""Watches: what they begin with, where they resume, what they select, and how they end."""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.api_client import MERGE, config_map, deployment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.contract.api_client import Object, Server


def brief(events: Iterator[Object]) -> list[tuple[str, str]]:
    return [(event["type"], event["object"]["metadata"]["name"]) for event in events]


@pytest.fixture
def begun(server: Server) -> str:
    """The resourceVersion of a list taken before the test's own changes."""
    return server("GET", server.path("configmaps")).rv


def changes(server: Server, name: str) -> None:
    """Make a and b, label b, take the label away, delete a."""
    path = server.path("configmaps")
    for letter in "ab":
        server("POST", path, config_map(f"{name}-{letter}", {"set": name})).good(201)
    for value in ("yes", None):
        patch = {"metadata": {"labels": {"in": value}}}
        server("PATCH", server.path("configmaps", f"{name}-b"), patch, content_type=MERGE).good()
    server("DELETE", server.path("configmaps", f"{name}-a")).good()


def test_a_watch_replays_what_happened_since_a_list(server: Server, name: str, begun: str) -> None:
    changes(server, name)
    events = server.watch(server.path("configmaps"), resourceVersion=begun, labelSelector=f"set={name}")
    assert brief(islice(events, 5)) == [
        ("ADDED", f"{name}-a"),
        ("ADDED", f"{name}-b"),
        ("MODIFIED", f"{name}-b"),
        ("MODIFIED", f"{name}-b"),
        ("DELETED", f"{name}-a"),
    ]


def test_versions_rise_and_any_of_them_resumes(server: Server, name: str, begun: str) -> None:
    changes(server, name)
    path = server.path("configmaps")
    selected: dict[str, Any] = {"labelSelector": f"set={name}"}
    events = list(islice(server.watch(path, resourceVersion=begun, **selected), 5))
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(set(versions))
    rest = list(islice(server.watch(path, resourceVersion=str(versions[2]), **selected), 2))
    assert rest == events[3:]


def test_an_object_enters_and_leaves_a_selection(server: Server, name: str, begun: str) -> None:
    changes(server, name)
    selector = f"set={name},in=yes"
    events = server.watch(server.path("configmaps"), resourceVersion=begun, labelSelector=selector)
    assert brief(islice(events, 2)) == [("ADDED", f"{name}-b"), ("DELETED", f"{name}-b")]


def test_a_field_selector_follows_one_object(server: Server, name: str, begun: str) -> None:
    changes(server, name)
    events = server.watch(
        server.path("configmaps"), resourceVersion=begun, fieldSelector=f"metadata.name={name}-a"
    )
    assert brief(islice(events, 2)) == [("ADDED", f"{name}-a"), ("DELETED", f"{name}-a")]


@pytest.mark.parametrize("version", [None, "0"])
def test_without_a_version_a_watch_begins_with_what_there_is(
    server: Server, name: str, version: str | None
) -> None:
    server("POST", server.path("configmaps"), config_map(name)).good(201)
    query: dict[str, Any] = {"fieldSelector": f"metadata.name={name}"} | (
        {"resourceVersion": version} if version else {}
    )
    events = server.watch(server.path("configmaps"), **query)
    assert brief(islice(events, 1)) == [("ADDED", name)]
    server("DELETE", server.path("configmaps", name)).good()
    assert brief(islice(events, 1)) == [("DELETED", name)]


def test_a_live_watch_hears_of_a_change_at_once(server: Server, name: str, begun: str) -> None:
    server("POST", server.path("configmaps"), config_map(name)).good(201)
    events = server.watch(
        server.path("configmaps"), resourceVersion=begun, fieldSelector=f"metadata.name={name}", seconds=20
    )
    assert brief(islice(events, 1)) == [("ADDED", name)]
    before = time.monotonic()
    server("PATCH", server.path("configmaps", name), {"data": {"n": "1"}}, content_type=MERGE).good()
    event = next(events)
    assert (event["type"], event["object"]["data"]) == ("MODIFIED", {"n": "1"})
    assert event["object"]["kind"] == "ConfigMap"
    assert time.monotonic() - before < 5
    events.close()  # type: ignore[attr-defined]


def test_a_window_ends_cleanly_when_its_seconds_are_over(server: Server, begun: str) -> None:
    before = time.monotonic()
    events = list(server.watch(server.path("secrets"), seconds=1, resourceVersion=begun))
    assert events == []
    assert 0.9 < time.monotonic() - before < 8


def test_a_bookmark_is_of_the_kind_and_resumes(server: Server, name: str, begun: str) -> None:
    server("POST", server.path("configmaps"), config_map(name)).good(201)
    selected: dict[str, Any] = {"fieldSelector": f"metadata.name={name}"}
    first, *marks = server.watch(
        server.path("configmaps"), seconds=2, resourceVersion=begun, allowWatchBookmarks=True, **selected
    )
    assert first["type"] == "ADDED"
    assert all(mark["type"] == "BOOKMARK" for mark in marks)  # whether one comes is for the server to choose
    last = [first, *marks][-1]["object"]
    assert last["kind"] == "ConfigMap"
    version = last["metadata"]["resourceVersion"]
    assert int(version) >= int(first["object"]["metadata"]["resourceVersion"])
    later = server.watch(server.path("configmaps"), resourceVersion=version, **selected)
    server("DELETE", server.path("configmaps", name)).good()
    assert brief(islice(later, 1)) == [("DELETED", name)]


def test_a_version_from_before_a_compaction_is_410(server: Server, name: str) -> None:
    server("POST", server.path("configmaps"), config_map(name)).good(201)
    server(
        "POST", "/zdtest/compact"
    )  # a real one has compacted its first minutes by itself, and knows no such path
    [event] = list(islice(server.watch(server.path("configmaps"), resourceVersion="1"), 1))
    assert (event["type"], event["object"]["kind"]) == ("ERROR", "Status")
    assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")
    assert event["object"]["message"].startswith("too old resource version: 1 (")


def test_an_invalid_version_is_refused(server: Server) -> None:
    assert server("GET", server.path("configmaps"), watch=True, resourceVersion="abc").code in {400, 500}


def test_a_deletion_carries_the_last_state_and_a_version_of_its_own(
    server: Server, name: str, begun: str
) -> None:
    made = server("POST", server.path("configmaps"), config_map(name, a="1")).good(201)
    server("DELETE", server.path("configmaps", name)).good()
    events = server.watch(
        server.path("configmaps"), resourceVersion=begun, fieldSelector=f"metadata.name={name}"
    )
    _, gone = islice(events, 2)
    assert gone["object"]["data"] == {"a": "1"}
    assert int(gone["object"]["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])


def test_one_counter_serves_all_kinds(server: Server, name: str) -> None:
    first = server("POST", server.path("configmaps"), config_map(name)).rv
    second = server("POST", server.path("deployments"), deployment(name)).rv
    assert int(second) > int(first)
