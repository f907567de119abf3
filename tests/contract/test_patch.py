"""The kinds of patch, and what each does to an object's generation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.api_client import JSON_PATCH, MERGE, STRATEGIC, config_map, deployment

if TYPE_CHECKING:
    from tests.contract.api_client import Server


@pytest.fixture
def path(server: Server, name: str) -> str:
    """A Deployment with two containers."""
    body = deployment(name)
    template = body["spec"]["template"]["spec"]
    first = template["containers"][0]
    template["containers"] = [
        {**first, "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
        {**first, "name": "side"},
    ]
    server("POST", server.path("deployments"), body).good(201)
    return server.path("deployments", name)


def containers(body: Any) -> list[Any]:
    found: list[Any] = body["spec"]["template"]["spec"]["containers"]
    return found


def template(**spec: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": spec}}}


def test_a_strategic_patch_merges_containers_and_variables_by_name(server: Server, path: str) -> None:
    patch = template(
        containers=[{"name": "main", "env": [{"name": "B", "value": "9"}, {"name": "C", "value": "3"}]}]
    )
    made = server("PATCH", path, patch, content_type=STRATEGIC).good()
    main, side = containers(made)
    assert (main["name"], side["name"]) == ("main", "side")
    assert {entry["name"]: entry["value"] for entry in main["env"]} == {"A": "1", "B": "9", "C": "3"}


def test_a_strategic_patch_deletes_from_a_list_by_its_key(server: Server, path: str) -> None:
    patch = template(containers=[{"name": "side", "$patch": "delete"}])
    assert [c["name"] for c in containers(server("PATCH", path, patch, content_type=STRATEGIC).good())] == [
        "main"
    ]


def test_a_strategic_patch_can_replace_a_list_and_keep_an_order(server: Server, path: str) -> None:
    order = template(**{"$setElementOrder/containers": [{"name": "side"}, {"name": "main"}]})
    order["spec"]["template"]["spec"]["containers"] = [{"name": "main", "tty": True}]
    made = server("PATCH", path, order, content_type=STRATEGIC).good()
    assert [c["name"] for c in containers(made)] == ["side", "main"]
    only = {**containers(made)[0], "name": "only"}
    replaced = server(
        "PATCH", path, template(containers=[{"$patch": "replace"}, only]), content_type=STRATEGIC
    ).good()
    assert [c["name"] for c in containers(replaced)] == ["only"]


def test_a_strategic_patch_retains_only_the_keys_it_names(server: Server, path: str) -> None:
    patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    made = server("PATCH", path, patch, content_type=STRATEGIC).good()
    assert made["spec"]["strategy"] == {"type": "Recreate"}


def test_null_deletes_in_both_merges_and_defaults_come_back(server: Server, path: str) -> None:
    for kind in (STRATEGIC, MERGE):
        server("PATCH", path, {"spec": {"revisionHistoryLimit": 3}}, content_type=kind).good()
        made = server("PATCH", path, {"spec": {"revisionHistoryLimit": None}}, content_type=kind).good()
        assert made["spec"]["revisionHistoryLimit"] == 10


def test_a_merge_patch_replaces_lists_whole(server: Server, path: str) -> None:
    only = {"name": "other", "image": "x:1"}
    made = server("PATCH", path, template(containers=[only]), content_type=MERGE).good()
    assert [c["name"] for c in containers(made)] == ["other"]


def test_a_json_patch_tests_adds_replaces_moves_and_removes(server: Server, name: str) -> None:
    body = config_map(name, a="1", b="2")
    body["metadata"]["annotations"] = {"x": "y"}
    server("POST", server.path("configmaps"), body).good(201)
    operations = [
        {"op": "test", "path": "/data/a", "value": "1"},
        {"op": "add", "path": "/data/c", "value": "3"},
        {"op": "replace", "path": "/data/a", "value": "9"},
        {"op": "move", "from": "/data/b", "path": "/data/d"},
        {"op": "copy", "from": "/data/c", "path": "/metadata/annotations/e~1f"},
        {"op": "remove", "path": "/data/c"},
    ]
    made = server("PATCH", server.path("configmaps", name), operations, content_type=JSON_PATCH).good()
    assert made["data"] == {"a": "9", "d": "2"}
    assert made["metadata"]["annotations"] == {"x": "y", "e/f": "3"}


def test_a_json_patch_counts_in_lists(server: Server, path: str) -> None:
    main = "/spec/template/spec/containers/0/env"
    operations = [
        {"op": "add", "path": f"{main}/1", "value": {"name": "X", "value": "x"}},
        {"op": "add", "path": f"{main}/-", "value": {"name": "Z", "value": "z"}},
        {"op": "remove", "path": f"{main}/0"},
    ]
    made = server("PATCH", path, operations, content_type=JSON_PATCH).good()
    assert [entry["name"] for entry in containers(made)[0]["env"]] == ["X", "B", "Z"]


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/data/a", "value": "2"},
        {"op": "remove", "path": "/data/nope"},
        {"op": "add", "path": "/nope/deep", "value": "1"},
    ],
)
def test_a_json_patch_that_does_not_fit_is_422_and_changes_nothing(
    server: Server, name: str, operation: dict[str, str]
) -> None:
    made = server("POST", server.path("configmaps"), config_map(name, a="1")).good(201)
    answer = server("PATCH", server.path("configmaps", name), [operation], content_type=JSON_PATCH)
    answer.refused(422, "Invalid")
    assert server("GET", server.path("configmaps", name)).good() == made


def test_a_patch_that_names_an_old_version_is_409(server: Server, path: str) -> None:
    old = server("GET", path).rv
    server("PATCH", path, {"metadata": {"labels": {"x": "1"}}}, content_type=MERGE).good()
    patch = {"metadata": {"resourceVersion": old, "labels": {"x": "2"}}}
    server("PATCH", path, patch, content_type=MERGE).refused(409, "Conflict")


def test_a_patch_of_an_unknown_kind_is_415(server: Server, path: str) -> None:
    answer = server("PATCH", path, {}, content_type="application/vnd.nobody+json")
    answer.refused(415, "UnsupportedMediaType")


def test_a_patch_that_makes_nonsense_is_refused_as_a_write_would_be(server: Server, path: str) -> None:
    server("PATCH", path, {"spec": {"replicas": -3}}, content_type=MERGE).refused(422, "Invalid")
    assert server("PATCH", path, {"spec": {"replicas": "x"}}, content_type=MERGE).code in {400, 422}
    server("PATCH", path, {"metadata": {"name": "other"}}, content_type=MERGE).refused(400, "BadRequest")


def test_a_change_of_spec_or_annotations_raises_a_deployments_generation(server: Server, path: str) -> None:
    def generation(patch: dict[str, Any], part: str = "") -> int:
        made = server("PATCH", path + part, patch, content_type=STRATEGIC).good()
        number: int = made["metadata"]["generation"]
        return number

    first = server("GET", path).good()["metadata"]["generation"]
    assert first == 1
    assert generation({"metadata": {"labels": {"a": "b"}}}) == 1
    assert generation({"metadata": {"annotations": {"c": "d"}}}) == 2
    assert generation({"spec": {"paused": True}}) == 3
    assert generation({"spec": {"paused": True}}) == 3
    restarted = {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}}}
    assert generation({"spec": {"template": restarted}}) == 4
    assert generation({"status": {"replicas": 7}}, "/status") == 4


def test_the_status_is_written_only_through_its_own_path(server: Server, path: str) -> None:
    paused = {"spec": {"paused": True}, "status": {"collisionCount": 5}}
    made = server("PATCH", path, paused, content_type=MERGE).good()
    assert "collisionCount" not in made["status"]
    written = {"spec": {"paused": False}, "status": {"collisionCount": 5}}
    made = server("PATCH", f"{path}/status", written, content_type=MERGE).good()
    assert (made["spec"]["paused"], made["status"]["collisionCount"]) == (True, 5)


def test_scale_is_a_view_of_replicas(server: Server, path: str, name: str) -> None:
    scale = server("GET", f"{path}/scale").good()
    assert (scale["kind"], scale["apiVersion"]) == ("Scale", "autoscaling/v1")
    assert scale["status"] == {"replicas": 0, "selector": f"app={name}"}
    server("PATCH", path, {"spec": {"paused": True}}, content_type=MERGE).good()
    made = server("PATCH", f"{path}/scale", {"spec": {"replicas": 0}}, content_type=MERGE).good()
    assert made["kind"] == "Scale"
    conflict, answer = 409, None
    while answer is None or answer.code == conflict:  # the controller may write in between
        now = server("GET", f"{path}/scale").good()
        now["spec"]["replicas"] = 1
        answer = server("PUT", f"{path}/scale", now)
    assert answer.good()["spec"]["replicas"] == 1
    assert server("GET", path).good()["spec"]["replicas"] == 1
