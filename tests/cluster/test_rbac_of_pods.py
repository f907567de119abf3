from __future__ import annotations

from harness.cluster.permission.rbac import needs, role
from harness.scenario.trigger import parse


def rules(*, pods: bool) -> set[tuple[str, str, str, str]]:
    made, _ = role("shop", "Deployment", "web", parse("restart"), pods=pods)
    return {
        (verb, group, resource, name)
        for rule in made["rules"]
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", [""])
    }


def test_pods_add_the_right_to_make_and_remove_one_job_and_nothing_more() -> None:
    assert rules(pods=True) - rules(pods=False) == {
        ("create", "batch", "jobs", ""),
        ("delete", "batch", "jobs", ""),
        ("create", "", "secrets", ""),
        ("get", "", "pods/portforward", ""),
        ("create", "", "pods/portforward", ""),
    }


def test_no_secret_can_be_read_with_it() -> None:
    assert not any(resource == "secrets" and verb != "create" for verb, _, resource, _ in rules(pods=True))


def test_a_run_goes_on_without_the_right_to_port_forward() -> None:
    found = needs("Deployment", "web", parse("restart"), pods=True)
    assert all(need.optional for need in found if need.resource == "pods/portforward")
    assert len(set(found)) == len(found)
