"""Merge, strategic merge and JSON patch."""

from __future__ import annotations

from typing import Any

import pytest

from harness.lab.apiserver.patch import json_patch, merge, strategic
from harness.lab.objects.status import StatusError

POD: dict[str, Any] = {
    "containers": [
        {"name": "a", "image": "x:1", "env": [{"name": "K", "value": "1"}]},
        {"name": "b", "image": "y:1"},
    ]
}


def test_a_merge_patch_replaces_lists_and_null_deletes() -> None:
    assert merge({"a": [1, 2], "b": {"c": 1, "d": 2}}, {"a": [3], "b": {"c": None}}) == {
        "a": [3],
        "b": {"d": 2},
    }


def test_a_strategic_patch_changes_one_container_by_its_name() -> None:
    new = strategic(POD, {"containers": [{"name": "b", "image": "y:2"}]})
    assert new["containers"] == [POD["containers"][0], {"name": "b", "image": "y:2"}]
    assert POD["containers"][1]["image"] == "y:1"  # the old object is as it was


def test_a_strategic_patch_joins_env_by_name_inside_a_container() -> None:
    new = strategic(POD, {"containers": [{"name": "a", "env": [{"name": "L", "value": "2"}]}]})
    assert new["containers"][0]["env"] == [{"name": "K", "value": "1"}, {"name": "L", "value": "2"}]


def test_a_strategic_patch_can_delete_a_container() -> None:
    new = strategic(POD, {"containers": [{"name": "a", "$patch": "delete"}]})
    assert [c["name"] for c in new["containers"]] == ["b"]


def test_a_strategic_patch_can_replace_a_list_or_an_object_whole() -> None:
    new = strategic(POD, {"containers": [{"$patch": "replace"}, {"name": "c", "image": "z"}]})
    assert new["containers"] == [{"name": "c", "image": "z"}]
    assert strategic({"s": {"a": 1, "b": 2}}, {"s": {"$patch": "replace", "c": 3}}) == {"s": {"c": 3}}


def test_set_element_order_orders_what_it_names() -> None:
    new = strategic(
        POD,
        {
            "$setElementOrder/containers": [{"name": "b"}, {"name": "a"}],
            "containers": [{"name": "a", "image": "x:2"}],
        },
    )
    assert [c["name"] for c in new["containers"]] == ["b", "a"]


def test_retain_keys_drops_all_other_keys() -> None:
    old = {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}
    new = strategic(old, {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}})
    assert new == {"strategy": {"type": "Recreate"}}


def test_ports_of_a_service_join_by_port_and_of_a_container_by_container_port() -> None:
    assert strategic(
        {"ports": [{"port": 80, "targetPort": 1}]}, {"ports": [{"port": 80, "targetPort": 2}]}
    ) == {"ports": [{"port": 80, "targetPort": 2}]}
    assert strategic({"ports": [{"containerPort": 80}]}, {"ports": [{"containerPort": 81}]}) == {
        "ports": [{"containerPort": 80}, {"containerPort": 81}]
    }


def test_lists_without_a_merge_key_are_replaced() -> None:
    assert strategic({"command": ["a", "b"]}, {"command": ["c"]}) == {"command": ["c"]}


def test_a_json_patch_adds_replaces_moves_and_removes() -> None:
    old = {"a": {"b/c": 1}, "l": [1, 2]}
    new = json_patch(
        old,
        [
            {"op": "test", "path": "/a/b~1c", "value": 1},
            {"op": "add", "path": "/l/-", "value": 3},
            {"op": "add", "path": "/l/0", "value": 0},
            {"op": "replace", "path": "/a/b~1c", "value": 5},
            {"op": "move", "from": "/l/3", "path": "/m"},
            {"op": "remove", "path": "/l/0"},
        ],
    )
    assert new == {"a": {"b/c": 5}, "l": [1, 2], "m": 3}
    assert old == {"a": {"b/c": 1}, "l": [1, 2]}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "replace", "path": "/none", "value": 1},
        {"op": "remove", "path": "/none"},
        {"op": "test", "path": "/a", "value": 2},
        {"op": "add", "path": "/a/b/c", "value": 2},
    ],
)
def test_a_json_patch_that_does_not_fit_is_refused(operation: dict[str, Any]) -> None:
    with pytest.raises(StatusError) as refused:
        json_patch({"a": 1}, [operation])
    assert refused.value.code == 422
