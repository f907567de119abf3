"""Discovery documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.contract.api_client import Server


def test_the_version_is_a_major_and_a_minor(server: Server) -> None:
    version = server("GET", "/version").good()
    assert version["major"] == "1"
    assert int(version["minor"].rstrip("+")) >= 20
    assert version["gitVersion"].startswith(f"v1.{version['minor'].rstrip('+')}.")


def test_the_core_group_says_v1(server: Server) -> None:
    assert server("GET", "/api").good()["versions"] == ["v1"]


def test_every_group_has_a_document_of_its_own_and_resource_lists_for_its_versions(server: Server) -> None:
    listed = server("GET", "/apis").good()["groups"]
    assert {"apps", "policy", "discovery.k8s.io", "authorization.k8s.io"} <= {g["name"] for g in listed}
    for group in listed:
        alone = server("GET", f"/apis/{group['name']}").good()
        assert (alone["kind"], alone["versions"]) == ("APIGroup", group["versions"])
        assert alone["preferredVersion"] in group["versions"]
        for version in group["versions"]:
            resources = server("GET", f"/apis/{version['groupVersion']}").good()
            assert resources["kind"] == "APIResourceList"
            assert resources["groupVersion"] == version["groupVersion"]


@pytest.mark.parametrize(
    ("group", "plural", "short", "parts"),
    [
        ("api/v1", "pods", "po", {"pods/status", "pods/log", "pods/eviction"}),
        ("api/v1", "services", "svc", {"services/status"}),
        ("apis/apps/v1", "deployments", "deploy", {"deployments/scale", "deployments/status"}),
        ("apis/apps/v1", "replicasets", "rs", {"replicasets/scale", "replicasets/status"}),
        ("apis/apps/v1", "statefulsets", "sts", {"statefulsets/scale", "statefulsets/status"}),
        ("apis/apps/v1", "daemonsets", "ds", {"daemonsets/status"}),
    ],
)
def test_a_resource_list_names_verbs_short_names_and_subresources(
    server: Server, group: str, plural: str, short: str, parts: set[str]
) -> None:
    listed = {entry["name"]: entry for entry in server("GET", f"/{group}").good()["resources"]}
    assert listed[plural]["namespaced"]
    assert short in listed[plural]["shortNames"]
    verbs = {"create", "delete", "get", "list", "patch", "update", "watch"}
    assert set(listed[plural]["verbs"]) - {"deletecollection"} == verbs  # Services had none before 1.21
    assert parts <= set(listed)


def test_evictions_are_made_under_a_pod_in_the_policy_group(server: Server) -> None:
    listed = {entry["name"]: entry for entry in server("GET", "/api/v1").good()["resources"]}
    entry = listed["pods/eviction"]
    assert (entry["kind"], entry["group"], entry["verbs"]) == ("Eviction", "policy", ["create"])
    assert entry["version"] in {"v1", "v1beta1"}


def test_an_absent_version_or_kind_is_404(server: Server) -> None:
    for path in ("/apis/apps/v9", "/apis/nobody.example.com/v1", "/api/v1/namespaces/default/nothings"):
        assert server("GET", path).code == 404


def test_slices_are_v1_or_v1beta1_and_only_what_is_listed_is_served(server: Server) -> None:
    for version in ("v1", "v1beta1"):
        served = version in server.versions["discovery.k8s.io"]
        path = f"/apis/discovery.k8s.io/{version}/namespaces/{server.namespace}/endpointslices"
        assert server("GET", path).code == (200 if served else 404)


def test_an_openapi_document_describes_the_workloads(server: Server) -> None:
    document = server("GET", "/openapi/v2").good()
    definition = document["definitions"]["io.k8s.api.apps.v1.Deployment"]
    assert {"apiVersion", "kind", "metadata", "spec", "status"} <= set(definition["properties"])
    named = {"group": "apps", "kind": "Deployment", "version": "v1"}
    assert named in definition["x-kubernetes-group-version-kind"]
    pod = document["definitions"]["io.k8s.api.core.v1.PodSpec"]["properties"]
    assert pod["containers"]["x-kubernetes-patch-merge-key"] == "name"


def test_health_is_said_in_plain_text(server: Server) -> None:
    for path in ("/healthz", "/livez", "/readyz"):
        assert server("GET", path).good() == "ok"


def test_a_user_may_ask_for_its_own_rights(server: Server) -> None:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {
            "resourceAttributes": {
                "namespace": server.namespace,
                "verb": "patch",
                "group": "apps",
                "resource": "deployments",
            }
        },
    }
    made = server("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review).good(201)
    assert made["status"]["allowed"] is True
    assert made["spec"]["resourceAttributes"]["verb"] == "patch"
