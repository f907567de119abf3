from __future__ import annotations

from typing import Any

import pytest

from harness.fleet.job import Wanted, job, laid_over, secret, version
from harness.fleet.podstates import standing

WANTED = Wanted(
    "zdtest-load-1", "shop", "20261130T2200Z-web", 4, 2, "zdtest:1", 2700, "v1.29.3", {"app": "web"}
)


def template(wanted: Wanted = WANTED) -> dict[str, object]:
    found: dict[str, object] = job(wanted)["spec"]["template"]["spec"]
    return found


@pytest.mark.parametrize(
    ("server", "indexed"),
    [("v1.20.2", False), ("v1.23.17-eks-1", False), ("v1.24.0", True), ("v1.36.1+k3s1", True), ("", False)],
)
def test_the_job_is_indexed_where_the_server_has_that(server: str, *, indexed: bool) -> None:
    spec = job(Wanted("n", "shop", "run", 3, 1, "i", 60, server))["spec"]
    assert spec.get("completionMode") == ("Indexed" if indexed else None)
    assert (spec["parallelism"], spec["completions"], spec["backoffLimit"]) == (3, 3, 0)
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


def test_the_job_ends_by_itself_and_goes_though_nobody_deletes_it() -> None:
    spec = job(WANTED)["spec"]
    assert spec["activeDeadlineSeconds"] > WANTED.longest_s
    assert spec["ttlSecondsAfterFinished"] > 0


def test_its_pods_prefer_nodes_without_the_targets_pods_and_then_without_each_other() -> None:
    spec = job(WANTED)["spec"]["template"]["spec"]
    terms = spec["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    found = [(term["weight"], term["podAffinityTerm"]["labelSelector"]["matchLabels"]) for term in terms]
    own = job(WANTED)["spec"]["template"]["metadata"]["labels"]
    assert found[0] == (100, {"app": "web"})
    assert found[1][0] < 100
    assert found[1][1].items() <= own.items()


def test_no_mesh_puts_a_sidecar_into_its_pods() -> None:
    metadata = job(WANTED)["spec"]["template"]["metadata"]
    assert metadata["annotations"]["sidecar.istio.io/inject"] == "false"
    assert metadata["labels"]["sidecar.istio.io/inject"] == "false"
    assert metadata["annotations"]["linkerd.io/inject"] == "disabled"


def test_its_pods_meet_the_restricted_pod_security_standard() -> None:
    spec = job(WANTED)["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert spec["automountServiceAccountToken"] is False
    assert {volume["name"] for volume in spec["volumes"]} == {"keys", "tmp"}
    assert container["resources"]["limits"]["cpu"] == "3"
    assert container["resources"]["requests"]["cpu"] == "500m"


def test_the_secret_goes_with_the_job() -> None:
    found = secret(WANTED, {"tls.key": b"k"}, "uid-1")
    assert found["metadata"]["ownerReferences"] == [
        {"apiVersion": "batch/v1", "kind": "Job", "name": WANTED.name, "uid": "uid-1"}
    ]
    assert found["data"] == {"tls.key": "aw=="}


def test_a_file_is_laid_over_the_template_item_by_item() -> None:
    above = {
        "metadata": {"annotations": {"linkerd.io/inject": None, "team": "shop"}},
        "spec": {
            "tolerations": [{"key": "load"}],
            "containers": [{"name": "zdtest", "image": "other", "resources": {"limits": {"cpu": "8"}}}],
            "volumes": [{"name": "code", "hostPath": {"path": "/code"}}],
        },
    }
    wanted = Wanted("n", "shop", "run", 3, 1, "i", 60, template=above)
    made = job(wanted)["spec"]["template"]
    (container,) = made["spec"]["containers"]
    assert (container["image"], container["resources"]["limits"]["cpu"]) == ("other", "8")
    assert container["resources"]["limits"]["memory"]  # what the file does not name stays
    assert [volume["name"] for volume in made["spec"]["volumes"]] == ["keys", "tmp", "code"]
    assert made["spec"]["tolerations"] == [{"key": "load"}]
    assert "linkerd.io/inject" not in made["metadata"]["annotations"]
    assert made["metadata"]["annotations"]["team"] == "shop"


def test_mounts_are_the_same_if_they_are_at_the_same_place() -> None:
    below = [{"name": "a", "mountPath": "/a"}, {"name": "a", "mountPath": "/b"}]
    assert laid_over(below, [{"name": "c", "mountPath": "/b"}]) == [
        {"name": "a", "mountPath": "/a"},
        {"name": "c", "mountPath": "/b"},
    ]


def test_a_version_is_read_whatever_follows_it() -> None:
    assert [version(text) for text in ("v1.29.3-gke.1", "1.30", "unknown")] == [(1, 29), (1, 30), (0, 0)]


def pod(**status: object) -> dict[str, object]:
    return {"metadata": {"name": "p"}, "spec": {"nodeName": "n"}, "status": status}


def test_a_pod_runs_once_all_of_its_containers_do_and_it_has_an_address() -> None:
    states: list[dict[str, Any]] = [{"state": {"running": {}}}]
    assert standing(pod(phase="Running", podIP="10.0.0.1", containerStatuses=states)).running
    assert not standing(pod(phase="Running", containerStatuses=states)).running
    waiting = [*states, {"state": {"waiting": {"reason": "PodInitializing"}}}]
    assert not standing(pod(phase="Pending", podIP="10.0.0.1", containerStatuses=waiting)).running


@pytest.mark.parametrize(
    ("status", "waits"),
    [
        (
            {
                "containerStatuses": [
                    {"state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}}
                ]
            },
            "ErrImagePull not found",
        ),
        (
            {
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "message": "0/3 nodes",
                    }
                ]
            },
            "Unschedulable: 0/3 nodes",
        ),
    ],
)
def test_what_a_pod_waits_for_is_said(status: dict[str, object], waits: str) -> None:
    assert standing(pod(phase="Pending", **status)).waits_for == waits


@pytest.mark.parametrize(
    ("status", "ended"),
    [
        (
            {"containerStatuses": [{"state": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}]},
            "OOMKilled, exit code 137",
        ),
        (
            {
                "containerStatuses": [
                    {
                        "state": {
                            "terminated": {
                                "reason": "Error",
                                "exitCode": 1,
                                "message": "Trace\nNameError: x\n",
                            }
                        }
                    }
                ]
            },
            "Error, exit code 1, NameError: x",
        ),
        ({"phase": "Failed", "reason": "Evicted", "message": "low on memory"}, "Evicted low on memory"),
        ({"phase": "Unknown"}, "its node is lost"),
        ({"phase": "Running"}, ""),
    ],
)
def test_how_a_pod_ended_is_said(status: dict[str, object], ended: str) -> None:
    assert standing(pod(**status)).ended == ended
