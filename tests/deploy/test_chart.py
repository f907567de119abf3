"""The Helm chart, rendered by Helm's own code (helm-python-sdk holds its Go library)."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import harness
import harness.cli
from harness.cli.root import root
from harness.cluster.permission.rbac import role
from harness.k8s import schema
from harness.scenario.trigger import KINDS, parse
from tests.deploy import rules
from tests.podsecurity import violations

CHART = Path(__file__).parents[2] / "deploy" / "chart"
ARGUMENTS = {
    "set-image": " web=web:2", "scale": " 3", "apply": " /scenario/web.yaml", "replace": " /scenario/web.yaml",
    "command": " helm upgrade web",
}  # fmt: skip

helm: Any = pytest.importorskip("helm_python", reason="the extra deploy is not installed")


def rendered(name: str = "zdtest", **values: Any) -> dict[str, dict[str, Any]]:
    """Return what `helm template NAME deploy/chart -n shop` prints, by kind."""
    with helm.Chart.load(str(CHART)) as chart:
        chart.validate_schema(values)
        files = chart.render(values, name=name, namespace="shop")
    documents = [
        document
        for file, text in files.items()
        if not file.endswith(".txt")
        for document in yaml.safe_load_all(text)
        if document
    ]
    assert len({document["kind"] for document in documents}) == len(documents)
    return {document["kind"]: document for document in documents}


def pod(documents: dict[str, dict[str, Any]]) -> dict[str, Any]:
    template: dict[str, Any] = documents["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]
    return template


def words(documents: dict[str, dict[str, Any]]) -> list[str]:
    found: list[str] = pod(documents)["spec"]["containers"][0]["args"]
    return found


def test_helm_finds_nothing_wrong_with_it() -> None:
    for version in ("v1.20.2", "v1.25.0", "v1.36.0"):
        found = helm.lint(str(CHART), kube_version=version)
        assert [message for message in found["messages"] if message["severity"] > 1] == []


def test_the_rules_in_the_chart_are_those_of_the_code() -> None:
    assert rules.FILE.read_text() == rules.made()


@pytest.mark.parametrize("trigger", KINDS)
@pytest.mark.parametrize("kind", rules.WORKLOADS)
def test_the_role_is_the_one_that_zdtest_rbac_prints(kind: str, trigger: str) -> None:
    change = trigger + ARGUMENTS.get(trigger, "")
    documents = rendered(workload={"kind": kind, "name": "web"}, trigger=change)
    wanted, binding = role("shop", kind, "web", parse(change))
    for document in (documents["Role"], documents["RoleBinding"]):
        assert document["metadata"].pop("labels")["app.kubernetes.io/name"] == "zdtest"
    assert documents["Role"] == wanted
    assert documents["RoleBinding"] == binding


@pytest.mark.parametrize("trigger", KINDS)
def test_a_load_from_pods_is_asked_for_and_allowed(trigger: str) -> None:
    change = trigger + ARGUMENTS.get(trigger, "")
    documents = rendered(pods=4, trigger=change, image={"repository": "registry.example.com/x", "tag": "7"})
    (wanted, _) = role("shop", "Deployment", "web", parse(change), pods=True)

    def rights(rules: list[dict[str, Any]]) -> set[tuple[str, str, tuple[str, ...], str]]:
        return {
            (group, resource, tuple(rule.get("resourceNames", ())), verb)
            for rule in rules
            for group in rule["apiGroups"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
        }

    assert rights(documents["Role"]["rules"]) == rights(wanted["rules"])
    params = root.commands["run"].make_context("run", words(documents)[1:]).params
    assert (params["pods"], params["worker_image"]) == (4, "registry.example.com/x:7")


def test_an_unknown_trigger_or_value_is_refused_with_a_reason() -> None:
    with pytest.raises(helm.HelmError, match="none that zdtest run --trigger takes"):
        rendered(trigger="reboot")
    for wrong in (
        {"shedule": "x"},
        {"workload": {"kind": "Job", "name": "web"}},
        {"results": {"url": "/mnt"}},
        {"scenario": {"other.yaml": ""}},
    ):
        with pytest.raises(helm.HelmError):
            rendered(**wrong)


def test_one_run_at_a_time_and_none_twice() -> None:
    spec = rendered()["CronJob"]["spec"]
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["jobTemplate"]["spec"]["backoffLimit"] == 0
    assert spec["jobTemplate"]["spec"]["template"]["spec"]["restartPolicy"] == "Never"


def test_the_pod_is_one_that_pod_security_restricted_takes() -> None:
    many: dict[str, Any] = {"results": {"claim": {"create": True}}, "scenario": {"zdtest.yaml": "target: {}"}}
    for values in (dict[str, Any](), many):
        template = pod(rendered(**values))
        assert violations(template["spec"], template["metadata"]["annotations"]) == []
        assert template["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True


def test_the_arguments_are_a_command_line_that_zdtest_takes() -> None:
    given = words(
        rendered(
            scenario={"zdtest.yaml": "target: {path: /}"},
            results={"url": "s3://nights/shop", "keep": 5},
            workload={"kind": "StatefulSet", "name": "db"},
            trigger="scale 5",
        )
    )
    params = root.commands["run"].make_context("run", given[1:]).params
    assert (params["workload"], params["trigger"], params["keep"]) == ("statefulset/db", "scale 5", 5)
    assert (str(params["output"].folder), str(params["output"].address)) == ("/results", "s3://nights/shop")
    assert str(params["file"]) == "/scenario/zdtest.yaml"
    assert (params["namespace"], params["concurrency"]) == ("shop", 200)


def test_kubernetes_knows_every_field_of_the_pod() -> None:
    many = rendered(
        scenario={"zdtest.yaml": "target: {}"}, results={"claim": {"create": True}}, imagePullSecrets=[{"name": "x"}],
        env=[{"name": "A", "value": "b"}], envFrom=[{"secretRef": {"name": "s"}}], nodeSelector={"a": "b"},
        tolerations=[{"operator": "Exists"}], affinity={"nodeAffinity": {}}, podLabels={"team": "shop"},
    )  # fmt: skip
    assert schema.unknown_fields(pod(many), schema.root("v1", "Pod")) == []
    assert pod(many)["metadata"]["labels"]["team"] == "shop"


def test_a_scenario_is_mounted_as_it_is_written() -> None:
    text = 'target: {path: "/a?b={{ c }}"}\n# "quoted": yes\n'
    documents = rendered(scenario={"zdtest.yaml": text})
    assert documents["ConfigMap"]["data"] == {"zdtest.yaml": text}
    volume = next(v for v in pod(documents)["spec"]["volumes"] if v["name"] == "scenario")
    assert volume["configMap"]["name"] == documents["ConfigMap"]["metadata"]["name"]


def test_results_go_to_a_claim_of_its_own_to_one_that_there_is_or_with_the_pod() -> None:
    def volume(documents: dict[str, dict[str, Any]]) -> Any:
        (found,) = (v for v in pod(documents)["spec"]["volumes"] if v["name"] == "results")
        return found

    assert "emptyDir" in volume(rendered())
    own = rendered(results={"claim": {"create": True, "size": "5Gi"}})
    assert volume(own)["persistentVolumeClaim"]["claimName"] == "zdtest-results"
    assert own["PersistentVolumeClaim"]["metadata"]["name"] == "zdtest-results"
    assert own["PersistentVolumeClaim"]["spec"]["resources"]["requests"]["storage"] == "5Gi"
    there = rendered(results={"claim": {"create": True, "existing": "nights"}})
    assert volume(there)["persistentVolumeClaim"]["claimName"] == "nights"
    assert "PersistentVolumeClaim" not in there


def test_secrets_come_from_secrets_and_never_as_arguments() -> None:
    secret = [{"secretRef": {"name": "zdtest-storage"}}]
    documents = rendered(envFrom=secret, results={"url": "s3://nights/shop"})
    assert pod(documents)["spec"]["containers"][0]["envFrom"] == secret


def test_two_releases_in_one_namespace_do_not_share_a_name() -> None:
    first, second = rendered("web-nightly"), rendered("db-nightly")
    for kind, document in first.items():
        assert document["metadata"]["name"] != second[kind]["metadata"]["name"]
    long = rendered("a" * 53)["CronJob"]["metadata"]["name"]
    assert len(long) <= 52


def test_the_image_is_the_version_s_own() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == harness.__version__
    assert pod(rendered())["spec"]["containers"][0]["image"].endswith(f":{harness.__version__}")


def test_every_value_is_documented_and_in_the_schema() -> None:
    text = (CHART / "values.yaml").read_text()
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())
    assert set(yaml.safe_load(text)) == set(schema["properties"]) - {"global"}
    assert re.search(r"^# What starts the rollout", text, re.MULTILINE)


def test_the_extra_is_named_as_the_skip_says() -> None:
    project = tomllib.loads((CHART.parents[1] / "pyproject.toml").read_text())["project"]
    assert any(word.startswith("helm-python-sdk") for word in project["optional-dependencies"]["deploy"])
