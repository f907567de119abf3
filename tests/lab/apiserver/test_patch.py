"""Merge, strategic merge and JSON patch."""

from __future__ import annotations

from typing import Any

import pytest

from harness.lab.apiserver.patch import json_patch, merge, strategic
from harness.lab.objects.status import StatusError

CONTAINERS: list[dict[str, Any]] = [
    {"name": "a", "image": "x:1", "env": [{"name": "K", "value": "1"}]},
    {"name": "b", "image": "y:1"},
]


def in_pod(old: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """Patch a pod's spec; return the result."""
    return in_spec("v1", "Pod", old, patch)


def in_spec(api_version: str, kind: str, old: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    item = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}, "spec": old}
    spec: dict[str, Any] = strategic(item, {"spec": patch})["spec"]
    return spec


def test_a_merge_patch_replaces_lists_and_null_deletes() -> None:
    assert merge({"a": [1, 2], "b": {"c": 1, "d": 2}}, {"a": [3], "b": {"c": None}}) == {
        "a": [3],
        "b": {"d": 2},
    }


def test_a_strategic_patch_changes_one_container_by_its_name() -> None:
    new = in_pod({"containers": CONTAINERS}, {"containers": [{"name": "b", "image": "y:2"}]})
    assert new["containers"] == [CONTAINERS[0], {"name": "b", "image": "y:2"}]
    assert CONTAINERS[1]["image"] == "y:1"  # the old object is as it was


def test_a_strategic_patch_joins_env_by_name_inside_a_container() -> None:
    new = in_pod(
        {"containers": CONTAINERS}, {"containers": [{"name": "a", "env": [{"name": "L", "value": "2"}]}]}
    )
    assert new["containers"][0]["env"] == [{"name": "K", "value": "1"}, {"name": "L", "value": "2"}]


def test_a_strategic_patch_can_delete_a_container() -> None:
    new = in_pod({"containers": CONTAINERS}, {"containers": [{"name": "a", "$patch": "delete"}]})
    assert [c["name"] for c in new["containers"]] == ["b"]


def test_a_strategic_patch_can_replace_a_list_or_an_object_whole() -> None:
    new = in_pod(
        {"containers": CONTAINERS}, {"containers": [{"$patch": "replace"}, {"name": "c", "image": "z"}]}
    )
    assert new["containers"] == [{"name": "c", "image": "z"}]
    old = {"nodeSelector": {"a": "1", "b": "2"}}
    assert in_pod(old, {"nodeSelector": {"$patch": "replace", "c": "3"}}) == {"nodeSelector": {"c": "3"}}


def test_set_element_order_orders_what_it_names() -> None:
    new = in_pod(
        {"containers": CONTAINERS},
        {
            "$setElementOrder/containers": [{"name": "b"}, {"name": "a"}],
            "containers": [{"name": "a", "image": "x:2"}],
        },
    )
    assert [c["name"] for c in new["containers"]] == ["b", "a"]


def test_retain_keys_drops_all_other_keys() -> None:
    old = {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}
    new = in_spec("apps/v1", "Deployment", old, {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}})
    assert new == {"strategy": {"type": "Recreate"}}


def test_ports_merge_by_port_in_a_service_and_by_container_port_in_a_container() -> None:
    service = in_spec(
        "v1",
        "Service",
        {"ports": [{"port": 80, "targetPort": 1}, {"port": 81, "targetPort": 1}]},
        {"ports": [{"port": 80, "targetPort": 2}]},
    )
    assert service["ports"] == [{"port": 80, "targetPort": 2}, {"port": 81, "targetPort": 1}]
    old = {"containers": [{"name": "a", "ports": [{"containerPort": 80}]}]}
    pod = in_pod(old, {"containers": [{"name": "a", "ports": [{"containerPort": 81}]}]})
    assert pod["containers"][0]["ports"] == [{"containerPort": 80}, {"containerPort": 81}]


def test_a_list_is_merged_only_where_kubernetes_merges_it_whatever_its_name() -> None:
    """Ports merge in a Service, and are replaced in an EndpointSlice, an Endpoints subset and an ingress status."""
    item = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "x"},
        "ports": [{"name": "http", "port": 80}],
    }
    assert strategic(item, {"ports": [{"name": "admin", "port": 81}]})["ports"] == [
        {"name": "admin", "port": 81}
    ]
    account: dict[str, Any] = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "x"}}
    account |= {"imagePullSecrets": [{"name": "a"}], "secrets": [{"name": "a"}]}
    new = strategic(account, {"imagePullSecrets": [{"name": "b"}], "secrets": [{"name": "b"}]})
    assert new["imagePullSecrets"] == [{"name": "b"}]
    assert new["secrets"] == [{"name": "a"}, {"name": "b"}]


def test_finalizers_are_joined() -> None:
    item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "finalizers": ["a/a"]}}
    new = strategic(item, {"metadata": {"finalizers": ["b/b", "a/a"]}})
    assert new["metadata"]["finalizers"] == ["a/a", "b/b"]


@pytest.mark.parametrize("item", [{"value": "1"}, {"$patch": "delete"}])
def test_an_item_without_its_merge_key_is_refused(item: dict[str, Any]) -> None:
    old = {"containers": [{"name": "a", "env": [{"name": "K", "value": "1"}]}]}
    with pytest.raises(StatusError, match="does not contain declared merge key: name"):
        in_pod(old, {"containers": [{"name": "a", "env": [item]}]})


def test_lists_without_a_merge_key_are_replaced() -> None:
    old = {"containers": [{"name": "a", "command": ["a", "b"]}]}
    assert in_pod(old, {"containers": [{"name": "a", "command": ["c"]}]}) == {
        "containers": [{"name": "a", "command": ["c"]}]
    }


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
