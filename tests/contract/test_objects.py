"""Create, read, list, replace, delete; dry runs; refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.api_client import MERGE, TABLE, config_map, deployment, pod_spec

if TYPE_CHECKING:
    from tests.contract.api_client import Server


def test_a_new_object_gets_a_uid_a_time_and_a_version(server: Server, name: str) -> None:
    made = server("POST", server.path("configmaps"), config_map(name, a="1")).good(201)
    assert (made["kind"], made["apiVersion"], made["data"]) == ("ConfigMap", "v1", {"a": "1"})
    metadata = made["metadata"]
    assert metadata["namespace"] == server.namespace
    assert len(metadata["uid"]) == 36
    assert metadata["creationTimestamp"].endswith("Z")
    assert metadata["resourceVersion"].isdigit()
    assert server("GET", server.path("configmaps", name)).good() == made


def test_a_generated_name_is_the_prefix_and_five_letters(server: Server) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "gen-"}}
    made = server("POST", server.path("configmaps"), body).good(201)["metadata"]
    assert made["name"].startswith("gen-")
    assert len(made["name"]) == len("gen-") + 5


def test_a_deployment_gets_its_defaults(server: Server, name: str) -> None:
    spec = server("POST", server.path("deployments"), deployment(name)).good(201)["spec"]
    assert spec["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
    }
    assert (spec["revisionHistoryLimit"], spec["progressDeadlineSeconds"]) == (10, 600)
    template = spec["template"]
    assert template["metadata"] == {"creationTimestamp": None, "labels": {"app": name}}
    assert {k: v for k, v in template["spec"].items() if k != "containers"} == {
        "dnsPolicy": "ClusterFirst",
        "restartPolicy": "Always",
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "terminationGracePeriodSeconds": 1,
    }
    assert template["spec"]["containers"][0] == {
        "name": "main",
        "image": "docker.io/local/box:1",
        "imagePullPolicy": "Never",
        "command": ["sleep", "3600"],
        "resources": {},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    }


def test_probes_and_ports_get_their_defaults(server: Server, name: str) -> None:
    body = deployment(name)
    container = body["spec"]["template"]["spec"]["containers"][0]
    container["readinessProbe"] = {"httpGet": {"port": 8080}}
    container["livenessProbe"] = {"tcpSocket": {"port": 8080}, "initialDelaySeconds": 3}
    container["ports"] = [{"containerPort": 8080}]
    made = server("POST", server.path("deployments"), body).good(201)["spec"]["template"]["spec"][
        "containers"
    ][0]
    numbers = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
    assert made["readinessProbe"] == {"httpGet": {"path": "/", "port": 8080, "scheme": "HTTP"}, **numbers}
    assert made["livenessProbe"] == {"tcpSocket": {"port": 8080}, "initialDelaySeconds": 3, **numbers}
    assert made["ports"] == [{"containerPort": 8080, "protocol": "TCP"}]


def test_a_service_gets_its_defaults_and_an_address(server: Server, name: str) -> None:
    body = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80}]},
    }
    spec = server("POST", server.path("services"), body).good(201)["spec"]
    assert spec["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    assert (spec["type"], spec["sessionAffinity"], spec["clusterIPs"]) == (
        "ClusterIP",
        "None",
        [spec["clusterIP"]],
    )
    slices = server.until(
        server.path("endpointslices") + f"?labelSelector=kubernetes.io/service-name={name}",
        lambda found: found["items"],
    )
    assert slices["items"][0]["addressType"] == "IPv4"
    assert not slices["items"][0]["endpoints"]


def test_a_list_has_its_kind_and_is_filtered_by_labels_and_fields(server: Server, name: str) -> None:
    for n, tier in enumerate(("front", "back", "back")):
        labels = {"set": name, "tier": tier, **({"odd": "yes"} if n == 1 else {})}
        server("POST", server.path("configmaps"), config_map(f"{name}-{n}", labels)).good(201)

    def names(**query: str) -> list[str]:
        listed = server("GET", server.path("configmaps"), **query).good()
        assert (listed["kind"], listed["apiVersion"]) == ("ConfigMapList", "v1")
        assert listed["metadata"]["resourceVersion"].isdigit()
        assert all("kind" not in item for item in listed["items"])
        return [item["metadata"]["name"].rpartition("-")[2] for item in listed["items"]]

    assert names(labelSelector=f"set={name}") == ["0", "1", "2"]
    assert names(labelSelector=f"set={name},tier=back") == ["1", "2"]
    assert names(labelSelector=f"set=={name},tier!=back") == ["0"]
    assert names(labelSelector=f"set={name},tier in (front,side)") == ["0"]
    assert names(labelSelector=f"set={name},tier notin (front)") == ["1", "2"]
    assert names(labelSelector=f"set={name},odd") == ["1"]
    assert names(labelSelector=f"set={name},!odd") == ["0", "2"]
    assert names(fieldSelector=f"metadata.name={name}-2") == ["2"]
    assert names(fieldSelector=f"metadata.name!={name}-2", labelSelector=f"set={name}") == ["0", "1"]


def test_a_selector_that_cannot_be_parsed_or_used_is_400(server: Server) -> None:
    server("GET", server.path("configmaps"), labelSelector="a in b").refused(400, "BadRequest")
    server("GET", server.path("configmaps"), fieldSelector="data.a=1").refused(400, "BadRequest")
    server("GET", server.path("configmaps"), fieldSelector="nonsense").refused(400, "BadRequest")


def test_a_long_list_comes_in_parts(server: Server, name: str) -> None:
    for n in range(5):
        server("POST", server.path("configmaps"), config_map(f"{name}-{n}", {"set": name})).good(201)
    first = server("GET", server.path("configmaps"), labelSelector=f"set={name}", limit=2).good()
    assert [item["metadata"]["name"] for item in first["items"]] == [f"{name}-0", f"{name}-1"]
    server("DELETE", server.path("configmaps", f"{name}-4")).good()
    rest = first
    found = []
    while more := rest["metadata"].get("continue"):
        rest = server(
            "GET", server.path("configmaps"), labelSelector=f"set={name}", limit=2, **{"continue": more}
        ).good()
        assert rest["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
        found += [item["metadata"]["name"] for item in rest["items"]]
    assert found == [f"{name}-2", f"{name}-3", f"{name}-4"]  # as it was when the list began


def test_a_table_is_made_where_one_is_asked_for(server: Server, name: str) -> None:
    server("POST", server.path("deployments"), deployment(name)).good(201)
    table = server("GET", server.path("deployments", name), accept=TABLE).good()
    assert table["kind"] == "Table"
    assert [column["name"] for column in table["columnDefinitions"]][:5] == [
        "Name",
        "Ready",
        "Up-to-date",
        "Available",
        "Age",
    ]
    assert table["rows"][0]["cells"][:2] == [name, "0/0"]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"


def test_a_replace_must_know_the_version_it_replaces(server: Server, name: str) -> None:
    made = server("POST", server.path("configmaps"), config_map(name, a="1")).good(201)
    path = server.path("configmaps", name)
    newer = server("PUT", path, {**made, "data": {"a": "2"}}).good()
    assert int(newer["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])
    message = server("PUT", path, {**made, "data": {"a": "3"}}).refused(409, "Conflict")
    assert message == (
        f'Operation cannot be fulfilled on configmaps "{name}": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    assert server("GET", path).good()["data"] == {"a": "2"}
    unsaid = {**made, "data": {"a": "4"}, "metadata": {"name": name, "namespace": server.namespace}}
    assert server("PUT", path, unsaid).good()["data"] == {"a": "4"}


def test_a_write_that_changes_nothing_makes_no_new_version(server: Server, name: str) -> None:
    made = server("POST", server.path("configmaps"), config_map(name, a="1")).good(201)
    again = server("PUT", server.path("configmaps", name), made).good()
    assert again["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    patched = server(
        "PATCH", server.path("configmaps", name), {"data": {"a": "1"}}, content_type=MERGE
    ).good()
    assert patched["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


def test_what_the_server_keeps_cannot_be_written(server: Server, name: str) -> None:
    made = server("POST", server.path("configmaps"), config_map(name)).good(201)
    server("PATCH", server.path("configmaps", name), {"metadata": {"uid": "x"}}, content_type=MERGE).refused(
        422, "Invalid"
    )
    kept = server(
        "PATCH",
        server.path("configmaps", name),
        {"metadata": {"creationTimestamp": "2001-01-01T00:00:00Z", "generation": 7, "labels": {"x": "y"}}},
        content_type=MERGE,
    ).good()["metadata"]
    assert kept["creationTimestamp"] == made["metadata"]["creationTimestamp"]
    assert kept["labels"] == {"x": "y"}


def test_a_missing_object_is_404_in_the_servers_words(server: Server, name: str) -> None:
    for method, body in (("GET", None), ("DELETE", None), ("PATCH", {"spec": {"replicas": 1}})):
        answer = server(method, server.path("deployments", name), body, content_type=MERGE)
        assert answer.refused(404, "NotFound") == f'deployments.apps "{name}" not found'
    assert answer.body["details"] == {"name": name, "group": "apps", "kind": "deployments"}
    elsewhere = f"/api/v1/namespaces/{name}/configmaps"
    assert server("POST", elsewhere, config_map(name)).refused(404, "NotFound") == (
        f'namespaces "{name}" not found'
    )
    assert server("GET", elsewhere).good()["items"] == []


def test_an_existing_object_cannot_be_created_again(server: Server, name: str) -> None:
    server("POST", server.path("configmaps"), config_map(name)).good(201)
    message = server("POST", server.path("configmaps"), config_map(name)).refused(409, "AlreadyExists")
    assert message == f'configmaps "{name}" already exists'


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"replicas": -1}, "spec.replicas"),
        ({"selector": {"matchLabels": {"app": "another"}}}, "spec.template.metadata.labels"),
        ({"selector": None}, "spec.selector"),
        (
            {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}},
            "spec.strategy.rollingUpdate.maxUnavailable",
        ),
        ({"strategy": {"type": "Sideways"}}, "spec.strategy"),
        ({"strategy": {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}}, "spec.strategy.rollingUpdate"),
        ({"minReadySeconds": 600}, "spec.progressDeadlineSeconds"),
    ],
)
def test_a_deployment_that_makes_no_sense_is_422_and_names_the_field(
    server: Server, name: str, spec: dict[str, Any], field: str
) -> None:
    answer = server("POST", server.path("deployments"), deployment(name, **spec))
    message = answer.refused(422, "Invalid")
    assert message.startswith(f'Deployment.apps "{name}" is invalid: ')
    assert field in [cause["field"] for cause in answer.body["details"]["causes"]]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"containers": []}, "spec.template.spec.containers"),
        ({"activeDeadlineSeconds": 5}, "spec.template.spec.activeDeadlineSeconds"),
        ({"restartPolicy": "Never"}, "spec.template.spec.restartPolicy"),
    ],
)
def test_a_pod_template_that_makes_no_sense_is_422(
    server: Server, name: str, change: dict[str, object], field: str
) -> None:
    body = deployment(name)
    body["spec"]["template"]["spec"] |= change
    answer = server("POST", server.path("deployments"), body)
    answer.refused(422, "Invalid")
    assert field in [cause["field"] for cause in answer.body["details"]["causes"]]


def test_an_invalid_name_is_refused(server: Server) -> None:
    answer = server("POST", server.path("configmaps"), config_map("Not_A_Name"))
    answer.refused(422, "Invalid")
    assert answer.body["details"]["causes"][0]["field"] == "metadata.name"


def test_a_selector_cannot_be_changed(server: Server, name: str) -> None:
    server("POST", server.path("deployments"), deployment(name)).good(201)
    other = {
        "spec": {
            "selector": {"matchLabels": {"app": name, "more": "x"}},
            "template": {"metadata": {"labels": {"more": "x"}}},
        }
    }
    answer = server("PATCH", server.path("deployments", name), other, content_type=MERGE)
    assert "field is immutable" in answer.refused(422, "Invalid")


def test_a_body_of_the_wrong_kind_or_no_body_is_400(server: Server, name: str) -> None:
    server("POST", server.path("configmaps"), deployment(name)).refused(400, "BadRequest")
    other = config_map(name)
    other["metadata"]["namespace"] = "elsewhere"
    server("POST", server.path("configmaps"), other).refused(400, "BadRequest")
    server("POST", server.path("deployments"), {**deployment(name), "spec": {"replicas": "many"}}).refused(
        400, "BadRequest"
    )


def test_a_method_that_a_path_does_not_know_is_405(server: Server, name: str) -> None:
    server("POST", server.path("configmaps"), config_map(name)).good(201)
    server("POST", server.path("configmaps", name), config_map(name)).refused(405, "MethodNotAllowed")


def test_a_dry_run_answers_as_if_and_leaves_nothing(server: Server, name: str) -> None:
    path = server.path("deployments", name)
    made = server("POST", server.path("deployments"), deployment(name), dryRun="All").good(201)
    assert made["spec"]["revisionHistoryLimit"] == 10
    assert server("GET", path).code == 404
    server("POST", server.path("deployments"), deployment(name, -1), dryRun="All").refused(422, "Invalid")
    real = server("POST", server.path("deployments"), deployment(name)).good(201)
    would = server("PATCH", path, {"spec": {"paused": True}}, content_type=MERGE, dryRun="All").good()
    assert would["spec"]["paused"] is True
    server("DELETE", path, dryRun="All").good()
    now = server("GET", path).good()
    assert "paused" not in now["spec"]
    assert now["metadata"]["uid"] == real["metadata"]["uid"]
    assert server("DELETE", path, dryRun="Some").code in {400, 422}


def test_a_delete_can_insist_on_what_it_deletes(server: Server, name: str) -> None:
    made = server("POST", server.path("configmaps"), config_map(name)).good(201)
    path = server.path("configmaps", name)
    wrong = {"preconditions": {"uid": "00000000-0000-0000-0000-000000000000"}}
    server("DELETE", path, wrong).refused(409, "Conflict")
    status = server("DELETE", path, {"preconditions": {"uid": made["metadata"]["uid"]}}).good()
    assert (status["kind"], status["status"]) == ("Status", "Success")
    assert status["details"] == {"name": name, "kind": "configmaps", "uid": made["metadata"]["uid"]}
    server("GET", path).refused(404, "NotFound")


def test_a_selection_is_deleted_in_one_call(server: Server, name: str) -> None:
    for n in range(3):
        labels = {"set": name} if n else {}
        server("POST", server.path("configmaps"), config_map(f"{name}-{n}", labels)).good(201)
    server("DELETE", server.path("configmaps"), labelSelector=f"set={name}").good()
    assert [server("GET", server.path("configmaps", f"{name}-{n}")).code for n in range(3)] == [200, 404, 404]


def test_a_bare_pod_runs_and_leaves_in_two_steps(server: Server, name: str) -> None:
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": pod_spec()}
    server("POST", server.path("pods"), body).good(201)
    path = server.path("pods", name)
    running = server.until(path, lambda pod: pod["status"]["phase"] == "Running")
    assert running["spec"]["nodeName"]
    assert running["status"]["podIP"]
    types = {condition["type"]: condition["status"] for condition in running["status"]["conditions"]}
    wanted = {"PodScheduled": "True", "Initialized": "True", "Ready": "True", "ContainersReady": "True"}
    assert wanted.items() <= types.items()
    marked = server("DELETE", path).good()
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 1
    assert marked["metadata"]["deletionTimestamp"].endswith("Z")
    server.until_gone(path)


def test_a_deleted_namespace_takes_all_that_is_in_it(server: Server, name: str) -> None:
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    made = server("POST", "/api/v1/namespaces", body).good(201)
    assert made["status"] == {"phase": "Active"}
    inside = f"/api/v1/namespaces/{name}"
    server("POST", f"{inside}/configmaps", config_map("a")).good(201)
    server("DELETE", inside).good()
    server.until_gone(inside)
    assert server("GET", f"{inside}/configmaps").good()["items"] == []
