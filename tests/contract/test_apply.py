"""Server-side apply: who owns which field, what conflicts, and what is removed when its owner drops it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.api_client import APPLY, JSON_PATCH, MERGE, STRATEGIC, config_map, deployment

if TYPE_CHECKING:
    from tests.contract.api_client import Answer, Server


class Applier:
    """Applies configurations as one field manager."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def __call__(self, who: str, body: dict[str, Any], **query: Any) -> Answer:
        plural = f"{body['kind'].lower()}s"
        path = self._server.path(plural, body["metadata"]["name"])
        return self._server("PATCH", path, body, content_type=APPLY, fieldManager=who, **query)


@pytest.fixture
def apply(server: Server) -> Applier:
    return Applier(server)


def entry(item: dict[str, Any], manager: str) -> dict[str, Any]:
    found: dict[str, Any] = next(e for e in item["metadata"]["managedFields"] if e["manager"] == manager)
    return found


def test_the_first_apply_creates_the_object_and_owns_its_fields(apply: Applier, name: str) -> None:
    made = apply("anna", config_map(name, {"app": "x"}, a="1")).good(201)
    assert made["data"] == {"a": "1"}
    [owned] = made["metadata"]["managedFields"]
    assert (owned["manager"], owned["operation"], owned["apiVersion"]) == ("anna", "Apply", "v1")
    assert owned["fieldsType"] == "FieldsV1"
    assert owned["time"].endswith("Z")
    assert owned["fieldsV1"]["f:data"]["f:a"] == {}
    assert owned["fieldsV1"]["f:metadata"]["f:labels"]["f:app"] == {}


def test_applying_the_same_again_changes_nothing(apply: Applier, name: str) -> None:
    made = apply("anna", config_map(name, a="1")).good(201)
    again = apply("anna", config_map(name, a="1")).good()
    assert again["data"] == made["data"]
    assert (
        again["metadata"]["managedFields"][0]["fieldsV1"] == made["metadata"]["managedFields"][0]["fieldsV1"]
    )


def test_a_field_left_out_is_removed_if_no_one_else_owns_it(apply: Applier, name: str) -> None:
    apply("anna", config_map(name, a="1", b="2")).good(201)
    apply("bert", config_map(name, b="2", c="3")).good()
    made = apply("anna", config_map(name, a="1")).good()
    assert made["data"] == {"a": "1", "b": "2", "c": "3"}  # bert still wants b
    made = apply("bert", config_map(name, c="3")).good()
    assert made["data"] == {"a": "1", "c": "3"}


def test_a_conflict_names_the_field_and_its_owner(apply: Applier, name: str) -> None:
    apply("anna", config_map(name, a="1", b="1")).good(201)
    answer = apply("bert", config_map(name, a="2"))
    message = answer.refused(409, "Conflict")
    assert message.startswith('Apply failed with 1 conflict: conflict with "anna"')
    assert message.endswith(": .data.a")
    [cause] = answer.body["details"]["causes"]
    assert (cause["reason"], cause["field"]) == ("FieldManagerConflict", ".data.a")
    assert 'conflict with "anna"' in cause["message"]


def test_the_same_value_is_shared_without_a_conflict(apply: Applier, name: str) -> None:
    apply("anna", config_map(name, a="1")).good(201)
    made = apply("bert", config_map(name, a="1")).good()
    assert entry(made, "anna")["fieldsV1"]["f:data"]["f:a"] == {}
    assert entry(made, "bert")["fieldsV1"]["f:data"]["f:a"] == {}


def test_force_takes_a_field_over(apply: Applier, name: str) -> None:
    apply("anna", config_map(name, a="1", b="1")).good(201)
    made = apply("bert", config_map(name, a="2"), force=True).good()
    assert made["data"] == {"a": "2", "b": "1"}
    assert "f:a" not in entry(made, "anna")["fieldsV1"]["f:data"]
    assert entry(made, "bert")["fieldsV1"]["f:data"]["f:a"] == {}
    apply("anna", config_map(name, a="1", b="1")).refused(409, "Conflict")


def test_an_update_takes_what_it_changes(server: Server, apply: Applier, name: str) -> None:
    apply("anna", config_map(name, a="1", b="1")).good(201)
    path = server.path("configmaps", name)
    made = server("PATCH", path, {"data": {"a": "9"}}, content_type=MERGE, fieldManager="carl").good()
    owned = entry(made, "carl")
    assert owned["operation"] == "Update"
    assert owned["fieldsV1"] == {"f:data": {"f:a": {}}}
    assert "f:a" not in entry(made, "anna")["fieldsV1"]["f:data"]
    assert "f:b" in entry(made, "anna")["fieldsV1"]["f:data"]
    answer = apply("anna", config_map(name, a="1", b="1"))
    assert 'conflict with "carl" using v1' in answer.refused(409, "Conflict")


def test_several_conflicts_are_all_named(apply: Applier, name: str) -> None:
    apply("anna", config_map(name, a="1", b="1")).good(201)
    answer = apply("bert", config_map(name, a="2", b="2"))
    assert answer.refused(409, "Conflict").startswith('Apply failed with 2 conflicts: conflicts with "anna"')
    assert {cause["field"] for cause in answer.body["details"]["causes"]} == {".data.a", ".data.b"}


def test_lists_with_keys_are_owned_item_by_item(apply: Applier, name: str) -> None:
    body = deployment(name)
    body["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "A", "value": "1"}]
    made = apply("anna", body).good(201)
    owned = entry(made, "anna")["fieldsV1"]["f:spec"]["f:template"]["f:spec"]["f:containers"]
    assert set(owned) == {'k:{"name":"main"}'}
    main = owned['k:{"name":"main"}']
    assert main["."] == {}
    assert main["f:image"] == {}
    assert main["f:env"] == {'k:{"name":"A"}': {".": {}, "f:name": {}, "f:value": {}}}
    assert main["f:command"] == {}  # a list without a key is owned whole
    sidecar = {"name": "side", "image": "x:1"}
    more = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "template": {
                "spec": {"containers": [sidecar, {"name": "main", "env": [{"name": "B", "value": "2"}]}]}
            }
        },
    }
    both = apply("bert", more).good()
    found = {c["name"]: c for c in both["spec"]["template"]["spec"]["containers"]}
    assert set(found) == {"main", "side"}
    assert [e["name"] for e in found["main"]["env"]] == ["A", "B"]
    assert found["main"]["image"] == "docker.io/local/box:1"
    again = apply("anna", body).good()  # his say nothing of bert's
    assert {c["name"] for c in again["spec"]["template"]["spec"]["containers"]} == {"main", "side"}
    more["spec"]["template"]["spec"]["containers"] = [sidecar]  # type: ignore[index]
    less = apply("bert", more).good()
    assert [e["name"] for c in less["spec"]["template"]["spec"]["containers"] for e in c.get("env", ())] == [
        "A"
    ]


def test_an_apply_of_a_template_raises_the_generation_once(apply: Applier, name: str) -> None:
    body = deployment(name)
    assert apply("anna", body).good(201)["metadata"]["generation"] == 1
    assert apply("anna", body).good()["metadata"]["generation"] == 1
    body["spec"]["template"]["metadata"]["annotations"] = {"a": "b"}
    assert apply("anna", body).good()["metadata"]["generation"] == 2


def test_a_scaler_and_an_applier_conflict_over_replicas(server: Server, apply: Applier, name: str) -> None:
    apply("anna", deployment(name)).good(201)
    path = server.path("deployments", name)
    patch = {"spec": {"paused": True, "replicas": 1}}
    server("PATCH", path, patch, content_type=STRATEGIC, fieldManager="hpa").good()
    answer = apply("anna", deployment(name))
    assert ".spec.replicas" in answer.refused(409, "Conflict")
    body = deployment(name)
    del body["spec"]["replicas"]  # what an owner does who leaves the number to a scaler
    made = apply("anna", body).good()
    assert made["spec"]["replicas"] == 1


def test_a_manager_must_be_named_and_force_belongs_to_apply(server: Server, name: str) -> None:
    path = server.path("configmaps", name)
    server("PATCH", path, config_map(name), content_type=APPLY).refused(422, "Invalid")
    server("POST", server.path("configmaps"), config_map(name)).good(201)
    forced = server("PATCH", path, {"data": {}}, content_type=MERGE, force=True)
    assert forced.code == 422


def test_a_write_can_give_fields_back_to_their_owners(apply: Applier, server: Server, name: str) -> None:
    made = apply("anna", config_map(name, a="1", b="2")).good(201)
    path = server.path("configmaps", name)
    server("PATCH", path, {"data": {"a": "9"}}, content_type=MERGE, fieldManager="bert").good()
    back = server("PATCH", path, {"data": {"a": "1"}}, content_type=MERGE, fieldManager="bert").good()
    assert [one["manager"] for one in back["metadata"]["managedFields"]] == ["anna", "bert"]
    owners = [
        {"op": "replace", "path": "/metadata/managedFields", "value": made["metadata"]["managedFields"]}
    ]
    given = server("PATCH", path, owners, content_type=JSON_PATCH, fieldManager="carl").good()
    assert given["data"] == made["data"]
    assert [one["manager"] for one in given["metadata"]["managedFields"]] == ["anna"]
    assert (
        given["metadata"]["managedFields"][0]["fieldsV1"] == made["metadata"]["managedFields"][0]["fieldsV1"]
    )


def test_a_list_of_one_empty_entry_clears_the_owners(apply: Applier, server: Server, name: str) -> None:
    apply("anna", config_map(name, a="1")).good(201)
    path = server.path("configmaps", name)
    server("PATCH", path, {"metadata": {"managedFields": [{}]}}, content_type=MERGE).good()
    assert not server("GET", path).good()["metadata"].get("managedFields")


def test_an_applied_configuration_must_not_have_managed_fields(apply: Applier, name: str) -> None:
    made = apply("anna", config_map(name, a="1")).good(201)
    body = config_map(name, a="1")
    body["metadata"]["managedFields"] = made["metadata"]["managedFields"]
    apply("anna", body).refused(400, "BadRequest")


def test_a_dry_run_of_an_apply_says_what_it_would_do(server: Server, apply: Applier, name: str) -> None:
    assert apply("anna", config_map(name, a="1"), dryRun="All").good(201)["data"] == {"a": "1"}
    assert server("GET", server.path("configmaps", name)).code == 404
    apply("anna", config_map(name, a="1")).good(201)
    apply("bert", config_map(name, a="2"), dryRun="All").refused(409, "Conflict")
    assert apply("anna", config_map(name, a="3"), dryRun="All").good()["data"] == {"a": "3"}
    assert server("GET", server.path("configmaps", name)).good()["data"] == {"a": "1"}


def test_a_create_is_remembered_as_an_update_by_its_client(server: Server, name: str) -> None:
    made = server("POST", server.path("deployments"), deployment(name), fieldManager="dora").good(201)
    owned = entry(made, "dora")
    assert (owned["operation"], owned["apiVersion"]) == ("Update", "apps/v1")
    assert owned["fieldsV1"]["f:spec"]["f:replicas"] == {}
    assert owned["fieldsV1"]["f:spec"]["f:strategy"]["f:rollingUpdate"]["f:maxSurge"] == {}  # defaults too
